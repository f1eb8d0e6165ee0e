"""What the audit trail tells of an order, or of a time: facts in their order, nothing worded or judged again.

All of it comes from the tables of a ``Source``, so a database and a journal tell the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import Factory, define

from bifrost_engine.audit.collected import Source, Values
from bifrost_engine.domain.control import COMMANDS

VETOED = "vetoed"
AROUND = timedelta(seconds=60)
"""How far from a time comparisons and commands are told with it."""
REPEATS = 1000
OPERATORS = (*COMMANDS, "flags", "ack", "release")
"""Types of operations that a person, or the end of what a person had to look at, is behind."""


@define
class Decided:
    """A decision, what followed, and how often equal ones came after it.

    signal    what was seen and wanted
    risk      what the gates said; None if nothing was wanted
    decision  the decision to order; None if none followed
    count     equal decisions in a row, the first included; ``last`` when the last of them was
    """

    strategy_id: str
    signal: Values
    risk: Values | None = None
    decision: Values | None = None
    count: int = 1
    last: datetime | None = None

    @property
    def facts(self) -> Values:
        """What the strategy saw."""
        facts: Values = self.signal["signal_json"].get("facts") or {}
        return facts

    @property
    def reasons(self) -> list[str]:
        """Why nothing was wanted, in the strategy's words; empty if something was."""
        return list(self.signal["filter_reasons"] or ())

    def gates(self, *verdicts: str) -> list[Values]:
        """Return the gates with one of these verdicts, all for none."""
        every: list[Values] = [] if self.risk is None else self.risk["risk_json"]
        return [gate for gate in every if not verdicts or gate["verdict"] in verdicts]


@define
class OrderStory:
    """An order with all that led to it and came of it, each oldest first.

    decided   the decision that it came from; None if the trail doesn't hold it
    events    what happened to it, with ``from_state``, ``to_state`` and ``reason`` where its state changed
    fills     its executions as they were booked
    findings  what comparisons with the broker found about it, with ``ts`` and ``trigger``
    commands  what operators did while it was open
    """

    order: Values
    decided: Decided | None = None
    events: list[Values] = Factory(list)
    fills: list[Values] = Factory(list)
    findings: list[Values] = Factory(list)
    commands: list[Values] = Factory(list)


@define
class Moment:
    """A time: each strategy's decision in force, and what went on within a minute of it."""

    decided: list[Decided]
    findings: list[Values] = Factory(list)
    commands: list[Values] = Factory(list)


# --- orders --------------------------------------------------------------------------------


def orders_named(source: Source, name: str) -> list[Values]:
    """Return the orders of this client order id, else those whose id ends with it."""
    exactly = source.rows("orders", {"client_order_id": name})
    return exactly or [
        row for row in source.rows("orders") if str(row["client_order_id"]).endswith(f"-{name}")
    ]


def decision_of(source: Source, order: Values) -> Values | None:
    """Return the decision behind an order."""
    if order["decision_jseq"] is None:
        return None
    found: Values | None = _one(source.rows("order_decision_log", {"jseq": order["decision_jseq"]}))
    return found


def order_story(source: Source, order: Values) -> OrderStory:
    """Return all that the trail tells of an order."""
    named = {"client_order_id": order["client_order_id"]}
    moves = {row["jseq"]: row for row in source.rows("order_state_log", named)}
    fills = source.rows("fills", named)
    decision = decision_of(source, order)
    return OrderStory(
        order=order,
        decided=None if decision is None else _behind(source, order, decision),
        events=[{**row, **_move(moves.get(row["jseq"]))} for row in source.rows("order_event_log", named)],
        fills=fills,
        findings=list(_findings_of(source, order, {row["exec_base_id"] for row in fills})),
        commands=_commands(source, order["created_at"], order["closed_at"], order["strategy_id"]),
    )


def _move(row: Values | None) -> Values:
    names = ("from_state", "to_state", "reason")
    return dict.fromkeys(names) if row is None else {name: row[name] for name in names}


def _behind(source: Source, order: Values, decision: Values) -> Decided | None:
    risk = _one(source.rows("risk_decision_log", {"jseq": decision["risk_jseq"]}))
    signal = risk and _one(source.rows("signal_snapshot_log", {"jseq": risk["signal_jseq"]}))
    return None if signal is None else Decided(order["strategy_id"], signal, risk, decision)


def _findings_of(source: Source, order: Values, executions: set[str]) -> Iterator[Values]:
    coid = order["client_order_id"]
    passes = {row["recon_id"]: row for row in source.rows("reconciliation_run", since=order["created_at"])}
    for item in source.rows("reconciliation_item"):
        if item["client_order_id"] == coid or item["exec_base_id"] in executions - {None}:
            yield _finding(item, passes.get(item["recon_id"]))
    for row in passes.values():
        yield from (told for told in _sentences(row) if coid in told["action"].replace(":", " ").split())


def _finding(item: Values, of: Values | None) -> Values:
    started = None if of is None else of["started_at"]
    return {**item, "ts": started, "trigger": None if of is None else of["trigger"]}


def _sentences(row: Values) -> Iterator[Values]:
    """Yield the findings of a comparison that keeps them as sentences."""
    for text in row["broker_state"].get("items") or ():
        yield {
            "jseq": row["jseq"],
            "ts": row["started_at"],
            "trigger": row["trigger"],
            "rule": None,
            "action": text,
            "status": None,
        }


def _commands(
    source: Source, since: datetime, until: datetime | None, strategy_id: str | None = None
) -> list[Values]:
    found = source.operations(since.timestamp(), None if until is None else until.timestamp())
    own = (None, strategy_id)
    return [
        {**row, "ts": datetime.fromtimestamp(row["ts"], UTC)}
        for row in found
        if row["type"] in OPERATORS and (strategy_id is None or row.get("strategy_id") in own)
    ]


# --- times ---------------------------------------------------------------------------------


def moment(source: Source, at: datetime) -> Moment:
    """Return the decisions in force at a time, one for each strategy that had decided by then."""
    passes = source.rows("reconciliation_run", since=at - AROUND, until=at + AROUND)
    findings = [told for row in passes for told in (*_items(source, row), *_sentences(row))]
    return Moment(
        decided=list(_decided_at(source, at)),
        findings=findings,
        commands=_commands(source, at - AROUND, at + AROUND),
    )


def _items(source: Source, of: Values) -> list[Values]:
    return [_finding(item, of) for item in source.rows("reconciliation_item", {"recon_id": of["recon_id"]})]


def _decided_at(source: Source, at: datetime) -> Iterator[Decided]:
    told: set[str] = set()
    for run in reversed(source.rows("strategy_run", until=at)):
        strategy_id = run["strategy_id"]
        if strategy_id in told:
            continue
        signal = _in_force(source, run["run_id"], at)
        if signal is not None:
            told.add(strategy_id)
            yield _followed(source, Decided(strategy_id, signal, last=signal["ts"]))


def _in_force(source: Source, run_id: str, at: datetime) -> Values | None:
    """Return the signal in full that was the newest at a time."""
    found = source.rows("signal_snapshot_log", {"run_id": run_id}, until=at, last=REPEATS)
    return next((row for row in reversed(found) if not is_repeat(row)), None)


def is_repeat(signal: Values) -> bool:
    """Return whether a row only counts signals that were equal to an earlier one."""
    return signal["kind"] == "repeated" or "of_jseq" in signal["signal_json"]


def _followed(source: Source, decided: Decided) -> Decided:
    """Add what the gates said, what was decided, and how often the signal came again."""
    signal = decided.signal
    decided.risk = _one(source.rows("risk_decision_log", {"signal_jseq": signal["jseq"]}))
    if decided.risk is not None:
        decided.decision = _one(source.rows("order_decision_log", {"risk_jseq": decided.risk["jseq"]}))
    run = {"run_id": signal["run_id"]}
    later = source.rows("signal_snapshot_log", run, since=signal["ts"], first=REPEATS)
    for row in later:
        if row["jseq"] <= signal["jseq"]:
            continue
        if not is_repeat(row):
            break
        decided.count += row["n"]
        decided.last = row["last_ts"]
    return decided


def _one(rows: Sequence[Any]) -> Any:
    return rows[0] if rows else None
