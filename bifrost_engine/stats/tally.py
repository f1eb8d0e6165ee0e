"""Facts into cells: what one strategy did on one trading day.

Cells are all that is kept, so memory grows with days and executions, never with decisions or
quotes. Facts of bookings come in the order of their records, stretches in any order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import date
from typing import Any

from attrs import Factory, define

from bifrost_engine.stats.days import Days, Span
from bifrost_engine.stats.facts import Charge, Fact, Sent, Stretch, Trade, Worth


@define
class Blocked:
    """What a reason kept from becoming an order.

    times      stretches of equal decisions that reach into a session; ``decisions`` how many there were
               in them, within sessions or not
    length_us  how long they stood in sessions
    """

    times: int = 0
    decisions: int = 0
    length_us: int = 0


@define
class Scalp:
    """From one order's booking to the next one's: the move that the order answered, and what it cost.

    before, after  the day's result just after the order before, and after this one; None: not known
    """

    client_order_id: str
    is_hedge: bool
    before: float | None
    after: float | None = None

    @property
    def result(self) -> float | None:
        """What the day gained or lost by it; None where that isn't known."""
        return None if self.before is None or self.after is None else self.after - self.before


@define
class Cell:
    """One strategy's day.

    first_us, until_us  of the decisions that stood in its session; 0 without any
    pnl     the day's result when it was last known; None: never
    trades  executions as their newest revisions have them; ``commissions`` as far as they were told
    scalps  one for each order that was filled, in their order
    states  trading state → microseconds of the session
    """

    strategy_id: str
    day: date
    first_us: int = 0
    until_us: int = 0
    pnl: float | None = None
    hedges: int = 0
    decisions: int = 0
    trades: dict[str, Trade] = Factory(dict)
    commissions: dict[str, float] = Factory(dict)
    scalps: list[Scalp] = Factory(list)
    states: Counter[str] = Factory(Counter)
    blocked: dict[str, Blocked] = Factory(dict)


class Tally:
    """Takes the facts of one journal."""

    def __init__(self, days: Days, span: Span) -> None:
        self._days = days
        self._span = span
        self._cells: dict[tuple[str, date], Cell] = {}
        self._booked_in: dict[str, Cell | None] = {}
        self._take: dict[type, Callable[[Any], None]] = {
            Stretch: self._stretch,
            Sent: self._sent,
            Trade: self._trade,
            Charge: self._charge,
            Worth: self._worth,
        }

    def take_all(self, facts: Iterable[Fact]) -> list[Cell]:
        """Take facts and return the cells, by day and strategy."""
        for fact in facts:
            self._take[type(fact)](fact)
        return sorted(self._cells.values(), key=lambda cell: (cell.day, cell.strategy_id))

    def _cell(self, strategy_id: str, day: date) -> Cell | None:
        if day not in self._span:
            return None
        key = strategy_id, day
        if key not in self._cells:
            self._cells[key] = Cell(strategy_id, day)
        return self._cells[key]

    def _stretch(self, fact: Stretch) -> None:
        # When each of its decisions was made isn't recorded: all count on its first day in a session.
        count, is_first = fact.count, True
        for day, length_us in self._days.in_sessions(fact.first_us, fact.until_us):
            cell = self._cell(fact.strategy_id, day)
            if cell is not None:
                cell.first_us = min(cell.first_us or fact.first_us, fact.first_us)
                cell.until_us = max(cell.until_us, fact.until_us)
                cell.decisions += count
                if fact.state is not None:
                    cell.states[fact.state] += length_us
                for code in dict.fromkeys(fact.codes):
                    blocked = cell.blocked.setdefault(code, Blocked())
                    blocked.times += is_first
                    blocked.decisions += count
                    blocked.length_us += length_us
            count, is_first = 0, False

    def _sent(self, fact: Sent) -> None:
        cell = self._cell(fact.strategy_id, self._days.day(fact.ts_us))
        if cell is not None:
            cell.hedges += 1

    def _trade(self, fact: Trade) -> None:
        # A later revision counts on the day of the first.
        if fact.execution not in self._booked_in:
            self._booked_in[fact.execution] = self._cell(fact.strategy_id, self._days.day(fact.ts_us))
        cell = self._booked_in[fact.execution]
        if cell is None:
            return
        is_new = fact.execution not in cell.trades
        if is_new and (not cell.scalps or cell.scalps[-1].client_order_id != fact.client_order_id):
            before = cell.scalps[-1].after if cell.scalps else 0.0
            cell.scalps.append(Scalp(fact.client_order_id, fact.is_hedge, before))
        cell.trades[fact.execution] = fact
        if fact.commission is not None:
            cell.commissions[fact.execution] = fact.commission

    def _charge(self, fact: Charge) -> None:
        cell = self._booked_in.get(fact.execution)
        if cell is not None:
            cell.commissions[fact.execution] = fact.commission

    def _worth(self, fact: Worth) -> None:
        cell = self._cell(fact.strategy_id, date.fromisoformat(fact.day))
        if cell is None:
            return
        if fact.pnl is not None:
            cell.pnl = fact.pnl
        if fact.booked and cell.scalps:
            cell.scalps[-1].after = fact.pnl
