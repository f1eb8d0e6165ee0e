"""What the monitor tells people: what the daemon can't any more."""

from __future__ import annotations

import time

import click
import pytest
from bifrost_monitor.alarm import Alarm
from bifrost_monitor.app import Monitor
from bifrost_monitor.command import _alarm
from bifrost_monitor.database import Database
from bifrost_monitor.gatekeeper import Hosts
from bifrost_monitor.standing import unreadable
from bifrost_pg import rows
from bifrost_pg.config import Config
from bifrost_pg.control import write_flags
from monitor_client import Served
from monitor_rows import heartbeat, snapshot
from patience import PATIENCE_S, wait_for

NOBODY = "json://127.0.0.1:1"
"""Where nothing listens, so that what is told stays in the mailbox."""


def told(alarm):
    return [(alert.title, alert.text) for alert in alarm.outbox.mailboxes[0].waiting]


@pytest.fixture
def make_alarm():
    """Makes alarms that reach nobody; their threads end with the test."""
    made = []

    def make(**settings):
        made.append(Alarm.of({"urls": [NOBODY], **settings}))
        return made[-1]

    yield make
    for each in made:
        each.outbox.close(PATIENCE_S)


@pytest.fixture
def watched(database_uri, tokens, tmp_path, desk, make_alarm):
    """Starts a monitor of a database with a daemon at work; returns its alarm and its watch."""
    started = []

    def start(quiet_s=300.0):
        alarm = make_alarm(quiet_s=quiet_s)
        make = lambda: Monitor(  # noqa: E731
            database=Database(Config(dsn=database_uri), tmp_path),
            tokens=tokens,
            hosts=Hosts((), loopback=True),
            open_to_read=True,
            on_look=alarm.look,
        )
        started.append(Served(make))
        started[-1].start()
        return alarm, started[-1].monitor.watch

    yield start
    for each in started:
        each.stop()


def test_a_daemon_that_vanishes_is_told_at_once_and_that_it_is_back(desk, watched):
    alarm, _ = watched(quiet_s=1.0)
    rows.write_heartbeat(desk, heartbeat(last_ts_ns=time.time_ns() - 60_000_000_000))
    wait_for(lambda: told(alarm))
    rows.write_heartbeat(desk, heartbeat())
    wait_for(lambda: len(told(alarm)) == 2)
    (gone, why), back = told(alarm)
    assert (gone, why.partition(":")[0]) == ("Lamp red", "Vanished")
    assert back == ("Lamp green", "the daemon is heard of")


def test_what_the_daemon_tells_itself_is_left_to_it(desk, watched):
    alarm, watch = watched(quiet_s=0.0)
    write_flags(desk, {"killed": True})
    rows.write_snapshot(desk, 1, snapshot(killed=True, trading_state="SAFE", safe_cause="exception"), False)
    rows.write_heartbeat(desk, heartbeat(graceful_shutdown_ns=time.time_ns()))
    wait_for(lambda: {"stopped", "killed"} <= {cause.code for cause in watch.newest.causes})
    assert told(alarm) == []


def test_a_database_that_is_away_is_told_once_it_has_lasted(make_alarm):
    alarm = make_alarm()
    for now in (0.0, 10.0, 299.0):
        alarm.look(unreadable("connection refused", now))
    assert told(alarm) == []
    alarm.look(unreadable("connection refused", 300.0))
    assert told(alarm) == [("Lamp red", "Database away: connection refused")]


def configured(**section):
    return type("Loaded", (), {"status": {"notify": section} if section else {}})()


def test_without_a_target_there_is_no_alarm():
    assert _alarm(None) is None
    assert _alarm(configured()) is None
    assert _alarm(configured(urls=[])) is None
    assert _alarm(configured(urls=[NOBODY])) is not None


@pytest.mark.parametrize("section", [{"urls": ["t0k3n"]}, {"urls": [NOBODY], "nosuch": 1}])
def test_a_wrong_section_is_refused_without_its_secrets(section):
    with pytest.raises(click.UsageError, match=r"status\.notify") as caught:
        _alarm(configured(**section))
    assert "t0k3n" not in str(caught.value)
