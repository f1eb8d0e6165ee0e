"""The day's losses: a strategy's, which stops it, and the account's, which stops all.

Both are judged at beats and with each intent. The account's result is that of all strategies
and of what else it holds in their instruments, as far as that has a mark.
"""

from __future__ import annotations

from collections import Counter

from bifrost_engine.engine.core import SECOND_NS, Core
from bifrost_engine.engine.marks import price_of
from bifrost_engine.engine.result import Line
from bifrost_engine.engine.slot import Slot
from bifrost_engine.engine.state import EVERYBODY
from bifrost_engine.risk.restraint import ACCOUNT_LOSS, BREAKER


class Losses:
    """Halts a strategy, or the account, whose day lost too much."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._summed_ns = -SECOND_NS
        self._version: tuple[object, ...] = ()
        self._lines_version: tuple[object, ...] = ()
        self._of_slots: dict[str, float | None] = {}
        self._beside: list[tuple[int, Line]] = []
        self._rest = 0.0

    def judge(self, slot: Slot) -> None:
        """Latch the circuit breaker when the day's loss has reached its limit, and the account's halt."""
        limit = slot.config.gates.guard.risk.max_daily_loss_usd
        pnl = slot.view.day_pnl
        if pnl is not None and pnl <= -limit:
            self._core.halt(slot.id, BREAKER, f"day's result {pnl:.2f} ≤ −{limit:f}", limit)
        self._judge_account(self.account_pnl(slot))

    def on_beat(self) -> None:
        """Judge what may have reached its limit since it was looked at last."""
        core = self._core
        for slot in core.slots.values():
            slot.result.learn(core)
            limit = slot.config.gates.guard.risk.max_daily_loss_usd
            if slot.result.may_reach(core, -float(limit)):
                self.judge(slot)
        loss = core.limits.max_account_loss_usd
        if loss is not None and self._account_may_reach(-float(loss)):
            self._judge_account(self.account_pnl(None))

    def _judge_account(self, pnl: float | None) -> None:
        core = self._core
        limit = core.limits.max_account_loss_usd
        if limit is not None and pnl is not None and pnl <= -limit:
            core.halt(None, ACCOUNT_LOSS, f"the account's day {pnl:.2f} ≤ −{limit:f}", limit)

    def is_still_lost(self, strategy_id: str | None) -> bool:
        """Return whether a loss forbids to resume: nobody raised the limit, or it is reached all the same."""
        core = self._core
        if strategy_id is None:
            limit, pnl = core.limits.max_account_loss_usd, self.account_pnl(None)
        else:
            slot = core.slots[strategy_id]
            limit, pnl = slot.config.gates.guard.risk.max_daily_loss_usd, slot.view.day_pnl
        latched_at = core.state.strategy(strategy_id or EVERYBODY).breaker_limit
        raised = limit is None or latched_at is None or limit > latched_at
        return not raised or (pnl is not None and limit is not None and pnl <= -limit)

    # --- the account's result ------------------------------------------------------------------

    def account_pnl(self, asking: Slot | None) -> float | None:
        """Return the account's result of the day, quote currency; None while a strategy's is unknown.

        Exact for the strategy that asks (None: for all); the others' may be a second old.
        """
        core, state = self._core, self._core.state
        version = (state.positions_version, state.baseline_changes, state.trading_day)
        if asking is None or version != self._version or core.now_ns - self._summed_ns >= SECOND_NS:
            self._version, self._summed_ns = version, core.now_ns
            self._of_slots = {slot.id: slot.view.day_pnl for slot in core.slots.values()}
            self._rest = self._sum_beside()
        else:
            self._of_slots[asking.id] = asking.view.day_pnl
        total = self._rest
        for pnl in self._of_slots.values():
            if pnl is None:
                return None
            total += pnl
        return total

    def between(
        self, slot: Slot, low: float, high: float, net_delta: float
    ) -> tuple[tuple[float, float], ...] | None:
        """Return the least and the most of what a strategy's day and the account's come to.

        While the stock's mid is within [low, high] and the strategy's net delta no larger, for a
        minute from now on, and nothing is booked. None if that isn't known. Each is a pair: the
        strategy's, the account's.
        """
        day, total = slot.view.day_pnl, self.account_pnl(slot)
        reach = slot.result.reach(self._core, low, high, net_delta)
        if day is None or total is None or reach is None or self._lines_beside():
            return None
        return (day - reach, total - reach), (day + reach, total + reach)

    def out_of_reach_until_ns(self, slot: Slot, low: float, high: float) -> int:
        """Return until when no limit on losses can be reached while the stock's mid is within [low, high].

        The present if one may be, or if that isn't known.
        """
        core, result = self._core, slot.result
        limits = [slot.config.gates.guard.risk.max_daily_loss_usd]
        if core.limits.max_account_loss_usd is not None:
            limits.append(core.limits.max_account_loss_usd)
        least = result.least_between(core, low, high)
        if least is None or least <= -float(min(limits)) or self._lines_beside():
            return core.now_ns
        return result.known_until_ns

    def _account_may_reach(self, floor: float) -> bool:
        total = self._sum_beside()
        for slot in self._core.slots.values():
            least = slot.result.least(self._core)
            if least is None:
                return True
            total += least
        return total <= floor

    def _sum_beside(self) -> float:
        """Return the result of what no strategy counts, less what two of them do."""
        core, total = self._core, 0.0
        for times, line in self._lines_beside():
            key = line.contract_key
            mark = price_of(core, key) if line.units else 0.0
            if mark is not None and (line.owner, key) not in core.state.needs_baseline:
                total += times * (line.units * mark + line.fixed)
        return total

    def _lines_beside(self) -> list[tuple[int, Line]]:
        core, state = self._core, self._core.state
        lines = [slot.result.lines(core) for slot in core.slots.values()]
        version = (state.positions_version, state.baseline_changes, state.trading_day, *lines)
        if version != self._lines_version:
            counted = Counter((line.owner, line.contract_key) for some in lines for line in some)
            self._beside = []
            for owner, book in state.portfolio.books.items():
                for key, position in book.positions.items():
                    missing = 1 - counted[owner, key]
                    slots = core.slots_of(key)
                    if missing and slots:
                        self._beside.append((missing, slots[0].result.line(core, owner, key, position)))
            self._lines_version = version
        return self._beside
