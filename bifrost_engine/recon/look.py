"""What one pass looks at: our side, the broker's snapshot, and how the two are matched.

Our side is live: a rule sees what the findings before it have changed. Nothing here
changes anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from functools import cached_property

from attrs import evolve, frozen

from bifrost_engine.domain.broker import BrokerOrder, BrokerPosition, BrokerState, Execution
from bifrost_engine.domain.contract import Contract
from bifrost_engine.domain.fill import EXTERNAL, Fill
from bifrost_engine.domain.order import Order, OrderState
from bifrost_engine.oms.booking import outside_id
from bifrost_engine.oms.event import EventSource, OrderEvent, OrderEventKind
from bifrost_engine.portfolio.portfolio import Portfolio
from bifrost_engine.recon.evidence import Evidence

SECOND_NS = 1_000_000_000
SETTLED_NS = 5 * SECOND_NS
"""Fills younger than this may be missing in one part of a snapshot and be in another."""
ZERO = Decimal(0)


@frozen(kw_only=True)
class Ours:
    """Our records, as callables and mappings that stay up to date.

    engine_ids    this journal's, and those of the journals before it
    predecessors  those of daemons before this one that had journals of their own
    strategies    strategy id → symbol
    opened        a comparison has succeeded before: what the account holds is ours to explain
    earlier       executions that were in the account's positions when it was opened
    adjustments   how often an instrument was adjusted before
    open_keys     keys of findings that wait for a person
    is_held       no new risk may come from a strategy
    is_expired    the last session of an option has ended
    session_over  the session in which an order was made has ended
    in_window     the broker still tells executions of that time
    recent_fills  what is booked and may be in that window
    mark          what the day's result counts a contract at
    """

    account: str
    mode: str
    engine_ids: tuple[str, ...]
    predecessors: tuple[str, ...] = ()
    strategies: Mapping[str, str]
    orders: dict[str, Order]
    order_of_perm_id: Mapping[str, str]
    open_orders: Callable[[], list[Order]]
    portfolio: Portfolio
    last_fill_ns: Mapping[str, int]
    opened: bool
    earlier: frozenset[str]
    open_keys: Callable[[], frozenset[str]]
    is_held: Callable[[str], bool]
    is_expired: Callable[[Contract], bool]
    session_over: Callable[[Order], bool]
    in_window: Callable[[int], bool]
    recent_fills: Callable[[], list[Fill]]
    contract: Callable[[str], Contract]
    mark: Callable[[str], Decimal | None]


@frozen(kw_only=True)
class Limits:
    """How patient the proofs are, nanoseconds, and what this link has seen already.

    resent     how often each cancel was asked for again since the link is up
    link_up_ns when the link came up
    sink_ahead what is wrong where a sink knows more than the journal
    """

    proof_gap_ns: int
    min_age_ns: int
    cancel_timeout_ns: int
    link_up_ns: int = 0
    resent: Mapping[str, int]
    sink_ahead: str | None = None
    completed_orders: bool = True


class Look:
    """One comparison under way.

    now_ns       when it is handled; ``taken_ns`` is the time for which it can prove anything
    stable       nothing moved while the snapshot was read
    unsettled    a position couldn't be judged yet: the pass isn't complete
    vanishing    contracts of executions that may turn out to be busted: they have the word first
    look_again   something is half proven: another look soon would settle it
    """

    def __init__(
        self, ours: Ours, theirs: BrokerState, now_ns: int, evidence: Evidence, limits: Limits, stable: bool
    ) -> None:
        self.ours = ours
        self.theirs = theirs
        self.now_ns = now_ns
        self.taken_ns = min(theirs.as_of_start_ns, now_ns)
        self.evidence = evidence
        self.limits = limits
        self.stable = stable
        self.unsettled = False
        self.vanishing: set[str] = set()
        self.look_again = False
        # As before anything is booked: what this pass itself does to an order is no later word on it.
        self._before = {order.client_order_id: order for order in ours.open_orders()}

    # --- what may be concluded -------------------------------------------------------------

    def is_complete(self, *parts: str) -> bool:
        """Return whether parts of the snapshot are statements."""
        return self.theirs.incomplete.isdisjoint(parts)

    @property
    def may_be_absent(self) -> bool:
        """Whether what isn't shown is one look's worth of proof that it isn't there."""
        needed = ["open_orders", "executions", "positions"]
        if self.limits.completed_orders:
            needed.append("completed_orders")
        up_ns = self.theirs.as_of_start_ns - self.limits.link_up_ns
        return self.stable and self.is_complete(*needed) and up_ns >= self.limits.proof_gap_ns

    def is_proven(self, *fact: object) -> bool:
        """Return whether a fact was seen in two looks that are far enough apart; notes it."""
        if self.taken_ns - self.evidence.since(fact, self.taken_ns) >= self.limits.proof_gap_ns:
            return True
        self.look_again = True
        return False

    def tells_of(self, ts_ns: int) -> bool:
        """Return whether what happened at a time, and is over, is shown if it is there."""
        return self.theirs.since_ns is None or ts_ns >= self.theirs.since_ns

    def is_outdated(self, order: Order) -> bool:
        """Return whether we heard of an order after the snapshot was begun."""
        return self.last_word_ns(order) > self.theirs.as_of_start_ns

    def last_word_ns(self, order: Order) -> int:
        """Return when something happened to an order, this pass left out."""
        before = self._before.get(order.client_order_id, order)
        return before.last_event_ns or before.created_ns

    def was_unknown(self, order: Order) -> bool:
        """Return whether the pass found an order in doubt."""
        before = self._before.get(order.client_order_id)
        return before is not None and before.state is OrderState.UNKNOWN

    # --- matching --------------------------------------------------------------------------

    def match(self, theirs: BrokerOrder) -> Order | None:
        """Return our order that one of the broker's is: by its lasting id, our reference, its number."""
        found = self._by_ids(theirs.client_order_id, theirs.perm_id)
        if found is not None or theirs.client_order_id is not None:
            return found
        return self._by_number(theirs)

    def match_execution(self, execution: Execution) -> Order | None:
        """Return our order that an execution is of: by its lasting id, our reference, its number.

        By the number alone only what the order still waits for, and no other lasting id.
        """
        found = self._by_ids(execution.client_order_id, execution.perm_id)
        if found is not None or execution.client_order_id is not None:
            return found
        order = self._by_number(execution)
        if order is None or None not in (order.perm_id, execution.perm_id):
            return None
        is_wanted = execution.base_id in order.executions or execution.quantity <= order.leaves_quantity
        return order if is_wanted else None

    def _by_number(self, theirs: BrokerOrder | Execution) -> Order | None:
        """Return our open order of a number of our own connection, if instrument and direction fit."""
        if theirs.broker_order_id is None:
            return None
        named = (theirs.client_id, theirs.broker_order_id, theirs.contract.key, theirs.side)
        return next(
            (
                order
                for order in self.ours.open_orders()
                if (order.broker_client_id, order.broker_order_id, order.contract_key, order.side) == named
            ),
            None,
        )

    def _by_ids(self, client_order_id: str | None, perm_id: str | None) -> Order | None:
        named = None if client_order_id is None else self.ours.orders.get(client_order_id)
        if perm_id is None or (named is not None and named.perm_id in (None, perm_id)):
            return named
        held = self.ours.order_of_perm_id.get(perm_id)
        return None if held is None else self.ours.orders[held]

    @cached_property
    def _shown_open(self) -> list[tuple[Order | None, BrokerOrder]]:
        return [(self.match(order), order) for order in self.theirs.open_orders]

    @property
    def strangers(self) -> list[BrokerOrder]:
        """The broker's open orders that we have no record of."""
        return [theirs for order, theirs in self._shown_open if order is None]

    @cached_property
    def open_there(self) -> dict[str, BrokerOrder]:
        """The broker's open orders by our client order id; of two the first."""
        found: dict[str, BrokerOrder] = {}
        for order, theirs in self._shown_open:
            if order is not None:
                found.setdefault(order.client_order_id, theirs)
        return found

    @cached_property
    def doubles(self) -> list[tuple[Order, BrokerOrder]]:
        """Open orders at the broker that carry the reference of another, with that one."""
        found = [
            (order, theirs)
            for order, theirs in self._shown_open
            if order is not None and self.open_there[order.client_order_id] is not theirs
        ]
        named = ((self.ours.orders.get(o.client_order_id or ""), o) for o in self.strangers)
        return found + [
            (order, theirs)
            for order, theirs in named
            if order is not None and order.perm_id != theirs.perm_id
        ]

    @cached_property
    def done_there(self) -> dict[str, BrokerOrder]:
        """The broker's completed orders by our client order id."""
        found = ((self.match(order), order) for order in self.theirs.completed_orders)
        return {order.client_order_id: theirs for order, theirs in found if order is not None}

    def pairs(self) -> list[tuple[Order, BrokerOrder]]:
        """Return our open orders with what the broker shows open, later words of ours left out."""
        shown = ((order, self.open_there.get(order.client_order_id)) for order in self.ours.open_orders())
        return [
            (order, theirs) for order, theirs in shown if theirs is not None and not self.is_outdated(order)
        ]

    def ended(self) -> list[tuple[Order, BrokerOrder]]:
        """Return our open orders with those of the broker's that are over."""
        shown = (
            (order, self.done_there.get(order.client_order_id))
            for order in self.ours.open_orders()
            if order.client_order_id not in self.open_there and not self.is_outdated(order)
        )
        return [(order, self._with_our_count(order, theirs)) for order, theirs in shown if theirs is not None]

    def _with_our_count(self, order: Order, theirs: BrokerOrder) -> BrokerOrder:
        """Return an order that is over with quantities by our executions, where the broker's say nothing."""
        if theirs.is_counted:
            return theirs
        filled, wanted = counted(order), order.pending_replace
        replaced = wanted is not None and filled >= wanted.quantity
        quantity = wanted.quantity if wanted is not None and replaced else order.quantity
        if theirs.status == "FILLED" and not self.ours.in_window(order.submitted_ns or order.created_ns):
            # The broker doesn't tell all of its executions any more; of a later order it does, and a
            # correction may have left less of one that was filled.
            filled = max(filled, quantity)
        return evolve(theirs, quantity=quantity, filled=filled)

    def missing(self) -> list[Order]:
        """Return our open orders that the broker shows nowhere; no proof by itself."""
        return [
            order
            for order in self.ours.open_orders()
            if order.client_order_id not in self.open_there
            and order.client_order_id not in self.done_there
            and self.tells_of(order.created_ns)
            and not self.is_outdated(order)
        ]

    # --- executions ------------------------------------------------------------------------

    @cached_property
    def news(self) -> list[Execution]:
        """Executions that aren't booked as the broker tells them, oldest first."""
        fill = self.ours.portfolio.fill
        found = []
        for execution in self.theirs.executions:
            if execution.base_id in self.ours.earlier:
                continue
            booked = fill(execution.base_id)
            if booked is None or booked.revision < execution.revision:
                if fill(outside_id(execution)) is None:
                    found.append(execution)
            elif execution.commission is not None and execution.commission != booked.commission:
                found.append(execution)
        found.sort(key=lambda execution: (execution.ts_ns, execution.base_id))
        return found

    # --- positions -------------------------------------------------------------------------

    @cached_property
    def held_there(self) -> dict[str, BrokerPosition]:
        """The broker's positions in the account's currency, by contract key."""
        currency = self.ours.portfolio.currency
        return {p.contract.key: p for p in self.theirs.positions if p.contract.currency == currency}

    def differences(self) -> dict[str, Decimal]:
        """Return what the broker holds more than our books, below 0 for less, by contract key."""
        ours = self.ours.portfolio.account_quantities()
        theirs = self.held_there
        found = {}
        for key in sorted({*ours, *theirs}):
            difference = (theirs[key].quantity if key in theirs else ZERO) - ours.get(key, ZERO)
            if difference:
                found[key] = difference
        return found

    def difference(self, contract_key: str) -> Decimal:
        """Return that of one contract."""
        return self.differences().get(contract_key, ZERO)

    def price(self, contract_key: str) -> Decimal:
        """Return what stands in for a price: the mark, else the broker's average, else nothing."""
        mark = self.ours.mark(contract_key)
        if mark is not None:
            return mark
        held = self.held_there.get(contract_key)
        if held is None or held.average_cost is None:
            return ZERO
        return held.average_cost / held.contract.multiplier

    def traders(self, contract: Contract) -> list[str]:
        """Return the strategies on a contract's symbol."""
        return [sid for sid, symbol in self.ours.strategies.items() if symbol == contract.symbol]

    # --- events ----------------------------------------------------------------------------

    def word(
        self,
        kind: OrderEventKind,
        theirs: BrokerOrder | None = None,
        *,
        code: str | None = None,
        text: str | None = None,
        session_over: bool = False,
    ) -> OrderEvent:
        """Return what a snapshot says of an order, as an event."""
        return OrderEvent(
            kind=kind,
            ts_ns=self.now_ns,
            source=EventSource.RECON,
            broker_order_id=None if theirs is None else theirs.broker_order_id,
            perm_id=None if theirs is None else theirs.perm_id,
            reason_code=code,
            reason_text=text or (theirs.text if theirs is not None else None) or None,
            session_over=session_over,
        )


def external_id(perm_id: str) -> str:
    """Return the client order id under which somebody else's order is kept."""
    return f"EXT.{perm_id}"


def is_external(order: Order) -> bool:
    """Return whether an order is somebody else's."""
    return order.strategy_id == EXTERNAL


def counted(order: Order) -> Decimal:
    """Return the executed quantity as a broker counts it: with what was taken back."""
    return order.cum_quantity + order.busted_quantity


def facts(order: Order | BrokerOrder) -> dict[str, object]:
    """Return what tells of an order in a finding."""
    if isinstance(order, Order):
        return {
            "state": str(order.state),
            "quantity": order.quantity,
            "filled": order.cum_quantity,
            "limit_price": order.limit_price,
        }
    return {
        "status": order.status,
        "quantity": order.quantity,
        "filled": order.filled,
        "limit_price": order.limit_price,
        "average_price": order.average_price,
        "client_id": order.client_id,
    }


def execution_facts(execution: Execution) -> dict[str, object]:
    """Return what tells of an execution in a finding."""
    return {
        "revision": execution.revision,
        "side": str(execution.side),
        "quantity": execution.quantity,
        "price": execution.price,
        "commission": execution.commission,
        "ts_ns": execution.ts_ns,
    }


def total(quantities: Iterable[Decimal]) -> Decimal:
    """Return a sum that is a Decimal when there is nothing, too."""
    return sum(quantities, ZERO)
