"""What recorded quotes hold, told: span, contracts, days, gaps, spreads, and what a replay leaves out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import date
from typing import Any

from attrs import frozen

from bifrost_engine.calendar import ExchangeSessions, Sessions
from bifrost_engine.replay.census import Census, ContractCount, DayCount, Gaps
from bifrost_engine.replay.curves import Curves
from bifrost_engine.replay.dataset import DataSet
from bifrost_engine.replay.fit import BEYOND, clock_fault
from bifrost_engine.replay.late import Late, older_warning
from bifrost_engine.replay.result import iso, rounded
from bifrost_engine.replay.sessiontable import NO_DAY, SessionTable

FORMAT = "bifrost-data-1"
NS = 1_000_000_000
GAP_S = 60.0
Plain = dict[str, Any]


@frozen(kw_only=True)
class Description:
    """What a file or folder of quotes holds.

    first_ns, last_ns  earliest and latest quote, nanoseconds since the epoch, UTC; None without rows
    rows       quotes; rows that the reader left out not counted
    skipped    rows left out by the reader, ``rejected`` those that a replay's market refuses, by reason
    late       rows that go back in time by over half an hour
    contracts  by key
    days       trading days, in order
    missing    sessions between the first and the last quote without a good one in them
    silences   times within sessions without any quote, longest first: length, from, to in nanoseconds
    gap_s      from which length on a time without a quote counts as a gap
    """

    data: DataSet
    gap_s: float
    first_ns: int | None
    last_ns: int | None
    rows: int
    skipped: Counter[str]
    rejected: Counter[str]
    late: int
    contracts: tuple[ContractCount, ...]
    days: tuple[tuple[date, DayCount], ...]
    missing: tuple[date, ...]
    silences: tuple[tuple[int, int, int], ...]
    warnings: tuple[str, ...]
    sessions: dict[date, tuple[int, int]]

    @property
    def symbols(self) -> tuple[str, ...]:
        """The underlyings, sorted."""
        return tuple(sorted({count.key.partition("|")[0] for count in self.contracts}))

    def as_json(self) -> Plain:
        """Return everything as plain values, in a fixed order."""
        return {
            "format": FORMAT,
            "path": str(self.data.path),
            "files": [{"name": file.name, "size": file.stat().st_size} for file in self.data.files],
            "first": iso(self.first_ns),
            "last": iso(self.last_ns),
            "rows": self.rows,
            "rows_left_out": dict(sorted(self.skipped.items())),
            "quotes_rejected": dict(sorted(self.rejected.items())),
            "quotes_late": self.late,
            "symbols": list(self.symbols),
            "gap_s": self.gap_s,
            "warnings": list(self.warnings),
            "contracts": [contract_told(count) for count in self.contracts],
            "days": [self._day_told(day, count) for day, count in self.days],
            "sessions_missing": [str(day) for day in self.missing],
        }

    def _day_told(self, day: date, count: DayCount) -> Plain:
        opens_ns, closes_ns = self.sessions[day]
        return {
            "day": str(day),
            "open": iso(opens_ns),
            "close": iso(closes_ns),
            "rows": count.rows,
            "in_session": count.in_session,
            "contracts": len(count.contracts),
            "first": iso(count.first_ns or None),
            "last": iso(count.last_ns or None),
            "gaps": gaps_told(count.gaps),
            "silence": gaps_told(count.silence),
        }


def contract_told(count: ContractCount) -> Plain:
    """Return one contract's figures as plain values."""
    spreads = count.spreads
    return {
        "contract_key": count.key,
        "rows": count.rows,
        "good": count.good,
        "first": iso(count.first_ns),
        "last": iso(count.last_ns),
        "rejected": dict(sorted(count.rejected.items())),
        "gaps": gaps_told(count.gaps),
        "spread_pct": {
            "quotes": spreads.count,
            "mean": rounded(spreads.mean),
            "median": rounded(spreads.quantile(0.5)),
            "p95": rounded(spreads.quantile(0.95)),
            "widest": rounded(spreads.widest) if spreads.count else None,
        },
    }


def gaps_told(gaps: Gaps) -> Plain:
    """Return gaps as plain values."""
    return {"count": gaps.count, "longest_s": gaps.longest_ns / NS, "from": iso(gaps.at_ns or None)}


def describe(
    data: DataSet,
    *,
    gap_s: float = GAP_S,
    all_hours: bool = False,
    sessions: Sessions | None = None,
    curves: Curves | None = None,
    on_progress: Callable[[int, int], None] = lambda _rows, _ts_ns: None,
) -> Description:
    """Read everything once and return what it holds.

    all_hours    look at gaps and spreads through the whole trading day, not in the session alone
    sessions     the exchange's; None: those of US stock
    curves       gets what a picture is drawn from
    on_progress  told after each block how many rows were read, and the last one's time

    Raises DataError, naming file and line, if something can't be read.
    """
    table = SessionTable(sessions or ExchangeSessions(), all_hours=all_hours)
    census = Census(table, int(gap_s * NS), curves)
    skipped: Counter[str] = Counter()
    rows = 0
    first_row_ns = None
    late = Late()
    for block in late.watch(data.blocks(skipped)):
        census.take(block)
        rows += len(block)
        first_row_ns = int(block.ts_ns[0]) if first_row_ns is None else first_row_ns
        on_progress(rows, int(block.ts_ns[-1]))
    contracts = tuple(sorted(census.contracts.values(), key=_place))
    days = tuple((date.fromordinal(day), census.days[day]) for day in sorted(census.days) if day != NO_DAY)
    covered = {day for day, count in days if count.in_session}
    span = table.between(days[0][0].toordinal(), days[-1][0].toordinal()) if days else []
    first_ns = min((count.first_ns for count in contracts), default=0)
    last_ns = max((count.last_ns for count in contracts), default=0)
    rejected: Counter[str] = Counter()
    for count in contracts:
        rejected.update(count.rejected)
    faults = (
        None if first_row_ns is None else clock_fault(first_row_ns),
        BEYOND if skipped["time"] and not rows else None,
        late.warning(),
        older_warning(rejected, rows),
    )
    return Description(
        data=data,
        gap_s=gap_s,
        first_ns=first_ns if contracts else None,
        last_ns=last_ns if contracts else None,
        rows=rows,
        skipped=skipped,
        rejected=rejected,
        late=late.late,
        contracts=contracts,
        days=days,
        missing=tuple(
            session.day
            for session in span
            if session.day not in covered and first_ns <= session.open_ns and session.close_ns <= last_ns
        ),
        silences=tuple(census.silences),
        warnings=tuple(fault for fault in faults if fault is not None),
        sessions={session.day: (session.open_ns, session.close_ns) for session in span},
    )


def _place(count: ContractCount) -> tuple[str, bool, str]:
    symbol, _, rest = count.key.partition("|")
    return symbol, not rest.startswith("STK"), rest
