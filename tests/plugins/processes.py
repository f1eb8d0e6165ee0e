"""Daemons as processes of their own: started, signalled, killed, and their books compared afterwards."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml
from daemon_under_test import settings
from patience import PATIENCE_S, wait_for

from bifrost_engine.daemon.local_control import LocalControl
from bifrost_engine.domain.fill import EXTERNAL
from bifrost_engine.domain.record import Record
from bifrost_engine.engine.state import State
from bifrost_engine.errors import BifrostError
from bifrost_engine.journal import JournalReader

ENDED = {"FILLED", "CANCELED", "REJECTED", "EXPIRED", "DENIED"}


class Spawner:
    """Starts daemons quickly."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("spawner.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._read() == "ready"

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def start(self, arguments: list[str], folder: Path, environ: dict[str, str], output: Path) -> int:
        """Return the number of a new process."""
        order = {"arguments": arguments, "folder": str(folder), "environ": environ, "output": str(output)}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._read())

    def close(self) -> None:
        """End it; its children go on."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE_S)


class Process:
    """One daemon. ``text`` is what it has written so far."""

    def __init__(self, pid: int, output: Path) -> None:
        self.pid = pid
        self.output = output

    @property
    def text(self) -> str:
        return self.output.read_text() if self.output.exists() else ""

    @property
    def code(self) -> int | None:
        """Exit code, negative for a signal; None while it runs."""
        file = self.output.with_suffix(".code")
        return int(file.read_text()) if file.exists() else None

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self, patience_s: float = PATIENCE_S) -> int:
        """Return the exit code."""
        wait_for(lambda: self.code is not None, f"for the end of:\n{self.text[-3000:]}", patience_s)
        assert self.code is not None
        return self.code

    def kill(self) -> None:
        if self.code is None:
            self.signal(signal.SIGKILL)
            self.wait()


class Desk:
    """A configuration file with its folder of state, for daemons that are processes.

    folder         the instance's
    broker_folder  that of the paper broker's record
    """

    def __init__(self, folder: Path, spawner: Spawner, path: list[Path], **changed: Any) -> None:
        self.home = folder
        self.folder = folder / "state" / "default"
        self.broker_folder = self.folder
        self.started: list[Process] = []
        self._spawner = spawner
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "BIFROST_", "IB_"))}
        self.environ = {
            **kept,
            "BIFROST_STATE_DIR": str(folder / "state"),
            "BIFROST_CONFIG": str(folder / "bifrost.yaml"),
            "PYTHONPATH": os.pathsep.join(map(str, path)),
        }
        self.write(**changed)

    def write(self, **changed: Any) -> None:
        """Write the configuration anew."""
        (self.home / "bifrost.yaml").write_text(yaml.safe_dump(settings(**changed), sort_keys=False))

    def run(self, *arguments: str, **environ: str) -> Process:
        """Start ``bifrost run``."""
        output = self.home / f"run{len(self.started)}.txt"
        command = ["run", *arguments]
        pid = self._spawner.start(command, self.home, {**self.environ, **environ}, output)
        self.started.append(Process(pid, output))
        return self.started[-1]

    def start_broker(self, *arguments: str) -> Process:
        """Start the paper broker as a process of its own, at the socket ``broker.sock``."""
        self.broker_folder = self.home / "broker"
        output = self.home / f"broker{len(self.started)}.txt"
        words = ["--listen", "./broker.sock", "--state", str(self.broker_folder), *arguments]
        pid = self._spawner.start(["paper-broker", *words], self.home, self.environ, output)
        self.started.append(Process(pid, output))
        broker = self.started[-1]
        wait_for(lambda: "listening" in broker.text or broker.code is not None, "for the broker")
        assert broker.code is None, broker.text
        return broker

    def running(self, *arguments: str, until: str = "order_sent") -> Process:
        """Start it and return once it has told of an operation."""
        process = self.run(*arguments)
        wait_for(lambda: until in process.text or process.code is not None, f"for {until}")
        assert process.code is None, process.text
        return process

    def died_at(self, point: str, count: int, *arguments: str, stop: bool = False) -> None:
        """Run a daemon until it has died at a named point, at its ``count``-th passing.

        stop  ask it to stop once it has sent an order
        """
        process = self.run(*arguments, BIFROST_TEST_CRASH_AT=f"{point}:{count}")
        if stop:
            wait_for(lambda: "order_sent" in process.text or process.code is not None, "for an order")
            if process.code is None:
                process.signal(signal.SIGTERM)
        assert process.wait() == -signal.SIGKILL, f"{point} was not passed: {process.text[-2000:]}"

    def settle(self, *arguments: str) -> None:
        """Let a daemon that sends nothing new settle what is open, stop it, and compare the books."""
        self.command("suspend", suspended=True)
        process = self.running(*arguments, until="start")
        wait_for(self.is_settled, "for all orders to be over, here and there", 60.0)
        process.signal(signal.SIGTERM)
        assert process.wait(10) == 0, process.text[-2000:]
        self.check()

    def is_settled(self) -> bool:
        """Return whether no order is open, here or there, and the journal knows every execution."""
        records = self.records()
        last = {r.client_order_id: r.payload["to_state"] for r in records if r.kind == "order_event"}
        fills = {r.payload["base_id"] for r in records if r.kind == "fill"}
        theirs = {base_id for (base_id,) in self.at_the_broker("SELECT base_id FROM executions")}
        ((working,),) = self.at_the_broker("SELECT count(*) FROM orders WHERE status = 'OPEN'")
        return set(last.values()) <= ENDED and theirs <= fills and not working

    def command(self, name: str, **flags: Any) -> str:
        """Leave a command at the local source."""
        return LocalControl(self.folder / "control.db").submit(name, **flags)

    def close(self) -> None:
        """Kill what still runs."""
        for process in self.started:
            process.kill()

    # --- what is left ------------------------------------------------------------------------

    def records(self) -> list[Record]:
        """Return the journal's records; the chain is verified on the way."""
        try:
            (path,) = self.folder.glob("journal-*.db")
            with JournalReader(path) as reader:
                return list(reader.records())
        except (ValueError, BifrostError):
            return []

    def count(self, kind: str) -> int:
        """Return how many records of a kind the journal has; 0 while it is being made."""
        (path,) = self.folder.glob("journal-*.db")
        with closing(sqlite3.connect(path)) as connection:
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'journal'").fetchall():
                return 0
            ((found,),) = connection.execute("SELECT count(*) FROM journal WHERE kind = ?", (kind,))
        return int(found)

    def operations(self, *types: str) -> list[dict[str, Any]]:
        """Return the operations, of these types or all."""
        rows = [dict(record.payload) for record in self.records() if record.kind == "operation"]
        return [row for row in rows if not types or row["type"] in types]

    def at_the_broker(self, query: str) -> list[tuple[Any, ...]]:
        """Return rows of the paper broker's record."""
        (path,) = self.broker_folder.glob("paper-*.db")
        with closing(sqlite3.connect(path)) as connection:
            return connection.execute(query).fetchall()

    def check(self) -> None:
        """Check that journal and broker tell the same, and that no order was sent without its turn."""
        records = self.records()
        state = State("DPAPER")
        state.restore(records)
        check_orders(records)
        theirs = {
            coid: (status, Decimal(filled))
            for coid, status, filled in self.at_the_broker(
                "SELECT client_order_id, status, filled FROM orders"
            )
        }
        assert set(theirs) <= set(state.orders), "the broker has an order that the journal doesn't know"
        for coid, order in state.orders.items():
            status, filled = theirs.get(coid, ("REJECTED", Decimal(0)))
            assert order.cum_quantity == filled, coid
            assert order.is_open or order.state == status, (coid, order.state, status)
        fills = {
            base_id: Decimal(quantity)
            for base_id, quantity in self.at_the_broker("SELECT base_id, quantity FROM executions")
        }
        booked = [record for record in records if record.kind == "fill" and record.payload["kind"] == "TRADE"]
        assert len(booked) == len(fills)
        assert {r.payload["base_id"]: Decimal(r.payload["quantity"]) for r in booked} == fills
        self._check_positions(state)

    def _check_positions(self, state: State) -> None:
        theirs = {
            key: Decimal(q) for key, q in self.at_the_broker("SELECT contract_key, quantity FROM holdings")
        }
        ours = {key: q for key, q in state.portfolio.account_quantities().items() if q}
        assert ours == {key: q for key, q in theirs.items() if q}
        outside = state.portfolio.books.get(EXTERNAL)
        assert outside is None or all(fill.kind == "ADJUST" for fill in outside.fills())
        (cash,) = self.at_the_broker("SELECT value FROM numbers WHERE name = 'cash'")[0]
        spent = sum(
            (-Decimal(price) * Decimal(quantity) * (1 if side == "BUY" else -1) - Decimal(commission or 0))
            for side, quantity, price, commission in self.at_the_broker(
                "SELECT side, quantity, price, commission FROM executions"
            )
        )
        assert Decimal(cash) == 1_000_000 + spent


def check_orders(records: list[Record]) -> None:
    """Check that each number was sent once, and that nothing was sent while an order was open."""
    sent: list[str] = []
    open_now: dict[str, str] = {}
    for record in records:
        if record.kind != "order_event":
            continue
        coid, payload = record.client_order_id, record.payload
        assert coid is not None
        if payload["event"] == "SUBMIT":
            assert record.strategy_id not in open_now.values(), f"{coid} was sent while {open_now} was open"
            sent.append(coid)
        if payload["to_state"] in ENDED:
            open_now.pop(coid, None)
        else:
            open_now[coid] = str(record.strategy_id)
    assert len(sent) == len(set(sent))
