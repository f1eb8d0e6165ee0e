"""A repaired journal goes on from what the old one proves, and gives up nothing else unsaid."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from bifrost_engine.audit.checks import CHECKS
from bifrost_engine.audit.collected import Collected
from bifrost_engine.domain import BrokerEventKind, OrderState
from bifrost_engine.domain.events import SinkAhead
from bifrost_engine.domain.order import Origin
from bifrost_engine.engine.state import State
from bifrost_engine.errors import JournalCorrupt, LockHeld
from bifrost_engine.journal import Journal, JournalReader, recovered
from bifrost_engine.journal.inspection import inspect
from bifrost_engine.journal.repair import cut_at, repair
from bifrost_engine.journal.writer import REPAIRED
from bifrost_engine.testing.engine import CALL, STOCK, EngineUnderTest, lasting

ACCOUNT = EngineUnderTest.account
K = BrokerEventKind


def closed_and_open(run: EngineUnderTest) -> None:
    run.hedge(103, filled=True)
    run.wait(60)
    run.hedge(110).fill(10)


def flags_and_a_halt(run: EngineUnderTest) -> None:
    run.hedge(103, filled=True)
    run.command("suspend")
    run.command("kill", strategy_id="gamma")
    run.flags(suspended=True)
    run.positions[CALL] = 11
    run.broker(K.POSITION)
    run.reconcile()


def a_trip_that_came_back(run: EngineUnderTest) -> None:
    run.hedge(103, filled=True)
    run.wait(60)
    run.mid(99.2)
    run.command("flatten")
    run.hand_over()
    run.ack()
    run.fill(run.order.quantity)


SCENES = (closed_and_open, flags_and_a_halt, a_trip_that_came_back)


def journal_of(folder: Path, run: EngineUnderTest) -> Path:
    journal = Journal.open(folder, ACCOUNT, new_engine_id="test", new_journal_id="j1")
    journal.append(run.stored_records(), None)
    journal.commit()
    journal.close()
    return journal.path


def damage(path: Path, jseq: int) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE journal SET payload = '{}' WHERE jseq = ?", (jseq,))
        connection.commit()


def repaired(path: Path, to: int) -> tuple[State, Journal]:
    repair(cut_at(path, to))
    journal = Journal.open(path.parent, ACCOUNT, new_engine_id="none")
    return recovered(journal, ACCOUNT), journal


@pytest.mark.parametrize("scene", SCENES)
def test_positions_orders_flags_halts_counts_and_the_days_result_go_on(
    tmp_path: Path, scene: Callable[[EngineUnderTest], None]
) -> None:
    run = EngineUnderTest()
    scene(run)
    before = run.engine.core.state
    state, journal = repaired(journal_of(tmp_path, run), before.last_jseq)
    assert state.portfolio.account_quantities() == before.portfolio.account_quantities()
    one, other = lasting(state), lasting(before)
    for name in (
        "suspended",
        "killed",
        "polled_flags",
        "trading_day",
        "orders_today",
        "opened",
        "strategies",
    ):
        assert one[name] == other[name], name
    assert {o.client_order_id: o.state for o in state.orders.values()} == {
        o.client_order_id: o.state for o in before.orders.values()
    }
    assert {order.origin for order in state.orders.values()} == {Origin.RECOVERED}
    again = EngineUnderTest(
        positions=run.positions.items(), records=list(journal.records()), at_ns=run.now_ns, connect=False
    )
    journal.close()
    same = run.restart(connect=False)
    for engine in (again, same):
        engine.mid(105)
    assert again.snapshot["daily_pnl"] == pytest.approx(same.snapshot["daily_pnl"], abs=1e-6)


def test_a_new_journal_isnt_halted_for_a_sink_that_was_ahead_of_the_old_one(tmp_path: Path) -> None:
    run = EngineUnderTest()
    run.handle(SinkAhead(ts_ns=run.now_ns, problem="postgres has 9 records more"))
    run.reconcile()
    assert run.engine.core.halts("gamma")
    state, journal = repaired(journal_of(tmp_path, run), run.engine.core.state.last_jseq)
    journal.close()
    assert not any(own.halts for own in state.strategies.values())
    assert not state.open_items


def test_what_was_executed_before_isnt_booked_again(tmp_path: Path) -> None:
    run = EngineUnderTest()
    closed_and_open(run)
    held = run.engine.core.state.portfolio.account_quantities()
    _, journal = repaired(journal_of(tmp_path, run), run.engine.core.state.last_jseq)
    run.records = list(journal.records())
    journal.close()
    again = run.restart()
    assert run.executions
    again.reconcile(executions=tuple(run.executions))
    assert again.engine.core.state.portfolio.account_quantities() == held


def test_the_new_journal_has_new_ids_and_knows_the_former_ones(tmp_path: Path) -> None:
    run = EngineUnderTest()
    closed_and_open(run)
    path = journal_of(tmp_path, run)
    _, journal = repaired(path, 10)
    first = next(journal.records())
    assert first.kind == "repair"
    assert (first.payload["former_journal_id"], first.payload["to"]) == ("j1", 10)
    assert journal.journal_id != "j1"
    assert journal.engine_id != "test"
    assert journal.former_engine_ids == ("test",)
    journal.close()
    _, twice = repaired(path, 1)
    twice.close()
    with JournalReader(path) as reader:
        assert reader.meta["former_engine_ids"] == f'["test", "{journal.engine_id}"]'
        assert reader.meta["former_journal_ids"] == f'["j1", "{journal.journal_id}"]'


def test_the_old_file_is_kept_whole_and_the_loss_is_told(tmp_path: Path) -> None:
    run = EngineUnderTest()
    closed_and_open(run)
    count = len(run.records)
    path = journal_of(tmp_path, run)
    damage(path, 12)
    assert inspect(path).repair_to == 11
    cut = cut_at(path, 11)
    assert sum(cut.lost.values()) == count - 11
    assert set(cut.orders) == run.engine.core.state.orders.keys() - cut.state.orders.keys()
    kept = repair(cut)
    with contextlib.closing(sqlite3.connect(kept / path.name)) as old:
        assert old.execute("SELECT count(*) FROM journal").fetchone() == (count,)
    with JournalReader(path) as reader:
        assert reader.last_jseq > 0
        assert [row.jseq for row in reader.rows()] == list(range(1, reader.last_jseq + 1))


def test_no_row_beyond_the_damage_can_be_kept(tmp_path: Path) -> None:
    run = EngineUnderTest()
    closed_and_open(run)
    path = journal_of(tmp_path, run)
    damage(path, 12)
    with pytest.raises(JournalCorrupt) as caught:
        cut_at(path, 20)
    assert caught.value.jseq == 11
    with pytest.raises(JournalCorrupt, match="no row 9999"):
        cut_at(journal_of(tmp_path / "whole", run), 9999)


def test_a_journal_that_a_daemon_writes_isnt_repaired(tmp_path: Path) -> None:
    run = EngineUnderTest()
    path = journal_of(tmp_path, run)
    cut = cut_at(path, 1)
    daemon = Journal.open(tmp_path, ACCOUNT, new_engine_id="none")
    with pytest.raises(LockHeld):
        repair(cut)
    daemon.close()
    assert inspect(path).repair_to == len(run.records)


def test_a_repair_that_was_cut_off_after_the_old_file_went_is_finished_at_the_next_start(
    tmp_path: Path,
) -> None:
    run = EngineUnderTest()
    path = journal_of(tmp_path, run)
    fresh = Journal.open(tmp_path / "new", ACCOUNT, new_engine_id="new1")
    fresh.close()
    fresh.path.rename(path.with_name(path.name + REPAIRED))
    untouched = Journal.open(tmp_path, ACCOUNT, new_engine_id="none")  # the old one is there: not decided yet
    assert untouched.journal_id == "j1"
    untouched.close()
    path.unlink()
    path.with_name(path.name + "-wal").write_bytes(b"of the old file")
    finished = Journal.open(tmp_path, ACCOUNT, new_engine_id="none")
    assert finished.engine_id == "new1"
    finished.close()


def test_open_orders_are_doubted_and_settled_as_after_any_crash(tmp_path: Path) -> None:
    run = EngineUnderTest()
    run.mid(103)  # sent, no answer
    _, journal = repaired(journal_of(tmp_path, run), run.engine.core.state.last_jseq)
    run.records = list(journal.records())
    journal.close()
    again = run.restart()
    (order,) = again.engine.core.state.orders.values()
    assert order.state is OrderState.UNKNOWN
    assert order.quantity == Decimal(run.placed[0].request.quantity)
    assert len(again.placed) == 1  # nothing was sent a second time


def test_the_new_journal_adds_up_by_itself(tmp_path: Path) -> None:
    run = EngineUnderTest()
    closed_and_open(run)
    _, journal = repaired(journal_of(tmp_path, run), len(run.records))
    last = journal.last_jseq
    journal.close()
    trail = Collected("mended")
    with JournalReader(journal.path) as reader:
        for row in reader.batch(0, last).rows:
            trail.take(row)
    assert {name: list(check(trail)) for name, check in CHECKS.items()} == {name: [] for name in CHECKS}


def test_a_fill_that_was_cut_off_its_orders_event_is_booked_again_where_it_belongs(tmp_path: Path) -> None:
    run = EngineUnderTest()
    run.hedge(103, filled=True)
    last = next(r.jseq for r in run.records if r.kind == "fill" and r.client_order_id) - 1
    sold = run.order.quantity
    _, journal = repaired(journal_of(tmp_path, run), last)
    run.records = list(journal.records())
    journal.close()
    again = run.advance(10).restart()
    assert again.engine.core.state.portfolio.quantities("gamma")[STOCK.key] == -sold
    assert again.order.state is OrderState.FILLED
    assert not again.engine.core.state.open_items
    assert again.engine.core.halts("gamma") == ()
