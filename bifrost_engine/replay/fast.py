"""The driver that passes over quotes which lead to no order, many at a time.

Two things that the engine knows make it possible: the range in which further quotes of
a contract leave the last decision as it is (``domain.Hold``), and a strategy's map of
the decisions around it (``domain.Cells``). The first quote that neither says anything of
is searched in columns; those before it are taken at once, and the engine, the clock and
the observers are left as if each had passed. Every other quote, and each beat and timer,
goes the way of ``Drive``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol

from bifrost_engine.domain.decision import Cells
from bifrost_engine.domain.effects import Effect
from bifrost_engine.domain.quote import Quote
from bifrost_engine.engine.holds import Held
from bifrost_engine.engine.passing import Stretch
from bifrost_engine.market.quotes import JUMP_WINDOW_NS
from bifrost_engine.replay import search
from bifrost_engine.replay.columns import Columns
from bifrost_engine.replay.drive import Drive

SINGLE_STEPS = 4
"""A search costs as much as a few quotes; after one that found nothing so many go singly."""


class Reach(NamedTuple):
    """What is known of the quotes to come: nothing happens at mids in [low, high] before ``until_ns``."""

    contract_key: str
    low: float
    high: float
    until_ns: int


class Search(Protocol):
    """How the first quote of which nothing is known is found; see the functions in ``search``."""

    def first_outside(self, block: Columns, row: int, end: int, held: Held, /) -> int: ...
    def stretches_in(
        self, block: Columns, row: int, end: int, cells: Cells, /
    ) -> tuple[int, list[int], list[int]]: ...


class FastDrive(Drive):
    """A ``Drive`` over columns, with the same effects in the same order.

    search  the way to search; each finds the same
    passed  quotes that were taken many at a time
    rested  beats that were taken many at a time while no quote came
    """

    search: Search = search
    passed = 0
    rested = 0

    async def run_blocks(self, blocks: Iterable[Columns], is_over: Callable[[], bool]) -> None:
        """Drive until the quotes or the time end, or ``is_over`` says so at a step; as ``Drive.run``."""
        await self._drain(is_over)
        for block in blocks:
            if not await self._run_block(block, is_over):
                return
        self.finished = True

    async def _run_block(self, block: Columns, is_over: Callable[[], bool]) -> bool:
        stop_ns, row, singly = 0, 0, 0
        while row < len(block):
            ts_ns = block.ts_ns.item(row)
            if ts_ns >= stop_ns:
                if not await self._advance(ts_ns, is_over):
                    return False
                stop_ns = self._next_stop_ns()
            if block.in_order and not singly:
                passed = await self._pass_over(block, row)
                if passed:
                    self.quotes += passed
                    self.passed += passed
                    row += passed
                    stop_ns = self._next_stop_ns()
                    continue
                singly = SINGLE_STEPS
            singly = max(0, singly - 1)
            stop_ns = await self._step(block.quote(row), stop_ns, is_over)
            self.quotes += 1
            row += 1
        return True

    async def _step(self, quote: Quote, stop_ns: int, is_over: Callable[[], bool]) -> int:
        """Let one quote go its way; return the time of the next stop."""
        pipeline, clock = self._pipeline, self._clock
        clock.advance_to(quote.ts_ns)
        effects = pipeline.see(quote)
        if not effects and not pipeline.inbox:
            return min(stop_ns, clock.next_call_ns)
        if effects:
            await pipeline.carry_out(effects)
        await self._drain(is_over)
        return self._next_stop_ns()

    async def _pass_over(self, block: Columns, row: int) -> int:
        """Take the quotes from ``row`` on that lead to no order before the next stop; return how many."""
        key = block.keys[block.contract.item(row)]
        if not self._pipeline.may_pass(key):
            return 0
        engine, ts_ns = self._pipeline.engine, block.ts_ns.item(row)
        cells = engine.passing.cells_at(key, ts_ns)
        if cells is not None:
            reach = Reach(key, cells.edges[0], cells.edges[-1], min(cells.until_ns, engine.passing.due_ns()))
            if block.ts_ns.item(min(row + 1, len(block) - 1)) >= reach.until_ns:
                return 0  # a single quote goes its own way sooner
            end, changes, codes = self.search.stretches_in(block, row, self._end(block, row, reach), cells)
            if end > row:
                newest = _newest(block, row, end)
                stretches = self._stretches(block, changes, end, codes)
                await self._carry_on(newest[-1], ts_ns, engine.passing.take(stretches, newest, cells))
            return end - row
        held = engine.holds.range_at(key, ts_ns)
        if held is None:
            return 0
        reach = Reach(key, held.twice_low / 2.0, held.twice_high / 2.0, held.until_ns)
        end = self.search.first_outside(block, row, self._end(block, row, reach), held)
        if end > row:
            newest = _newest(block, row, end)
            engine.holds.take_run(key, end - row + self._beats(ts_ns, newest[-1].ts_ns), newest)
            await self._carry_on(newest[-1], ts_ns, ())
        return end - row

    def _end(self, block: Columns, row: int, reach: Reach) -> int:
        """Return the row up to which nothing but quotes happens, and beats that change nothing."""
        stop_ns = self._next_stop_ns()
        end = block.first_at(min(reach.until_ns, stop_ns), row, len(block))
        if stop_ns != self._next_beat_ns or reach.until_ns <= stop_ns:
            return end
        resting = self._pipeline.engine.resting
        rests_ns = min(
            reach.until_ns,
            self._until_ns,
            self._clock.next_call_ns,
            resting.until_ns(reach.contract_key, reach.low, reach.high),
        )
        if rests_ns <= stop_ns:
            return end
        further = block.first_at(rests_ns, row, len(block))
        max_age_ns = resting.max_age_ns(reach.contract_key)
        # At a beat the last quote may not be too old; which beats fall into a gap isn't asked.
        return max(end, block.first_late(row, further, max_age_ns))

    async def _rest(self, to_ns: int) -> None:
        """Take the beats before the next quote that only repeat the last decision."""
        pipeline, clock, beat_ns = self._pipeline, self._clock, self._next_beat_ns
        engine = pipeline.engine
        until_ns = min(to_ns + 1, self._until_ns, clock.next_call_ns, engine.passing.due_ns())
        if until_ns <= beat_ns or pipeline.inbox or pipeline.errands.is_busy:
            return
        count = self._beats(beat_ns - 1, min(until_ns, engine.resting.alone_until_ns()) - 1)
        if count > 0:
            self.rested += count
            last_ns = beat_ns + (count - 1) * self._beat_ns
            engine.resting.take(count, last_ns)
            clock.advance_to(last_ns)
            await self._beaten(beat_ns - 1, last_ns)

    def _beats(self, from_ns: int, to_ns: int) -> int:
        """Return how many beats there are after one time, up to another."""
        return to_ns // self._beat_ns - from_ns // self._beat_ns

    def _stretches(self, block: Columns, changes: list[int], end: int, codes: list[int]) -> list[Stretch]:
        """Return the stretches that begin at the rows ``changes``, with the beats in them."""
        made = []
        for code, (first, until) in zip(codes, pairwise([*changes, end]), strict=True):
            from_ns, last_ns = block.ts_ns.item(first), block.ts_ns.item(until - 1)
            next_ns = last_ns if until == end else block.ts_ns.item(until)
            beats = self._beats(from_ns, next_ns)
            last_beat_ns = next_ns // self._beat_ns * self._beat_ns if beats else 0
            made.append(Stretch(code, block.quote(first), until - first + beats, max(last_ns, last_beat_ns)))
        return made

    async def _carry_on(self, newest: Quote, from_ns: int, effects: Sequence[Effect]) -> None:
        """Bring the clock, the observers and the beats to the newest of the quotes that were taken."""
        self._clock.advance_to(newest.ts_ns)
        self._pipeline.show(newest)
        if effects:
            await self._pipeline.carry_out(effects)
        if self._beats(from_ns, newest.ts_ns):
            await self._beaten(from_ns, newest.ts_ns)

    async def _beaten(self, from_ns: int, to_ns: int) -> None:
        """Go on after beats that were taken, later than one time and up to another."""
        last = to_ns // self._beat_ns
        self._next_beat_ns = (last + 1) * self._beat_ns
        if last // self._beats_per_flush != from_ns // self._beat_ns // self._beats_per_flush:
            self._pipeline.flush()
        if self._on_beat is not None:
            await self._on_beat()


def _newest(block: Columns, row: int, end: int) -> list[Quote]:
    """Return the quotes of the last second before ``end``, and two at least if there are two."""
    from_ns = block.ts_ns.item(end - 1) - JUMP_WINDOW_NS
    recent = block.first_at(from_ns, row, end)
    return block.quotes(max(row, min(recent, end - 2)), end)
