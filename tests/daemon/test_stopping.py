"""How long a stop may take, and that the process is left if it takes longer."""

from __future__ import annotations

import time
from threading import Event as Flag

import pytest
import structlog

from bifrost_engine.daemon import stopping
from bifrost_engine.daemon.stopping import StopClock


def clock(grace_s: float = 5.0, leave=lambda: None) -> StopClock:
    return StopClock(grace_s, leave, structlog.get_logger())


def test_before_a_stop_everything_has_its_time():
    stop = clock()
    assert not stop.is_asked
    assert not stop.is_grace_over
    assert stop.until_cut_s() is None
    assert stop.left_s(2.0) == 2.0


def test_answers_have_the_grace_and_what_works_is_cut_a_little_later():
    stop = clock(grace_s=5.0)
    stop.ask()
    assert not stop.is_grace_over
    assert stop.until_cut_s() == pytest.approx(5.3, abs=0.2)


def test_without_grace_no_answer_is_awaited():
    stop = clock(grace_s=0.0)
    stop.begin()
    assert stop.is_grace_over


def test_who_asked_is_kept_waiting_for_less_than_ten_seconds():
    stop = clock()
    stop.ask()
    assert stop.left_s(100.0) == pytest.approx(8.5, abs=0.2)
    assert stop.left_s(2.0) == 2.0


def test_a_stop_that_nobody_asked_for_isnt_in_a_hurry():
    stop = clock()
    stop.begin()
    assert stop.left_s(100.0) == 100.0


def test_the_first_request_counts(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(stopping.time, "monotonic", lambda: now[0])
    stop = clock()
    stop.ask()
    now[0] = 104.0
    stop.ask()
    assert stop.until_cut_s() == pytest.approx(1.3)
    assert stop.left_s(100.0) == pytest.approx(4.5)
    now[0] = 105.0
    assert stop.is_grace_over


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(stopping, "LAST_RESORT_S", 0.05)
    monkeypatch.setattr(stopping, "LOOK_S", 0.01)


def test_a_process_that_hangs_is_left(quick):
    left = Flag()
    stop = clock(leave=left.set)
    stop.start()
    stop.ask()
    assert left.wait(10)
    stop.close()


@pytest.mark.parametrize("how", ["never asked", "begun by itself", "ended in time"])
def test_it_isnt_left_if_nobody_asked_or_it_ended_in_time(quick, how):
    left = Flag()
    stop = clock(leave=left.set)
    stop.start()
    if how == "begun by itself":
        stop.begin()
    elif how == "ended in time":
        stop.ask()
        stop.close()
    deadline_s = time.monotonic() + 0.3
    assert not left.wait(deadline_s - time.monotonic())
    stop.close()
