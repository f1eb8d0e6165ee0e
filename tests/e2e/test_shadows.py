"""Shadows beside a daemon, both as processes: what they do, what they can't reach, whom they leave alone."""

from __future__ import annotations

import asyncio
import os
import signal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from daemon_under_test import OPEN_ACCOUNT, OPEN_GATES, beside_broker, eager, until
from generated_day import market, write_config, write_quotes
from patience import wait_for
from processes import Desk, Process
from same_records import first_difference

from bifrost_engine.calendar import ExchangeSessions
from bifrost_engine.daemon.assemble import RunOptions, load_config
from bifrost_engine.daemon.shadow.state import is_alive, read_state
from bifrost_engine.domain.record import Record
from bifrost_engine.errors import BifrostError
from bifrost_engine.journal import JournalReader
from bifrost_engine.journal.chain import as_read
from bifrost_engine.journal.lock import holder
from bifrost_engine.replay.backtest import run_backtest
from bifrost_engine.replay.dataset import DataSet
from bifrost_engine.stats.beside import columns_of, side_by_side
from bifrost_engine.stats.days import Span

SPEED = ("--speed", "40")
START_S = 120.0
"""For a process that starts and trades, on a machine with much else to do."""


def folder_of(desk: Desk, name: str) -> Path:
    return desk.folder / "shadow" / name


def records_of(desk: Desk, name: str) -> list[Record]:
    """Return what a shadow has written so far."""
    try:
        (path,) = folder_of(desk, name).glob("journal-*.db")
        with JournalReader(path) as reader:
            return list(reader.records())
    except (ValueError, BifrostError):
        return []


def operations_of(desk: Desk, name: str, type: str) -> list[dict[str, Any]]:
    rows = [dict(record.payload) for record in records_of(desk, name) if record.kind == "operation"]
    return [row for row in rows if row["type"] == type]


def kill(desk: Desk, name: str) -> None:
    """Kill a shadow's process."""
    (path,) = folder_of(desk, name).glob("journal-*.db.lock")
    found = holder(path)
    assert found is not None
    os.kill(found.pid, signal.SIGKILL)


def write_shadow(desk: Desk, name: str, **changed: Any) -> None:
    """Write settings of an eager strategy on paper, at its own pace, beside those of the desk."""
    slower = {"hedge": {"cooldown_seconds": 10, "min_price_move_pct": 0}}
    values = {
        "broker": "paper",
        "strategies": [eager(shares=70, gates={**OPEN_GATES, "intent": slower})],
        "account": OPEN_ACCOUNT,
        "status": {"sink": []},
        "daemon": {"heartbeat_interval": 5},
        **changed,
    }
    (desk.home / f"{name}.yaml").write_text(yaml.safe_dump(values, sort_keys=False))


def stop(process: Process) -> None:
    process.signal(signal.SIGTERM)
    assert process.wait() == 0, process.text[-3000:]


# --- what they do ------------------------------------------------------------------------


@pytest.mark.parametrize("faulty", [False, True])
def test_with_the_live_settings_a_shadow_does_what_the_live_run_does_and_a_backtest(desk, faulty):
    here = desk()
    legs = ("NVDA|OPT|20250328|120|C", "NVDA|OPT|20250328|120|P")
    faults = [{"kind": "reject", "order": 1}, {"kind": "disconnect", "order": 3, "delay_ms": 20_000}]
    paper = {"positions": dict.fromkeys(legs, 10), "faults": faults if faulty else []}
    settings = write_config(here.home / "bifrost.yaml", paper=paper)
    quotes = write_quotes(here.home / "day.csv", market(30))

    process = here.run("--feed", f"replay:{quotes}", "--speed", "max", "--shadow", f"same={settings}")

    assert process.wait(90) == 0, process.text[-3000:]
    live, shadow = here.records(), records_of(here, "same")
    assert first_difference(live, shadow) is None
    backtested: list[Record] = []
    run_backtest(
        load_config(RunOptions(config_path=settings), {}).config,
        DataSet(quotes, 0, None),
        takers=(lambda record, _run_id: backtested.append(as_read(record)),),
    )
    assert first_difference(backtested, shadow) is None
    assert len(operations_of(here, "same", "order_sent")) >= 3
    sessions = ExchangeSessions()
    for period in side_by_side(columns_of(here.folder), sessions, "day", Span()):
        assert period.figures["live"] == period.figures["same"]
        assert period.figures["same"]["hedges"] >= 3
    ids = {record.client_order_id for record in live} & {record.client_order_id for record in shadow}
    assert ids <= {None}, "no order of a shadow can be taken for a live one"


def test_a_shadow_begins_with_the_live_books_and_goes_on_after_a_crash(desk):
    here = desk()
    legs = ("NVDA|OPT|20250328|120|C", "NVDA|OPT|20250328|120|P")
    paper = {"positions": dict.fromkeys(legs, 10)}
    sim = {"seed": 7, "spot": 120.0, "interval_ms": 250.0}
    write_config(here.home / "bifrost.yaml", paper=paper, feed="sim", sim=sim)
    first = here.run("--speed", "max", "--until", "2025-03-03T09:45")
    assert first.wait(90) == 0, first.text[-3000:]
    held = _held(here.records())
    assert held["NVDA|STK|||"] < 0, "the live run has hedged"

    process = here.run("--speed", "60", "--shadow", "same=bifrost.yaml")
    wait_for(
        lambda: operations_of(here, "same", "claimed"), f"for the shadow:\n{process.text[-2000:]}", START_S
    )
    (claimed,) = operations_of(here, "same", "claimed")
    assert (claimed["side"], int(claimed["quantity"])) == ("SELL", abs(held["NVDA|STK|||"]))
    wait_for(lambda: (state := read_state(folder_of(here, "same"))) and state.quotes > 0, "for quotes")
    process.kill()
    wait_for(lambda: not is_alive(folder_of(here, "same")), "for the shadow to see that the daemon is gone")
    before = records_of(here, "same")

    again = here.run("--speed", "max", "--until", "2025-03-03T10:20", "--shadow", "same=bifrost.yaml")
    assert again.wait(120) == 0, again.text[-3000:]
    assert "shadow goes on from its journal" in again.text
    after = records_of(here, "same")
    assert [record.jseq for record in after[: len(before)]] == [record.jseq for record in before]
    assert len(after) > len(before) + 50
    assert len(operations_of(here, "same", "claimed")) == 1, "what was copied is copied once"
    assert read_state(folder_of(here, "same")).ended == "the end that was asked for"


def _held(records: list[Record]) -> dict[str, int]:
    from bifrost_engine.engine.state import State

    state = State("DPAPER")
    state.restore(records)
    return {key: int(quantity) for key, quantity in state.portfolio.account_quantities().items()}


# --- what they can't reach ---------------------------------------------------------------


def test_no_order_of_a_shadow_reaches_a_broker_that_is_a_process(desk):
    here = desk(**beside_broker())
    here.start_broker("--repeat-quotes", "50")
    write_shadow(here, "other")

    process = here.running(*SPEED, "--shadow", "other.yaml")
    wait_for(lambda: len(operations_of(here, "other", "fill")) >= 5, "for the shadow to trade", START_S)
    stop(process)

    sent = {row["client_order_id"] for row in here.operations("order_sent")}
    theirs = {row["client_order_id"] for row in operations_of(here, "other", "order_sent")}
    at_the_broker = {coid for (coid,) in here.at_the_broker("SELECT client_order_id FROM orders")}
    assert at_the_broker <= sent
    assert not theirs & at_the_broker
    assert {int(row["quantity"]) for row in operations_of(here, "other", "order_sent")} == {70}
    here.check()


@pytest.mark.skipif(not find_spec("ib_insync") or not find_spec("bifrost_ib"), reason="needs bifrost-ib")
def test_no_order_of_a_shadow_reaches_the_gateway(desk):
    from bifrost_ib.simgateway import SimGateway

    async def work() -> None:
        async with SimGateway(accounts=("DU1",)) as gateway:
            gateway.market.pin("NVDA|STK|||", 99.99, 100.01)
            here = desk(
                broker="ib",
                feed="pushed",
                pushed={"seconds": 86_400, "step_ms": 100},
                strategies=[eager()],
                recon={"proof_gap": 0.5, "min_age": 0.5},
                ib={"port": gateway.port, "account": "DU1", "client_id": 1, "library": "ib_insync"},
                daemon={"heartbeat_interval": 5, "shutdown_grace_seconds": 1},
            )
            # The live one is held; whatever comes to the gateway would be a shadow's.
            here.folder.mkdir(parents=True)
            here.command("suspend", suspended=True)
            write_shadow(here, "other", ib={"port": gateway.port, "account": "DU1", "client_id": 1})
            process = here.run("--shadow", "other.yaml")
            await until(lambda: len(operations_of(here, "other", "fill")) >= 3, START_S)
            assert not here.operations("order_sent"), "a suspension of the live run is not the shadow's"
            process.signal(signal.SIGTERM)
            await until(lambda: process.code is not None, 20.0)
            assert process.code == 0, process.text[-3000:]
            assert [asked.client_id for asked in gateway.received if asked.name == "placeOrder"] == []
            assert {asked.client_id for asked in gateway.received} == {1}

    asyncio.run(work())


# --- whom they leave alone ---------------------------------------------------------------


def test_a_shadow_that_is_killed_ends_alone_and_is_told_of(desk):
    here = desk(**beside_broker())
    here.start_broker("--repeat-quotes", "50")
    write_shadow(here, "other")
    write_shadow(here, "third")
    process = here.running("--speed", "8", "--shadow", "other.yaml", "--shadow", "third.yaml")
    wait_for(lambda: operations_of(here, "other", "fill"), "for the shadow to trade", START_S)

    kill(here, "other")

    wait_for(lambda: "killed by signal 9" in process.text, "for it to be told of")
    state = read_state(folder_of(here, "other"))
    assert (state.ended, state.failed) == ("killed by signal 9", True)
    sent, seen = len(here.operations("fill")), len(operations_of(here, "third", "fill"))
    wait_for(lambda: len(here.operations("fill")) > sent + 2, "for the live run to go on")
    wait_for(lambda: len(operations_of(here, "third", "fill")) > seen + 2, "for the other one to go on")
    stop(process)
    here.check()
    assert read_state(folder_of(here, "third")).ended == "SIGTERM"


def test_a_shadow_that_breaks_off_ends_alone_and_is_told_of(desk):
    here = desk(**beside_broker())
    here.start_broker("--repeat-quotes", "50")
    write_shadow(here, "other")
    folder_of(here, "other").mkdir(parents=True)
    (folder_of(here, "other") / "journal-DPAPER.db").write_bytes(b"no journal at all" * 1000)

    process = here.running(*SPEED, "--shadow", "other.yaml")

    wait_for(lambda: "shadow ended" in process.text, "for it to be told of")
    state = read_state(folder_of(here, "other"))
    assert state.failed
    assert state.ended.startswith("JournalCorrupt")
    sent = len(here.operations("fill"))
    wait_for(lambda: len(here.operations("fill")) > sent + 2, "for the live run to go on")
    stop(process)
    here.check()
