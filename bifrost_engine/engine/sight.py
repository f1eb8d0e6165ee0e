"""What the rules of a comparison see of the engine: orders, books, marks and sessions, read only."""

from __future__ import annotations

from decimal import Decimal

from bifrost_engine.domain.contract import Contract
from bifrost_engine.domain.fill import Fill, FillKind
from bifrost_engine.domain.order import Order
from bifrost_engine.engine.blotter import Blotter
from bifrost_engine.engine.core import SECOND_NS, Core
from bifrost_engine.engine.marks import price_of
from bifrost_engine.engine.state import contract_of
from bifrost_engine.engine.window import window_start_ns
from bifrost_engine.recon.look import Ours

CLOCKS_APART_NS = 3600 * SECOND_NS
"""By less than this a broker's clock is ahead of ours: what it made later wasn't booked earlier."""


class Sight:
    """Our side of a comparison."""

    def __init__(self, core: Core, blotter: Blotter) -> None:
        self._core = core
        self._blotter = blotter

    def ours(self, since_ns: int | None) -> Ours:
        """Return our records as they are, and as they come to be during the pass.

        since_ns  from when on the snapshot tells executions, None: all that the broker still tells
        """
        core, state = self._core, self._core.state
        start_ns = window_start_ns(core.caps.executions_window, core.now_ns, core.sessions)
        return Ours(
            account=core.account,
            mode=core.mode,
            engine_ids=core.engine_ids,
            predecessors=core.predecessors,
            strategies={slot.id: slot.config.symbol for slot in core.slots.values()},
            orders=state.orders,
            order_of_perm_id=state.order_of_perm_id,
            open_orders=self._blotter.open_orders,
            portfolio=state.portfolio,
            last_fill_ns=state.last_fill_ns,
            opened=state.opened,
            earlier=state.earlier_executions,
            open_keys=lambda: frozenset(item.key for item in state.open_items.values()),
            is_held=lambda sid: bool(core.halts(sid)) or core.is_killed(sid) or core.is_suspended(sid),
            is_expired=self._is_expired,
            session_over=self._session_over,
            in_window=lambda ts_ns: ts_ns >= start_ns,
            recent_fills=lambda: self._recent_fills(max(start_ns, since_ns or 0)),
            contract=lambda key: contract_of(state, key),
            mark=self._mark,
        )

    def _recent_fills(self, start_ns: int) -> list[Fill]:
        return [
            fill
            for book in self._core.state.portfolio.books.values()
            for fill in book.fills_booked_since(start_ns - CLOCKS_APART_NS)
            if fill.exec_ts_ns >= start_ns and fill.kind in (FillKind.TRADE, FillKind.CORRECTION)
        ]

    def _is_expired(self, contract: Contract) -> bool:
        assert contract.expiry is not None
        close_ns = self._core.sessions.last_session_on_or_before(contract.expiry).close_ns
        return self._core.now_ns >= close_ns

    def _session_over(self, order: Order) -> bool:
        day = self._core.sessions.trading_day
        return day(order.created_ns) != day(self._core.now_ns)

    def _mark(self, key: str) -> Decimal | None:
        mark = price_of(self._core, key)
        return None if mark is None else Decimal(repr(mark))
