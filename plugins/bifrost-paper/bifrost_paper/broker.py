"""The broker ``paper``: orders are matched against the quotes that pass through the host.

This is the near side: the hooks, the way to the market and back with its latency, the
link, and reports that get lost on request. Only event time counts: every delay is a call
that the host's clock makes. What has happened is on disk before it is reported; reports
that a broken link swallows stay lost, and ``fetch_broker_state`` tells the truth.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Container, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from attrs import evolve

from bifrost_engine.domain import (
    BrokerCaps,
    BrokerEvent,
    BrokerEventKind,
    BrokerPosition,
    BrokerState,
    BrokerStateRequest,
    CancelRequest,
    OrderRequest,
    OrderType,
    PlaceAck,
    Quote,
    ReplaceRequest,
)
from bifrost_engine.errors import BrokerError, DuplicateRequest, GatewayLost, NotSent
from bifrost_engine.hookspecs import HOOK_VERSION, PluginContext, hookimpl
from bifrost_paper.accidents import ACCIDENTS
from bifrost_paper.config import Fault, FaultKind, Opening, PaperConfig
from bifrost_paper.courier import Courier
from bifrost_paper.faults import NS_PER_MS, Faults
from bifrost_paper.ledger import Ledger
from bifrost_paper.orders import PaperOrder, Report, Status
from bifrost_paper.record import Record
from bifrost_paper.venue import Venue

RECORD_RETRY_MS = 1_000.0
SCRIPTED = "a fault of the configuration"


class PaperBroker:
    """Fills orders against quotes, with latency, partial fills, rejections and lost races.

    linked  whether requests get through and reports come back
    """

    Config = PaperConfig
    hook_version = HOOK_VERSION

    def __new__(cls, config: PaperConfig, context: PluginContext) -> Any:
        """Return the broker; with ``connect`` the near end of a line to one that is a process."""
        if config.connect is None:
            return object.__new__(cls)
        from bifrost_paper.line import PaperLine

        return PaperLine(config, context)

    def __init__(self, config: PaperConfig, context: PluginContext) -> None:
        self.config = config
        self.linked = False
        self._context = context
        self._clock = context.clock
        self._random = Random(context.seed)
        self._faults = Faults(config.faults, context.seed, context.clock)
        self._courier = Courier(
            context.clock, self._faults, lambda: self._delay_ns(config.latency_ms), self._deliver
        )
        self._venue: Venue | None = None
        self._down_until_ns = 0
        self._ends: set[int] = set()
        # What ``on_tick`` touches; replaced by the venue's own as soon as there is one.
        self._quotes: dict[str, Quote] = {}
        self._working: Container[str] = ()
        self._open = False

    @property
    def record_path(self) -> Path:
        """The file of the broker's record."""
        return self._context.state_dir / f"paper-{self.config.account}.db"

    @property
    def record_exists(self) -> bool | None:
        """Whether an earlier run left a record; None where none is kept.

        A host with a journal refuses to start when only one of the two is there.
        """
        return self.record_path.exists() if self.config.record == "durable" else None

    def open_with(self, positions: Sequence[BrokerPosition]) -> None:
        """Let an account that is opened anew hold these positions; a host calls it before ``connect``."""
        openings = {
            held.contract.key: Opening(
                quantity=held.quantity, average_cost=held.average_cost, multiplier=held.contract.multiplier
            )
            for held in positions
        }
        self.config = evolve(self.config, positions=openings)

    @property
    def lost(self) -> int:
        """Reports that the link or a fault swallowed."""
        return self._courier.lost

    @property
    def session_id(self) -> str:
        """How often the account was opened, so far."""
        return "" if self._venue is None else str(self._venue.ledger.sessions)

    def has_filled(self, client_order_id: str) -> bool:
        """Return whether an order has filled in full."""
        order = None if self._venue is None else self._venue.ledger.orders.get(client_order_id)
        return order is not None and order.status is Status.FILLED

    # --- life cycle --------------------------------------------------------------------

    @hookimpl
    async def connect(self) -> None:
        """Open the account and the link; raises BrokerError if the record is another account's."""
        now_ns = self._clock.now_ns()
        if self.linked or now_ns < self._down_until_ns:
            return
        venue = self._venue_of(now_ns)
        venue.ledger.sessions += 1
        for order in list(venue.ledger.orders.values()):
            if order.status is Status.TRANSIT:
                venue.adopt(order)
        venue.ledger.flush()
        self._link_up()
        self._end_day()
        self._watch_ends()
        self._begin_faults(now_ns)

    def _begin_faults(self, now_ns: int) -> None:
        if self._faults.began_ns is None:
            self._faults.began_ns = now_ns
            for at_ns, fault in self._faults.timed():
                self._clock.call_at(at_ns, partial(self._strike, fault))

    def _venue_of(self, now_ns: int) -> Venue:
        record = Record(self.record_path, self.config.account) if self.config.record == "durable" else None
        if self._venue is None:
            ledger = Ledger(self.config, record, now_ns)
            self._venue = Venue(self.config, ledger, self._faults, self._random)
            self._venue.book.quotes = self._quotes
        elif record is not None:
            self._venue.ledger.reopen(record)
        self._open, self._working = True, self._venue.book.working
        return self._venue

    @hookimpl
    async def disconnect(self) -> None:
        """Leave: nothing matches or is reported until the next ``connect``."""
        self.linked = self._open = False
        self._down_until_ns = 0
        if self._venue is not None:
            self._venue.ledger.close()

    def drop_link(self, for_ms: float) -> None:
        """Lose the link now, for so long; orders already at the market work on."""
        now_ns = self._clock.now_ns()
        self._down_until_ns = now_ns + int(for_ms * NS_PER_MS)
        if self.linked:
            self.linked = False
            self._emit(BrokerEventKind.LINK_DOWN, text="the link was lost")
        self._clock.call_at(self._down_until_ns, self._relink)

    def _relink(self) -> None:
        if self.linked or not self._open or self._clock.now_ns() < self._down_until_ns:
            return
        if self._flush():
            self._link_up()

    def _link_up(self) -> None:
        assert self._venue is not None
        self.linked = True
        self._emit(BrokerEventKind.LINK_UP, text=f"session {self.session_id}")

    def inject(self, fault: Fault) -> None:
        """Let one more thing go wrong, as the ``faults`` of the configuration."""
        self._faults.add(fault)

    # --- ticks -------------------------------------------------------------------------

    @hookimpl
    def on_tick(self, quote: Quote) -> None:
        """Match the orders that work in the quote's contract."""
        key = quote[0]
        self._quotes[key] = quote
        if key in self._working:
            self._step(lambda venue, now_ns: venue.on_quote(quote, now_ns))

    @hookimpl
    def needs_ticks(self, contract_key: str) -> bool:
        """Return whether an order works in the contract."""
        return contract_key in self._working

    # --- orders ------------------------------------------------------------------------

    @hookimpl
    async def place_order(self, req: OrderRequest) -> PlaceAck:
        """Send an order on its way. Raises NotSent, DuplicateRequest."""
        venue = self._linked_venue(NotSent)
        _check(req, self.config.account)
        ledger = venue.ledger
        if ledger.knows(req.client_order_id):
            raise DuplicateRequest(f"order {req.client_order_id} was handed over before")
        order = ledger.open(req, self._clock.now_ns())
        if self._faults.take(FaultKind.PLACE_NOT_SENT, order):
            ledger.withdraw(order)
            raise NotSent(f"order {req.client_order_id}: {SCRIPTED}")
        if not self._faults.take(FaultKind.LOSE_ORDER, order):
            ledger.keep(order)
            if not self._flush():
                ledger.withdraw(order)
                raise NotSent(f"order {req.client_order_id}: the record {self.record_path} can't be written")
            self._request(order, self.config.latency_ms, partial(self._arrive, order))
        slow = self._faults.take(FaultKind.PLACE_SLOW, order)
        if slow is not None:
            await asyncio.sleep(slow.delay_ms / 1_000)
        if self._faults.take(FaultKind.PLACE_RAISES, order):
            raise BrokerError(f"order {req.client_order_id}: {SCRIPTED}")
        return PlaceAck(broker_order_id=order.broker_order_id, perm_id=order.perm_id)

    @hookimpl
    async def cancel_order(self, req: CancelRequest) -> None:
        """Send a cancel on its way. Raises GatewayLost."""
        order = self._linked_venue(GatewayLost).ledger.orders.get(req.client_order_id)
        if order is None:
            self._emit(BrokerEventKind.ORDER_DOUBT, client_order_id=req.client_order_id, code="NOT_FOUND")
            return
        if self._faults.take(FaultKind.CANCEL_RAISES, order):
            raise BrokerError(f"cancel of {req.client_order_id}: {SCRIPTED}")
        if self._faults.take(FaultKind.DROP_CANCEL, order):
            return
        self._request(order, self._cancel_latency_ms, partial(self._cancel, order))

    @hookimpl
    async def replace_order(self, req: ReplaceRequest) -> None:
        """Send a change on its way. Raises NotSent if there is no link or no such order."""
        order = self._linked_venue(NotSent).ledger.orders.get(req.client_order_id)
        if order is None:
            raise NotSent(f"order {req.client_order_id} is not known; nothing was changed")
        if self._faults.take(FaultKind.DROP_REPLACE, order):
            return
        self._request(order, self._cancel_latency_ms, partial(self._replace, order, req))

    @hookimpl
    async def fetch_broker_state(self, req: BrokerStateRequest) -> BrokerState:
        """Return the account as the record has it. Raises GatewayLost, BrokerError."""
        venue = self._linked_venue(GatewayLost)
        if req.account != self.config.account:
            raise BrokerError(f"account {req.account}: expected {self.config.account}, the paper account")
        self._end_day()
        if self._faults.take(FaultKind.FETCH_RAISES):
            raise BrokerError(f"state of {req.account}: {SCRIPTED}")
        state = venue.ledger.state(req, self._clock.now_ns(), venue.mark)
        return evolve(self._with_gaps(state), caps=self.broker_caps(req.account))

    def _with_gaps(self, state: BrokerState) -> BrokerState:
        fault = self._faults.take(FaultKind.INCOMPLETE)
        if fault is None:
            return state
        gaps: dict[str, Any] = dict.fromkeys(fault.parts, ())
        return evolve(state, incomplete=frozenset(fault.parts), **gaps)

    @hookimpl
    def broker_caps(self, account: str) -> BrokerCaps:
        """Return what the paper broker can do."""
        return self.config.caps

    def _linked_venue(self, error: type[BrokerError]) -> Venue:
        if self._venue is None or not self.linked:
            raise error("the paper broker is not connected")
        return self._venue

    # --- the way there -----------------------------------------------------------------

    @property
    def _cancel_latency_ms(self) -> float:
        config = self.config
        return config.latency_ms if config.cancel_latency_ms is None else config.cancel_latency_ms

    def _delay_ns(self, latency_ms: float) -> int:
        return int((latency_ms + self.config.latency_jitter_ms * self._random.random()) * NS_PER_MS)

    def _request(self, order: PaperOrder, latency_ms: float, callback: Callable[[], None]) -> None:
        # Jitter must not let a cancel overtake its order.
        order.reaches_ns = max(order.reaches_ns, self._clock.now_ns() + self._delay_ns(latency_ms))
        self._clock.call_at(order.reaches_ns, callback)

    def _arrive(self, order: PaperOrder) -> None:
        if order.status is not Status.TRANSIT:
            return  # adopted meanwhile by a new connection
        for fault in self._faults.take_due(order):
            self._strike(fault)
        self._step(lambda venue, now_ns: venue.arrive(order, now_ns))

    def _strike(self, fault: Fault) -> None:
        """Let something happen to the account, or to the link to it."""
        if not self._open:
            return
        if fault.kind is FaultKind.DISCONNECT:
            self.drop_link(fault.delay_ms)
            return
        assert self._venue is not None
        told = ACCIDENTS[fault.kind](self._venue, fault, self._clock.now_ns())
        if not self._flush() or told is None:
            return
        if self.linked:
            self._emit(BrokerEventKind.ORDER_FILL, execution=told)
        else:
            self._courier.lost += 1

    def _cancel(self, order: PaperOrder) -> None:
        self._step(lambda venue, now_ns: venue.cancel(order, now_ns))

    def _replace(self, order: PaperOrder, req: ReplaceRequest) -> None:
        self._step(lambda venue, now_ns: venue.replace(order, req, now_ns))

    def _end_day(self) -> None:
        self._step(lambda venue, now_ns: venue.end_day(now_ns))
        self._expire_options()

    def _expire_options(self) -> None:
        venue = self._venue
        if venue is None or not self._open:
            return
        changed = venue.expire_options(self._clock.now_ns())
        if not changed or not self._flush():
            return
        for contract in changed:
            quantity = venue.ledger.account.quantity(contract.key)
            values = {"contract_key": contract.key, "quantity": quantity}
            self._emit(BrokerEventKind.POSITION, quantity=quantity, text="expiry", values=values)
        summary = venue.ledger.account.summary(venue.mark, self.config.leverage)
        self._emit(BrokerEventKind.ACCOUNT, values=summary)

    def _step(self, step: Callable[[Venue, int], list[Report]]) -> None:
        """Let the venue do something, put it on disk, and send what there is to report."""
        if not self._open:
            return
        assert self._venue is not None
        reports = step(self._venue, self._clock.now_ns())
        if not reports:
            return
        if self._flush():
            for report in reports:
                self._plan_revisions(report)
                self._courier.send(report)
        self._watch_ends()

    def _watch_ends(self) -> None:
        assert self._venue is not None
        now_ns = self._clock.now_ns()
        for at_ns in self._venue.ends() - self._ends:
            if at_ns > now_ns:
                self._ends.add(at_ns)
                self._clock.call_at(at_ns, partial(self._at_end, at_ns))

    def _at_end(self, at_ns: int) -> None:
        self._ends.discard(at_ns)
        self._end_day()

    def _flush(self) -> bool:
        """Write the record; if that fails the link is lost until it works again."""
        assert self._venue is not None
        try:
            self._venue.ledger.flush()
        except sqlite3.Error as error:
            self._context.log.error("record can't be written", path=str(self.record_path), error=str(error))
            self.drop_link(RECORD_RETRY_MS)
            return False
        return True

    # --- the way back ------------------------------------------------------------------

    def _plan_revisions(self, report: Report) -> None:
        if report.execution is None:
            return
        for kind, revise in ((FaultKind.BUST, self._bust_as_told), (FaultKind.CORRECT, self._correct)):
            fault = self._faults.take(kind, report.order)
            if fault is not None:
                at_ns = self._clock.now_ns() + int(fault.delay_ms * NS_PER_MS)
                self._clock.call_at(at_ns, partial(revise, fault, report.execution.base_id))

    def _bust_as_told(self, _fault: Fault, base_id: str) -> None:
        self.bust(base_id)

    def _correct(self, fault: Fault, base_id: str) -> None:
        def step(venue: Venue, now_ns: int) -> list[Report]:
            told = venue.ledger.correct(base_id, fault.quantity, fault.price, now_ns)
            order = None if told is None else venue.ledger.orders.get(told.client_order_id or "")
            if told is None or order is None:
                return []
            return [Report(BrokerEventKind.ORDER_FILL, order, text="corrected", execution=told)]

        self._step(step)

    def bust(self, base_id: str) -> None:
        """Take an execution back; as at IB no report tells of it, only ``fetch_broker_state``."""
        venue, now_ns = self._venue, self._clock.now_ns()
        if venue is None or not self._open or not venue.ledger.bust(base_id, now_ns):
            self._context.log.warning("no execution to take back", base_id=base_id)
            return
        self._flush()

    def _deliver(self, report: Report) -> None:
        if not self.linked:
            self._courier.lost += 1
            return
        order = report.order
        self._emit(
            report.kind,
            client_order_id=order.request.client_order_id,
            broker_order_id=order.broker_order_id,
            perm_id=order.perm_id,
            execution=report.execution,
            quantity=report.quantity,
            limit_price=report.limit_price,
            code=report.code,
            text=report.text,
        )

    def _emit(self, kind: BrokerEventKind, **fields: object) -> None:
        event = BrokerEvent(kind=kind, ts_ns=self._clock.now_ns(), account=self.config.account, **fields)  # type: ignore[arg-type]
        self._context.emit(event)


def _check(req: OrderRequest, account: str) -> None:
    """Raise NotSent for what could not even be written down."""
    if req.account != account:
        raise NotSent(
            f"order {req.client_order_id}: account {req.account} is not {account}, the paper account"
        )
    if req.quantity <= 0 or (req.limit_price is None) is (req.order_type is OrderType.LIMIT):
        raise NotSent(f"order {req.client_order_id}: quantity or limit price doesn't fit its type")
