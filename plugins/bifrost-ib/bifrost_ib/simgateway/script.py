"""What a script may say, and its reading: which orders meet what, what happens when, what is slow.

The tables here are the format. A step or an action is a name with a few values; where one
value stands alone, it is the first of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from functools import partial
from pathlib import Path
from typing import Any

from attrs import field, frozen

from bifrost_engine.domain import parse_contract_key
from bifrost_ib.simgateway.account import CASH, Opening
from bifrost_ib.simgateway.requests import BY_NAME

NEVER = "never"
PERCENT = "%"
REST = "rest"
MESSAGES = ("exec", "open", "status", "commission", "position")


class ScriptError(ValueError):
    """A script that can't be followed; the message says where and why."""


Reader = Callable[[Any], Any]


def _decimal(value: Any) -> Decimal:
    number = Decimal(str(value))
    if not number.is_finite():
        raise ValueError(f"{value!r} is not a number")
    return number


def _seconds(value: Any) -> float:
    seconds = float(value)
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"{value!r} seconds")
    return seconds


def _share(value: Any) -> str:
    """Return a quantity, a share such as ``50%``, or ``rest``, as text."""
    text = str(value)
    if text != REST and _decimal(text.removesuffix(PERCENT)) <= 0:
        raise ValueError(f"{value!r} is nothing to fill")
    return text


def _delay(value: Any) -> float | None:
    return None if value in (NEVER, None) else _seconds(value)


def _message(value: Any) -> int:
    return BY_NAME[value].number if value in BY_NAME else int(value)


def _messages(value: Any) -> tuple[str, ...]:
    unknown = set(value) - set(MESSAGES)
    if isinstance(value, str) or unknown:
        raise ValueError(f"expected a list of {', '.join(MESSAGES)}")
    return tuple(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"expected true or false, was {value!r}")
    return value


def _one_of(known: Sequence[str], value: Any) -> str:
    if value not in known:
        raise ValueError(f"expected {' or '.join(known)}, was {value!r}")
    return str(value)


def _key(value: Any) -> str:
    text = str(value)
    return parse_contract_key(text if "|" in text else f"{text}|STK|||").key


def _price(value: Any) -> float | None:
    return None if value is None else float(_decimal(value))


def _steps(value: Any) -> tuple[Step, ...]:
    return read_steps(value, "steps")


REQUIRED = object()

Shape = dict[str, tuple[Reader, Any]]
"""Values by name: how each is read, and what it is if it isn't given."""

ERROR: Shape = {"code": (int, 201), "text": (str, "Order rejected - reason:scripted"), "json": (str, "")}

STEPS: dict[str, Shape] = {
    "ack": {},
    "presubmit": {},
    "submit": {},
    "wait": {"seconds": (_seconds, 0.0)},
    "fill": {"qty": (_share, REST), "price": (_decimal, None), "commission": (str, "usual")},
    "commission": {},
    "reject": ERROR,
    "error": ERROR,
    "status": {"status": (str, "Submitted"), "why_held": (str, "")},
    "drop": {"refuse": (_seconds, 0.0)},
    "dup_exec": {},
    "dup_status": {},
    "reorder": {"messages": (_messages, MESSAGES[::-1])},
    "correct": {"qty": (_decimal, None), "price": (_decimal, None)},
    "match": {},
    "hold": {},
    "accept": {},
}
"""What can happen to one order, step by step."""

ACTIONS: dict[str, Shape] = {
    "disconnect": {"client": (int, None), "refuse": (_seconds, 0.0)},
    "refuse": {"seconds": (_seconds, None)},
    "restart": {"down": (_seconds, 1.0), "silent": (_seconds, 0.0)},
    "lost": {"code": (int, 1100)},
    "restored": {"data": (_flag, True)},
    "msg": {"code": (int, 2103), "text": (str, None)},
    "competing": {"on": (_flag, True)},
    "hang": {"seconds": (_seconds, None)},
    "resume": {},
    "price": {
        "contract": (_key, REQUIRED),
        "bid": (_price, None),
        "ask": (_price, None),
        "size": (float, 500.0),
    },
    "slow": {"message": (_message, 0), "delay": (_delay, 0.0)},
    "steps": {"order": (int, 1), "steps": (_steps, ())},
    "trade": {
        "contract": (_key, REQUIRED),
        "quantity": (_decimal, Decimal(1)),
        "price": (_decimal, None),
    },
    "midnight": {},
}
"""What can happen to the gateway, at a time or when it is asked for."""


@frozen
class Step:
    """One of ``STEPS`` or ``ACTIONS`` with all its values."""

    name: str
    values: Mapping[str, Any] = field(factory=dict)


@frozen(kw_only=True)
class Rule:
    """Which orders it is for, None meaning any, and what happens to them."""

    n: int | None = None
    symbol: str | None = None
    side: str | None = None
    type: str | None = None
    steps: tuple[Step, ...] = ()

    def fits(self, **order: Any) -> bool:
        """Return whether it is for an order with these values."""
        return all(getattr(self, name) in (None, value) for name, value in order.items())


@frozen(kw_only=True)
class Moment:
    """Something that happens ``at`` seconds after the gateway was opened."""

    at: float
    action: Step


@frozen(kw_only=True)
class Script:
    """All of a script; an empty one lets everything go as usual.

    slow            delay of the answer by request number, seconds; None: never
    spots           first price by symbol; empty: the usual symbols
    not_subscribed  symbols that have delayed data only
    """

    orders: tuple[Rule, ...] = ()
    cancels: tuple[Rule, ...] = ()
    timeline: tuple[Moment, ...] = ()
    slow: Mapping[int, float | None] = field(factory=dict)
    opening: Opening = field(factory=Opening)
    spots: Mapping[str, float] = field(factory=dict)
    not_subscribed: frozenset[str] = frozenset()


def load_script(given: Script | Mapping[str, Any] | str | Path | None) -> Script:
    """Return a script from a file, its text or its content. Raises ScriptError, OSError."""
    if isinstance(given, Script):
        return given
    if isinstance(given, Path):
        given = given.read_text()
    if isinstance(given, str):
        import yaml

        try:
            given = yaml.safe_load(given)
        except yaml.YAMLError as error:
            raise ScriptError(f"script: {error}") from None
    return _script(given or {})


def _script(content: Any) -> Script:
    parts = _known(content, "script", ("orders", "cancels", "timeline", "slow", "account", "market"))
    market = _known(parts.get("market") or {}, "market", ("symbols", "not_subscribed"))
    return Script(
        orders=tuple(_rule(row, where) for row, where in _rows(parts, "orders")),
        cancels=tuple(_cancel_rule(row, where) for row, where in _rows(parts, "cancels")),
        timeline=tuple(_moment(row, where) for row, where in _rows(parts, "timeline")),
        slow={
            _read(_message, key, "slow"): _read(_delay, value, f"slow.{key}")
            for key, value in (parts.get("slow") or {}).items()
        },
        opening=_opening(parts.get("account") or {}),
        spots={
            str(symbol): _read(float, spot, f"market.symbols.{symbol}")
            for symbol, spot in (market.get("symbols") or {}).items()
        },
        not_subscribed=frozenset(market.get("not_subscribed") or ()),
    )


def _rows(parts: Mapping[str, Any], name: str) -> list[tuple[Any, str]]:
    rows = parts.get(name) or []
    if not isinstance(rows, Sequence) or isinstance(rows, str):
        raise ScriptError(f"{name}: expected a list")
    return [(row, f"{name}[{number}]") for number, row in enumerate(rows)]


def _known(content: Any, where: str, names: Sequence[str]) -> dict[str, Any]:
    if not isinstance(content, Mapping):
        raise ScriptError(f"{where}: expected keys and values, was {content!r}")
    # The key ``on`` comes out of YAML 1.1 as true.
    known = {"on" if key is True else key: value for key, value in content.items()}
    unknown = [str(key) for key in known if key not in names]
    if unknown:
        raise ScriptError(f"{where}: {', '.join(unknown)} isn't known; expected {', '.join(names)}")
    return known


def _read(reader: Reader, value: Any, where: str) -> Any:
    try:
        return reader(value)
    except ScriptError:
        raise
    except (ValueError, TypeError, InvalidOperation, KeyError) as error:
        raise ScriptError(f"{where}: {error or value}") from None


MATCHES: dict[str, Reader] = {
    "n": int,
    "symbol": str,
    "side": partial(_one_of, ("BUY", "SELL")),
    "type": partial(_one_of, ("MKT", "LMT")),
}
"""How a rule says which orders it is for."""


def _rule(row: Any, where: str) -> Rule:
    values = _known(row, where, (*MATCHES, "steps"))
    steps = read_steps(values.pop("steps", []), f"{where}.steps")
    return Rule(**_matches(values, where), steps=steps)


def _cancel_rule(row: Any, where: str) -> Rule:
    values = _known(row, where, (*MATCHES, "steps", "do"))
    ways = {"accept": [{"accept": None}], "ignore": [], None: values.pop("steps", [])}
    do = values.pop("do", None)
    if do not in ways:
        raise ScriptError(f"{where}.do: expected accept or ignore, was {do!r}")
    return Rule(**_matches(values, where), steps=read_steps(ways[do], f"{where}.steps"))


def _matches(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the values that an order is held against; one that no order has would never fit."""
    return {name: _read(MATCHES[name], value, f"{where}.{name}") for name, value in values.items()}


def _moment(row: Any, where: str) -> Moment:
    if not isinstance(row, Mapping) or "at" not in row or "do" not in row:
        raise ScriptError(f"{where}: expected at and do")
    values = {key: value for key, value in row.items() if key not in ("at", "do")}
    return Moment(
        at=_read(_seconds, row["at"], f"{where}.at"), action=read_step(row["do"], values, ACTIONS, where)
    )


def read_steps(rows: Any, where: str) -> tuple[Step, ...]:
    """Return the steps of an order. Raises ScriptError."""
    if isinstance(rows, str) or not isinstance(rows, Sequence):
        raise ScriptError(f"{where}: expected a list")
    steps = []
    for number, row in enumerate(rows):
        name, value = next(iter(row.items())) if isinstance(row, Mapping) and len(row) == 1 else (row, None)
        steps.append(read_step(name, value, STEPS, f"{where}[{number}]"))
    return tuple(steps)


def read_step(name: Any, value: Any, table: Mapping[str, Shape], where: str) -> Step:
    """Return one step or action with all its values. Raises ScriptError."""
    if not isinstance(name, str) or name not in table:
        raise ScriptError(f"{where}: {name!r} isn't known; expected one of {', '.join(table)}")
    shape = table[name]
    if value is not None and not isinstance(value, Mapping):
        if not shape:
            raise ScriptError(f"{where}: {name} takes no value")
        value = {next(iter(shape)): value}
    given = _known(value or {}, f"{where}.{name}", tuple(shape))
    missing = [key for key, (_, default) in shape.items() if default is REQUIRED and key not in given]
    if missing:
        raise ScriptError(f"{where}.{name}: expected {', '.join(missing)}")
    return Step(
        name,
        {
            key: _read(reader, given[key], f"{where}.{name}.{key}") if key in given else default
            for key, (reader, default) in shape.items()
        },
    )


def _opening(content: Any) -> Opening:
    values = _known(content, "account", ("cash", "positions"))
    positions = {}
    for key, held in (values.get("positions") or {}).items():
        where = f"account.positions.{key}"
        row = _known(held, where, ("quantity", "average_cost")) if isinstance(held, Mapping) else None
        quantity, cost = (
            (row.get("quantity", 0), row.get("average_cost", 0)) if row is not None else (held, 0)
        )
        amounts = (_read(_decimal, quantity, where), _read(_decimal, cost, where))
        positions[_read(_key, key, where)] = amounts
    return Opening(cash=_read(_decimal, values.get("cash", CASH), "account.cash"), positions=positions)
