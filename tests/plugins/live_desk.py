"""A desk at work, all of it real: a server of its own, a daemon that hedges a simulated market, a monitor."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
from attrs import define, field
from bifrost_pg.embedded import EmbeddedServer
from monitor_client import Client
from monitor_desk import Desk

SETTINGS = """
symbol: NVDA
broker: paper
daemon: {{state_dir: {folder}/state, heartbeat_interval: 5}}
paper: {{cash: 1000000, positions: {{"NVDA|OPT|20250328|120|C": 40, "NVDA|OPT|20250328|120|P": 40}}}}
sim: {{seed: 2, start: "2025-03-03T09:30", spot: 120, volatility: 0.45}}
status: {{sink: postgres, postgres: {{dsn: "{dsn}"}}}}
status_server: {{port: 0}}
greeks: {{volatility: 0.45}}
gates:
  guard: {{risk: {{max_daily_hedge_count: 2000}}}}
  state: {{system: {{data_lag_threshold_ms: 3000}}}}
  intent: {{hedge: {{cooldown_seconds: 10, min_price_move_pct: 0.02}}}}
"""
"""A book that has to be hedged every few seconds at the speed that tests run at."""
SPEED = "10"
LEAVE_S = 30.0


@define
class LiveDesk:
    """What runs; ``folder`` must be one that a server can work in."""

    folder: Path
    settings: str = SETTINGS
    speed: str = SPEED
    client: Client = field(init=False)
    daemon: subprocess.Popen[str] = field(init=False)
    desk: Desk = field(init=False)
    _server: EmbeddedServer = field(init=False)
    _open: ExitStack = field(init=False, factory=ExitStack)

    def __enter__(self) -> LiveDesk:
        self._server = EmbeddedServer(self.folder / "postgres")
        self._open.callback(self._server.stop)
        dsn = self._server.start()
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute("ALTER SYSTEM SET fsync = off")
            conn.execute("SELECT pg_reload_conf()")
        self.desk = Desk(self.folder, dsn, self.settings)
        self.start_daemon()
        self._open.callback(self._end)
        self.client = self._open.enter_context(self.desk.monitor())
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def _end(self) -> None:
        if self.is_running():
            assert self.end_daemon() == 0, self.log()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.client.port}"

    def status(self) -> Any:
        return self.client.get("/status").json

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.desk.dsn) as conn:
            return conn.execute(query).fetchall()

    def log(self) -> str:
        """What the daemon has said."""
        return (self.folder / "daemon.log").read_text()

    def start_daemon(self) -> None:
        with (self.folder / "daemon.log").open("a") as log:
            words = ("run", "--config", str(self.desk.file), "--speed", self.speed)
            self.daemon = self.desk.start(*words, stderr=log)

    def is_running(self) -> bool:
        return self.daemon.poll() is None

    def end_daemon(self, by: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.daemon.send_signal(by)
        return self.daemon.wait(LEAVE_S)

    @contextmanager
    def without_database(self) -> Iterator[None]:
        """Have no server for as long as the context lasts."""
        self._server.stop()
        try:
            yield
        finally:
            self._server.start()
