"""When a session ends, and what the end of an order that nobody asked for is then."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from bifrost_ib.broker import IBBroker
from bifrost_ib.config import IBConfig
from bifrost_ib.hours import session_end_ns
from bifrost_ib.simgateway import SimGateway
from gateway_ordeal import SharedClock

from bifrost_engine.domain import BrokerEventKind
from bifrost_engine.testing import make_config, make_context, make_order_request

HOURS = "20231120:0930-20231120:1600;20231121:CLOSED;20231122:0930-20231122:1300"


def ns(*when: int) -> int:
    return int(datetime(*when, tzinfo=UTC).timestamp()) * 10**9


@pytest.mark.parametrize(
    ("now", "end"),
    [
        ((2023, 11, 20, 10), (2023, 11, 20, 21)),
        ((2023, 11, 20, 20, 59), (2023, 11, 20, 21)),
        ((2023, 11, 20, 21), (2023, 11, 22, 18)),
        ((2023, 11, 22, 17), (2023, 11, 22, 18)),
    ],
)
@pytest.mark.parametrize("zone", ["US/Eastern", "EST5EDT", "EST"])
def test_the_session_under_way_ends_or_else_the_next_one(now, end, zone):
    assert session_end_ns(HOURS, zone, ns(*now)) == ns(*end)


@pytest.mark.parametrize(("hours", "zone"), [("", "US/Eastern"), (HOURS, "Nowhere"), ("abc", "US/Eastern")])
def test_hours_that_cannot_be_read_end_nowhere(hours, zone):
    assert session_end_ns(hours, zone, ns(2023, 11, 20, 10)) is None


@pytest.mark.parametrize(
    ("hours_later", "kind"), [(1, BrokerEventKind.ORDER_CANCELED), (20, BrokerEventKind.ORDER_EXPIRED)]
)
def test_a_day_order_that_the_gateway_ends_after_its_session_has_expired(
    tmp_path, library, hours_later, kind
):
    context = make_context(tmp_path)
    clock = context.clock

    async def work():
        async with SimGateway(accounts=("DU1",), clock=SharedClock(clock)) as gateway:
            config = make_config(IBConfig, port=gateway.port, account="DU1", library=library)
            broker = IBBroker(config, context)
            await broker.connect()
            request = make_order_request("BF-a-b-1", account="DU1", limit_price="1")
            await broker.session.contracts.find(broker.session.link, request.contract, 5.0)
            await broker.place_order(request)
            order = await gateway.wait_for_order(1)
            clock.advance_to(clock.now_ns() + hours_later * 3600 * 10**9)
            await gateway.do("steps", order=1, steps=["accept"])
            ends = (BrokerEventKind.ORDER_CANCELED, BrokerEventKind.ORDER_EXPIRED)
            while not (told := [event for event in context.broker_events if event.kind in ends]):
                await asyncio.sleep(0)
            assert [(event.kind, event.client_order_id) for event in told] == [(kind, order.order_ref)]
            await broker.disconnect()

    asyncio.run(asyncio.wait_for(work(), 20.0))
