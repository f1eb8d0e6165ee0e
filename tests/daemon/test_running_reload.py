"""A configuration file that changes under a running daemon."""

from __future__ import annotations

import asyncio

import pytest
from daemon_under_test import OPEN_GATES, QUICK, Home, broker_of, until

LEGS = {"NVDA|OPT|20250328|100|C": 10, "NVDA|OPT|20250328|100|P": 10}


def gamma(threshold: float, **further) -> dict:
    """Return a hedger of ten straddles; the wave takes their delta to some ±120."""
    gates = {
        **OPEN_GATES,
        "state": {"delta": {"epsilon_band": 5, "threshold_hedge_shares": threshold, "max_delta_limit": 900}},
        **further,
    }
    return {"id": "gamma", "use": "gamma", "symbol": "NVDA", "gates": gates}


def settings(threshold: float, **further) -> dict:
    return {
        "strategies": [gamma(threshold, **further)],
        "wave": {"seconds": 3600, "swing": 1.5, "period_s": 120},
        "mischief": {**QUICK, "positions": LEGS},
        "daemon": {"heartbeat_interval": 5, "shutdown_grace_seconds": 1},
    }


def test_a_changed_threshold_acts_at_the_next_tick_and_is_recorded(home):
    here: Home = home(**settings(800))

    async def work() -> None:
        async with here.running(speed=50.0) as daemon:
            at_ns = daemon.engine.core.now_ns
            await until(lambda: daemon.engine.core.now_ns > at_ns + 130e9)  # once through the wave
            assert broker_of(daemon).placed == []
            here.write(**settings(20))
            await until(lambda: broker_of(daemon).placed)

    asyncio.run(work())
    operations = here.operations()
    reloaded = next(i for i, row in enumerate(operations) if row["type"] == "config_reloaded")
    assert operations[reloaded]["state_reason"] == "in force"
    assert not any(row["type"] == "order_sent" for row in operations[:reloaded])
    runs = [record.payload["config_hash"] for record in here.records("run")]
    assert len(runs) == len(set(runs)) == 2


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("symbol: [", "bifrost.yaml"),
        ("symbol: NVDA\nno_such_key: 1\n", "no_such_key"),
        ("", ""),
        (b"\xff\xfe\x00broken", "bifrost.yaml"),
    ],
    ids=["not YAML", "unknown key", "empty", "not text"],
)
def test_an_invalid_file_changes_nothing_and_leaves_a_row(home, text, why):
    here: Home = home(**settings(20))

    async def work() -> None:
        async with here.running(speed=100.0) as daemon:
            before = daemon.engine.core.config
            here.file.write_bytes(text if isinstance(text, bytes) else text.encode())
            await until(lambda: [row for row in daemon.recent if row["type"] == "config_rejected"])
            assert daemon.engine.core.config is before
            placed = len(broker_of(daemon).placed)
            await until(lambda: len(broker_of(daemon).placed) > placed)
            here.write(**settings(25))
            await until(lambda: [row for row in daemon.recent if row["type"] == "config_reloaded"])
            assert daemon.engine.core.config.strategies[0].gates.state.delta.threshold_hedge_shares == 25

    asyncio.run(work())
    (row,) = here.operations("config_rejected")
    assert why in row["state_reason"]


def test_what_takes_a_restart_is_named_and_not_taken(home):
    here: Home = home(**settings(20))

    async def work() -> None:
        async with here.running(speed=100.0) as daemon:
            changed = settings(20)
            changed["daemon"] = {**changed["daemon"], "ib_retry_interval": 7}
            here.write(**changed)
            await until(lambda: [row for row in daemon.recent if row["type"] == "config_reloaded"])
            assert daemon.engine.core.config.daemon.ib_retry_interval == 30

    asyncio.run(work())
    (row,) = here.operations("config_reloaded")
    assert "daemon.ib_retry_interval: changed in the file, takes a restart" in row["state_reason"]


def test_a_file_that_is_gone_for_a_while_changes_nothing(home):
    here: Home = home(**settings(20))

    async def work() -> None:
        async with here.running(speed=100.0) as daemon:
            away = here.file.with_suffix(".away")
            here.file.rename(away)
            at_ns = daemon.engine.core.now_ns
            await until(lambda: daemon.engine.core.now_ns > at_ns + 20e9)
            away.rename(here.file)
            await until(lambda: daemon.engine.core.now_ns > at_ns + 40e9)

    asyncio.run(work())
    assert not here.operations("config_rejected", "config_reloaded")
