"""What a journal tells a person: operations, decisions in a row, silence, the newest state.

Functions over records, oldest first; each reads them once. Nothing here words or
prints anything, and nothing is judged again: values and limits are those that were
recorded.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from attrs import Factory, define

from bifrost_engine.calendar import Sessions
from bifrost_engine.domain.contract import stock_key
from bifrost_engine.domain.record import Record
from bifrost_engine.domain.rows import with_numbers
from bifrost_engine.engine.state import State
from bifrost_engine.engine.waiting import waiting

NS = 1_000_000_000
VETOED, SHRUNK = "vetoed", "shrunk"

Row = dict[str, Any]


# --- operations ----------------------------------------------------------------------------


def operations(
    records: Iterable[Record],
    since: float | None = None,
    until: float | None = None,
    type: str | None = None,
    limit: int = 100,
) -> list[Row]:
    """Return operations, newest first, at most ``limit``.

    since, until  epoch seconds, both included; None: no bound
    """
    kept: deque[Row] = deque(maxlen=limit)
    for record in records:
        if record.kind != "operation":
            continue
        row = {**with_numbers(record.payload), "jseq": record.jseq}
        after = since is None or row["ts"] >= since
        if after and (until is None or row["ts"] <= until) and type in (None, row["type"]):
            kept.append(row)
    return list(reversed(kept))


# --- decisions -----------------------------------------------------------------------------


@define
class Span:
    """A decision and those after it that were equal to it.

    day       trading day in which it began, empty before the first
    signal    what was seen and wanted, with ``facts`` and ``reasons``
    risk      what the gates said; None if there was no intent
    order     the decision to order; None if none followed
    count     decisions in the span, the first included
    jseq      number of the first one's record
    last_ns   time of the last of them
    """

    strategy_id: str
    first_ns: int
    day: str
    signal: Mapping[str, Any]
    risk: Mapping[str, Any] | None = None
    order: Mapping[str, Any] | None = None
    count: int = 1
    last_ns: int = 0
    jseq: int = 0

    @property
    def reasons(self) -> list[str]:
        """Why no order followed, in the strategy's or the gates' words; empty if one did."""
        return list(self.signal["reasons"]) or [gate for gate, *_ in self.gates(VETOED)]

    def gates(self, *verdicts: str) -> list[Sequence[Any]]:
        """Return the gates (name, verdict, value, limit) with one of these verdicts, all for none."""
        every = [] if self.risk is None else self.risk["gates"]
        return [gate for gate in every if not verdicts or gate[1] in verdicts]

    @property
    def codes(self) -> tuple[str, ...]:
        """The reasons without their numbers, to be counted."""
        return codes_of(self.reasons)


def codes_of(reasons: Iterable[str]) -> tuple[str, ...]:
    """Return reasons without their numbers; a state counts only if nothing else is told."""
    codes = tuple(" ".join(reason.split()[:2]) for reason in reasons)
    told = tuple(code for code in codes if not code.startswith("state "))
    return told or codes


class Decisions:
    """Follows decisions record by record; ``latest`` is each strategy's span so far."""

    def __init__(self) -> None:
        self.latest: dict[str, Span] = {}
        self._judged: dict[int, Span] = {}
        self._day = ""

    def take(self, record: Record) -> Span | None:
        """Take a record; return the span that it ends."""
        payload = record.payload
        span = self.latest.get(record.strategy_id or "")
        if record.kind == "day":
            self._day = payload["trading_day"]
        elif record.kind == "signal" and "of_jseq" not in payload:
            made = Span(
                record.strategy_id or "",
                record.ts_ns,
                self._day,
                payload,
                last_ns=record.ts_ns,
                jseq=record.jseq,
            )
            self.latest[made.strategy_id] = made
            return span
        elif span is not None:
            self._extend(span, record)
        return None

    def _extend(self, span: Span, record: Record) -> None:
        payload = record.payload
        if record.kind == "signal":
            span.count += payload["n"]
            span.last_ns = payload["last_ts_ns"]
        elif record.kind == "risk":
            span.risk = payload
            if payload["decision"] != "BLOCK":  # else no order follows
                self._judged[record.jseq] = span
        elif record.kind == "decision":
            judged = self._judged.pop(payload["risk_jseq"], None)
            if judged is not None:  # it may have been pruned, or damaged
                judged.order = payload


def spans(records: Iterable[Record]) -> Iterator[Span]:
    """Yield every decision with its repetitions, in the order in which they ended."""
    decisions = Decisions()
    for record in records:
        ended = decisions.take(record)
        if ended is not None:
            yield ended
    yield from decisions.latest.values()


@define
class Quiet:
    """A stretch of one strategy without an order, within one trading day.

    decisions  how many there were in it
    codes      reason → decisions that it kept from becoming an order; one may have several
    """

    strategy_id: str
    day: str
    start_ns: int
    end_ns: int
    decisions: int = 0
    codes: Counter[str] = Factory(Counter)

    @property
    def length_ns(self) -> int:
        """From the order before it, or the day's first decision, to the last decision in it."""
        return self.end_ns - self.start_ns

    def take(self, span: Span) -> None:
        """Extend the stretch by a span; one that led to an order ends it."""
        if span.order is not None:
            self.end_ns = span.first_ns
            return
        self.end_ns = span.last_ns
        self.decisions += span.count
        self.codes.update(dict.fromkeys(span.codes, span.count))


def quiets(records: Iterable[Record]) -> list[Quiet]:
    """Return the stretches without an order, in the order in which they began."""
    found: list[Quiet] = []
    current: dict[str, Quiet] = {}
    for span in spans(records):
        quiet = current.get(span.strategy_id)
        if quiet is None or quiet.day != span.day:
            quiet = _begin(span, found, current)
        quiet.take(span)
        if span.order is not None:
            _begin(span, found, current)
    return found


def _begin(span: Span, found: list[Quiet], current: dict[str, Quiet]) -> Quiet:
    quiet = Quiet(span.strategy_id, span.day, span.first_ns, span.first_ns)
    current[span.strategy_id] = quiet
    found.append(quiet)
    return quiet


def longest_quiet(records: Iterable[Record], sessions: Sessions | None = None) -> Quiet | None:
    """Return the longest stretch without an order, None if nothing was decided.

    sessions  count and return only the part inside the trading day's session; None: all of it
    """
    found = quiets(records)
    if sessions is not None:
        for quiet in found:
            _clip(quiet, sessions)
    return max(found, key=lambda quiet: quiet.length_ns, default=None)


def _clip(quiet: Quiet, sessions: Sessions) -> None:
    if quiet.day:
        session = sessions.first_session_on_or_after(date.fromisoformat(quiet.day))
        quiet.end_ns = min(quiet.end_ns, session.close_ns)
        quiet.start_ns = min(max(quiet.start_ns, session.open_ns), quiet.end_ns)


# --- the newest state ----------------------------------------------------------------------


@define
class Newest:
    """The newest state that a journal knows of.

    strategies  for each strategy the fields of a snapshot, as far as they were recorded;
                ``ts`` and ``daily_pnl_ts`` in epoch seconds say of when they are
    ended       the last run's end was recorded
    account     ``net_liquidation``, ``total_cash`` and ``day_pnl`` of the account, as far as they are known;
                ``ts`` and ``day_pnl_ts`` in epoch seconds say of when the former two and the latter are
    """

    state: State
    strategies: dict[str, Row]
    ts_ns: int = 0
    ended: bool = False
    account: Row = Factory(dict)


def newest(records: Iterable[Record], state: State, symbols: Mapping[str, str] | None = None) -> Newest:
    """Return the newest state; books, flags and counts are exact, what is seen is as of each ``ts``.

    state    where the records begin to change it: a new one, or that of a checkpoint
    symbols  strategy id → symbol of those that are told of though no record may tell of their beginning
    """
    result = Newest(state, {one: {"symbol": symbol} for one, symbol in (symbols or {}).items()})
    for record in records:
        if record.jseq > state.last_jseq:
            state.apply(record)
        result.ts_ns = record.ts_ns
        if record.kind in ("run", "signal", "history"):
            _see(result.strategies.setdefault(record.strategy_id or "", {}), record)
        elif record.kind == "risk":
            vetoes = (gate for gate, verdict, *_ in record.payload["gates"] if verdict == VETOED)
            result.strategies.setdefault(record.strategy_id or "", {})["last_veto"] = next(vetoes, None)
        elif record.kind == "recon":
            _see_account(result.account, record.payload["broker_state"].get("summary"), "ts", record)
        elif record.kind == "portfolio" and record.payload["owner"] == "ACCOUNT":
            day = {"day_pnl": record.payload["day_pnl"]}
            _see_account(result.account, day, "day_pnl_ts", record)
        elif record.kind == "operation":
            result.ended = record.payload["type"] == "stopped"
    for strategy_id, row in result.strategies.items():
        _complete(row, strategy_id, result.state)
    return result


def _see_account(row: Row, values: Mapping[str, Any] | None, clock: str, record: Record) -> None:
    if values:
        row.update((name, None if value is None else float(value)) for name, value in values.items())
        row[clock] = record.ts_ns / NS


def _see(row: Row, record: Record) -> None:
    payload = record.payload
    if record.kind == "run":
        row.update(symbol=payload["config"]["symbol"], config=payload["config"])
    elif record.kind == "history":
        row.update(with_numbers(payload), daily_pnl_ts=record.ts_ns / NS)
    elif "of_jseq" in payload:
        row["ts"] = payload["last_ts_ns"] / NS
    else:
        row.update(
            with_numbers(payload["facts"]),
            block_reasons=payload["reasons"],
            last_veto=None,
            ts=record.ts_ns / NS,
        )


def _complete(row: Row, strategy_id: str, state: State) -> None:
    own = state.strategy(strategy_id)
    held = state.portfolio.quantities(strategy_id).get(stock_key(row["symbol"]), 0)
    row.update(
        strategy_id=strategy_id,
        stock_position=int(held),
        option_legs_count=len(own.legs),
        daily_hedge_count=own.day_hedges,
        suspended=state.is_suspended(strategy_id),
        killed=state.is_killed(strategy_id),
        **waiting(state, strategy_id, row["symbol"]),
    )
