"""A day that leaves a record of every kind, for tests of what keeps and reads the audit trail."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from attrs import evolve

from bifrost_engine.domain import AuditBatch, BrokerEventKind
from bifrost_engine.domain.record import Record
from bifrost_engine.journal.memory import MemoryJournal
from bifrost_engine.testing.engine import CALL, PUT, STOCK, EngineUnderTest

RUN_ID = "run-gamma"
SETTINGS = {"gates.intent.hedge.min_price_move_pct": 0.0, "gates.intent.hedge.cooldown_seconds": 60}


def eventful_run() -> EngineUnderTest:
    """Return an engine after a day of hedges, refusals, a lost link, commands, and a stranger's trade.

    Its orders, oldest first: filled in two parts, one of them corrected later; refused by the
    broker; filled while the link was down; cancelled for a flatten; the flatten's, working.
    """
    run = EngineUnderTest(settings=SETTINGS)
    for contract in (CALL, PUT):
        run.quote(3.9, 4.1, contract=contract)  # without one of the stock: filtered
    run.hedge(101.0)
    quantity = int(run.last_order.quantity)
    run.fill(quantity - 10, "101.01")
    run.fill(10, "101.03")
    _correct(run, price="101.02")
    _report_commission(run, "1.25")
    run.advance(1.0).mid(104.0)  # vetoed: too soon
    _next_hedge(run, 104.0)
    run.answer(BrokerEventKind.ORDER_REJECTED, code="201", text="no margin")
    _next_hedge(run, 107.0)
    run.hand_over()
    run.broker(BrokerEventKind.LINK_DOWN)
    run.fill(price="107.02", heard=False)
    run.advance(30.0).connect()
    run.broker(BrokerEventKind.ORDER_ACK, client_order_id="BF-else-1", text="a\0b")
    run.wait(3.0)
    run.command("suspend")
    run.command("resume")
    run.positions[STOCK] += 7  # somebody's hand
    run.advance(10.0).command("refresh_accounts")
    run.reconcile()
    run.advance(10.0).reconcile()
    run.accept()
    run.command("claim gamma NVDA 2")
    _next_hedge(run, 112.0)
    run.hand_over()
    run.ack()
    run.advance(1.0).command("flatten")
    run.answer(BrokerEventKind.ORDER_CANCELED)
    run.advance(1.0).mid(112.0)
    run.hand_over()
    run.ack()
    return run


def _next_hedge(run: EngineUnderTest, mid: float) -> None:
    run.advance(120.0)
    count = len(run.placed)
    run.mid(mid)
    for contract in (CALL, PUT):
        run.quote(3.9, 4.1, contract=contract)
    run.mid(mid)
    assert len(run.placed) == count + 1, f"no hedge: {run.snapshot['block_reasons']} {run.slot.last_veto}"


def _correct(run: EngineUnderTest, price: str) -> None:
    last = run.executions[-1]
    again = evolve(last, revision=2, price=Decimal(price), commission=None, ts_ns=run.now_ns)
    run.executions[-1] = again
    run.answer(BrokerEventKind.ORDER_FILL, execution=again, source_event_id="correction")


def _report_commission(run: EngineUnderTest, commission: str) -> None:
    told = evolve(run.executions[0], commission=Decimal(commission), ts_ns=run.now_ns)
    run.executions[0] = told
    run.answer(BrokerEventKind.COMMISSION, execution=told)


def eventful_records() -> list[Record]:
    """Return the day's records, and after them those of the kinds that no engine has made in it."""
    run = eventful_run()
    records = run.stored_records()
    made = {record.kind for record in records}
    last = records[-1]
    for kind, payload in _further(run):
        if kind not in made:
            last = Record(last.jseq + 1, last.ts_ns + 1_000_000, kind, "gamma", None, payload)
            records.append(last)
    return records


def _further(run: EngineUnderTest) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield "run_end", {"run_id": RUN_ID, "status": "STOPPED", "reason": "asked to", "end_ns": run.now_ns}


def batches(records: list[Record], size: int = 500, journal_id: str = "journal-a") -> Iterator[AuditBatch]:
    """Yield records in batches as the drain hands them to a sink."""
    journal = MemoryJournal("DTEST", engine_id="test", journal_id=journal_id)
    journal.append(records, RUN_ID)
    journal.commit()
    for after in range(0, len(records), size):
        yield journal.batch(after, size)
