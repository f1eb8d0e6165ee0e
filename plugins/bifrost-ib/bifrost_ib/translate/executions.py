"""Executions: their ids, times and numbers.

A correction repeats an execution's id with a higher number at its end. Combinations are
told once for the whole and once for each leg; only the legs are executions.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from attrs import frozen

from bifrost_engine.domain import Execution, Side
from bifrost_ib.messages import Commission, ExecutionDetails
from bifrost_ib.translate.contracts import COMBINATION, contract_of, is_served
from bifrost_ib.translate.numbers import above_zero, not_below_zero, number, whole, words

SIDES = {"BOT": Side.BUY, "BUY": Side.BUY, "SLD": Side.SELL, "SELL": Side.SELL}
OFFSETS = {
    "UTC": 0,
    "GMT": 0,
    "Z": 0,
    "EST": -5,
    "EDT": -4,
    "CST": -6,
    "CDT": -5,
    "MST": -7,
    "MDT": -6,
    "PST": -8,
    "PDT": -7,
    "BST": 1,
    "CET": 1,
    "CEST": 2,
    "HKT": 8,
    "JST": 9,
}
"""Hours from UTC of abbreviations; a gateway may name its zone by what its clock shows that day."""
AHEAD_NS = 24 * 3600 * 10**9
OLDEST_YEAR = 2000
REVISION_DIGITS = 6
_TIME = re.compile(r"(\d{8})(-| +)(\d{2}):(\d{2}):(\d{2})(?: +(\S.*))?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ExecId(NamedTuple):
    """An execution's lasting id, and which revision of it this is, 1 for the first."""

    base: str
    revision: int


def split_exec_id(text: str) -> ExecId:
    """Return base and revision; an id without three full stops and a number at its end is all base."""
    base, _, tail = text.rpartition(".")
    if text.count(".") < 3 or not (tail.isascii() and tail.isdigit()) or len(tail) > REVISION_DIGITS:
        return ExecId(text, 1)
    return ExecId(base, int(tail))


@frozen(kw_only=True)
class Told:
    """What an execution's message comes to.

    execution  None if it can't be booked
    why_not    what is wrong with it: ``combination`` and ``instrument`` concern nobody here, anything
               else means that something was executed and can't be read
    has_time   whether ``execution.ts_ns`` is the broker's time; else it is the arrival's
    """

    execution: Execution | None
    why_not: str = ""
    has_time: bool = True


HARMLESS = frozenset({"combination", "instrument"})


def execution_of(details: ExecutionDetails, now_ns: int, zone: str | None = None) -> Told:
    """Return the execution that a message tells of.

    now_ns  when it arrived
    zone    of times that come without one; None: the arrival stands for them
    """
    if details.contract.sec_type == COMBINATION:
        return Told(execution=None, why_not="combination")
    if not is_served(details.contract):
        return Told(execution=None, why_not="instrument")
    contract, side = contract_of(details.contract), SIDES.get(details.side)
    quantity, price = above_zero(details.shares), not_below_zero(details.price)
    exec_id = words(details.exec_id)
    why_not = _missing(contract=contract, side=side, quantity=quantity, price=price, id=exec_id or None)
    if contract is None or side is None or quantity is None or price is None or why_not:
        return Told(execution=None, why_not=why_not)
    base, revision = split_exec_id(exec_id)
    ts_ns = time_ns(details.time, now_ns, zone)
    execution = Execution(
        base_id=base,
        revision=revision,
        contract=contract,
        side=side,
        quantity=quantity,
        price=price,
        ts_ns=now_ns if ts_ns is None else ts_ns,
        commission_currency=contract.currency,
        client_order_id=words(details.order_ref) or None,
        perm_id=perm_text(details.perm_id),
        broker_order_id=perm_text(details.order_id),
        client_id=whole(details.client_id),
    )
    return Told(execution=execution, has_time=ts_ns is not None)


def _missing(**facts: object) -> str:
    return next((name for name, value in facts.items() if value is None), "")


def perm_text(perm_id: Any) -> str | None:
    """Return an order's number, lasting or not, as the engine keeps it; None until it has one."""
    return str(whole(perm_id)) if whole(perm_id) > 0 else None


class Cost(NamedTuple):
    """What an execution cost, positive is a cost; None: not known yet."""

    amount: Any
    currency: str


def cost_of(commission: Commission) -> Cost | None:
    """Return what a report says that an execution cost, None for a placeholder."""
    amount, currency = number(commission.amount), words(commission.currency).strip()
    return Cost(amount, currency) if amount is not None and currency else None


def time_ns(said: Any, now_ns: int, zone: str | None = None) -> int | None:
    """Return a time of the gateway, ns UTC; None if it can't be read, lies ahead or is absurd."""
    at = _instant(said, zone)
    if at is None or at.year < OLDEST_YEAR:
        return None
    since = at - _EPOCH
    ts_ns = (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1000
    return ts_ns if ts_ns <= now_ns + AHEAD_NS else None


def _instant(said: Any, zone: str | None) -> datetime | None:
    try:
        if isinstance(said, datetime):
            return _in_zone(said, zone)
        return _read(words(said), zone)
    except (ValueError, OverflowError, OSError):
        return None


def _read(text: str, zone: str | None) -> datetime | None:
    found = _TIME.fullmatch(text.strip())
    if found is None:
        return None
    day, gap, hour, minute, second, named = found.groups()
    plain = datetime(int(day[:4]), int(day[4:6]), int(day[6:]), int(hour), int(minute), int(second))
    if named is not None:
        return _in_zone(plain, named.strip())
    return plain.replace(tzinfo=UTC) if gap == "-" else _in_zone(plain, zone)


def _in_zone(at: datetime, zone: str | None) -> datetime | None:
    if at.tzinfo is None:
        known = None if zone is None else zone_of(zone)
        if known is None:
            return None
        at = at.replace(tzinfo=known)
    return at.astimezone(UTC)


def zone_of(name: str) -> tzinfo | None:
    """Return the zone of a name such as ``US/Eastern``, ``EST5EDT`` or ``EDT``; None if nobody knows it."""
    hours = OFFSETS.get(name.upper())
    if hours is not None:
        return timezone(timedelta(hours=hours))
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError, TypeError):
        return None
