"""Commands, flags and saved settings."""

from __future__ import annotations

from threading import Thread

import psycopg
import pytest
from bifrost_pg.control import Poller, send_command

from bifrost_engine.domain import Command, ControlState
from bifrost_engine.errors import SinkError, SinkUnavailable


def give(conn, command, age_s=0, **columns):
    values = {"command": command, "strategy_id": None, "requested_by": None} | columns
    return conn.execute(
        "INSERT INTO daemon_control (command, strategy_id, requested_by, created_at)"
        " VALUES (%s, %s, %s, now() - %s * interval '1 second') RETURNING id",
        (*values.values(), age_s),
    ).fetchone()[0]


def rows(conn):
    query = "SELECT id, consumed_at IS NOT NULL, outcome FROM daemon_control ORDER BY id"
    return conn.execute(query).fetchall()


def test_commands_come_one_at_a_time_lowest_id_first(make_sink, conn):
    sink = make_sink()
    give(conn, "suspend", strategy_id="gamma", requested_by="ann")
    give(conn, "stop")
    assert sink.poll_control().command == Command(
        name="suspend", command_id="1", source="postgres", strategy_id="gamma", requested_by="ann"
    )
    assert rows(conn) == [(1, True, None), (2, False, None)]
    assert sink.poll_control().command == Command(name="stop", command_id="2", source="postgres")
    assert sink.poll_control() == ControlState()


@pytest.mark.parametrize(("age_s", "expired"), [(55, False), (61, True)])
def test_a_command_older_than_a_minute_is_consumed_as_expired(make_sink, conn, age_s, expired):
    give(conn, "flatten", age_s)
    assert make_sink().poll_control().command.expired is expired
    assert rows(conn) == [(1, True, "expired" if expired else None)]


def test_a_fresh_command_survives_a_restart_of_the_daemon(make_sink, conn):
    first = make_sink()
    first.poll_control()
    give(conn, "stop")
    first.disconnect()
    assert make_sink().poll_control().command.name == "stop"


def test_flags_are_read_as_last_written(make_sink, conn):
    sink = make_sink()
    assert sink.poll_control() == ControlState()
    conn.execute(
        "INSERT INTO daemon_run_status (suspended, killed, heartbeat_interval_sec) VALUES (true, false, 30)"
    )
    assert sink.poll_control() == ControlState(suspended=True, killed=False, heartbeat_interval_s=30)
    with pytest.raises(psycopg.errors.CheckViolation):
        conn.execute("UPDATE daemon_run_status SET heartbeat_interval_sec = 4")


def test_two_pollers_never_take_the_same_command(connect, conn):
    count = 200
    for _ in range(count):
        give(conn, "suspend")
    taken: list[list[str]] = [[], []]

    def poll_all(mine, own):
        poller = Poller()
        while command := poller.poll(own).command:
            mine.append(command.command_id)

    threads = [Thread(target=poll_all, args=(mine, connect())) for mine in taken]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(int, taken[0] + taken[1])) == list(range(1, count + 1))
    assert taken[0] == sorted(taken[0], key=int)


def test_a_command_that_another_session_holds_is_passed_over(connect, conn):
    give(conn, "suspend")
    give(conn, "stop")
    other = connect()
    with other.transaction():
        other.execute("SELECT 1 FROM daemon_control WHERE id = 1 FOR UPDATE")
        assert Poller().poll(conn).command.command_id == "2"


DIE_ONCE = """
CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(5); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER die AFTER UPDATE ON daemon_control DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION die()
"""


def test_a_command_whose_taking_was_rolled_back_comes_again(make_sink, conn):
    sink = make_sink()
    sink.poll_control()
    give(conn, "stop")
    conn.execute(DIE_ONCE)
    with pytest.raises(SinkUnavailable):
        sink.poll_control()
    conn.execute("DROP TRIGGER die ON daemon_control")
    assert rows(conn) == [(1, False, None)]
    assert sink.poll_control().command.name == "stop"
    assert sink.poll_control().command is None


class LosesTheAnswer:
    """A connection whose commit succeeds on the server, while the answer is lost."""

    def __init__(self, conn):
        self._conn = conn

    def execute(self, *statement):
        return self._conn.execute(*statement)

    def transaction(self):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *error):
        raise psycopg.OperationalError("connection lost")


def test_a_command_that_was_taken_although_the_answer_was_lost_is_not_lost(conn):
    give(conn, "kill")
    poller = Poller()
    with pytest.raises(psycopg.OperationalError):
        poller.poll(LosesTheAnswer(conn))
    assert rows(conn) == [(1, True, None)]
    assert poller.poll(conn).command.name == "kill"
    assert poller.poll(conn).command is None


def test_a_command_and_its_flags_are_written_together(connect, conn):
    listener = connect()
    listener.execute("LISTEN bifrost_control")
    assert send_command(conn, "suspend", requested_by="ann") == 1
    assert send_command(conn, "kill") == 2
    assert send_command(conn, "resume", strategy_id="gamma") == 3
    assert send_command(conn, "retry_ib", flags={"heartbeat_interval_sec": 20}) == 4
    flags = conn.execute("SELECT suspended, killed, heartbeat_interval_sec FROM daemon_run_status").fetchall()
    assert flags == [(True, True, 20)]
    assert [note.payload for note in listener.notifies(timeout=5, stop_after=4)] == ["1", "2", "3", "4"]
    with pytest.raises(psycopg.errors.CheckViolation):
        send_command(conn, "stop", flags={"heartbeat_interval_sec": 500})
    assert len(rows(conn)) == 4


def test_an_unknown_flag_is_refused(conn):
    with pytest.raises(KeyError, match="unknown flag paused"):
        send_command(conn, "stop", flags={"paused": True})
    assert rows(conn) == []


# --- settings ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "settings"),
    [
        (None, None),
        ("(ib_host) VALUES (DEFAULT)", None),
        ("(updated_at) VALUES (now())", {"ib": {"host": "127.0.0.1", "port": 7497}}),
        ("(ib_host) VALUES ('10.0.0.7')", {"ib": {"host": "10.0.0.7", "port": 7497}}),
        ("(ib_port_type) VALUES ('tws_live')", {"ib": {"host": "127.0.0.1", "port": 7496}}),
        ("(ib_port_type) VALUES ('gateway')", {"ib": {"host": "127.0.0.1", "port": 4002}}),
        ("(ib_port_type) VALUES ('gateway_live')", {"ib": {"host": "127.0.0.1", "port": 4001}}),
    ],
)
def test_saved_settings_override_and_unsaved_ones_do_not(make_sink, conn, row, settings):
    if row:
        conn.execute(f"INSERT INTO settings {row}")
    sink = make_sink()
    assert sink.load_settings() == settings
    with sink.reader() as reader:
        assert reader.settings() == settings


def test_a_kind_of_port_that_does_not_exist_is_named(make_sink, conn):
    conn.execute("ALTER TABLE settings DROP CONSTRAINT settings_ib_port_type")
    conn.execute("INSERT INTO settings (ib_port_type) VALUES ('tws')")
    with pytest.raises(SinkError, match=r"expected one of tws_live, tws_paper.*was 'tws'"):
        make_sink().load_settings()
