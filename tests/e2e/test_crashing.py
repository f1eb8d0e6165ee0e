"""SIGKILL at any instant: no order lost, none twice, and the books of journal and broker agree."""

from __future__ import annotations

import random
import signal
import sqlite3
import time
from contextlib import closing

import pytest
from daemon_under_test import eager
from patience import wait_for
from processes import Desk

PAPER = {"latency_ms": 150, "latency_jitter_ms": 100}
"""Of the market's time: at speed 30 orders and reports are on their way for milliseconds of the wall's."""


def settings(**changed) -> dict:
    """Return settings with orders that take several quotes to fill, so that most instants have one open."""
    return {
        "wave": {"seconds": 86_400, "step_ms": 250, "size": 15},
        "strategies": [eager(shares=40)],
        "mischief": PAPER,
        "recon": {"proof_gap": 5},
        **changed,
    }


def finish(desk: Desk, until: str = "fill ") -> None:
    """Let it run on until it has done something more, then stop it, and check the books."""
    process = desk.running("--speed", "30", until=until)
    process.signal(signal.SIGTERM)
    assert process.wait(10) == 0, process.text[-2000:]
    desk.check()


def test_killed_at_random_instants_again_and_again_nothing_is_lost_and_nothing_twice(desk, repeats):
    chance = random.Random(4711)
    here = desk(**settings(status={"sink": ["sqlite"]}))
    for _ in range(repeats):
        process = here.running("--speed", "30", until="order_sent")
        time.sleep(chance.uniform(0.0, 0.5))  # what is tried here is the instant itself
        process.kill()
        assert process.code == -signal.SIGKILL
    finish(here)
    assert len(here.operations("start")) == repeats + 1
    ends = [record.payload["status"] for record in here.records() if record.kind == "run_end"]
    assert ends == ["CRASHED"] * repeats + ["STOPPED"]
    numbers = [coid for (coid,) in here.at_the_broker("SELECT client_order_id FROM orders")]
    assert len(numbers) > repeats
    crashed = [r.payload for r in here.records() if r.payload.get("source") == "RECOVERY"]
    assert crashed or repeats < 8  # some kill fell between an order and its answer
    check_plain_sink(here)


def check_plain_sink(desk: Desk) -> None:
    """Check that a sink without batches got every operation, in the journal's order."""
    with closing(sqlite3.connect(desk.folder / "sqlite-sink.db")) as connection:
        rows = connection.execute("SELECT jseq FROM operations ORDER BY rowid").fetchall()
    numbers = [jseq for (jseq,) in rows]
    assert numbers == [record.jseq for record in desk.records() if record.kind == "operation"]


@pytest.mark.parametrize("how", ["die", "die_after"])
def test_killed_inside_the_hand_over_the_order_is_unknown_blocks_and_is_resolved(desk, how):
    here = desk(**settings(mischief={**PAPER, "wrong": {"place_order": how}}))
    process = here.run("--speed", "30")
    assert process.wait() == -signal.SIGKILL
    (order,) = [r for r in here.records() if r.payload.get("event") == "SUBMIT"]
    arrived = [coid for (coid,) in here.at_the_broker("SELECT client_order_id FROM orders")]
    assert arrived == ([order.client_order_id] if how == "die_after" else [])
    here.write(**settings())
    finish(here, until="order_sent")
    story = [
        (r.payload["event"], r.payload["to_state"], r.payload["source"])
        for r in here.records()
        if r.client_order_id == order.client_order_id and r.kind == "order_event"
    ]
    assert story[1][1:] == ("UNKNOWN", "RECOVERY")
    if how == "die_after":
        assert {"PARTIALLY_FILLED", "FILLED"} & {to for _, to, _ in story}
    else:
        assert story[-1] == ("ABSENT", "REJECTED", "RECON")
        times = {
            r.payload["event"]: r.ts_ns
            for r in here.records()
            if r.kind == "order_event" and r.client_order_id == order.client_order_id
        }
        assert times["ABSENT"] - times["SUBMIT"] >= 10_000_000_000
    # check() saw that nothing was sent while it was open; numbers go on behind it.
    later = [r.client_order_id for r in here.records() if r.payload.get("event") == "SUBMIT"][1:]
    assert later
    assert order.client_order_id not in later


def test_killed_in_the_grace_of_a_stop_the_cancel_is_asked_for_again(desk):
    slow = {**PAPER, "cancel_latency_ms": 600_000}
    quiet = eager(shares=400)
    wave = {"seconds": 86_400, "step_ms": 250, "size": 1}
    here = desk(
        **settings(wave=wave, strategies=[quiet], mischief=slow, daemon={"shutdown_grace_seconds": 8})
    )
    process = here.running("--speed", "1")
    process.signal(signal.SIGTERM)
    wait_for(lambda: any(r.payload.get("event") == "CANCEL_REQ" for r in here.records()), "for the cancel")
    process.kill()
    here.write(**settings(wave=wave, strategies=[quiet]))
    here.command("suspend", suspended=True)
    again = here.running("--speed", "30", until="cancel ")
    again.signal(signal.SIGTERM)
    assert again.wait(10) == 0
    here.check()
    states = [r.payload["to_state"] for r in here.records() if r.kind == "order_event"]
    assert states[-1] == "CANCELED"


def test_with_one_half_of_the_state_gone_a_start_is_refused(desk):
    here = desk(**settings())
    process = here.running("--speed", "30", until="fill ")
    process.kill()
    for path in here.folder.glob("paper-*"):
        path.rename(path.with_name(f"gone-{path.name}"))
    refused = here.run("--speed", "30")
    assert refused.wait() == 2
    assert "the journal is there without the broker's record" in refused.text
    for path in here.folder.glob("gone-*"):
        path.rename(path.with_name(path.name.removeprefix("gone-")))
    finish(here)


def test_a_full_disk_stops_the_orders_and_not_the_daemon_and_space_brings_them_back(desk):
    """Files may not grow beyond a size: to sqlite that is a full disk."""
    import resource

    here = desk(**settings(mischief={**PAPER, "record": "memory"}))
    process = here.running("--speed", "30", until="fill ")
    (journal,) = here.folder.glob("journal-*.db-wal")
    size = journal.stat().st_size
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size + 50_000, resource.RLIM_INFINITY))
    wait_for(lambda: "journal can't be written" in process.text, "for the disk to be full")
    told = len(process.text)
    wait_for(lambda: len(process.text) > told or process.code is not None)
    assert process.code is None
    sent = process.text.count("order_sent")
    here_is = process.text.index("journal can't be written")
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    wait_for(lambda: "journal writes again" in process.text, "for the journal")
    back = process.text.index("journal writes again")
    between = process.text[here_is:back]
    wait_for(lambda: process.text.count("order_sent") > sent, "for orders")
    process.signal(signal.SIGTERM)
    assert process.wait(10) == 0
    refused = between.count("order_sent")
    assert refused <= 1  # decided before the refusal was known; closed as not sent
    records = here.records()
    assert [r.jseq for r in records] == list(range(1, len(records) + 1))
    events = [r.payload for r in records if r.kind == "order_event"]
    assert any(e["event"] == "NOT_SENT" and "journal" in (e["order"]["reason_text"] or "") for e in events)
