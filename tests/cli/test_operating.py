"""An operator's word on a journal that no daemon uses."""

from __future__ import annotations

from pathlib import Path

import pytest

from bifrost_engine.engine.state import State
from bifrost_engine.journal import Journal, JournalReader
from bifrost_engine.testing.engine import CALL, STOCK, EngineUnderTest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "bifrost.yaml").write_text("symbol: NVDA\nbroker: paper\nstatus: {sink: []}\n")
    made = tmp_path / "state" / "default"
    made.mkdir(parents=True)
    return made


def left_behind(run: EngineUnderTest, folder: Path) -> None:
    journal = Journal.open(folder, run.account, new_engine_id="test")
    journal.append(run.records, None)
    journal.commit()
    journal.close()


def state_in(folder: Path, account: str) -> State:
    state = State(account)
    with JournalReader(folder / f"journal-{account}.db") as reader:
        state.restore(reader.records())
    return state


def test_a_finding_is_accepted_and_its_hold_ends(bifrost, folder: Path):
    run = EngineUnderTest()
    run.positions[CALL] = 11
    run.advance(6).reconcile()
    left_behind(run, folder)
    (number,) = run.engine.core.state.open_items
    status = bifrost("status").out
    assert f"finding {number}" in status
    assert f"bifrost reconcile --accept {number} --note TEXT" in status
    answer = bifrost("reconcile", "--accept", str(number), "--note", "bought by 'phone'")
    assert answer.code == 0, answer.err
    assert "R14 accepted" in answer.out
    after = state_in(folder, run.account)
    assert (after.open_items, after.instrument_holds) == ({}, {})
    # A rehearsal goes on from its last record: this morning's would make it skip the market until then.
    assert after.last_ns == run.now_ns
    assert "--accept" not in bifrost("status").out
    assert bifrost("reconcile", "--accept", str(number), "--note", "again").code == 1


def test_an_execution_is_busted_and_a_position_claimed(bifrost, folder: Path):
    run = EngineUnderTest(positions=((CALL, 10), (STOCK, 50))).hedge(103, filled=True)
    left_behind(run, folder)
    assert bifrost("claim", "gamma", "NVDA", "20").code == 0
    asked = bifrost("exec", "bust", run.executions[0].base_id)
    assert asked.code == 1
    assert "for good" in asked.err
    assert bifrost("exec", "bust", run.executions[0].base_id, "--yes").code == 0
    after = state_in(folder, run.account)
    assert after.portfolio.quantities("gamma") == {STOCK.key: 20}
    assert after.portfolio.quantities("EXTERNAL")[STOCK.key] == 30


def test_an_order_in_doubt_is_resolved_by_the_last_snapshot_on_record(bifrost, folder: Path):
    run = EngineUnderTest()
    run.mid(103)
    run.wait(11)
    run.reconcile()
    left_behind(run, folder)
    assert bifrost("reconcile", "--resolve", run.order.client_order_id).code == 0
    after = state_in(folder, run.account)
    assert str(after.orders[run.order.client_order_id].state) == "REJECTED"


def test_a_comparison_needs_a_daemon(bifrost, folder: Path):
    left_behind(EngineUnderTest(), folder)
    answer = bifrost("reconcile")
    assert answer.code == 1
    assert "refused: the broker is not connected" in answer.out


@pytest.mark.parametrize("line", [["--accept", "1"], ["--note", "x"], ["--accept", "1", "--note", " "]])
def test_a_finding_isnt_accepted_without_a_word(bifrost, folder: Path, line: list[str]):
    assert bifrost("reconcile", *line).code == 2


def test_a_word_to_an_instance_that_never_ran_is_refused_with_the_next_step(bifrost, folder: Path):
    folder.rmdir()
    answer = bifrost("claim", "gamma", "NVDA", "20")
    assert answer.code == 1
    assert "'bifrost run' starts one" in answer.err
