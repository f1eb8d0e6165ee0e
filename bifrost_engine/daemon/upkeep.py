"""What the journal's file needs between trades: checkpoints, rows pruned that everybody has, room.

Done on beats, in small portions, and never while something waits to be written. It fails
without harm: a start only takes longer, the file only grows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice, takewhile
from typing import Any

from bifrost_engine.config.schema import Config
from bifrost_engine.daemon.sinks import SinkThread
from bifrost_engine.domain.events import DiskChecked
from bifrost_engine.engine.core import DISK_FULL
from bifrost_engine.engine.state import EVERYBODY, State
from bifrost_engine.errors import JournalError
from bifrost_engine.journal import Journal
from bifrost_engine.journal.checkpoint import EVERY, checkpoint_of, contents

DAY_NS = 86_400 * 1_000_000_000
PRUNED_AT_ONCE = 2_000
LOOK_NS = 60 * 1_000_000_000
MIB = 1 << 20
WARN_BELOW, HOLD_BELOW, ENOUGH_AGAIN = 256 * MIB, 64 * MIB, 96 * MIB


class Upkeep:
    """Keeps checkpoints of a state, prunes its journal, and looks how much room the disk has.

    on_disk  told when the disk is nearly full, and when it isn't any more
    """

    def __init__(
        self,
        journal: Journal,
        state: State,
        config: Config,
        sinks: Sequence[SinkThread],
        log: Any,
        on_disk: Callable[[DiskChecked], None] = lambda _event: None,
    ) -> None:
        self._journal = journal
        self._state = state
        self._config = config
        self._sinks = sinks
        self._log = log
        self._next_prune_ns = 0
        self._on_disk = on_disk
        self._warned = False
        account = state.strategies.get(EVERYBODY)
        self._low = account is not None and DISK_FULL in account.halts

    def on_beat(self, now_ns: int) -> None:
        """Do what is due; ``now_ns`` is the host's time."""
        self._look_at_disk(now_ns)
        self._guarded(self._checkpoint, EVERY)
        if now_ns >= self._next_prune_ns:
            self._next_prune_ns = now_ns + LOOK_NS
            self._guarded(self._prune, now_ns)

    def at_end(self) -> None:
        """Keep a checkpoint of where the run ended."""
        self._guarded(self._checkpoint, 1)

    def _look_at_disk(self, now_ns: int) -> None:
        try:
            free = self._journal.free_space()
        except OSError as error:
            self._log.warning("room on the journal's disk isn't known", error=str(error))
            return
        warn = free < WARN_BELOW
        if warn and not self._warned:
            self._log.warning("little room on the journal's disk", free_mib=free // MIB)
        self._warned = warn
        low = free < (ENOUGH_AGAIN if self._low else HOLD_BELOW)
        if low != self._low:
            self._low = low
            self._on_disk(DiskChecked(ts_ns=now_ns, free_bytes=free, low=low))

    def _guarded(self, work: Any, argument: int) -> None:
        try:
            work(argument)
        except JournalError as error:
            self._log.warning("upkeep of the journal failed", error=str(error))

    def _checkpoint(self, after_rows: int) -> None:
        journal, state = self._journal, self._state
        everything_is_written = state.last_jseq == journal.last_jseq
        if everything_is_written and state.last_jseq - journal.last_checkpoint >= after_rows:
            journal.keep_checkpoint(checkpoint_of(state, journal.last_hash))

    def _prune(self, now_ns: int) -> None:
        """Forget the oldest rows, as far as every sink has them and a checkpoint stands for them."""
        below = self._nobody_needs_below()
        if not below:
            return
        before_ns = now_ns - self._config.journal.retain_days * DAY_NS
        old = takewhile(
            lambda record: record.ts_ns < before_ns and record.jseq < below, self._journal.records()
        )
        last = max((record.jseq for record in islice(old, PRUNED_AT_ONCE)), default=0)
        # Looked at again before anything goes: what they hold is then the only copy.
        if last and all(contents(checkpoint) is not None for checkpoint in self._journal.checkpoints()):
            self._journal.prune(last)
            self._next_prune_ns = 0  # there may be more

    def _nobody_needs_below(self) -> int:
        """Return a number below which no row is needed, 0 if that isn't known.

        Without a sink the journal is the only record there is. There must be two checkpoints,
        so that one may be lost.
        """
        cursors = [sink.position for sink in self._sinks]
        known = [at for at in cursors if at is not None]
        kept = [checkpoint.jseq for checkpoint in self._journal.checkpoints()]
        if not cursors or len(known) < len(self._config.sinks) or len(kept) < 2:
            return 0
        return min(*known, *kept)
