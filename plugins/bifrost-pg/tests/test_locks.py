"""One daemon per database, and sessions that are in the way."""

from __future__ import annotations

from threading import Thread

import psycopg
import pytest
from bifrost_pg.locks import end_backends, list_locks, lock_holder

from bifrost_engine.errors import LockHeld, SinkUnavailable

BEAT = {"last_ts_ns": 4_000_000_000 * 10**9, "daemon_state": "RUNNING", "hostname": "trader1", "pid": 42}


def pid_of(conn):
    return conn.info.backend_pid


def in_the_way(conn):
    """Leave a transaction open that holds the heartbeat's row."""
    conn.execute("BEGIN; UPDATE daemon_heartbeat SET hedge_running = false WHERE id = 1")
    return pid_of(conn)


def alive(conn):
    try:
        conn.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def test_a_second_daemon_is_refused_and_told_who_works_there(make_sink, conn):
    first, second = make_sink(), make_sink()
    first.write_heartbeat(BEAT)
    with pytest.raises(LockHeld, match=r"host trader1, pid 42, bifrost/desk, since 20.* UTC; stop it first"):
        second.load_settings()
    first.write_heartbeat(BEAT | {"graceful_shutdown_ns": 1})
    first.disconnect()
    assert second.load_settings() is None


def test_a_holder_that_has_not_written_yet_is_told_by_its_session(make_sink, conn):
    first, second = make_sink(), make_sink()
    first.write_heartbeat(BEAT | {"last_ts_ns": 0})
    with pytest.raises(LockHeld, match=r"backend [0-9]+, bifrost/desk"):
        second.load_settings()


def test_a_daemon_comes_back_to_its_lock_after_a_loss(make_sink, conn):
    sink = make_sink()
    sink.poll_control()
    end_backends(conn, [lock_holder(conn)])
    with pytest.raises(SinkUnavailable):
        sink.poll_control()
    sink.poll_control()
    assert lock_holder(conn).application == "bifrost/desk"


def test_a_daemon_ends_its_own_former_session_that_the_server_still_believes_in(make_sink, conn):
    sink = make_sink()
    sink.poll_control()
    ghost = lock_holder(conn).pid
    link = sink._session._link
    kept, link._conn = link._conn, None  # as when the network swallows the end of a connection
    sink.poll_control()
    assert lock_holder(conn).pid not in (ghost, None)
    assert not alive(kept)


def test_a_daemon_whose_place_was_taken_meanwhile_is_refused(make_sink, conn):
    first, second = make_sink(), make_sink()
    first.poll_control()
    end_backends(conn, [lock_holder(conn)])
    second.poll_control()
    with pytest.raises(SinkUnavailable):
        first.poll_control()
    with pytest.raises(LockHeld):
        first.poll_control()


def test_an_own_forgotten_session_is_ended_and_the_heartbeat_written(make_sink, connect, conn, log):
    sink = make_sink()
    sink.write_heartbeat(BEAT)
    forgotten = connect("bifrost/desk")
    pid = in_the_way(forgotten)
    sink.write_heartbeat(BEAT | {"pid": 43})
    assert conn.execute("SELECT pid FROM daemon_heartbeat").fetchone() == (43,)
    assert not alive(forgotten)
    assert any("ended a session" in line and str(pid) in line for line in log.lines)


def test_sessions_of_others_are_never_ended_by_the_daemon(make_sink, connect, conn):
    sink = make_sink()
    sink.write_heartbeat(BEAT)
    other, sister, busy = connect("pgAdmin"), connect("bifrost/other"), connect("bifrost/desk")
    in_the_way(other)
    sister.execute("BEGIN; LOCK daemon_run_status IN SHARE MODE")
    asleep = Thread(target=lambda: busy.execute("BEGIN; SELECT count(*), pg_sleep(12) FROM daemon_heartbeat"))
    asleep.start()
    with pytest.raises(SinkUnavailable, match="lock timeout"):
        sink.write_heartbeat(BEAT | {"pid": 43})
    assert alive(other)
    assert alive(sister)
    asleep.join()
    assert alive(busy)
    assert sink.poll_control().command is None  # all else goes on
    other.execute("ROLLBACK")
    sink.write_heartbeat(BEAT | {"pid": 44})


def test_holders_and_waiters_are_listed_and_ended_on_request(make_sink, connect, conn):
    make_sink().write_heartbeat(BEAT)
    holder, waiter, watcher = connect("pgAdmin"), connect("report"), connect()
    in_the_way(holder)
    blocked = Thread(target=lambda: alive_after(waiter))
    blocked.start()
    found = []
    while len(found) < 2:
        found = list_locks(watcher)
    listed = {backend.application: backend for backend in found}
    assert listed["pgAdmin"].state == "idle in transaction"
    assert not listed["pgAdmin"].waits
    assert listed["pgAdmin"].age_s >= 0
    assert "UPDATE daemon_heartbeat" in listed["pgAdmin"].query
    assert "RowExclusiveLock" in listed["pgAdmin"].modes
    assert not any(backend.daemon for backend in found)
    assert end_backends(watcher, [listed["pgAdmin"]]) == [listed["pgAdmin"]]
    blocked.join()
    assert not alive(holder)
    assert list_locks(watcher) == []


def alive_after(conn):
    conn.execute("UPDATE daemon_heartbeat SET hedge_running = true WHERE id = 1")


def test_a_session_that_was_replaced_since_is_not_ended(connect, conn):
    from attrs import evolve

    other = connect()
    other.execute("BEGIN; LOCK daemon_run_status")
    (found,) = list_locks(conn)
    assert end_backends(conn, [evolve(found, since=found.since.replace(year=2020))]) == []
    assert alive(other)
