"""Batches of journal records: each row once, in order, whatever breaks."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path
from threading import Event, Thread

import psycopg
import pytest
from attrs import evolve
from bifrost_pg.embedded import EmbeddedServer

from bifrost_engine.domain import AuditBatch, AuditRow
from bifrost_engine.errors import SinkRejected, SinkUnavailable


def numbers(conn, journal_id="j1"):
    query = "SELECT jseq FROM operations WHERE journal_id = %s ORDER BY id"
    return [row[0] for row in conn.execute(query, (journal_id,))]


def batch_of(*rows, last_hash="00"):
    return AuditBatch(
        journal_id="j1", first_jseq=rows[0].jseq, last_jseq=rows[-1].jseq, last_hash=last_hash, rows=rows
    )


def record(jseq, kind, **payload):
    return AuditRow(
        jseq=jseq, ts_ns=1_500_000_000, kind=kind, strategy_id="gamma", client_order_id="c", payload=payload
    )


def test_a_batch_moves_rows_and_cursor_together(make_sink, conn, make_batch):
    sink = make_sink()
    assert sink.write_audit(make_batch(1, 3)).last_jseq == 3
    assert sink.write_audit(make_batch(4, 4)).last_jseq == 4
    assert numbers(conn) == [1, 2, 3, 4]
    row = conn.execute(
        "SELECT ts, type, side, quantity, price, state_reason, strategy_id, client_order_id, trace_id"
        " FROM operations WHERE jseq = 3"
    ).fetchone()
    assert row == (1_700_000_003.0, "fill", "BUY", 3, 500.25, "D2", "gamma", "BF.x.gamma.3", "t1")
    assert conn.execute("SELECT jseq, jhash FROM drain_checkpoint").fetchall() == [
        (4, (4).to_bytes(32, "big"))
    ]
    log = conn.execute("SELECT jseq, jhash FROM drain_checkpoint_log ORDER BY jseq").fetchall()
    assert log == [(3, (3).to_bytes(32, "big")), (4, (4).to_bytes(32, "big"))]


@pytest.mark.parametrize(("first", "last"), [(1, 2), (2, 5), (5, 9)], ids=["again", "overlap", "gap"])
def test_a_batch_that_does_not_join_the_cursor_is_answered_with_it(make_sink, conn, make_batch, first, last):
    sink = make_sink()
    sink.write_audit(make_batch(1, 3))
    assert sink.write_audit(make_batch(first, last)).last_jseq == 3
    assert numbers(conn) == [1, 2, 3]


def test_beyond_a_gap_it_goes_on_only_if_an_operator_said_so_and_never_back(make_sink, conn, make_batch):
    sink = make_sink()
    sink.write_audit(make_batch(1, 3))
    assert sink.write_audit(evolve(make_batch(7, 9), restart=True)).last_jseq == 9
    assert sink.write_audit(evolve(make_batch(5, 6), restart=True)).last_jseq == 9
    assert sink.write_audit(evolve(make_batch(9, 10), restart=True)).last_jseq == 9
    assert numbers(conn) == [1, 2, 3, 7, 8, 9]


def test_an_empty_batch_asks_for_the_cursor(make_sink, conn, make_batch):
    sink = make_sink()
    assert sink.write_audit(make_batch(1, 0)).last_jseq == 0
    sink.write_audit(make_batch(1, 3))
    assert sink.write_audit(make_batch(4, 3)).last_jseq == 3


def test_journals_have_cursors_of_their_own(make_sink, conn, make_batch):
    sink = make_sink()
    sink.write_audit(make_batch(1, 3))
    assert sink.write_audit(make_batch(1, 2, journal_id="j2")).last_jseq == 2
    assert (numbers(conn), numbers(conn, "j2")) == ([1, 2, 3], [1, 2])


def test_history_is_stored_and_other_kinds_only_move_the_cursor(make_sink, conn):
    rows = (
        record(1, "legs", managed=[]),
        record(2, "history", symbol="NVDA", spot="500.5", ts="1.5", gamma="0.25", hedge_state="EXEC_IDLE"),
        record(3, "operation", type="suspend"),
        record(4, "flag", flag="killed"),
    )
    assert make_sink().write_audit(batch_of(*rows)).last_jseq == 4
    history = conn.execute("SELECT symbol, spot, ts, strategy_id, detail FROM status_history").fetchall()
    assert history == [("NVDA", 500.5, 1.5, "gamma", {"gamma": 0.25, "hedge_state": "EXEC_IDLE"})]
    # Without a time or an order of its own, an operation takes its record's.
    operations = conn.execute("SELECT ts, type, strategy_id, client_order_id FROM operations").fetchall()
    assert operations == [(1.5, "suspend", "gamma", "c")]


@pytest.mark.parametrize(
    "broken",
    [{"quantity": "1.5"}, {"price": "abc"}, {"quantity": 2**31}, {"type": "a\0b"}, {"side": "\ud800"}],
    ids=["fraction", "no number", "too large", "nul", "surrogate"],
)
def test_a_row_that_cannot_be_stored_is_named_and_nothing_of_its_batch_is(
    make_sink, conn, make_batch, broken
):
    sink = make_sink()
    good, bad = make_batch(1, 3), make_batch(4, 4, **broken)
    with pytest.raises(SinkRejected) as caught:
        sink.write_audit(batch_of(*good.rows, *bad.rows))
    assert caught.value.jseq == 4
    assert numbers(conn) == []
    assert sink.write_audit(good).last_jseq == 3


def test_a_row_that_is_already_there_is_an_error_not_a_repetition(make_sink, conn, make_batch):
    sink = make_sink()
    sink.write_audit(make_batch(1, 1))
    conn.execute("INSERT INTO operations (journal_id, jseq) VALUES ('j1', 3)")
    with pytest.raises(SinkRejected) as caught:
        sink.write_audit(make_batch(2, 4))
    assert caught.value.jseq == 3
    assert sink.write_audit(make_batch(2, 1)).last_jseq == 1


def test_the_outcome_of_a_command_reaches_its_row(make_sink, conn):
    for _ in range(2):
        conn.execute("INSERT INTO daemon_control (command, consumed_at) VALUES ('suspend', now())")
    rows = (
        record(1, "operation", type="suspend", command_id="1", source="postgres", outcome="done"),
        record(2, "operation", type="suspend", command_id="2", source="local", outcome="done"),
        record(3, "operation", type="suspend", command_id="x", source="postgres", outcome="done"),
    )
    make_sink().write_audit(batch_of(*rows))
    assert conn.execute("SELECT id, outcome FROM daemon_control ORDER BY id").fetchall() == [
        (1, "done"),
        (2, None),
    ]


# --- exactly once --------------------------------------------------------------------------

OPERATIONS = 10_000


def drain(sink, make_batch, size):
    """Do as a host does: batches from the sink's cursor until all is stored; return the failures."""
    cursor, failures = 0, 0
    while cursor < OPERATIONS:
        try:
            cursor = sink.write_audit(make_batch(cursor + 1, min(cursor + size, OPERATIONS))).last_jseq
        except SinkUnavailable:
            failures += 1
    return failures


def test_sessions_ended_at_random_lose_and_repeat_nothing(make_sink, conn, make_batch):
    sink, done, chance = make_sink(), Event(), random.Random(7)
    sink.write_audit(make_batch(1, 0))
    ended = [0]

    def end_sessions():
        while ended[0] < 40 and not done.wait(chance.uniform(0.0, 0.1)):
            ended[0] += len(
                conn.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = 'bifrost/desk'"
                ).fetchall()
            )

    thread = Thread(target=end_sessions)
    thread.start()
    failures = drain(sink, make_batch, size=50)
    done.set()
    thread.join()
    assert failures > 5
    assert ended[0] > 5
    assert numbers(conn) == list(range(1, OPERATIONS + 1))


def test_a_session_that_dies_at_its_commit_loses_and_repeats_nothing(make_sink, conn, make_batch):
    conn.execute(
        "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN IF random() < 0.3 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;"
        " RETURN NULL; END $$;"
        "CREATE CONSTRAINT TRIGGER die AFTER INSERT ON drain_checkpoint_log DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION die()"
    )
    assert drain(make_sink(), make_batch, size=250) > 0
    assert numbers(conn) == list(range(1, OPERATIONS + 1))


def test_a_server_killed_at_random_loses_and_repeats_nothing(make_sink, make_batch, state_dir):
    server = EmbeddedServer(state_dir / "postgres")
    server.start()
    pid_file, chance, done = server.folder / "postmaster.pid", random.Random(3), Event()
    sink = make_sink(embedded=True)
    sink.write_audit(make_batch(1, 0))

    def kill_server():
        for _ in range(3):
            if not done.wait(chance.uniform(0.05, 0.3)) and pid_file.exists():
                os.kill(int(Path(pid_file).read_text().split("\n", 1)[0]), signal.SIGKILL)

    thread = Thread(target=kill_server)
    thread.start()
    failures = drain(sink, make_batch, size=50)
    done.set()
    thread.join()
    with psycopg.connect(server.start()) as conn:
        assert numbers(conn) == list(range(1, OPERATIONS + 1))
    server.stop()
    assert failures > 0
