"""Reconciliation: our orders and books held against the broker's snapshot.

What the broker reports is a fact: executions that we missed are booked, orders take
the state that they have there. That something is *not* there says something only in
a complete snapshot, twice. A position that stays unexplained goes to the book of
nobody's orders and stops the strategies on its symbol until a person resumes them.
"""

from __future__ import annotations

from decimal import Decimal
from math import isfinite

from attrs import evolve

from bifrost_engine.domain.broker import BrokerOrder, BrokerPosition, BrokerState, Execution
from bifrost_engine.domain.contract import Contract
from bifrost_engine.domain.effects import FetchBrokerState
from bifrost_engine.domain.events import BrokerStateReceived
from bifrost_engine.domain.fill import EXTERNAL, Fill, FillKind, FillSource
from bifrost_engine.domain.order import Order, OrderState, Side, Terms
from bifrost_engine.engine.answers import Answers
from bifrost_engine.engine.blotter import Blotter
from bifrost_engine.engine.books import Books
from bifrost_engine.engine.core import SECOND_NS, Core
from bifrost_engine.engine.desk import Desk
from bifrost_engine.engine.state import contract_of
from bifrost_engine.oms.booking import outside_id
from bifrost_engine.oms.event import EventSource, OrderEvent, OrderEventKind, fill_event

ENDED = {
    "FILLED": None,
    "CANCELED": OrderEventKind.CANCEL_OK,
    "REJECTED": OrderEventKind.REJECT,
    "EXPIRED": OrderEventKind.EXPIRE,
}
RETRY_S = 5.0
SETTLED_NS = 5 * SECOND_NS
"""Fills younger than this may be missing in one part of a snapshot and be in another."""
_NEW_LINK = ("STARTUP", "RECONNECT")
POSITION_DIFFERENCE = "position_difference"


class Reconciler:
    """Compares, repairs what the facts explain, and says what they don't."""

    def __init__(self, core: Core, blotter: Blotter, desk: Desk, answers: Answers, books: Books) -> None:
        self._core = core
        self._blotter = blotter
        self._desk = desk
        self._answers = answers
        self._books = books
        self._absent_since: dict[str, int] = {}
        self._lost: set[str] = set()
        self._differs: dict[str, tuple[Decimal, int]] = {}
        self._left_out: set[str] = set()
        self._earlier: list[str] = []
        self.periodic_at_ns = 1 << 63
        self.retry_at_ns = 1 << 63

    def request(self, trigger: str) -> None:
        """Ask the host for a snapshot."""
        self.retry_at_ns = 1 << 63
        if trigger in _NEW_LINK:
            # What a broker doesn't show right after a connect may only not be loaded yet.
            self._absent_since.clear()
        self._core.effects.append(FetchBrokerState(trigger))

    def on_state(self, event: BrokerStateReceived) -> None:
        """Run a pass over a snapshot."""
        core, state = self._core, event.state
        if not core.connected:
            return
        if state is None:
            self._finish(event.trigger, "INCOMPLETE", [f"broker state not readable: {event.error}"])
            return
        if state.account != core.account:
            core.connected = False
            problem = f"account_mismatch: expected {core.account}, broker has {state.account}"
            self._finish(event.trigger, "INCOMPLETE", [problem])
            return
        items: list[str] = []
        self._earlier = []
        self._lost.clear()
        self._executions(state, items)
        self._orders(state, items)
        incomplete = bool(state.incomplete - {"completed_orders"})
        if not state.incomplete & {"positions", "executions"}:
            incomplete |= self._positions(state, items)
        changed = bool(items)
        self._finish(event.trigger, "INCOMPLETE" if incomplete else "REPAIRED" if changed else "CLEAN", items)

    def _finish(self, trigger: str, result: str, items: list[str]) -> None:
        core = self._core
        self.periodic_at_ns = core.now_ns + int(core.config.recon.periodic * SECOND_NS)
        if result == "INCOMPLETE":
            core.reconciled = core.reconciled and trigger not in _NEW_LINK
            self.retry_at_ns = core.now_ns + int(RETRY_S * SECOND_NS)
        else:
            core.reconciled = True
        if items or trigger in ("STARTUP", "RECONNECT", "OPERATOR"):
            payload = {"trigger": trigger, "result": result, "items": items}
            core.record("reconciliation", {**payload, "earlier": self._earlier})
        if items:
            level = (
                "warning" if result == "INCOMPLETE" or any("differs" in item for item in items) else "info"
            )
            core.notice(level, "reconciliation", trigger=trigger, result=result, items=items)

    # --- executions --------------------------------------------------------------------------

    def _executions(self, state: BrokerState, items: list[str]) -> None:
        by_time = sorted(state.executions, key=lambda e: (e.ts_ns, e.base_id))
        books = self._core.state.portfolio
        without_cost = {fill.base_id for fill in books.commission_pending(self._core.now_ns + 1)}
        for execution in by_time:
            order = self._answers.find(execution.client_order_id, execution.perm_id, None)
            if order is None:
                if self._is_countable(execution.contract):
                    self._book_outside(execution, items)
            elif self._is_new(order, execution):
                event = fill_event(execution, self._core.now_ns, EventSource.RECON)
                self._blotter.apply(order, event, execution)
                items.append(f"execution {execution.base_id} of {order.client_order_id} was missing: booked")
            elif execution.base_id in without_cost:
                self._books.learn_commission(execution)

    def _is_new(self, order: Order, execution: Execution) -> bool:
        known = self._core.state.order_of_execution
        booked = order.executions.get(execution.base_id)
        if booked is None:
            return execution.base_id not in known  # else it was booked outside the order
        return booked.revision < execution.revision and outside_id(execution) not in known

    def _book_outside(self, execution: Execution, items: list[str]) -> None:
        core = self._core
        if not core.state.opened:
            # What was traded before the first pass is in its positions already.
            self._earlier.append(execution.base_id)
            return
        known = {fill.base_id for fill in self._external_fills()}
        if execution.base_id in known or execution.base_id in core.state.earlier_executions:
            return
        self._books.book_execution(execution, EXTERNAL, None, FillKind.TRADE, FillSource.RECON)
        items.append(f"execution {execution.base_id} belongs to no order of ours: booked outside")

    def _external_fills(self) -> list[Fill]:
        book = self._core.state.portfolio.books.get(EXTERNAL)
        return [] if book is None else list(book.fills())

    # --- orders ------------------------------------------------------------------------------

    def _orders(self, state: BrokerState, items: list[str]) -> None:
        open_there = {o.client_order_id: o for o in state.open_orders if o.client_order_id}
        done_there = {o.client_order_id: o for o in state.completed_orders if o.client_order_id}
        all_shown = not state.incomplete & {"open_orders", "completed_orders"}
        for order in self._blotter.open_orders():
            # A later event of the order outranks the snapshot's word on it.
            if (order.last_event_ns or order.created_ns) > state.as_of_start_ns:
                continue
            coid = order.client_order_id
            if coid in open_there:
                self._found_open(order, open_there[coid], items)
            elif coid in done_there:
                self._found_done(order, done_there[coid], state, items)
            elif all_shown:
                self._not_found(order, state, items)
        for coid, theirs in open_there.items():
            ours = self._core.state.orders.get(coid)
            if ours is None:
                items.append(f"open order {coid} at the broker is not ours: left alone")
            elif self._should_be_over(ours, state):
                self._found_alive(ours, theirs, items)

    def _found_open(self, order: Order, theirs: BrokerOrder, items: list[str]) -> None:
        self._absent_since.pop(order.client_order_id, None)
        if order.pending_replace is not None:
            order = self._settle_replace(order, order.pending_replace, theirs)
        if order.state is OrderState.UNKNOWN or order.state is OrderState.SUBMITTED:
            items.append(f"order {order.client_order_id} was {order.state}: the broker holds it")
        if order.state in (OrderState.ACCEPTED, OrderState.PARTIALLY_FILLED):
            self._answers.still_working(order)
        else:
            order = self._blotter.apply(order, self._event(OrderEventKind.ACK, theirs))
        if order.pending_cancel:
            self._desk.ask_cancel(order, order.reason_code or "wanted before")

    def _should_be_over(self, order: Order, state: BrokerState) -> bool:
        """Return whether an order ended so long before a snapshot that it can't show it open by delay."""
        min_age_ns = int(self._core.config.recon.min_age * SECOND_NS)
        ended_ns = max(order.closed_ns or 0, order.last_event_ns or 0)
        over = not order.is_open and order.state is not OrderState.FILLED
        return over and state.as_of_start_ns - ended_ns >= min_age_ns

    def _found_alive(self, order: Order, theirs: BrokerOrder, items: list[str]) -> None:
        """Take an order back that we held for over, and want it cancelled: another may have its task."""
        items.append(f"order {order.client_order_id} was {order.state}: the broker holds it; to be cancelled")
        order = self._blotter.apply(order, self._event(OrderEventKind.ACK, theirs))
        if order.pending_cancel:
            self._desk.ask_cancel(order, "wanted before")
        else:
            self._desk.cancel(None, order, EventSource.RISK, "open after its end")

    def _settle_replace(self, order: Order, wanted: Terms, theirs: BrokerOrder) -> Order:
        """Take the terms that the broker shows for the answer to a replace that was never heard."""
        terms = Terms(quantity=theirs.quantity, limit_price=theirs.limit_price)
        if terms != wanted and order.state is not OrderState.UNKNOWN:
            return order  # the replace may still be on its way
        before = Terms(quantity=order.quantity, limit_price=order.limit_price)
        if terms == before or terms.limit_price is None:
            return self._blotter.apply(order, self._event(OrderEventKind.REPLACE_REJ, theirs))
        replaced = self._event(OrderEventKind.REPLACE_OK, theirs)
        return self._blotter.apply(order, evolve(replaced, terms=terms))

    def _found_done(self, order: Order, theirs: BrokerOrder, state: BrokerState, items: list[str]) -> None:
        if theirs.filled > order.cum_quantity:
            self._found_filled(order, theirs, state, items)
            return
        kind = ENDED.get(theirs.status)
        if kind is None:
            return
        self._blotter.apply(order, self._event(kind, theirs))
        items.append(f"order {order.client_order_id} is {theirs.status} at the broker")

    def _found_filled(self, order: Order, theirs: BrokerOrder, state: BrokerState, items: list[str]) -> None:
        """Close an order whose executions the broker tells no more; what they moved is booked outside."""
        text = f"filled {theirs.filled} at the broker, {order.cum_quantity} are known"
        if "executions" in state.incomplete or not self._is_proven(order, state):
            items.append(f"order {order.client_order_id}: {text}")
            return
        event = self._event(OrderEventKind.CANCEL_OK, theirs)
        lost = evolve(event, reason_code="EXECUTIONS_MISSING", reason_text=text)
        self._blotter.apply(order, lost)
        items.append(f"order {order.client_order_id} is closed: {text}, and the rest is booked outside")

    def _is_proven(self, order: Order, state: BrokerState) -> bool:
        """Return whether two looks, far enough apart, missed the same of an order that is old enough.

        Only once the position agrees: if it doesn't, it is settled first, and the order by the next pass.
        """
        coid, now, recon = order.client_order_id, self._core.now_ns, self._core.config.recon
        first = self._absent_since.get(coid, 0)
        if first == 0 or first < (order.last_event_ns or 0):
            # What was missing before its last sign of life says nothing about it.
            first = self._absent_since[coid] = now
        old_enough = now - (order.submitted_ns or order.created_ns) >= recon.min_age * SECOND_NS
        if now - first < int(recon.proof_gap * SECOND_NS) or not old_enough:
            return False
        if not self._positions_agree(order.contract_key, state):
            self._lost.add(coid)
            return False
        del self._absent_since[coid]
        return True

    def _not_found(self, order: Order, state: BrokerState, items: list[str]) -> None:
        """Take an absence for proven after two complete snapshots, and only for an order old enough."""
        if not self._is_proven(order, state):
            return
        coid, now = order.client_order_id, self._core.now_ns
        event = OrderEvent(
            kind=OrderEventKind.ABSENT,
            ts_ns=now,
            source=EventSource.RECON,
            reason_code="RECON_ABSENT",
            session_over=self._core.sessions.trading_day(order.created_ns)
            != self._core.sessions.trading_day(now),
        )
        self._blotter.apply(order, event)
        items.append(f"order {coid} is not at the broker: closed")

    def _event(self, kind: OrderEventKind, theirs: BrokerOrder) -> OrderEvent:
        return OrderEvent(
            kind=kind,
            ts_ns=self._core.now_ns,
            source=EventSource.RECON,
            broker_order_id=theirs.broker_order_id,
            perm_id=theirs.perm_id,
            reason_text=theirs.text or None,
        )

    # --- positions ---------------------------------------------------------------------------

    def _positions_agree(self, contract_key: str, state: BrokerState) -> bool:
        if state.incomplete & {"positions", "executions"}:
            return False
        theirs = sum((p.quantity for p in state.positions if p.contract.key == contract_key), Decimal(0))
        return theirs == self._core.state.portfolio.account_quantities().get(contract_key, Decimal(0))

    def _positions(self, state: BrokerState, items: list[str]) -> bool:
        """Book what differs; return whether something is left to be looked at again soon."""
        ours = self._core.state.portfolio.account_quantities()
        counted = [position for position in state.positions if self._is_countable(position.contract)]
        theirs = {p.contract.key: p for p in counted}
        for position in counted:
            self._core.state.contracts.setdefault(position.contract.key, position.contract)
        again = False
        for key in sorted({*ours, *theirs}):
            there = theirs[key].quantity if key in theirs else Decimal(0)
            difference = there - ours.get(key, Decimal(0))
            if not difference:
                self._differs.pop(key, None)
            elif self._has_unknown(key):
                continue  # it is asked about in its own time
            elif self._is_under_way(key, difference, state):
                again = True
            else:
                self._adjust(key, difference, theirs.get(key), state, items)
        return again

    def _orders_in(self, key: str) -> list[Order]:
        return [
            o
            for o in self._blotter.open_orders()
            if o.contract_key == key and o.client_order_id not in self._lost
        ]

    def _has_unknown(self, key: str) -> bool:
        return any(order.state is OrderState.UNKNOWN for order in self._orders_in(key))

    def _is_under_way(self, key: str, difference: Decimal, state: BrokerState) -> bool:
        """Return whether fills that one side hasn't heard of yet may explain a difference.

        The parts of a snapshot are read one after the other, while orders fill.
        """
        filled_ns = self._core.state.last_fill_ns.get(key)
        if filled_ns is not None and state.as_of_start_ns - filled_ns < SETTLED_NS:
            return True
        fitting = [order for order in self._orders_in(key) if order.side.sign * difference > 0]
        leaves = sum((order.leaves_quantity for order in fitting), Decimal(0))
        if abs(difference) > leaves:
            return False
        now = self._core.now_ns
        seen, since_ns = self._differs.get(key, (difference, now))
        since_ns = since_ns if seen == difference else now
        self._differs[key] = (difference, since_ns)
        return now - since_ns < SETTLED_NS

    def _is_countable(self, contract: Contract) -> bool:
        """Return whether a contract is in the account's currency; one that isn't is told of, once."""
        if contract.currency == self._core.state.portfolio.currency:
            return True
        if contract.key not in self._left_out:
            self._left_out.add(contract.key)
            self._core.notice(
                "warning", "contract left out", contract=contract.key, currency=contract.currency
            )
        return False

    def _adjust(
        self,
        key: str,
        difference: Decimal,
        position: BrokerPosition | None,
        state: BrokerState,
        items: list[str],
    ) -> None:
        core = self._core
        contract = contract_of(core.state, key) if position is None else position.contract
        opening = not core.state.opened
        mark = None if opening else self._mark(key)
        price = self._price(key, contract, position) if mark is None else mark
        count = sum(f.base_id.startswith(f"adj:R14:{core.account}:{key}:") for f in self._external_fills())
        execution = Execution(
            base_id=f"adj:R14:{core.account}:{key}:{count}",
            contract=contract,
            side=Side.BUY if difference > 0 else Side.SELL,
            quantity=abs(difference),
            price=price,
            commission=Decimal(0),
            ts_ns=state.as_of_end_ns,
        )
        known = (EXTERNAL, key) not in core.state.needs_baseline
        self._books.book_execution(execution, EXTERNAL, None, FillKind.ADJUST, FillSource.RECON)
        if mark is not None and known:
            self._keep_baseline(key)
        if opening:
            items.append(f"opening position {key} {difference}")
            return
        items.append(f"position {key} differs by {difference} from the books: booked outside")
        self._halt(contract, key, difference)

    def _halt(self, contract: Contract, key: str, difference: Decimal) -> None:
        core = self._core
        text = f"{key} differs by {difference} from the books; check, then manual-resume"
        for slot in core.slots.values():
            if slot.config.symbol == contract.symbol:
                core.halt(slot.id, POSITION_DIFFERENCE, text)

    def _keep_baseline(self, key: str) -> None:
        """Let the day's result go on: what is booked at its mark earns and loses nothing."""
        state = self._core.state
        net = state.baselines.get((EXTERNAL, key), Decimal(0))
        modelled = (EXTERNAL, key) in state.modelled
        payload = {"owner": EXTERNAL, "contract_key": key, "net": net, "modelled": modelled}
        self._core.record("baseline", payload)

    def _mark(self, key: str) -> Decimal | None:
        """Return what the day's result counts a contract at, if anything."""
        marks = (slot.result.mark(self._core, key) for slot in self._core.slots.values() if slot.wants(key))
        mark = next((mark for mark in marks if mark is not None and isfinite(mark)), None)
        return None if mark is None else Decimal(repr(mark))

    def _price(self, key: str, contract: Contract, position: BrokerPosition | None) -> Decimal:
        """Return what stands in for a price: the day's result counts from the first mark, not from here."""
        if position is not None and position.average_cost is not None:
            return position.average_cost / contract.multiplier
        quote = self._core.quotes.latest.get(key)
        return Decimal(0) if quote is None else Decimal(repr(quote.mid))
