"""The queries that the documents show for the journal find what they say."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest

from bifrost_engine.journal import Journal
from bifrost_engine.testing.engine import CALL, PUT, EngineUnderTest

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "read-the-records.md"


@pytest.fixture
def answers(tmp_path):
    """The answer to each query on the journal of a run with one hedge and then one veto."""
    run = EngineUnderTest(settings={"gates.intent.hedge.min_price_move_pct": 0.0})
    for contract in (CALL, PUT):
        run.quote(3.9, 4.1, contract=contract)
    run.mid(100.0)
    run.hand_over()
    run.ack()
    run.fill()
    run.advance(1.0)
    run.mid(102.0)
    coid = run.placed[0].request.client_order_id
    journal = Journal.open(tmp_path, "DTEST", new_engine_id="test")
    journal.append(run.records, "run-gamma")
    journal.commit()
    journal.close()
    text = PAGE.read_text("utf-8").split("## The journal itself")[1]
    queries = re.findall(r"^```sql\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    with sqlite3.connect(f"file:{tmp_path}/journal-DTEST.db?mode=ro", uri=True) as connection:
        yield [connection.execute(q.replace("BF-p007-gamma-1", coid)).fetchall() for q in queries]


def test_vetoes_are_counted_by_gate(answers):
    assert answers[0] == [("cooldown", 1)]  # 60 s between hedges, two seconds went by


def test_an_order_leads_back_to_what_was_seen(answers):
    ((_, net_delta, spot, gates),) = answers[1]
    assert float(spot) == 100.0
    assert float(net_delta) == pytest.approx(66.6, abs=0.1)  # ten straddles, 25 days, σ 0.35, r 0.05
    assert '"kill_switch","passed"' in gates
