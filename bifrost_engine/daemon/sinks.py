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

from attrs import evolve

from bifrost_engine.daemon.lease import Lease
from bifrost_engine.domain.audit import AuditAck, AuditBatch, AuditRow
from bifrost_engine.domain.control import ControlState
from bifrost_engine.domain.rows import with_numbers
from bifrost_engine.errors import JournalPruned, LockHeld, SinkError, SinkRejected, SinkUnavailable
from bifrost_engine.guard import Guard
from bifrost_engine.journal.crash import crash_point
from bifrost_engine.journal.reader import JournalReader
from bifrost_engine.replay.misfit import fitting

BATCH = 500
FAR = 1 << 62
POLL_S = 1.0
FIRST_WAIT_S, LONGEST_WAIT_S, REJECTED_WAIT_S = 1.0, 60.0, 60.0
SILENT_S = 30.0
"""A sink that takes longer over one batch doesn't count as keeping the trail."""
STATE_HOOKS = ("write_snapshot", "write_heartbeat", "write_accounts", "write_prices")
JOURNAL_HOOKS = ("write_audit", "write_operation", "write_snapshot")

Hooks = Mapping[str, Callable[..., Any]]


class Cursor:
    """How far a sink without ``write_audit`` has got, in a file beside the journal.

    A file that can't be read is begun anew: the sink gets everything once more.
    """

    def __init__(self, path: Path, log: Any) -> None:
        self._path = path
        self._kept: dict[str, int] = {}
        try:
            if path.exists():
                self._kept = {str(name): int(jseq) for name, jseq in json.loads(path.read_text()).items()}
        except (ValueError, TypeError, AttributeError) as error:
            log.warning("cursor not readable: the sink gets all rows again", file=str(path), error=str(error))

    def get(self, journal_id: str) -> int:
        """Return the number of the last record that the sink took."""
        return self._kept.get(journal_id, 0)

    def put(self, journal_id: str, jseq: int) -> None:
        """Keep a number; the file is replaced whole. Raises OSError."""
        if self._kept.get(journal_id) == jseq:
            return
        self._kept[journal_id] = jseq
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps(self._kept))
        fresh.replace(self._path)


class RestartRequest:
    """An operator's word that a sink may leave out what was pruned; a file beside the journal.

    It names the journal, so that it can't be meant for another one.
    """

    def __init__(self, folder: Path, sink: str) -> None:
        self._path = folder / f"drain-{sink}.json"

    def ask(self, journal_id: str) -> None:
        """Leave it there. Raises OSError."""
        self._path.write_text(json.dumps({"from_oldest": journal_id}))

    def stands_for(self, journal_id: str) -> bool:
        """Return whether it is there, for that journal."""
        try:
            return bool(json.loads(self._path.read_text())["from_oldest"] == journal_id)
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def done(self) -> None:
        """Take it away."""
        self._path.unlink(missing_ok=True)


class Lane:
    """One kind of writing to a sink, with its own patience after a failure.

    trouble  what it last failed of, empty while it works
    """

    def __init__(self) -> None:
        self.trouble = ""
        self._wait_s = FIRST_WAIT_S
        self._at_s = 0.0

    @property
    def is_due(self) -> bool:
        """Whether it may be tried."""
        return time.monotonic() >= self._at_s

    def failed(self, trouble: str, wait_s: float | None = None) -> None:
        """Wait before the next try: so long, or twice as long as last time."""
        self.trouble = trouble
        self._at_s = time.monotonic() + (self._wait_s if wait_s is None else wait_s)
        self._wait_s = min(2 * self._wait_s, LONGEST_WAIT_S)

    def went_well(self) -> None:
        """Forget the failures."""
        self.trouble = ""
        self._wait_s = FIRST_WAIT_S


class SinkThread(Thread):
    """Feeds one sink, and asks it for commands if it is a control source.

    lag        records of the journal that the sink doesn't have yet, as last known
    counters   rows, failures, poll_failed
    has_polled set once it was asked for commands and flags, whatever came of it
    """

    def __init__(
        self,
        name: str,
        hooks: Hooks,
        guard: Guard,
        journal: Path,
        on_control: Callable[[str, ControlState], None],
        on_lock_lost: Callable[[LockHeld], None] = lambda _error: None,
        on_ahead: Callable[[str], None] = lambda _problem: None,
        lease: Lease | None = None,
    ) -> None:
        super().__init__(name=f"sink-{name}", daemon=True)
        self.sink_name = name
        self.counters: Counter[str] = Counter()
        self.lag = 0
        self._hooks = hooks
        self._guard = guard
        self._journal = journal
        self._cursor = Cursor(journal.with_name(f"cursor-{name}.json"), guard.log)
        self._restart = RestartRequest(journal.parent, name)
        self._at: int | None = None
        self._on_control = on_control
        self._on_lock_lost = on_lock_lost
        self._on_ahead = on_ahead
        self._lease = lease
        self._state: dict[tuple[str, str], Any] = {}
        self.has_polled = Flag()
        self._lock = Lock()
        self._wake = Flag()
        self._ask_soon = Flag()
        self._closing = Flag()
        self._rows_lane, self._state_lane = Lane(), Lane()
        self._behind = "hasn't said yet what it has"
        self._asked_s: float | None = None

    @property
    def position(self) -> int | None:
        """Number of the last record that the sink has for good; None while that isn't known.

        A sink that takes nothing from the journal has what there is.
        """
        return self._at if self._takes_rows else FAR

    @property
    def keeps_trail(self) -> bool:
        """Whether it takes the audit trail."""
        return "write_audit" in self._hooks

    def trail_problem(self) -> str:
        """Return why the sink doesn't keep the trail: from a failure or silence on until it has caught up."""
        asked_s = self._asked_s
        if asked_s is not None and time.monotonic() - asked_s > SILENT_S:
            self._behind = f"silent for more than {SILENT_S:g} s"
        return self._behind

    @property
    def _takes_rows(self) -> bool:
        return any(hook in self._hooks for hook in JOURNAL_HOOKS)

    @property
    def trouble(self) -> str:
        """What the sink last failed of, empty while it works."""
        return self._rows_lane.trouble or self._state_lane.trouble

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

    def ask_soon(self) -> None:
        """Say that there is a command to be polled; safe from any thread."""
        self._ask_soon.set()
        self._wake.set()

    def close(self) -> None:
        """Ask the thread to write what is left and to end; ``join`` with a time-out."""
        self._closing.set()
        self._wake.set()

    # --- the thread --------------------------------------------------------------------------

    def run(self) -> None:
        """Write, poll and wait until closed; then write what is left, and leave."""
        next_poll_s = 0.0
        while not self._closing.is_set():
            if self._ask_soon.is_set() or time.monotonic() >= next_poll_s:
                self._ask_soon.clear()
                next_poll_s = time.monotonic() + POLL_S
                self._poll()
                if not self.has_polled.is_set():
                    # What the sink has may say that nothing must be sent: asked before anything is.
                    self._write_journal()
                    self.has_polled.set()
            self._wake.wait(POLL_S)
            self._wake.clear()
            if self._rows_lane.is_due and self._write_journal():
                self._wake.set()
            if self._state_lane.is_due:
                self._write_state()
        self._write_state()
        while self._write_journal():
            pass
        self._call(self._state_lane, "disconnect")

    def _write_journal(self) -> bool:
        """Write the next batch; return whether there may be more to write at once."""
        if not self._takes_rows:
            return False
        self._asked_s = time.monotonic()
        try:
            with JournalReader(self._journal) as reader:
                if "write_audit" in self._hooks:
                    return self._write_batch(reader)
                return self._write_rows(reader)
        except SinkRejected as error:
            self._failed(self._rows_lane, "journal", error, REJECTED_WAIT_S)
        except Exception as error:  # noqa: BLE001 - a sink's thread must live on
            self._at = None  # what it has is asked anew
            self._failed(self._rows_lane, "journal", error)
        finally:
            self._asked_s = None
        return False

    def _write_batch(self, reader: JournalReader) -> bool:
        if self._at is None:
            empty = AuditBatch(journal_id=reader.journal_id, first_jseq=1, last_jseq=0, last_hash="")
            self._at = self._taken(empty, reader)
        batch = self._batch_after(self._at, reader)
        self.lag = reader.last_jseq - self._at
        if not batch.rows:
            self._rows_lane.went_well()
            self._behind = ""
            return False
        crash_point("K15")
        taken = self._taken(batch, reader)
        crash_point("K16")
        before, self._at = self._at, taken
        if self._at == before:
            raise SinkError(f"write_audit took nothing of {batch.first_jseq} to {batch.last_jseq}")
        if batch.restart:
            self._restart.done()
        self.counters["rows"] += max(0, self._at - before)
        self.lag = max(0, reader.last_jseq - self._at)
        self._rows_lane.went_well()
        if self.lag < BATCH:  # the rest is what was written meanwhile
            self._behind = ""
        return self._at == batch.last_jseq and self.lag > 0

    def _batch_after(self, at: int, reader: JournalReader) -> AuditBatch:
        """Return the rows after a cursor; the oldest that are kept if an operator has said so.

        Raises JournalPruned.
        """
        try:
            return reader.batch(at, BATCH)
        except JournalPruned as error:
            if not self._restart.stands_for(reader.journal_id):
                raise JournalPruned(
                    f"{error}; to go on without them: bifrost journal drain --from-oldest {self.sink_name}",
                    error.jseq,
                ) from None
            return evolve(reader.batch(error.jseq, BATCH), restart=True)

    def _taken(self, batch: AuditBatch, reader: JournalReader) -> int:
        """Return the sink's cursor after a batch. Raises SinkError for one that can't be."""
        ack = fitting(self._hooks["write_audit"](batch), AuditAck, "write_audit")
        return self._plausible(ack.last_jseq, reader)

    def _plausible(self, at: int, reader: JournalReader) -> int:
        """Return a sink's cursor. Raises SinkError for one beyond the journal's end.

        Before anything was written the host is told: then not the sink is wrong but the journal is old.
        """
        if 0 <= at <= reader.last_jseq:
            return at
        problem = (
            f"sink {self.sink_name} says it has {at} records of journal {reader.journal_id}, which has"
            f" {reader.last_jseq}: was an older copy of the journal restored?"
        )
        if not self.has_polled.is_set():
            self._on_ahead(problem)
        raise SinkError(problem)

    def _write_rows(self, reader: JournalReader) -> bool:
        at = self._plausible(self._cursor.get(reader.journal_id), reader)
        batch = self._batch_after(at, reader)
        if batch.restart:
            at = batch.first_jseq - 1
            self._restart.done()
        try:
            for row in batch.rows:
                self._write_row(reader.journal_id, row)
                at = row.jseq
                self.counters["rows"] += 1
        finally:
            self._cursor.put(reader.journal_id, at)
            self._at = at
            self.lag = reader.last_jseq - at
        self._rows_lane.went_well()
        return bool(batch.rows) and self.lag > 0

    def _write_row(self, journal_id: str, row: AuditRow) -> None:
        if row.kind == "operation" and "write_operation" in self._hooks:
            numbers = {"journal_id": journal_id, "jseq": row.jseq}
            self._hooks["write_operation"]({**with_numbers(row.payload), **numbers})
        elif row.kind == "history" and "write_snapshot" in self._hooks:
            self._hooks["write_snapshot"](with_numbers(row.payload), True)

    def _write_state(self) -> None:
        with self._lock:
            pending, self._state = self._state, {}
        while pending:
            (hook, key), value = next(iter(pending.items()))
            arguments = (value, False) if hook == "write_snapshot" else (value,)
            if not self._call(self._state_lane, hook, *arguments):
                with self._lock:
                    self._state = {**pending, **self._state}
                return
            del pending[hook, key]

    def _poll(self) -> None:
        poll = self._hooks.get("poll_control")
        if poll is None:
            return
        asked_s = 0.0 if self._lease is None else self._lease.now_s()
        try:
            answer = fitting(poll(), ControlState, "poll_control")
        except SinkUnavailable:
            self.counters["poll_failed"] += 1
        except LockHeld as error:
            self._on_lock_lost(error)
        except Exception as error:  # noqa: BLE001 - the flags that were seen last hold
            self.counters["poll_failed"] += 1
            self._guard.note("poll_control", error)
        else:
            if self._lease is not None:
                self._lease.contact(self.sink_name, asked_s, answer.standbys)
            self._on_control(self.sink_name, answer)

    def _call(self, lane: Lane, hook: str, *arguments: Any) -> bool:
        function = self._hooks.get(hook)
        if function is None:
            return True
        try:
            function(*arguments)
        except Exception as error:  # noqa: BLE001 - a sink's failure is kept from the rest
            self._failed(lane, hook, error)
            return False
        lane.went_well()
        return True

    def _failed(self, lane: Lane, hook: str, error: Exception, wait_s: float | None = None) -> None:
        self.counters["failures"] += 1
        if isinstance(error, LockHeld):
            self._on_lock_lost(error)
        if not lane.trouble or not isinstance(error, SinkUnavailable):
            self._guard.note(hook, error)
        lane.failed(f"{hook}: {error}", wait_s)
        if lane is self._rows_lane:
            self._behind = str(error)


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
        self._in_a_row = 0
        self.failures = 0

    def run(self) -> None:
        """Ask until closed."""
        while not self._closing.wait(POLL_S):
            self.ask()

    def ask(self) -> None:
        """Ask once, now; only the first failure in a row is told of."""
        try:
            self._on_control(self._source, self._ask())
            self._in_a_row = 0
        except Exception as error:  # noqa: BLE001 - asked again in a second
            self.failures += 1
            self._in_a_row += 1
            if self._in_a_row == 1:
                self._log.warning("control source failed", source=self._source, error=str(error))

    def close(self) -> None:
        """End the thread at its next turn."""
        self._closing.set()
