from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bifrost_engine.clock import EventClock


def test_time_stands_still_until_it_is_advanced():
    clock = EventClock(100)
    assert clock.now_ns() == 100
    clock.advance_to(250)
    assert clock.now_ns() == 250


def test_time_never_goes_back():
    clock = EventClock(100)
    clock.advance_to(40)
    assert clock.now_ns() == 100


def test_a_call_is_made_at_its_own_time_and_only_once():
    clock, seen = EventClock(0), []
    clock.call_at(10, lambda: seen.append(clock.now_ns()))
    clock.advance_to(9)
    assert seen == []
    clock.advance_to(30)
    clock.advance_to(60)
    assert seen == [10]


def test_calls_for_one_time_keep_the_order_in_which_they_were_asked_for():
    clock, seen = EventClock(0), []
    for name in "abc":
        clock.call_at(10, lambda name=name: seen.append(name))
    clock.advance_to(10)
    assert seen == ["a", "b", "c"]


def test_a_call_for_the_past_comes_at_the_next_advance_behind_what_waits_for_the_present():
    clock, seen = EventClock(50), []
    clock.call_at(50, lambda: seen.append("present"))
    clock.call_at(10, lambda: seen.append("past"))
    clock.advance_to(50)
    assert seen == ["present", "past"]
    assert clock.now_ns() == 50


def test_a_call_may_ask_for_another_within_the_same_advance():
    clock, seen = EventClock(0), []

    def again() -> None:
        seen.append(clock.now_ns())
        clock.call_at(clock.now_ns() + 10, again)

    clock.call_at(10, again)
    clock.advance_to(35)
    assert seen == [10, 20, 30]
    assert clock.next_call_ns == 40


def test_after_a_call_that_raises_the_rest_still_waits():
    clock, seen = EventClock(0), []

    def fail() -> None:
        raise RuntimeError("no")

    clock.call_at(5, fail)
    clock.call_at(7, lambda: seen.append(7))
    with pytest.raises(RuntimeError):
        clock.advance_to(10)
    assert (clock.now_ns(), seen) == (5, [])
    clock.advance_to(10)
    assert seen == [7]


@given(st.lists(st.integers(0, 50)), st.lists(st.integers(0, 60)))
def test_calls_come_in_order_of_time_then_of_asking_however_the_clock_is_advanced(wanted, advances):
    clock, seen = EventClock(0), []
    for number, at_ns in enumerate(wanted):
        clock.call_at(at_ns, lambda pair=(at_ns, number): seen.append(pair))
    for at_ns in [*advances, 60]:
        clock.advance_to(at_ns)
    assert seen == sorted((at_ns, number) for number, at_ns in enumerate(wanted))


def test_a_wake_up_takes_the_place_of_the_one_before_and_of_no_other_call():
    clock, seen = EventClock(0), []
    clock.call_at(30, lambda: seen.append("call"))
    clock.wake_at(10, lambda: seen.append("first"))
    clock.wake_at(20, lambda: seen.append("second"))
    assert clock.next_call_ns == 20
    clock.advance_to(25)
    clock.wake_at(None, lambda: seen.append("never"))
    clock.wake_at(40, lambda: seen.append("third"))
    clock.wake_at(None, lambda: seen.append("never"))
    assert clock.next_call_ns == 30
    clock.advance_to(50)
    assert seen == ["second", "call"]
