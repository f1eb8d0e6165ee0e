"""One thread for each sink: what it is slow or dead for delays nothing but itself.

Current state is kept as the newest only. Operations, history and audit rows come from
the journal on disk, in order: for a sink with ``write_audit`` with the cursor that it
keeps itself, exactly once; for any other with a cursor kept here, at least once.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event as Flag
from threading import Lock, Thread
from typing import Any

from bifrost_engine.domain.audit import AuditAck, AuditBatch, AuditRow
from bifrost_engine.domain.control import ControlState
from bifrost_engine.domain.rows import with_numbers
from bifrost_engine.errors import LockHeld, SinkRejected, SinkUnavailable
from bifrost_engine.guard import Guard
from bifrost_engine.journal.reader import JournalReader

BATCH = 500
POLL_S = 1.0
FIRST_WAIT_S, LONGEST_WAIT_S, REJECTED_WAIT_S = 1.0, 60.0, 60.0
STATE_HOOKS = ("write_snapshot", "write_heartbeat", "write_accounts", "write_prices")

Hooks = Mapping[str, Callable[..., Any]]


class Cursor:
    """How far a sink without ``write_audit`` has got, in a file beside the journal."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}

    def get(self, journal_id: str) -> int:
        """Return the number of the last record that the sink took."""
        return self._kept.get(journal_id, 0)

    def put(self, journal_id: str, jseq: int) -> None:
        """Keep a number; the file is replaced whole."""
        self._kept[journal_id] = jseq
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps(self._kept))
        fresh.replace(self._path)


class SinkThread(Thread):
    """Feeds one sink, and asks it for commands if it is a control source.

    lag        records of the journal that the sink doesn't have yet, as last known
    trouble    what the sink last failed of, empty while it works
    counters   batches, rows, failures
    """

    def __init__(
        self,
        name: str,
        hooks: Hooks,
        guard: Guard,
        journal: Path,
        on_control: Callable[[str, ControlState], None],
        on_lock_lost: Callable[[LockHeld], None] = lambda _error: None,
    ) -> None:
        super().__init__(name=f"sink-{name}", daemon=True)
        self.sink_name = name
        self.counters: Counter[str] = Counter()
        self.trouble = ""
        self.lag = 0
        self._hooks = hooks
        self._guard = guard
        self._journal = journal
        self._cursor = Cursor(journal.with_name(f"cursor-{name}.json"))
        self._asked_cursor = False
        self._at = 0
        self._on_control = on_control
        self._on_lock_lost = on_lock_lost
        self._state: dict[tuple[str, str], Any] = {}
        self._lock = Lock()
        self._wake = Flag()
        self._closing = Flag()
        self._retry_at = 0.0
        self._wait_s = FIRST_WAIT_S

    # --- from the event loop -----------------------------------------------------------------

    def put(self, hook: str, key: str, value: Any) -> None:
        """Offer current state; a newer one of the same hook and key takes its place."""
        if hook in self._hooks:
            with self._lock:
                self._state[hook, key] = value
            self._wake.set()

    def wake(self) -> None:
        """Say that the journal has new records."""
        self._wake.set()

    def close(self) -> None:
        """Ask the thread to write what is left and to end; ``join`` with a time-out."""
        self._closing.set()
        self._wake.set()

    # --- the thread --------------------------------------------------------------------------

    def run(self) -> None:
        """Write, poll and wait until closed."""
        next_poll = 0.0
        while not self._closing.is_set():
            self._wake.wait(POLL_S)
            self._wake.clear()
            if time.monotonic() >= next_poll:
                next_poll = time.monotonic() + POLL_S
                self._poll()
            self._work()
        self._retry_at = 0.0
        self._work()
        self._call("disconnect")

    def _work(self) -> None:
        if time.monotonic() < self._retry_at:
            return
        if self._write_journal():
            self._write_state()

    def _write_journal(self) -> bool:
        audit = "write_audit" in self._hooks
        if not audit and "write_operation" not in self._hooks and "write_snapshot" not in self._hooks:
            return True
        try:
            with JournalReader(self._journal) as reader:
                return self._drain_audit(reader) if audit else self._drain_rows(reader)
        except Exception as error:  # noqa: BLE001 - a sink's thread must live on
            return self._failed("journal", error)

    def _drain_audit(self, reader: JournalReader) -> bool:
        if not self._asked_cursor:
            ask = AuditBatch(journal_id=reader.journal_id, first_jseq=1, last_jseq=0, last_hash="")
            if not self._audit(ask):
                return False
            self._asked_cursor = True
        while True:
            batch = reader.batch(self._at, BATCH)
            self.lag = max(0, reader.last_jseq - self._at)
            if not batch.rows:
                return True
            if not self._audit(batch):
                return False
            self.counters["rows"] += len(batch.rows)

    def _audit(self, batch: AuditBatch) -> bool:
        try:
            ack: AuditAck = self._hooks["write_audit"](batch)
        except SinkRejected as error:
            self._failed("write_audit", error)
            self._retry_at = time.monotonic() + REJECTED_WAIT_S
            return False
        except Exception as error:  # noqa: BLE001 - the same batch comes again
            return self._failed("write_audit", error)
        self._at = ack.last_jseq
        return self._went_well()

    def _drain_rows(self, reader: JournalReader) -> bool:
        at = self._cursor.get(reader.journal_id)
        while (batch := reader.batch(at, BATCH)).rows:
            for row in batch.rows:
                if not self._write_row(reader.journal_id, row):
                    self._cursor.put(reader.journal_id, row.jseq - 1)
                    self.lag = reader.last_jseq - row.jseq + 1
                    return False
            at = batch.last_jseq
            self._cursor.put(reader.journal_id, at)
            self.counters["rows"] += len(batch.rows)
        self.lag = 0
        return True

    def _write_row(self, journal_id: str, row: AuditRow) -> bool:
        if row.kind == "operation" and "write_operation" in self._hooks:
            operation = {**with_numbers(row.payload), "journal_id": journal_id, "jseq": row.jseq}
            return self._call("write_operation", operation)
        if row.kind == "history" and "write_snapshot" in self._hooks:
            return self._call("write_snapshot", with_numbers(row.payload), True)
        return True

    def _write_state(self) -> None:
        with self._lock:
            pending, self._state = self._state, {}
        for (hook, _key), value in pending.items():
            arguments = (value, False) if hook == "write_snapshot" else (value,)
            if not self._call(hook, *arguments):
                with self._lock:
                    self._state = {**pending, **self._state}
                return

    def _poll(self) -> None:
        poll = self._hooks.get("poll_control")
        if poll is None:
            return
        try:
            answer = poll()
            if not isinstance(answer, ControlState):
                raise TypeError(f"poll_control returned {type(answer).__name__}, expected ControlState")
        except SinkUnavailable:
            self.counters["poll_failed"] += 1
        except LockHeld as error:
            self._failed("poll_control", error)
        except Exception as error:  # noqa: BLE001 - the flags that were seen last hold
            self.counters["poll_failed"] += 1
            self._guard.note("poll_control", error)
        else:
            self._on_control(self.sink_name, answer)

    def _call(self, hook: str, *arguments: Any) -> bool:
        function = self._hooks.get(hook)
        if function is None:
            return True
        try:
            function(*arguments)
        except Exception as error:  # noqa: BLE001 - a sink's failure is kept from the rest
            return self._failed(hook, error)
        return self._went_well()

    def _failed(self, hook: str, error: Exception) -> bool:
        self.counters["failures"] += 1
        if isinstance(error, LockHeld):
            self._on_lock_lost(error)
        if not self.trouble or not isinstance(error, SinkUnavailable):
            self._guard.note(hook, error)
        self.trouble = f"{hook}: {error}"
        self._retry_at = time.monotonic() + self._wait_s
        self._wait_s = min(2 * self._wait_s, LONGEST_WAIT_S)
        return False

    def _went_well(self) -> bool:
        self.trouble = ""
        self._wait_s = FIRST_WAIT_S
        return True


class ControlThread(Thread):
    """Asks a control source that is no sink for commands, each second."""

    def __init__(
        self,
        name: str,
        poll: Callable[[], ControlState],
        on_control: Callable[[str, ControlState], None],
        log: Any,
    ) -> None:
        super().__init__(name=f"control-{name}", daemon=True)
        self._source = name
        self._ask = poll
        self._on_control = on_control
        self._log = log
        self._closing = Flag()
        self.failures = 0

    def run(self) -> None:
        """Ask until closed."""
        while not self._closing.wait(POLL_S):
            self.ask()

    def ask(self) -> None:
        """Ask once, now."""
        try:
            self._on_control(self._source, self._ask())
        except Exception as error:  # noqa: BLE001 - asked again in a second
            self.failures += 1
            self._log.warning("control source failed", source=self._source, error=str(error))

    def close(self) -> None:
        """End the thread at its next turn."""
        self._closing.set()
