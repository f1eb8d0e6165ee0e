"""Whether what a plugin hands over is what the contract says: types all the way down, and finite amounts.

The engine takes its input at its word; a plugin is somebody else's code. What doesn't
fit is refused at the edge, before it can leave half a change behind. The numbers of an
execution are the exception: that something was executed must not get lost with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints
from weakref import WeakValueDictionary

import attrs

from bifrost_engine.domain.broker import BrokerOrder, Execution
from bifrost_engine.domain.quote import Quote

SHOWN = 80
JUDGED_LATER: dict[type, frozenset[str]] = {Execution: frozenset({"quantity", "price", "commission"})}
"""Amounts that the engine judges itself, by class: they may be missing or not finite."""
TOLD_AGAIN = frozenset({Execution, BrokerOrder})
"""Classes of which each snapshot has many, mostly those that the last one had."""
T = TypeVar("T")
_NUMBERS = (int, float)


Fault = tuple[str, str]
"""Where something doesn't fit, such as ``.positions[2].quantity``, and why."""
Check = Callable[[Any], Fault | None]


def misfit(value: Any, wanted: Any) -> str | None:
    """Return what of ``value`` isn't as the type ``wanted`` says, None if it fits."""
    fault = _check_of(wanted)(value)
    if fault is None:
        return None
    where, why = fault
    return f"{where.removeprefix('.') or 'it'}: {why}"


@cache
def _check_of(wanted: Any) -> Check:
    """Return what checks values of a type; made once, since a whole snapshot is checked each time."""
    origin, arguments = get_origin(wanted), get_args(wanted)
    if wanted is Any:
        return lambda value: None
    if origin in (Union, UnionType):
        return _one_of([_check_of(one) for one in arguments])
    if origin in (tuple, frozenset):
        return _each(origin, enumerate, _check_of(arguments[0]))
    if origin is Mapping:
        return _each(Mapping, lambda value: value.items(), _check_of(arguments[1]))
    if wanted is Decimal:
        return _amount
    if wanted in TOLD_AGAIN:
        return _once(_fields_of(wanted))
    if attrs.has(wanted):
        return _fields_of(wanted)
    return _kind((int, float) if wanted is float else wanted)


def _kind(wanted: Any) -> Check:
    name = "number" if isinstance(wanted, tuple) else wanted.__name__

    def check(value: Any) -> Fault | None:
        return None if isinstance(value, wanted) else ("", f"expected {name}, was {value!r:.{SHOWN}}")

    return check


_is_decimal = _kind(Decimal)


def _amount(value: Any) -> Fault | None:
    if not isinstance(value, Decimal):
        return _is_decimal(value)
    return None if value.is_finite() else ("", f"expected a finite amount, was {value}")


def _one_of(checks: list[Check]) -> Check:
    def check(value: Any) -> Fault | None:
        first = None
        for one in checks:
            fault = one(value)
            if fault is None:
                return None
            first = first or fault
        return first

    return check


def _each(kind: Any, items: Callable[[Any], Iterable[tuple[Any, Any]]], of_item: Check) -> Check:
    of_kind = _kind(kind)

    def check(value: Any) -> Fault | None:
        if not isinstance(value, kind):
            return of_kind(value)
        for key, item in items(value):
            fault = of_item(item)
            if fault is not None:
                return f"[{key}]{fault[0]}", fault[1]
        return None

    return check


def _once(check: Check) -> Check:
    """Return a check that remembers which frozen values fit, as long as they live."""
    fitting: WeakValueDictionary[int, Any] = WeakValueDictionary()

    def checked(value: Any) -> Fault | None:
        if fitting.get(id(value)) is value:
            return None
        fault = check(value)
        if fault is None:
            fitting[id(value)] = value
        return fault

    return checked


def _fields_of(cls: Any) -> Check:
    hints, later = get_type_hints(cls), JUDGED_LATER.get(cls, frozenset())
    of_kind = _kind(cls)
    fields = [
        (
            field.name,
            _one_of([_is_decimal, _kind(NoneType)]) if field.name in later else _check_of(hints[field.name]),
        )
        for field in attrs.fields(cls)
    ]

    def check(value: Any) -> Fault | None:
        if not isinstance(value, cls):
            return of_kind(value)
        for name, of_field in fields:
            fault = of_field(getattr(value, name))
            if fault is not None:
                return f".{name}{fault[0]}", fault[1]
        return None

    return check


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
