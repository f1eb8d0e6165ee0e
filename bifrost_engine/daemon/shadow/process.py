"""A shadow's process as the daemon sees it: started, written to by a thread, ended.

What waits for it is bounded, in quotes and in time. Whoever can't keep up is ended and told of:
with quotes left out, its numbers would be wrong.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

from attrs import evolve

from bifrost_engine.daemon.shadow.config import ShadowConfig
from bifrost_engine.daemon.shadow.state import ShadowState, read_state, write_state
from bifrost_engine.daemon.shadow.stream import Portion, Value, write

MOST_WAITING = 100_000
"""Quotes that may wait for a shadow."""
STALLED_S = 60.0
"""Seconds that it may leave what is written to it unread."""
OUTPUT = "shadow.log"
LEFT_OUT = ("PG", "IB_", "BIFROST_", "NOTIFY_SOCKET", "WATCHDOG_")
"""How variables begin that lead to a database, a gateway, other state or a service manager."""


class ShadowProcess:
    """One shadow; ``put`` never waits for it.

    ended   why it isn't there any more, empty while it is
    failed  it broke off or was left behind
    """

    def __init__(self, config: ShadowConfig, folder: Path, log: Any, on_failed: Callable[[], None]) -> None:
        """``on_failed`` comes from another thread."""
        self.config = config
        self.folder = folder
        self.ended = ""
        self.failed = False
        self._log = log.bind(shadow=config.name)
        self._on_failed = on_failed
        self._queue: SimpleQueue[Value | None] = SimpleQueue()
        self._given = self._taken = 0
        self._writing_since_s: float | None = None
        self._dropped = ""
        self._thread = Thread(target=self._work, name=f"shadow-{config.name}", daemon=True)

    def start(self) -> None:
        """Start the process; it waits for what it is to run."""
        try:
            self._start()
        except OSError as error:
            self._dropped = self.ended = f"couldn't be started: {error}"
            self.failed = True
            self._log.warning("shadow ended", why=self.ended)
            self._on_failed()
            return
        self._thread.start()

    def _start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        write_state(self.folder, ShadowState(name=self.config.name, config=str(self.config.path)))
        with (self.folder / OUTPUT).open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bifrost_engine.daemon.shadow"],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env={key: value for key, value in os.environ.items() if not key.startswith(LEFT_OUT)},
                process_group=0,  # a terminal's Ctrl-C is the daemon's to hear
            )

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    @property
    def waiting(self) -> int:
        """Quotes that wait for it; none any more once it has ended."""
        return 0 if self.ended else self._given - self._taken

    @property
    def is_there(self) -> bool:
        """Whether it still works, or is still being seen off."""
        return self._thread.is_alive()

    def put(self, value: Value) -> None:
        """Hand a value over; who is too far behind is ended instead."""
        if self._dropped or self.ended:
            return
        count = len(value.items) if isinstance(value, Portion) else 0
        if self.waiting + count > MOST_WAITING:
            self.drop(f"too slow: {self.waiting} quotes wait for it")
            return
        self._given += count
        self._queue.put(value)

    def look(self) -> None:
        """End it if it reads nothing any more."""
        since_s = self._writing_since_s
        if since_s is not None and time.monotonic() - since_s > STALLED_S:
            self.drop(f"hangs: it has read nothing for {STALLED_S:.0f} s")

    def drop(self, why: str) -> None:
        """End it at once, for this reason."""
        if not self._dropped and self.is_there:
            self._dropped = why
            self._process.kill()
            self._queue.put(None)

    def close(self) -> None:
        """Let it end once it has read everything."""
        self._queue.put(None)

    # --- in its thread -----------------------------------------------------------------------

    def _work(self) -> None:
        stream = self._process.stdin
        assert stream is not None
        try:
            with stream:
                while (value := self._queue.get()) is not None:
                    self._writing_since_s = time.monotonic()
                    write(stream, value)
                    self._writing_since_s = None
                    self._taken += len(value.items) if isinstance(value, Portion) else 0
        except OSError:
            pass  # it has ended; why is in its state
        except Exception as error:  # noqa: BLE001 - what can't be written to it ends it, and nothing else
            self.drop(f"{type(error).__name__}: {error}")
        self._writing_since_s = None
        self._settle(self._process.wait())

    def _settle(self, code: int) -> None:
        """Tell how it ended; it has told itself, unless it couldn't."""
        state = read_state(self.folder) or ShadowState(name=self.config.name, config=str(self.config.path))
        if self._dropped or not state.ended:
            ended = self._dropped or _how(code)
            state = evolve(state, ended=ended, failed=bool(self._dropped or code))
            try:
                write_state(self.folder, state)
            except OSError as error:
                self._log.warning("shadow's end not written", error=str(error))
        self.ended, self.failed = state.ended, state.failed
        self._queue = SimpleQueue()  # what nobody will read any more needn't be kept
        if self.failed:
            self._log.warning("shadow ended", why=self.ended, log=str(self.folder / OUTPUT))
            self._on_failed()
        else:
            self._log.info("shadow ended", why=self.ended)


def _how(code: int) -> str:
    if code < 0:
        return f"killed by signal {-code}"
    return f"ended with code {code}" if code else "it ended before it began"
