"""``bifrost audit verify`` against a real database: what was altered there, or in the journal, is named."""

from __future__ import annotations

import pytest
from bifrost_pg import drain

from bifrost_engine.daemon.verification import examine
from bifrost_engine.journal import Journal, JournalReader
from bifrost_engine.testing.audit import RUN_ID, eventful_records


@pytest.fixture(scope="module")
def records():
    return eventful_records()


@pytest.fixture
def check(tmp_path, records, conn, make_sink):
    """Drains a journal, lets a statement alter the database, and gives what is found wrong then."""

    def run(statement="SELECT 1", upto=None):
        journal = Journal.open(tmp_path, "DTEST", new_engine_id="test", new_journal_id="journal-a")
        if not journal.last_jseq:
            journal.append(records, RUN_ID)
            journal.commit()
        journal.close()
        with JournalReader(journal.path) as reader:
            at = 0
            while at < (upto or reader.last_jseq):
                at = drain.write_audit(conn, reader.batch(at, 10)).last_jseq
            conn.execute(statement)
            with make_sink().reader() as stored:
                return examine(reader, stored)

    return run


def wrong(verified):
    return {verdict.check: verdict.found for verdict in verified.verdicts if verdict.well is False}


def test_a_database_that_is_as_the_journal_says_passes_every_check(check, records):
    verified = check()
    assert wrong(verified) == {}
    assert [verdict.well for verdict in verified.verdicts] == [True] * 7
    assert verified.verdicts[1].said == f"{-(-len(records) // 10)} checkpoints up to record {len(records)}"
    assert {verdict.said for verdict in verified.verdicts[3:]} == {"in the database"}


def test_a_database_that_is_behind_is_compared_as_far_as_it_is(check):
    verified = check(upto=60)
    assert wrong(verified) == {}
    assert verified.verdicts[2].said == "up to record 60"
    assert {verdict.said for verdict in verified.verdicts[3:]} == {"in the journal"}


def test_a_checkpoint_that_differs_is_told_by_its_number(check):
    verified = check(r"UPDATE drain_checkpoint_log SET jhash = '\x00' WHERE jseq = 30")
    ((finding,),) = wrong(verified).values()
    assert finding.startswith("record 30: the database noted 00…, the journal has ")


def test_a_cursor_beyond_the_journal_is_told(check):
    found = wrong(check("UPDATE drain_checkpoint SET jseq = 100000"))
    assert found["the database has the journal's hashes"] == (
        "record 100000 is in the database, and not in the journal",
    )


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        ("UPDATE fills SET price = price + 1 WHERE exec_base_id = 'x0'", "fills DTEST x0 1: price differ"),
        ("DELETE FROM reconciliation_item", "in the journal, and not in the database"),
        (
            """UPDATE signal_snapshot_log SET signal_json = '{"side": "BUY"}' WHERE NOT filtered""",
            "signal_json differ",
        ),
        ("UPDATE orders SET origin = 'EXTERNAL', decision_jseq = NULL", "decision_jseq, origin differ"),
        (
            "INSERT INTO order_event_log SELECT journal_id, 5000, client_order_id, ts, broker_ts, event,"
            " source, NULL, outcome, incident, payload FROM order_event_log LIMIT 1",
            "order_event_log 5000: in the database, and not in the journal",
        ),
    ],
)
def test_a_row_that_was_altered_is_named(check, statement, finding):
    found = wrong(check(statement))["the database holds what the journal says"]
    assert any(finding in one for one in found), found


def test_what_no_longer_adds_up_is_told_as_such(check):
    found = wrong(check("UPDATE fills SET qty = 400 WHERE exec_base_id = 'x2'"))
    assert "orders are filled by their fills" in found
    assert "positions are what fills come to" in found
