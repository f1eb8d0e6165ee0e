"""A stop of the real process: by signal and by command, with an order working, whatever hangs."""

from __future__ import annotations

import signal
import time

import pytest
from daemon_under_test import eager
from patience import wait_for
from processes import Desk, Process

SLOWLY = {"latency_ms": 20, "latency_jitter_ms": 10}
WAVE = {"seconds": 86_400, "step_ms": 200, "size": 1}


def working(**changed) -> dict:
    """Return settings with orders for 400 in a market that shows one share at a time: one always works."""
    return {"wave": WAVE, "strategies": [eager(shares=400)], "mischief": SLOWLY, **changed}


def stop(desk: Desk, process: Process, how: str) -> None:
    if how == "stop":
        desk.command("stop")
    else:
        process.signal(getattr(signal, how))


def sent_after_the_stop(desk: Desk) -> list[str]:
    records = desk.records()
    at = max(r.jseq for r in records if r.kind == "operation" and r.payload["type"] == "stop")
    return [r.client_order_id for r in records if r.jseq > at and r.payload.get("event") == "SUBMIT"]


@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT", "stop"])
def test_a_stop_ends_it_within_seconds_with_an_order_working_and_none_is_sent_after(desk, how, repeats):
    desks = [desk(f"desk{number}", **working()) for number in range(min(repeats, 2))]
    for turn in range(0, repeats, len(desks)):
        for each in desks:
            each.run("--speed", str(20 + 7 * turn))
        processes = [each.started[-1] for each in desks]
        for process in processes:
            wait_for(lambda process=process: "order_sent" in process.text, "for an order")
        began_s = time.monotonic()
        for each, process in zip(desks, processes, strict=True):
            stop(each, process, how)
        for process in processes:
            assert process.wait(10) == 0, process.text[-2000:]
        assert time.monotonic() - began_s < 6
    for each in desks:
        assert sent_after_the_stop(each) == []
        assert each.operations()[-1]["type"] == "stopped"
        each.check()
        assert not each.at_the_broker("SELECT 1 FROM orders WHERE status IN ('OPEN', 'TRANSIT')")


HANGS = {
    "the broker in cancel and disconnect": {
        "mischief": {**SLOWLY, "wrong": {"cancel_order": "hang", "disconnect": "hang"}}
    },
    "the broker in place": {"mischief": {**SLOWLY, "wrong": {"place_order": "hang"}}},
    "the broker, holding the loop": {"mischief": {**SLOWLY, "wrong": {"cancel_order": "block"}}},
    "a sink": {
        "mischief": SLOWLY,
        "status": {"sink": ["plain"], "plain": {"wrong": {"write_heartbeat": "block"}}},
    },
    "a strategy that computes for ever": {"mischief": SLOWLY, "loops": True},
}


def test_whatever_hangs_a_stop_takes_less_than_ten_seconds_and_the_next_start_is_safe(desk):
    desks = {}
    for number, (name, changed) in enumerate(HANGS.items()):
        loops = {"strategies": [eager(shares=400, after=30, wrong={"on_tick": "loop"})]}
        settings = {k: v for k, v in changed.items() if k != "loops"}
        further = loops if "loops" in changed else {}
        desks[name] = desk(
            f"desk{number}", **working(daemon={"shutdown_grace_seconds": 1}, **settings, **further)
        )
    processes = {name: each.running("--speed", "20") for name, each in desks.items()}
    took = {}
    for process in processes.values():
        process.signal(signal.SIGTERM)
    began_s = time.monotonic()
    while len(took) < len(processes) and time.monotonic() - began_s < 15:
        took |= {
            name: time.monotonic() - began_s
            for name, process in processes.items()
            if process.code is not None and name not in took
        }
        time.sleep(0.02)
    assert {name: process.code for name, process in processes.items()} == dict.fromkeys(HANGS, 0)
    assert max(took.values()) < 10, took
    for each in desks.values():
        each.write(**working())
        each.run("--speed", "50")
    for each in desks.values():
        again = each.started[-1]
        wait_for(lambda again=again: "fill " in again.text, "for a fill after the restart")
        again.signal(signal.SIGTERM)
    for each in desks.values():
        assert each.started[-1].wait() == 0
        each.check()


def test_a_second_signal_ends_it_at_once_and_the_next_start_is_safe(desk):
    here = desk(
        **working(mischief={**SLOWLY, "cancel_latency_ms": 600_000}, daemon={"shutdown_grace_seconds": 8})
    )
    process = here.running("--speed", "1")
    process.signal(signal.SIGTERM)
    wait_for(lambda: "stopping" in process.text, "for the stop to begin")
    assert process.code is None
    began_s = time.monotonic()
    process.signal(signal.SIGINT)
    assert process.wait(5) == 130
    assert time.monotonic() - began_s < 1.5
    here.write(**working())
    again = here.running("--speed", "20", until="fill ")
    again.signal(signal.SIGTERM)
    assert again.wait() == 0
    here.check()


def test_a_stop_before_anything_has_begun_ends_it_too(desk):
    here = desk(**working())
    process = here.run()
    process.signal(signal.SIGTERM)
    assert process.wait(10) in (0, -signal.SIGTERM)  # before Python has its handlers, the system's way
    assert not here.operations("order_sent")
