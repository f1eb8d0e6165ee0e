"""Daemons that wait for the lock: who may take it, and what holder and standby know of each other."""

from __future__ import annotations

import time

import pytest
from bifrost_pg.locks import end_backends, lock_holder
from bifrost_pg.standby import own_identity

from bifrost_engine.domain import LockState
from bifrost_engine.errors import LockHeld, SinkUnavailable

BEAT = {"last_ts_ns": 4_000_000_000 * 10**9, "daemon_state": "RUNNING", "hostname": "trader1", "pid": 42}
ROWS = "SELECT id, role, hostname FROM daemon_heartbeat ORDER BY id"


@pytest.fixture
def holder(make_sink, conn):
    """A daemon on host trader1 that has the lock and is asked for commands."""
    sink = make_sink()
    sink.take_lock(False, False)
    sink.write_heartbeat(BEAT)
    sink.poll_control()
    return sink


def look(sink):
    return sink.take_lock(True, False).held_by


def introduce(holder, standby):
    """Let both know of each other."""
    look(standby)
    holder.poll_control()
    holder.poll_control()
    look(standby)


def leave(holder, conn):
    """Disconnect it, and wait until the server has noticed."""
    holder.disconnect()
    while lock_holder(conn) is not None:
        pass


def end(conn, backend):
    """End a session, and wait until it has ended."""
    end_backends(conn, [backend])
    there = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND backend_start = %s"
    while conn.execute(there, (backend.pid, backend.since)).fetchone():
        pass


def test_hook_take_lock(make_sink, conn):
    assert make_sink().take_lock(False, False) == LockState()


def test_a_standby_is_told_who_has_the_lock_and_has_a_row_of_its_own(holder, make_sink, conn):
    standby, third = make_sink(), make_sink()
    assert "host trader1, pid 42" in look(standby)
    assert "host trader1, pid 42" in look(third)
    assert [row[:2] for row in conn.execute(ROWS)] == [(1, "active"), (2, "standby"), (3, "standby")]
    standby.disconnect()
    third.disconnect()
    assert [row[:2] for row in conn.execute(ROWS)] == [(1, "active")]


def test_a_number_that_became_free_is_taken_again(holder, make_sink, conn):
    first, second, third = make_sink(), make_sink(), make_sink()
    look(first)
    look(second)
    first.disconnect()
    look(third)
    assert [row[0] for row in conn.execute(ROWS)] == [1, 2, 3]


def test_the_holder_hears_of_standbys_at_its_next_poll(holder, make_sink, conn):
    standby = make_sink()
    assert holder.poll_control().standbys == 0
    look(standby)
    assert holder.poll_control().standbys == 1
    number = standby._session._link._conn.info.backend_pid
    standby.disconnect()
    while conn.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", (number,)).fetchone():
        pass
    assert holder.poll_control().standbys == 0


def test_a_standby_that_the_holder_knew_takes_over_when_its_session_ends(holder, make_sink, conn):
    standby = make_sink()
    introduce(holder, standby)
    end(conn, lock_holder(conn))
    assert look(standby) == ""
    assert [row[:2] for row in conn.execute(ROWS)] == [(1, "active")]
    assert conn.execute(ROWS).fetchone()[2] != "trader1"
    with pytest.raises(SinkUnavailable):
        holder.poll_control()
    with pytest.raises(LockHeld, match="another daemon works on it"):
        holder.poll_control()


@pytest.mark.parametrize("polls", [0, 1])
def test_one_that_the_holder_didnt_surely_know_waits_on(holder, make_sink, conn, polls):
    standby = make_sink()
    look(standby)
    for _ in range(polls):  # it has heard at most, and not said so
        holder.poll_control()
    look(standby)
    end(conn, lock_holder(conn))
    assert "--take-over (this standby waits on" in look(standby)
    assert lock_holder(conn) is None
    with pytest.raises(SinkUnavailable):
        holder.poll_control()
    conn.execute("UPDATE daemon_heartbeat SET hostname = %s, pid = %s WHERE id = 1", own_identity())
    assert holder.poll_control().command is None  # it comes back to its lock
    holder.write_heartbeat(BEAT)
    introduce(holder, standby)
    end(conn, lock_holder(conn))
    assert look(standby) == ""


def test_one_that_lost_its_own_connection_is_a_stranger_again(holder, make_sink, conn):
    standby = make_sink()
    introduce(holder, standby)
    own, held = backend_of(standby, conn), lock_holder(conn)
    end(conn, own)
    end(conn, held)
    with pytest.raises(SinkUnavailable):
        look(standby)
    assert "this standby waits on" in look_again(standby)


def backend_of(sink, conn):
    from attrs import evolve

    pid = sink._session._link._conn.info.backend_pid
    since = conn.execute("SELECT backend_start FROM pg_stat_activity WHERE pid = %s", (pid,)).fetchone()[0]
    return evolve(lock_holder(conn), pid=pid, since=since)


def look_again(standby):
    """Look as one who has waited, whatever the first look of a new connection brings."""
    try:
        return look(standby)
    except LockHeld as error:
        return f"refused: {error}"


def test_who_said_that_it_ended_is_followed_without_being_known(holder, make_sink, conn):
    standby = make_sink()
    look(standby)
    holder.write_heartbeat(BEAT | {"graceful_shutdown_ns": 1})
    leave(holder, conn)
    assert look(standby) == ""


def test_who_took_the_lock_and_came_to_no_run_leaves_no_riddle(make_sink, conn):
    first = make_sink()
    first.take_lock(False, False)
    assert conn.execute("SELECT graceful_shutdown_at FROM daemon_heartbeat").fetchone() == (None,)
    leave(first, conn)
    ended = "SELECT graceful_shutdown_at IS NOT NULL FROM daemon_heartbeat WHERE id = 1"
    assert conn.execute(ended).fetchone() == (True,)
    second = make_sink()
    second.take_lock(False, False)
    second.write_heartbeat(BEAT)
    leave(second, conn)
    assert conn.execute(ended).fetchone() == (False,)


@pytest.mark.parametrize("standby", [False, True])
def test_a_start_after_another_hosts_sudden_end_needs_the_operators_word(holder, make_sink, conn, standby):
    leave(holder, conn)
    other = make_sink()
    with pytest.raises(LockHeld, match="host trader1, pid 42 was heard of last at 2096-10-02 07:06:40 UTC"):
        other.take_lock(standby, False)
    leave(other, conn)
    assert make_sink().take_lock(standby, True).held_by == ""


def test_the_operators_word_counts_for_one_start_only(holder, make_sink, conn):
    leave(holder, conn)
    daring = make_sink()
    daring.take_lock(False, True)
    end(conn, lock_holder(conn))
    conn.execute("UPDATE daemon_heartbeat SET hostname = 'trader2' WHERE id = 1")
    with pytest.raises(SinkUnavailable):
        daring.poll_control()
    with pytest.raises(LockHeld, match="host trader2"):
        daring.poll_control()


def test_a_process_that_died_on_this_host_is_followed_at_once(holder, make_sink, conn):
    import socket
    import subprocess
    import sys

    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    now_ns = time.time_ns()
    holder.write_heartbeat(BEAT | {"hostname": socket.gethostname(), "pid": dead.pid, "last_ts_ns": now_ns})
    leave(holder, conn)
    assert make_sink().take_lock(False, False).held_by == ""


def test_a_process_that_lives_on_this_host_may_trade_on_without_its_lock(holder, make_sink, conn):
    import socket
    import subprocess
    import sys

    living = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    here = BEAT | {"hostname": socket.gethostname(), "pid": living.pid, "last_ts_ns": time.time_ns()}
    holder.write_heartbeat(here)
    leave(holder, conn)
    with pytest.raises(LockHeld, match=f"pid {living.pid}"):
        make_sink().take_lock(False, False)
    # A number from before the machine was started says nothing.
    conn.execute("UPDATE daemon_heartbeat SET last_ts = '2001-01-01' WHERE id = 1")
    assert make_sink().take_lock(False, False).held_by == ""
    living.communicate(b"\n")


def test_the_server_ends_a_session_that_asks_nothing(database_uri, make_sink, conn):
    sink = make_sink(dsn=database_uri, session_timeout=3)
    sink.poll_control()
    begun_s = time.monotonic()
    while lock_holder(conn) is not None:
        assert time.monotonic() < begun_s + 15.0
        time.sleep(0.05)
    assert time.monotonic() >= begun_s + 2.5
    with pytest.raises(SinkUnavailable):
        sink.poll_control()
    sink.poll_control()


def test_a_standby_has_a_session_ended_that_stopped_in_the_middle_of_a_request(database_uri, make_sink, conn):
    holder, standby = (make_sink(dsn=database_uri, session_timeout=3) for _ in range(2))
    holder.take_lock(False, False)
    holder.write_heartbeat(BEAT)
    introduce(holder, standby)
    half = holder._session._link._conn.pgconn
    half.enter_pipeline_mode()
    half.send_query_params(b"SELECT 1", [])
    half.flush()
    begun_s = time.monotonic()
    while look(standby):
        assert time.monotonic() < begun_s + 15.0
        time.sleep(0.2)
    assert lock_holder(conn).pid == standby._session._link._conn.info.backend_pid


def test_a_blocked_row_keeps_nobody_from_the_lock(holder, make_sink, connect, conn):
    standby = make_sink()
    introduce(holder, standby)
    other = connect("pgAdmin")
    other.execute("BEGIN; LOCK daemon_heartbeat IN SHARE MODE")
    assert "host trader1" in look(standby)
    leave(holder, conn)
    other.execute("ROLLBACK")
    assert look(standby) == ""
