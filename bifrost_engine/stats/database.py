"""Facts from the tables of a database, as a sink's reader yields them a batch of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from heapq import merge
from itertools import chain
from typing import Any, Protocol

from bifrost_engine.domain.contract import SecType, parse_contract_key
from bifrost_engine.domain.order import Purpose
from bifrost_engine.journal.story import codes_of
from bifrost_engine.stats.days import Days
from bifrost_engine.stats.facts import Fact, Sent, Stretch, Trade, Worth, trade

Row = dict[str, Any]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Tables(Protocol):
    """What a sink's reader has to answer for statistics; every call may raise SinkUnavailable.

    ``since`` and ``until`` are bounds of time, the latter excluded.
    """

    def stretches(self, journal_id: str, since: datetime, until: datetime) -> Iterator[Row]:
        """Yield equal decisions in a row that stood between two times.

        Each has ``strategy_id``, ``ts``, ``until_ts``, ``n``, ``state``, the strategy's ``reasons`` or
        the gates that vetoed (``vetoes``), and whether it was ``ordered``.
        """
        ...

    def hedges(self, journal_id: str, since: datetime, until: datetime) -> Iterator[Row]:
        """Yield ``strategy_id`` and ``ts`` of each hedge that was sent."""
        ...

    def executions(self, journal_id: str, since: datetime, until: datetime) -> Iterator[Row]:
        """Yield the revisions of each execution of a strategy's order, by ``jseq``.

        With its order's ``purpose`` and ``ref_price``; ``ts`` and the bounds are of its first revision.
        """
        ...

    def results(self, journal_id: str, since: date, until: date) -> Iterator[Row]:
        """Yield what strategies' days had come to, by ``jseq``: ``owner``, ``trading_day``, ``daily_pnl``.

        Both trading days are included: a day's last word comes after it has ended.
        """
        ...


def moment(ts_us: int) -> datetime:
    """Return microseconds since the epoch as a time."""
    return _EPOCH + timedelta(microseconds=ts_us)


def facts(tables: Tables, journal_id: str, days: Days, since: date, until: date) -> Iterator[Fact]:
    """Yield what the tables say of a journal from one trading day through another."""
    asked = journal_id, moment(days.begin_us(since)), moment(days.end_us(until))
    results = tables.results(journal_id, since, until)
    booked = merge(tables.executions(*asked), results, key=lambda row: int(row["jseq"]))
    return chain(
        map(_stretch, tables.stretches(*asked)),
        (Sent(row["strategy_id"], microseconds(row["ts"])) for row in tables.hedges(*asked)),
        (_worth(row) if "daily_pnl" in row else _trade(row) for row in booked),
    )


def microseconds(at: datetime) -> int:
    """Return a time as microseconds since the epoch."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def _stretch(row: Row) -> Stretch:
    reasons = row["reasons"] if row["vetoes"] is None else row["vetoes"]
    return Stretch(
        row["strategy_id"],
        microseconds(row["ts"]),
        microseconds(row["until_ts"]),
        int(row["n"]),
        row["state"],
        () if row["ordered"] else codes_of(reasons or ()),
    )


def _worth(row: Row) -> Worth:
    pnl = row["daily_pnl"]
    day = row["trading_day"].isoformat()
    return Worth(row["owner"], day, None if pnl is None else float(pnl), row["trigger"] == "FILL")


def _trade(row: Row) -> Trade:
    mid, commission = row["ref_price"], row["commission"]
    return trade(
        strategy_id=row["strategy_id"],
        ts_us=microseconds(row["ts"]),
        execution=row["exec_base_id"],
        client_order_id=row["client_order_id"],
        is_hedge=row["purpose"] == Purpose.HEDGE,
        is_stock=parse_contract_key(row["inst_id"]).sec_type is SecType.STOCK,
        is_buy=row["side"] == "BUY",
        quantity=float(row["qty"]),
        price=float(row["price"]),
        multiplier=float(row["multiplier"]),
        mid=None if mid is None else float(mid),
        commission=None if commission is None else float(commission),
    )
