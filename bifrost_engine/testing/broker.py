"""The suite for brokers: orders once, reports in full, state that agrees with them.

It needs a market of one stock. A broker that matches by itself gets quotes through its
``on_tick``; one with a venue behind it overrides ``move_market`` and ``settle``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bifrost_engine.domain import (
    BrokerCaps,
    BrokerEvent,
    BrokerEventKind,
    BrokerState,
    BrokerStateRequest,
    CancelRequest,
    OrderRequest,
    PlaceAck,
    ReplaceRequest,
)
from bifrost_engine.errors import DuplicateRequest, NotSent, NotSupported
from bifrost_engine.testing.build import (
    STOCK,
    RecordingContext,
    make_context,
    make_order_request,
    make_quote,
)
from bifrost_engine.testing.conformance import PluginConformance, Subject
from bifrost_engine.testing.trading import Trading

STEP_NS = 100_000_000
STEPS = 10
MOVES = 20


class BrokerConformance(PluginConformance):
    """What every broker must do.

    account   the account that orders name
    contract  what is traded; far from 50.00, which the resting orders bid
    quantity  of the orders that a real engine trades with
    turns     how many orders that are
    """

    kind = "brokers"
    needs_one_of = ("place_order",)
    account = "DU000001"
    contract = STOCK
    quantity = Decimal(10)
    turns = 12

    def misbehaving(self) -> Mapping[str, Callable[[RecordingContext], Any]]:
        """Return the ways in which the plugin's venue can be made to go wrong, each with how it is made then.

        It may lose, delay, repeat and reorder what it reports and refuse what it is asked, but its
        state must tell the truth and, after a few times, things must go well again. Give them in
        the subclass; without any the test of them is skipped.
        """
        return {}

    async def move_market(self, subject: Subject, bid: float = 100.00, ask: float = 100.02) -> None:
        """Let a second pass and show a quote with 1,000 on each side."""
        clock = subject.context.clock
        clock.advance_to(clock.now_ns() + 10 * STEP_NS)
        if subject.has("on_tick"):
            quote = make_quote(self.contract.key, bid=bid, ask=ask, at_ns=clock.now_ns())
            subject.call("on_tick", quote, None)
        await self.settle(subject)

    async def settle(self, subject: Subject) -> None:
        """Let the broker do what it has begun: a second passes on its clock, tasks get their turn."""
        clock = subject.context.clock
        for _ in range(STEPS):
            clock.advance_to(clock.now_ns() + STEP_NS)
            await asyncio.sleep(0)

    @asynccontextmanager
    async def connected(self, tmp_path: Path, subject: Subject | None = None) -> AsyncIterator[Subject]:
        """Give a broker that is connected and has seen a quote; a new one unless one is given."""
        subject = subject or self.subject(tmp_path)
        if subject.has("connect"):
            await subject.call("connect")
        await self.move_market(subject)
        try:
            yield subject
        finally:
            if subject.has("disconnect"):
                await subject.call("disconnect")

    def order(self, client_order_id: str = "BF.test.1", **fields: Any) -> OrderRequest:
        """Return a market order to buy 10."""
        return make_order_request(
            client_order_id, account=self.account, contract=self.contract, **{"quantity": 10, **fields}
        )

    def resting_order(self, client_order_id: str = "BF.test.1") -> OrderRequest:
        """Return an order that can't fill: to buy 10 at 50.00."""
        return self.order(client_order_id, limit_price="50.00")

    async def filled(self, subject: Subject, request: OrderRequest) -> list[BrokerEvent]:
        """Place ``request``, move the market until it has filled, and return its fills."""
        await subject.call("place_order", request)
        for _ in range(MOVES):
            await self.move_market(subject)
            fills = reports(subject, request.client_order_id, BrokerEventKind.ORDER_FILL)
            if sum(fill.execution.quantity for fill in fills if fill.execution) >= request.quantity:
                return fills
        pytest.fail(
            f"no full fill of {request.client_order_id} after {MOVES} quotes: {subject.context.events}"
        )

    async def trading(self, subject: Subject) -> Trading:
        """Let a real engine trade until the books have come to rest."""

        async def advance() -> None:
            await self.move_market(subject)

        trading = Trading(subject, self.account, self.contract, self.quantity, advance)
        await trading.connect()
        await trading.trade(self.turns)
        await trading.come_to_rest()
        return trading

    async def state(self, subject: Subject) -> BrokerState:
        """Return the account as the broker shows it."""
        state = await subject.call("fetch_broker_state", BrokerStateRequest(account=self.account))
        assert isinstance(state, BrokerState)
        return state

    # --- placing -----------------------------------------------------------------------

    def test_handing_over_an_order_returns_its_number_before_any_fill(self, tmp_path: Path) -> None:
        async def work() -> None:
            async with self.connected(tmp_path) as subject:
                ack = await subject.call("place_order", self.resting_order())
                assert isinstance(ack, PlaceAck)
                assert ack.broker_order_id
                assert not reports(subject, "BF.test.1", BrokerEventKind.ORDER_FILL)

        self.run(work())

    def test_an_order_away_from_the_market_rests_under_its_client_order_id(self, tmp_path: Path) -> None:
        async def work() -> None:
            async with self.connected(tmp_path) as subject:
                await subject.call("place_order", self.resting_order())
                await self.move_market(subject)
                (found,) = (await self.state(subject)).open_orders
                assert found.client_order_id == "BF.test.1"
                assert (found.quantity, found.filled, found.status) == (Decimal(10), Decimal(0), "OPEN")

        self.run(work())

    def test_a_client_order_id_is_taken_only_once(self, tmp_path: Path) -> None:
        async def work() -> None:
            async with self.connected(tmp_path) as subject:
                await subject.call("place_order", self.resting_order())
                with pytest.raises(DuplicateRequest):
                    await subject.call("place_order", self.resting_order())
                await self.move_market(subject)
                assert len((await self.state(subject)).open_orders) == 1

        self.run(work())

    def test_an_id_stays_taken_after_its_order_was_filled(self, tmp_path: Path) -> None:
        async def work() -> None:
            async with self.connected(tmp_path) as subject:
                await self.filled(subject, self.order())
                with pytest.raises(DuplicateRequest):
                    await subject.call("place_order", self.order())

        self.run(work())

    def test_after_disconnecting_an_order_is_provably_not_sent(self, tmp_path: Path) -> None:
        async def work() -> None:
            async with self.connected(tmp_path) as subject:
                await subject.call("disconnect")
                with pytest.raises(NotSent):
                    await subject.call("place_order", self.order())

        self.run(work())

    # --- reports -----------------------------------------------------------------------

    def test_a_market_order_is_reported_filled_in_full_and_no_further(self, tmp_path: Path) -> None:
        async def work() -> None:
            async with self.connected(tmp_path) as subject:
                await self.filled(subject, self.order())
                await self.move_market(subject)
                fills = reports(subject, "BF.test.1", BrokerEventKind.ORDER_FILL)
                executions = [fill.execution for fill in fills if fill.execution is not None]
                assert len(executions) == len(fills)
                assert sum(e.quantity for e in executions) == Decimal(10)
                assert len({(e.base_id, e.revision) for e in executions}) == len(executions)
                for execution in executions:
                    assert isinstance(execution.quantity, Decimal)
                    assert isinstance(execution.price, Decimal)
                    assert (execution.side, execution.contract) == ("BUY", self.contract)

        self.run(work())

    def test_reports_of_an_order_come_in_order_of_time(self, tmp_path: Path) -> None:
        async def work() -> None:
            async with self.connected(tmp_path) as subject:
                await self.filled(subject, self.order())
                times = [event.ts_ns for event in reports(subject, "BF.test.1")]
                assert times == sorted(times)

        self.run(work())

    # --- cancelling and replacing ------------------------------------------------------

    def test_cancelling_an_order_that_nobody_knows_is_reported_as_doubt(self, tmp_path: Path) -> None:
        async def work() -> None:
            async with self.connected(tmp_path) as subject:
                await subject.call("cancel_order", cancel("BF.unknown.1"))
                await self.settle(subject)
                (doubt,) = reports(subject, "BF.unknown.1")
                assert (doubt.kind, doubt.code) == (BrokerEventKind.ORDER_DOUBT, "NOT_FOUND")

        self.run(work())

    def test_a_working_order_is_cancelled_once_however_often_it_is_asked_for(self, tmp_path: Path) -> None:
        async def work() -> None:
            async with self.connected(tmp_path) as subject:
                ack = await subject.call("place_order", self.resting_order())
                await self.settle(subject)
                for _ in range(2):
                    await subject.call("cancel_order", cancel("BF.test.1", ack))
                await self.move_market(subject)
                assert len(reports(subject, "BF.test.1", BrokerEventKind.ORDER_CANCELED)) == 1
                assert (await self.state(subject)).open_orders == ()

        self.run(work())

    def test_replacing_changes_the_terms_or_is_refused_as_the_capabilities_say(self, tmp_path: Path) -> None:
        async def work() -> None:
            async with self.connected(tmp_path) as subject:
                ack = await subject.call("place_order", self.resting_order())
                await self.settle(subject)
                wanted = replace("BF.test.1", ack)
                if not subject.call("broker_caps", self.account).replace:
                    with pytest.raises(NotSupported):
                        await subject.call("replace_order", wanted)
                    return
                await subject.call("replace_order", wanted)
                await self.move_market(subject)
                (told,) = reports(subject, "BF.test.1", BrokerEventKind.ORDER_REPLACED)
                (found,) = (await self.state(subject)).open_orders
                assert (told.quantity, told.limit_price) == (Decimal(7), Decimal("51.00"))
                assert (found.quantity, found.limit_price) == (Decimal(7), Decimal("51.00"))

        self.run(work())

    # --- state -------------------------------------------------------------------------

    def test_what_happened_since_a_time_is_told_with_all_that_is_open(self, tmp_path: Path) -> None:
        async def work() -> None:
            async with self.connected(tmp_path) as subject:
                await subject.call("place_order", self.resting_order("BF.test.0"))
                await self.move_market(subject)
                since_ns = (await self.state(subject)).as_of_start_ns
                await self.filled(subject, self.order())
                asked = BrokerStateRequest(account=self.account, since_ns=since_ns)
                news, whole = await subject.call("fetch_broker_state", asked), await self.state(subject)
                assert news.since_ns is None or news.since_ns <= since_ns
                assert (news.open_orders, news.positions) == (whole.open_orders, whole.positions)
                assert "BF.test.1" in {one.client_order_id for one in news.executions}
                over = [order for order in whole.completed_orders if order.client_order_id == "BF.test.1"]
                assert not [order for order in over if order not in news.completed_orders]

        self.run(work())

    def test_the_state_agrees_with_the_fills_that_were_reported(self, tmp_path: Path) -> None:
        async def work() -> None:
            async with self.connected(tmp_path) as subject:
                before = await self.state(subject)
                fills = await self.filled(subject, self.order())
                after = await self.state(subject)
                told = {fill.execution.base_id for fill in fills if fill.execution}
                assert told <= {execution.base_id for execution in after.executions}
                assert held(after, self.contract.key) - held(before, self.contract.key) == Decimal(10)
                assert after.open_orders == ()

        self.run(work())

    def test_the_state_names_its_account_and_the_time_it_was_taken(self, tmp_path: Path) -> None:
        async def work() -> None:
            async with self.connected(tmp_path) as subject:
                state = await self.state(subject)
                assert state.account == self.account
                assert 0 < state.as_of_start_ns <= state.as_of_end_ns
                assert state.incomplete <= {"positions", "open_orders", "completed_orders", "executions"}

        self.run(work())

    def test_an_order_that_is_over_is_found_as_such_if_the_capabilities_say(self, tmp_path: Path) -> None:
        async def work() -> None:
            async with self.connected(tmp_path) as subject:
                ack = await subject.call("place_order", self.resting_order("BF.test.1"))
                await self.settle(subject)
                await subject.call("cancel_order", cancel("BF.test.1", ack))
                await self.filled(subject, self.order("BF.test.2"))
                await self.move_market(subject)
                state = await self.state(subject)
                assert state.open_orders == ()
                told = {order.client_order_id: order for order in state.completed_orders}
                if not subject.call("broker_caps", self.account).completed_orders:
                    return
                assert {coid: order.status for coid, order in told.items()} == {
                    "BF.test.1": "CANCELED",
                    "BF.test.2": "FILLED",
                }
                assert told["BF.test.2"].filled == Decimal(10)

        self.run(work())

    # --- with a real engine ------------------------------------------------------------

    def test_a_real_engine_that_trades_through_it_ends_with_the_brokers_books(self, tmp_path: Path) -> None:
        async def work() -> None:
            async with self.connected(tmp_path) as subject:
                trading = await self.trading(subject)
                assert len(trading.engine.placed) >= self.turns // 2
                differences = trading.differences(await trading.state())
                assert not differences, "\n".join(differences)

        self.run(work())

    def test_however_it_misbehaves_a_real_engine_ends_with_its_books(self, tmp_path: Path) -> None:
        ways = self.misbehaving()
        if not ways:
            pytest.skip(f"{type(self).__name__} gives no ways to misbehave")

        async def differences(folder: Path, made: Subject) -> list[str]:
            async with self.connected(folder, made) as subject:
                trading = await self.trading(subject)
                assert trading.engine.placed
                return trading.differences(await trading.state())

        wrong = {}
        for number, (name, make) in enumerate(ways.items()):
            context = make_context(tmp_path / name, seed=number)
            found = self.run(differences(tmp_path / name, Subject(self.kind, make(context), context)))
            if found:
                wrong[name] = found
        assert not wrong, "\n".join(f"{name}: {text}" for name, found in wrong.items() for text in found)

    def test_capabilities_are_told(self, tmp_path: Path) -> None:
        caps = self.subject(tmp_path).call("broker_caps", self.account)
        assert isinstance(caps, BrokerCaps)
        assert caps.client_ref_max_len > 0
        assert "MKT" in caps.market_types


def reports(subject: Subject, client_order_id: str, kind: BrokerEventKind | None = None) -> list[BrokerEvent]:
    """Return what was emitted about one order, in order; of one kind if given."""
    return [
        event
        for event in subject.context.broker_events
        if event.client_order_id == client_order_id and kind in (None, event.kind)
    ]


def held(state: BrokerState, contract_key: str) -> Decimal:
    """Return the position in one contract."""
    return sum((p.quantity for p in state.positions if p.contract.key == contract_key), Decimal(0))


def cancel(client_order_id: str, ack: PlaceAck | None = None) -> CancelRequest:
    """Return the wish to cancel an order."""
    broker_order_id, perm_id = (ack.broker_order_id, ack.perm_id) if ack else (None, None)
    return CancelRequest(
        client_order_id=client_order_id, broker_order_id=broker_order_id, perm_id=perm_id, reason="test"
    )


def replace(client_order_id: str, ack: PlaceAck) -> ReplaceRequest:
    """Return the wish to change an order to 7 at 51.00."""
    return ReplaceRequest(
        client_order_id=client_order_id,
        broker_order_id=ack.broker_order_id,
        perm_id=ack.perm_id,
        quantity=Decimal(7),
        limit_price=Decimal("51.00"),
    )
