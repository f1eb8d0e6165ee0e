"""An engine and its journal, and all that may befall them between a venue and a market.

A scenario is a list of acts, each a name and a number to choose by; 0 chooses what goes well.
After each act the engine is held against the venue, which alone knows what is true; at the
end the venue tells it, and all that the engine believes has to be that.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from ordeal_acts import Acts
from ordeal_process import SECOND, Crashed

from bifrost_engine.domain import Beat, BrokerEventKind, OrderState
from bifrost_engine.domain.fill import EXTERNAL, Fill, FillKind
from bifrost_engine.testing.engine import STOCK, lasting

Act = tuple[str, int]


class Ordeal(Acts):
    """One scenario: ``act`` by ``act``, then ``settle``; an AssertionError says what is wrong."""

    def act(self, name: str, n: int) -> None:
        """Do one act, and check what can be checked at any time."""
        self.luck = (n, 0)
        try:
            getattr(self, name)(n)
        except Crashed:
            self.crash()
        self.check()

    # --- what holds at any time

    def check(self) -> None:
        state = self.engine.core.state
        for coid in self.touched:
            if coid in state.orders:
                self.check_order(coid)
        self.touched.clear()
        if self.books_moved:
            self.books_moved = False
            self.check_books()
        assert all(count == 1 for count in self.venue.arrived.values()), "an order arrived twice"

    def check_order(self, coid: str) -> None:
        order = self.engine.core.state.orders[coid]
        cum = order.cum_quantity
        if order.state is OrderState.FILLED:
            assert cum >= order.target_quantity, f"{coid} is FILLED with {cum} of {order.target_quantity}"
        if order.state in (OrderState.REJECTED, OrderState.DENIED):
            assert cum == 0, f"{coid} is {order.state} with {cum} executed"
        if order.state.is_terminal:
            assert order.leaves_quantity == 0
            assert not order.pending_cancel
            assert order.pending_replace is None
        assert order.pending_cancel or coid not in self.cancel_wanted, f"the cancel of {coid} is forgotten"
        for base, booked in order.executions.items():
            self.check_revision("order", base, booked.revision)
            if base in self.venue.trades:
                trade = self.venue.trades[base]
                assert trade.ref == coid
                undone = trade.busted and not booked.quantity
                assert undone or (booked.quantity, booked.price) == trade.past[booked.revision]
            else:
                assert base.startswith("inf:"), f"{base} of {coid} never happened"

    def check_revision(self, where: str, base: str, revision: int) -> None:
        """What was put right doesn't come back."""
        before = self.revisions.get((where, base), 0)
        assert revision >= before, f"{base} is back at revision {revision} of {before} in the {where}"
        self.revisions[where, base] = revision

    def check_books(self) -> None:
        """Fold every book anew, in the plainest way."""
        state = self.engine.core.state
        whole = Decimal(0)
        for owner, book in state.portfolio.books.items():
            fills = list(book.fills())
            for fill in fills:
                self.check_revision("book", fill.base_id, fill.revision)
            position = state.portfolio.position(owner, STOCK.key)
            signed = [(fill.quantity * fill.side.sign, fill.price) for fill in fills]
            assert position.quantity == sum(quantity for quantity, _ in signed)
            assert position.cash == -sum(quantity * price for quantity, price in signed)
            assert position.cash + position.cost == position.realized
            assert position.quantity or not position.cost
            assert position.cost * position.quantity >= 0
            paid = sum((fill.commission for fill in fills if fill.commission and fill.quantity), Decimal(0))
            assert sum(position.commission.values()) == paid
            whole += position.quantity
            if owner == EXTERNAL:
                self.check_outside(fills)
            else:
                orders = [order for order in state.orders.values() if order.strategy_id == owner]
                assert position.quantity == sum(o.cum_quantity * o.side.sign for o in orders)
        assert state.portfolio.account_quantities().get(STOCK.key, 0) == whole

    def check_outside(self, fills: list[Fill]) -> None:
        """What no strategy caused is a trade of nobody's order, or makes up for a difference."""
        for fill in fills:
            if fill.kind is not FillKind.ADJUST:
                trade = self.venue.trades[fill.base_id]
                assert trade.ref is None, f"{fill.base_id} of {trade.ref} is booked outside"
                assert (fill.quantity, fill.price) == (trade.quantity, trade.price)

    # --- what holds at the end

    def settle(self) -> None:
        """Let the broker tell the truth for long enough, then compare."""
        self.fuse, self.luck, self.disk_is_full = None, (0, 0), False
        self.commit()
        if self.loses_the_rest:
            self.venue.reports.clear()
        if self.heard_of_link:
            self.disconnect(0)
        self.connect(0)
        self.calm_down(0)  # a flatten would go on for ever: nothing fills any more
        for _ in range(30):
            self.hear_all()
            self.pass_time(7 * SECOND)
            self.handle(Beat(ts_ns=self.now_ns))
            if self.is_settled():
                break
        self.look_once_more()
        self.commit()
        self.check()
        self.compare()

    def is_settled(self) -> bool:
        quiet = not self.in_flight and not self.fetches and not self.venue.reports
        state = self.engine.core.state
        ours = state.portfolio.account_quantities().get(STOCK.key, 0)
        over = not self.engine.blotter.open_orders() and not self.venue.alive()
        return quiet and over and ours == self.venue.position and self.engine.core.reconciled

    def look_once_more(self) -> None:
        """A pass over what has been settled finds nothing to do."""
        self.commit()
        before = self.engine.core.state.last_jseq
        self.say_link(BrokerEventKind.DATA_RESTORED)
        self.hear_all()
        self.again = [r for r in self.pending if r.jseq > before and r.kind in ("fill", "order_event")]

    def compare(self) -> None:
        state, venue = self.engine.core.state, self.venue
        assert lasting(self.mirror) == lasting(state), "the journal gives another state back"
        for coid, order in state.orders.items():
            held = f"{coid} {order.state} {order.cum_quantity} of {order.quantity}"
            told = f"{held}, really {venue.orders.get(coid)}; {list(order.executions)}"
            assert order.cum_quantity == venue.executed(coid), told
            alive = coid in venue.orders and venue.orders[coid].is_alive
            assert order.is_open == alive, told
            assert order.state is not OrderState.UNKNOWN, told
        for ref in venue.orders:
            assert ref in state.orders, f"{ref} is at the venue and has no record"
        for name in self.names:
            mine = [t for t in venue.trades.values() if t.ref is not None and self.owner(t.ref) == name]
            held = state.portfolio.position(name, STOCK.key)
            assert held.quantity == sum(t.counted * t.sign for t in mine)
            assert held.cash == -sum(t.counted * t.sign * t.price for t in mine), f"cash of {name}"
            paid = sum((t.fee for t in mine if t.fee is not None and t.counted), Decimal(0))
            assert held.commission.get("USD", Decimal(0)) == paid, f"commission of {name}"
        ours = state.portfolio.account_quantities().get(STOCK.key, Decimal(0))
        assert ours == venue.position, f"the books hold {ours}, the account {venue.position}"
        assert not self.again, f"a second look changed {[(r.kind, r.client_order_id) for r in self.again]}"


def run(setup: int, acts: Sequence[Act], kind: type[Ordeal] = Ordeal) -> Ordeal:
    """Play a scenario to its end."""
    ordeal = kind(setup)
    ordeal.act("connect", 0)
    ordeal.act("answer", 0)
    for name, n in acts:
        ordeal.act(name, n)
    ordeal.settle()
    return ordeal
