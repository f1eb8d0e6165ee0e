"""Whether what a plugin hands over is what the contract says: types all the way down, and finite amounts.

The engine takes its input at its word; a plugin is somebody else's code. What doesn't
fit is refused at the edge, before it can leave half a change behind. The numbers of an
execution are the exception: that something was executed must not get lost with them.
"""

from __future__ import annotations

import collections.abc
from decimal import Decimal
from functools import cache
from types import UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import attrs

from bifrost_engine.domain.broker import Execution
from bifrost_engine.domain.quote import Quote

SHOWN = 80
JUDGED_LATER: dict[type, frozenset[str]] = {Execution: frozenset({"quantity", "price", "commission"})}
"""Amounts that the engine judges itself, by class: they may be missing or not finite."""
T = TypeVar("T")
_NUMBERS = (int, float)


def misfit(value: Any, wanted: Any, where: str = "") -> str | None:
    """Return what of ``value`` isn't as the type ``wanted`` says, None if it fits."""
    origin, arguments = get_origin(wanted), get_args(wanted)
    if wanted is Any:
        return None
    if origin in (Union, UnionType):
        faults = [misfit(value, one, where) for one in arguments]
        return None if None in faults else faults[0]
    if origin in (tuple, frozenset):
        return _kind(value, origin, where) or _first(
            misfit(item, arguments[0], f"{where}[{number}]") for number, item in enumerate(value)
        )
    if origin is collections.abc.Mapping:
        return _kind(value, origin, where) or _first(
            misfit(item, arguments[1], f"{where}[{key}]") for key, item in value.items()
        )
    return _kind(value, _NUMBERS if wanted is float else wanted, where) or _inside(value, wanted, where)


def _kind(value: Any, wanted: Any, where: str) -> str | None:
    if isinstance(value, wanted):
        return None
    name = "number" if wanted is _NUMBERS else wanted.__name__
    return f"{where or 'it'}: expected {name}, was {value!r:.{SHOWN}}"


def _inside(value: Any, wanted: Any, where: str) -> str | None:
    if isinstance(value, Decimal) and not value.is_finite():
        return f"{where}: expected a finite amount, was {value}"
    if not attrs.has(wanted):
        return None
    later = JUDGED_LATER.get(wanted, ())
    return _first(
        _kind_of_amount(getattr(value, name), f"{where}.{name}".removeprefix("."))
        if name in later
        else misfit(getattr(value, name), hint, f"{where}.{name}".removeprefix("."))
        for name, hint in _hints(wanted)
    )


def _kind_of_amount(value: Any, where: str) -> str | None:
    return None if value is None else _kind(value, Decimal, where)


def _first(faults: collections.abc.Iterable[str | None]) -> str | None:
    return next((fault for fault in faults if fault is not None), None)


@cache
def _hints(cls: type) -> tuple[tuple[str, Any], ...]:
    hints = get_type_hints(cls)
    return tuple((attribute.name, hints[attribute.name]) for attribute in attrs.fields(cls))


def quote_misfit(quote: Any) -> str | None:
    """Return why something isn't a quote at all; whether its market makes sense is another question."""
    if quote.__class__ is not Quote:
        return f"expected a Quote, was {quote!r:.{SHOWN}}"
    key, *sides, ts_ns, recv_ns = quote
    if not isinstance(key, str):
        return f"contract_key: expected str, was {key!r:.{SHOWN}}"
    if not all(isinstance(side, _NUMBERS) for side in sides):
        return f"{key}: expected numbers as bid, ask and sizes, was {sides!r:.{SHOWN}}"
    if not (isinstance(ts_ns, int) and isinstance(recv_ns, int)):
        return f"{key}: expected whole nanoseconds as ts_ns and recv_ns, was {ts_ns!r}, {recv_ns!r}"
    return None


def is_readable(execution: Execution) -> bool:
    """Return whether an execution of a snapshot has numbers that can be booked; a bust has quantity 0."""
    quantity, price = execution.quantity, execution.price
    if not all(isinstance(number, Decimal) and number.is_finite() for number in (quantity, price)):
        return False
    return quantity > 0 or (quantity == 0 and execution.revision > 1)


def fitting(answer: Any, wanted: type[T], hook: str) -> T:
    """Return what a hook answered. Raises TypeError if it isn't a ``wanted``."""
    fault = misfit(answer, wanted)
    if fault is not None:
        raise TypeError(f"{hook} returned nonsense: {fault}")
    return cast(T, answer)
