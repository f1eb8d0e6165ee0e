"""A daemon in the test's own process: made of a few settings, run to its end or watched while it runs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import structlog
import yaml
from patience import PATIENCE_S

from bifrost_engine.daemon.assemble import RunOptions, load_config
from bifrost_engine.daemon.host import Daemon
from bifrost_engine.daemon.local_control import LocalControl
from bifrost_engine.journal import JournalReader

OPEN_GATES = {
    "strategy": {"trading_hours_only": False},
    "intent": {"hedge": {"cooldown_seconds": 0, "min_price_move_pct": 0}},
    "guard": {
        "risk": {
            "max_daily_hedge_count": 1_000_000,
            "max_daily_loss_usd": 1e9,
            "max_position_shares": 1_000_000,
        }
    },
}
OPEN_ACCOUNT = {"max_orders_per_minute": 1_000_000, "max_orders_per_day": 1_000_000}
QUICK = {"latency_ms": 0, "latency_jitter_ms": 0, "record": "memory"}


def eager(**settings: Any) -> dict[str, Any]:
    """Return a strategy that wants to trade at every quote."""
    return {"id": "eager", "use": "eager", "symbol": "NVDA", "gates": OPEN_GATES, **settings}


def settings(**changed: Any) -> dict[str, Any]:
    """Return a configuration: an eager strategy on an even wave, through the mischievous paper broker."""
    return {
        "broker": "mischief",
        "feed": "wave",
        "strategies": [eager()],
        "account": OPEN_ACCOUNT,
        "status": {"sink": []},
        "daemon": {"shutdown_grace_seconds": 1},
        "mischief": QUICK,
        **changed,
    }


def beside_broker(**changed: Any) -> dict[str, Any]:
    """Return settings for a daemon whose paper broker is a process of its own, at ``broker.sock``."""
    return {
        "broker": "paper",
        "paper": {"connect": "./broker.sock", "latency_ms": 10, "latency_jitter_ms": 20},
        "wave": {"seconds": 86_400, "step_ms": 250, "size": 15},
        "strategies": [eager(shares=40)],
        "recon": {"proof_gap": 5},
        "daemon": {"heartbeat_interval": 5, "shutdown_grace_seconds": 1},
        **changed,
    }


def gone_wrong() -> None:
    """Leave the test's process, since a stop hung."""
    os._exit(70)


class Home:
    """A configuration file and a folder of state.

    folder  the instance's
    """

    def __init__(self, folder: Path, **changed: Any) -> None:
        self.file = folder / "bifrost.yaml"
        self.folder = folder / "state" / "default"
        self.environ = {"BIFROST_STATE_DIR": str(folder / "state")}
        self.lines: list[str] = []
        self.write(**changed)

    def write(self, **changed: Any) -> None:
        """Write the file anew."""
        fresh = self.file.with_suffix(".new")
        fresh.write_text(yaml.safe_dump(settings(**changed), sort_keys=False))
        fresh.replace(self.file)

    def daemon(self, leave: Callable[[], None] = gone_wrong, **options: Any) -> Daemon:
        """Return a daemon that hasn't begun; ``speed`` is as fast as it goes unless it is given."""
        chosen = RunOptions(config_path=self.file, **{"speed": None, **options})
        loaded = load_config(chosen, self.environ)
        return Daemon(loaded, chosen, self.environ, structlog.get_logger(), leave=leave)

    def run(self, **options: Any) -> Daemon:
        """Run a daemon to its end and return it."""
        daemon = self.daemon(**options)
        asyncio.run(daemon.run())
        return daemon

    @asynccontextmanager
    async def running(self, **options: Any) -> AsyncIterator[Daemon]:
        """Run a daemon beside the test, and stop it at the end."""
        daemon = self.daemon(**options)
        task = asyncio.create_task(daemon.run())
        try:
            await until(lambda: task.done() or (hasattr(daemon, "beats") and daemon.beats.watch is not None))
            if task.done():
                task.result()
            yield daemon
        finally:
            daemon.request_stop("the test's end")
            await task

    def command(self, name: str, **flags: Any) -> str:
        """Leave a command at the local source."""
        return LocalControl(self.folder / "control.db").submit(name, **flags)

    # --- what the journal says ---------------------------------------------------------------

    def records(self, *kinds: str) -> list[Any]:
        """Return the journal's records, of these kinds or all; the chain is verified on the way."""
        (path,) = self.folder.glob("journal-*.db")
        with JournalReader(path) as reader:
            return list(reader.records(kinds=kinds or None))

    def operations(self, *types: str) -> list[dict[str, Any]]:
        """Return the operations, of these types or all."""
        rows = [dict(record.payload) for record in self.records("operation")]
        return [row for row in rows if not types or row["type"] in types]


async def until(holds: Callable[[], Any], patience_s: float = PATIENCE_S) -> None:
    """Return as soon as a condition holds."""
    async with asyncio.timeout(patience_s):
        while not holds():
            await asyncio.sleep(0.005)


def sink_of(daemon: Daemon, name: str) -> Any:
    """Return a sink's plugin."""
    return daemon.parts.plugins.plugin("sinks", name)


def broker_of(daemon: Daemon) -> Any:
    """Return the broker's plugin."""
    return daemon.parts.plugins.plugin("brokers", "mischief")
