"""The suite for brokers passes for a small right one and fails for each way to be wrong."""

from __future__ import annotations

from decimal import Decimal

import pytest
from attrs import evolve

from bifrost_engine.domain import (
    BrokerCaps,
    BrokerEvent,
    BrokerEventKind,
    BrokerOrder,
    BrokerPosition,
    BrokerState,
    Execution,
    PlaceAck,
)
from bifrost_engine.errors import DuplicateRequest, NotSent, NotSupported
from bifrost_engine.hookspecs import HOOK_VERSION, hookimpl
from bifrost_engine.testing import BrokerConformance

KIND = BrokerEventKind


class SmallBroker:
    """Fills what crosses at the next quote, in two parts."""

    hook_version = HOOK_VERSION
    replaces = True

    def __init__(self, context):
        self.context, self.up = context, False
        self.orders, self.working, self.executions = {}, {}, []

    def emit(self, kind, client_order_id=None, **fields):
        now_ns = self.context.clock.now_ns()
        self.context.emit(BrokerEvent(kind=kind, ts_ns=now_ns, client_order_id=client_order_id, **fields))

    @hookimpl
    async def connect(self):
        self.up = True
        self.emit(KIND.LINK_UP)

    @hookimpl
    async def disconnect(self):
        self.up = False

    @hookimpl
    def broker_caps(self, account):
        return BrokerCaps(replace=self.replaces, completed_orders=False, paper=True)

    @hookimpl
    async def place_order(self, req):
        if not self.up:
            raise NotSent("not connected")
        if req.client_order_id in self.orders:
            raise DuplicateRequest(req.client_order_id)
        self.orders[req.client_order_id] = self.working[req.client_order_id] = req
        self.emit(KIND.ORDER_ACK, req.client_order_id)
        return PlaceAck(broker_order_id=str(len(self.orders)))

    @hookimpl
    async def cancel_order(self, req):
        if req.client_order_id not in self.orders:
            self.emit(KIND.ORDER_DOUBT, req.client_order_id, code="NOT_FOUND")
        elif self.working.pop(req.client_order_id, None):
            self.emit(KIND.ORDER_CANCELED, req.client_order_id)

    @hookimpl
    async def replace_order(self, req):
        if not self.replaces:
            raise NotSupported("replace")
        terms = {"quantity": req.quantity, "limit_price": req.limit_price}
        self.working[req.client_order_id] = evolve(self.working[req.client_order_id], **terms)
        self.emit(KIND.ORDER_REPLACED, req.client_order_id, **terms)

    @hookimpl
    def on_tick(self, quote):
        price = Decimal(repr(quote.ask))
        crossing = [o for o in self.working.values() if o.limit_price is None or o.limit_price >= price]
        for order in crossing:
            del self.working[order.client_order_id]
            for part in (Decimal(3), order.quantity - Decimal(3)):
                self.fill(order, part, price)

    def fill(self, order, quantity, price):
        execution = Execution(
            base_id=f"E{len(self.executions)}",
            contract=order.contract,
            side=order.side,
            quantity=quantity,
            price=price,
            ts_ns=self.context.clock.now_ns(),
            client_order_id=order.client_order_id,
        )
        self.executions.append(execution)
        self.emit(KIND.ORDER_FILL, order.client_order_id, execution=execution)

    def open_orders(self):
        return tuple(
            BrokerOrder(
                client_order_id=order.client_order_id,
                broker_order_id="1",
                perm_id=None,
                contract=order.contract,
                side=order.side,
                quantity=order.quantity,
                filled=Decimal(0),
                status="OPEN",
                limit_price=order.limit_price,
            )
            for order in self.working.values()
        )

    @hookimpl
    async def fetch_broker_state(self, req):
        now_ns = self.context.clock.now_ns()
        held = sum((e.quantity * e.side.sign for e in self.executions), Decimal(0))
        contract = self.executions[0].contract if self.executions else None
        return BrokerState(
            account=req.account,
            as_of_start_ns=now_ns,
            as_of_end_ns=now_ns,
            positions=(BrokerPosition(contract=contract, quantity=held),) if contract else (),
            open_orders=self.open_orders(),
            executions=tuple(self.executions),
        )


class TestSmallBroker(BrokerConformance):
    broker = SmallBroker

    def make(self, context):
        return self.broker(context)


class WithoutReplace(SmallBroker):
    replaces = False


class TestWithoutReplace(TestSmallBroker):
    broker = WithoutReplace


class SendingTwice(SmallBroker):
    @hookimpl
    async def place_order(self, req):
        self.orders.pop(req.client_order_id, None)
        return await SmallBroker.place_order(self, req)


class ForgettingIds(SmallBroker):
    @hookimpl
    def on_tick(self, quote):
        SmallBroker.on_tick(self, quote)
        self.orders = dict(self.working)


class SendingWhileDown(SmallBroker):
    @hookimpl
    async def disconnect(self): ...


class FillingAtOnce(SmallBroker):
    @hookimpl
    async def place_order(self, req):
        ack = await SmallBroker.place_order(self, req)
        self.fill(self.working.pop(req.client_order_id), req.quantity, Decimal("100.02"))
        return ack


class Overfilling(SmallBroker):
    def fill(self, order, quantity, price):
        SmallBroker.fill(self, order, quantity + 1, price)


class Floating(SmallBroker):
    def fill(self, order, quantity, price):
        SmallBroker.fill(self, order, quantity, float(price))


class Repeating(SmallBroker):
    def fill(self, order, quantity, price):
        SmallBroker.fill(self, order, quantity, price)
        self.executions[-1] = evolve(self.executions[-1], base_id="E")
        self.context.events[-1] = evolve(self.context.events[-1], execution=self.executions[-1])


class RaisingOnUnknown(SmallBroker):
    @hookimpl
    async def cancel_order(self, req):
        del self.working[req.client_order_id]


class CancellingTwice(SmallBroker):
    @hookimpl
    async def cancel_order(self, req):
        self.working.pop(req.client_order_id, None)
        self.emit(KIND.ORDER_CANCELED, req.client_order_id)


class ReplacingSilently(SmallBroker):
    @hookimpl
    async def replace_order(self, req): ...


class PromisingLess(SmallBroker):
    @hookimpl
    def broker_caps(self, account):
        return BrokerCaps(replace=False)


class HidingExecutions(SmallBroker):
    @hookimpl
    async def fetch_broker_state(self, req):
        return evolve(await SmallBroker.fetch_broker_state(self, req), executions=())


class HidingPositions(SmallBroker):
    @hookimpl
    async def fetch_broker_state(self, req):
        return evolve(await SmallBroker.fetch_broker_state(self, req), positions=())


class Nameless(SmallBroker):
    def open_orders(self):
        return tuple(evolve(order, client_order_id=None) for order in SmallBroker.open_orders(self))


class GoingBack(SmallBroker):
    def fill(self, order, quantity, price):
        SmallBroker.fill(self, order, quantity, price)
        self.context.events[-1] = evolve(self.context.events[-1], ts_ns=1)


class OfAnotherAccount(SmallBroker):
    @hookimpl
    async def fetch_broker_state(self, req):
        return evolve(await SmallBroker.fetch_broker_state(self, req), account="OTHER")


class PromisingThePast(SmallBroker):
    @hookimpl
    def broker_caps(self, account):
        return BrokerCaps(completed_orders=True)


class KeepingCancelledOrders(SmallBroker):
    @hookimpl
    async def cancel_order(self, req):
        self.emit(KIND.ORDER_CANCELED, req.client_order_id)


class TellingNothingOld(SmallBroker):
    @hookimpl
    async def fetch_broker_state(self, req):
        state = await SmallBroker.fetch_broker_state(self, req)
        if req.since_ns is None:
            return state
        return evolve(state, open_orders=(), executions=(), since_ns=req.since_ns)


class TellingTwoPrices(SmallBroker):
    def fill(self, order, quantity, price):
        SmallBroker.fill(self, order, quantity, price)
        if len(self.executions) == 6:
            self.executions[-1] = evolve(self.executions[-1], price=price + 1)


class WithoutCaps(SmallBroker):
    @hookimpl
    def broker_caps(self, account):
        return {}


@pytest.mark.parametrize(
    ("broker", "test"),
    [
        (SendingTwice, "test_a_client_order_id_is_taken_only_once"),
        (ForgettingIds, "test_an_id_stays_taken_after_its_order_was_filled"),
        (SendingWhileDown, "test_after_disconnecting_an_order_is_provably_not_sent"),
        (FillingAtOnce, "test_handing_over_an_order_returns_its_number_before_any_fill"),
        (Nameless, "test_an_order_away_from_the_market_rests_under_its_client_order_id"),
        (Overfilling, "test_a_market_order_is_reported_filled_in_full_and_no_further"),
        (Floating, "test_a_market_order_is_reported_filled_in_full_and_no_further"),
        (Repeating, "test_a_market_order_is_reported_filled_in_full_and_no_further"),
        (GoingBack, "test_reports_of_an_order_come_in_order_of_time"),
        (RaisingOnUnknown, "test_cancelling_an_order_that_nobody_knows_is_reported_as_doubt"),
        (CancellingTwice, "test_a_working_order_is_cancelled_once_however_often_it_is_asked_for"),
        (ReplacingSilently, "test_replacing_changes_the_terms_or_is_refused_as_the_capabilities_say"),
        (PromisingLess, "test_replacing_changes_the_terms_or_is_refused_as_the_capabilities_say"),
        (HidingExecutions, "test_the_state_agrees_with_the_fills_that_were_reported"),
        (HidingPositions, "test_the_state_agrees_with_the_fills_that_were_reported"),
        (OfAnotherAccount, "test_the_state_names_its_account_and_the_time_it_was_taken"),
        (TellingNothingOld, "test_what_happened_since_a_time_is_told_with_all_that_is_open"),
        (WithoutCaps, "test_capabilities_are_told"),
        (PromisingThePast, "test_an_order_that_is_over_is_found_as_such_if_the_capabilities_say"),
        (KeepingCancelledOrders, "test_an_order_that_is_over_is_found_as_such_if_the_capabilities_say"),
        (KeepingCancelledOrders, "test_a_real_engine_that_trades_through_it_ends_with_the_brokers_books"),
        (TellingTwoPrices, "test_a_real_engine_that_trades_through_it_ends_with_the_brokers_books"),
    ],
)
def test_a_wrong_broker_fails(tmp_path, broker, test):
    class Suite(BrokerConformance):
        def make(self, context):
            return broker(context)

    with pytest.raises((AssertionError, pytest.fail.Exception, KeyError, ValueError)):
        getattr(Suite(), test)(tmp_path)
