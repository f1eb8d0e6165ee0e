"""What a strategy may answer, and how its words are taken without trusting them.

A strategy is somebody else's code: what it returns is checked before the engine acts on
it, and what it says about itself is brought into a form that the journal can hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any

from bifrost_engine.domain.contract import parse_contract_key
from bifrost_engine.domain.decision import Decision, Hold, Intent
from bifrost_engine.domain.order import OrderType, Purpose, Side
from bifrost_engine.engine.slot import Slot

_NUMBER = (int, float)
_SIMPLE = frozenset((str, int, float, bool, type(None)))
_SEVERAL = (list, tuple, set, frozenset)
_AS_IT_IS = (str, int, float, Decimal, Enum, date, type(None))


def check_decision(slot: Slot, decision: Decision) -> None:
    """Refuse what isn't a decision, or what can't be meant by one.

    Raises TypeError or ValueError, saying what is wrong.
    """
    if not isinstance(decision, Decision):
        raise TypeError(f"on_tick and on_heartbeat return a Decision or None, not {type(decision).__name__}")
    hash(decision.key)  # keys are compared for equality at every tick
    if decision.hold is not None:
        _check_hold(decision.hold)
    if decision.legs is not None:
        for key in decision.legs:
            parse_contract_key(key)
    if decision.intent is not None:
        _check_intent(slot, decision.intent)


def _check_hold(hold: Hold) -> None:
    if not isinstance(hold, Hold):
        raise TypeError(f"decision hold {hold!r}: expected a Hold or None")
    numbers = (hold.low, hold.high, hold.max_spread, hold.until_ns, hold.max_lag_ns or 0)
    if not all(isinstance(number, _NUMBER) for number in numbers):
        raise TypeError(f"decision hold {hold!r}: expected numbers")


def _check_intent(slot: Slot, intent: Intent) -> None:
    if not isinstance(intent, Intent):
        raise TypeError(f"decision intent {intent!r}: expected an Intent or None")
    kinds = ((intent.side, Side), (intent.purpose, Purpose), (intent.order_type, OrderType))
    for value, kind in kinds:
        if not isinstance(value, kind):
            raise TypeError(f"intent {kind.__name__} {value!r}: expected a {kind.__name__}")
    if intent.purpose is Purpose.FLATTEN:
        raise ValueError("intent purpose FLATTEN: only an operator's flatten has it")
    quantity = intent.quantity
    if not isinstance(quantity, Decimal) or not quantity.is_finite() or quantity <= 0:
        raise ValueError(f"intent quantity {quantity!r}: expected a finite Decimal above 0")
    if not isinstance(intent.limit_offset_ticks, int) or not isinstance(
        intent.net_delta, (*_NUMBER, type(None))
    ):
        raise TypeError(f"intent {intent!r}: expected whole ticks, and a number or None as net_delta")
    parse_contract_key(intent.contract_key)
    if not slot.wants(intent.contract_key) and intent.contract_key not in (
        slot.config.allowed_instruments or ()
    ):
        raise ValueError(f"intent contract {intent.contract_key!r}: not an instrument of {slot.id}")


def told(explain: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    """Return what a strategy explains, in plain values and with ``reasons``; if it raises, that it did."""
    try:
        facts = {
            str(name): value if value.__class__ in _SIMPLE else _plain(value)
            for name, value in explain().items()
        }
        reasons = facts.get("reasons") or []
        return {**facts, "reasons": reasons if isinstance(reasons, list) else [reasons]}
    except Exception as error:  # noqa: BLE001 - a strategy's code; the record itself tells of it
        return {"reasons": [f"explain raised {type(error).__name__}: {error}"]}


def _plain(value: Any) -> Any:
    if value.__class__ in _SIMPLE or isinstance(value, _AS_IT_IS):
        return value
    if isinstance(value, _SEVERAL):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    return str(value)
