"""The line between engine and venue: what becomes of a request on its way, and of a word on its way back."""

from __future__ import annotations

from typing import Any

import venue_wire
from attrs import evolve
from ordeal_process import ACCOUNT, MS, SECOND, Process
from venue import CANCELED

from bifrost_engine.domain import BrokerEvent, BrokerEventKind, PlaceAck
from bifrost_engine.domain.broker import BrokerState
from bifrost_engine.domain.effects import CancelOrder, FetchBrokerState, PlaceOrder, ReplaceOrder
from bifrost_engine.domain.events import BrokerStateReceived, Placed, ReplaceFailed
from bifrost_engine.engine.question import MARGIN_NS

FLIGHT_NS = 9 * SECOND
"""How long an order may be under way; no younger one may be declared absent."""

NOT_SENT, RAISED, RAISED_AFTER, LATE, RAISED_LATE, LOST, REFUSED, OVERTAKEN = range(1, 9)
WELL = 0
"""What may become of an order on its way; the numbers above 8 are well, too."""


class Line(Process):
    """Hooks of a broker plugin that go wrong in every way, and its reports."""

    def place(self, effect: PlaceOrder) -> None:
        request = effect.request
        coid = request.client_order_id
        if not self.commit():
            self.placed(coid, not_sent=True, error="disk is full")
            return
        self.judge(effect)
        self.called[coid] += 1
        assert self.called[coid] == 1, f"{coid} was handed over twice"
        self.seen["place"] += 1
        number = sum(self.called.values()) - self.numbered_before
        terms = (coid, number, request.side.sign, int(request.quantity), request.limit_price)
        way = self.pick(24)
        way = way if way <= OVERTAKEN else WELL
        if not self.link:
            way = (NOT_SENT, RAISED, LOST)[way % 3]
        self.seen[f"placed {way}"] += 1
        if way in (LATE, RAISED_LATE):
            at_ns = self.now_ns + (1 + self.pick(3)) * FLIGHT_NS // 3
            self.in_flight.append((at_ns, coid, lambda: self.venue.place(*terms)))
        elif way not in (NOT_SENT, RAISED, LOST):
            self.venue.place(*terms, refuse=way == REFUSED)
        self.burn()
        if way == OVERTAKEN:
            self.hear(0)
        if way == NOT_SENT:
            self.placed(coid, not_sent=True, error="not connected")
        elif way in (RAISED, RAISED_AFTER, RAISED_LATE):
            self.placed(coid, error="TimeoutError")
        else:
            self.placed(coid, ack=PlaceAck(broker_order_id=str(number)))

    def placed(self, coid: str, **answer: Any) -> None:
        self.handle(Placed(ts_ns=self.now_ns, client_order_id=coid, **answer))

    def judge(self, effect: PlaceOrder) -> None:
        """Hold an order that leaves against what may leave."""
        request = effect.request
        order = self.engine.core.state.orders[request.client_order_id]
        assert request.client_order_id in self.submitted, "an order left before its record was on disk"
        assert not self.stopping, "an order left after a stop"
        assert self.heard_of_link, "an order left without a link"
        assert request.quantity > 0
        alive = [other.ref for other in self.venue.alive() if not other.lied]
        under_way = [coid for _, coid, _ in self.in_flight]
        rivals = [coid for coid in (*alive, *under_way) if self.owner(coid) == order.strategy_id]
        assert not rivals, f"{request.client_order_id} left while {rivals} may fill"

    def owner(self, ref: str) -> str:
        return ref.split("-")[2]

    def cancel(self, effect: CancelOrder) -> None:
        self.commit()
        self.seen["cancel"] += 1
        coid = effect.request.client_order_id
        order = self.venue.orders.get(coid)
        way = self.pick(12)
        if not self.link or way == 1:
            return  # it raised, or it was lost
        if order is not None and order.is_alive and way in (2, 3) and order.left > 0:
            self.venue.execute(
                order, order.left if way == 2 else 1 + self.pick(order.left), self.mid, self.now_ns
            )
        if order is not None and way == 4:
            self.venue.tell("ORDER_CANCEL_PENDING", order)
        elif order is not None and order.is_alive and way == 5:
            self.venue.lie(order, CANCELED)
        else:
            self.venue.cancel(coid, refuse=way == 6)
        self.burn()

    def replace(self, effect: ReplaceOrder) -> None:
        on_disk = self.commit()
        assert not self.stopping, "a change left after a stop"
        self.seen["replace"] += 1
        request = effect.request
        way = self.pick(10)
        if way == 1 or not on_disk:
            failed = ReplaceFailed(
                ts_ns=self.now_ns, client_order_id=request.client_order_id, error="not sent"
            )
            self.handle(failed)
        elif self.link and way != 2:
            self.venue.replace(
                request.client_order_id, int(request.quantity), request.limit_price, refuse=way == 3
            )
        self.burn()

    # --- what is heard

    def deliver(self, index: int) -> None:
        if not self.heard_of_link or len(self.venue.reports) <= index:
            return
        report = self.venue.reports.pop(index)
        self.told.append(report)
        self.now_ns += MS
        self.seen[report.kind] += 1
        self.handle(
            venue_wire.event(
                report, ACCOUNT, self.now_ns, by_number=self.pick(4) == 3, keyed=self.pick(4) != 3
            )
        )

    def disconnect(self, n: int) -> None:
        if self.heard_of_link:
            self.seen["disconnect"] += 1
            self.link = self.heard_of_link = False
            if self.pick(2):
                self.venue.reports.clear()
            self.say_link(BrokerEventKind.LINK_DOWN)

    def connect(self, n: int) -> None:
        if not self.heard_of_link:
            self.link = self.heard_of_link = True
            self.say_link(BrokerEventKind.LINK_UP)

    def say_link(self, kind: BrokerEventKind) -> None:
        self.handle(BrokerEvent(kind=kind, ts_ns=self.now_ns, account=ACCOUNT))

    def hear_all(self) -> None:
        while self.fetches or self.venue.reports:
            while self.venue.reports:
                self.deliver(0)
            self.answer(0)

    def take(self) -> BrokerState:
        """Take a snapshot, whole or torn, with a part missing or without."""
        first = venue_wire.snapshot(self.venue, ACCOUNT, self.now_ns)
        self.truths.append(first)
        way = self.pick(8)
        if way == 1:  # the parts are read one after the other, and something happens in between
            self.now_ns += 50 * MS
            self.fill(0)
            then = venue_wire.snapshot(self.venue, ACCOUNT, self.now_ns)
            torn = evolve(
                first, executions=then.executions, positions=then.positions, as_of_end_ns=self.now_ns
            )
            if first.open_orders != then.open_orders:
                torn = evolve(torn, incomplete=frozenset({"open_orders", "completed_orders"}))
            return torn
        if way == 2:
            part = venue_wire.PARTS[self.pick(4)]
            some = getattr(first, part)[: self.pick(3)]
            return evolve(first, incomplete=frozenset({part}), **{part: some})
        return first

    def take_for(self, asked: FetchBrokerState) -> BrokerState:
        """Take a snapshot with no more than what was asked for, to the nanosecond."""
        state = self.take()
        if not self.tells_news or asked.since_ns is None:
            return state
        since_ns = asked.since_ns + MARGIN_NS
        before = [truth for truth in self.truths if truth.as_of_start_ns <= since_ns]
        if not before or state.incomplete:
            return state
        self.seen["news"] += 1
        return venue_wire.news(state, before[-1], since_ns)

    def answer(self, n: int) -> None:
        """Hand in the answer to the oldest request."""
        if not self.fetches:
            return
        asked, state = self.fetches.pop(0)
        if state is None and self.link and self.pick(10) != 1:
            state = self.take_for(asked)
        self.now_ns += MS
        self.seen["snapshot"] += 1
        self.handle(
            BrokerStateReceived(
                ts_ns=self.now_ns,
                trigger=asked.trigger,
                state=state,
                error="no answer",
                link=asked.link,
            )
        )
