"""Numbers and terms of orders, written in other ways than ours: what is changed is what we changed."""

from __future__ import annotations

from decimal import Decimal

import pytest
from attrs import evolve
from other_floor import open_floor, run
from other_gateway import SPY, UNSET, Order

from bifrost_engine.domain import BrokerEventKind, BrokerStateRequest, CancelRequest, ReplaceRequest
from bifrost_engine.errors import NotSent
from bifrost_engine.testing import make_order_request

K = BrokerEventKind
TAILS = {"130.01": "130.00999999999996", "130.02": "130.02000000000004"}


def kinds(floor, ref="BF-1"):
    return [event.kind for event in floor.context.broker_events if event.client_order_id == ref]


def limit(ref="BF-1", price="130.01"):
    return make_order_request(ref, account="DU1", quantity=10, limit_price=price)


async def state_of(floor):
    return await floor.broker.fetch_broker_state(BrokerStateRequest(account="DU1"))


def test_a_price_with_a_long_tail_is_the_one_that_was_sent(tmp_path, library):
    async def work():
        async with open_floor(tmp_path, library, [["wait", "perm", "open Submitted"]]) as floor:
            await floor.broker.place_order(limit())
            await floor.gw.until(lambda: floor.gw.placed)
            (order,) = floor.gw.placed
            order.limit = TAILS[order.limit]
            await floor.advance()
            assert kinds(floor) == [K.ORDER_ACK]
            (shown,) = (await state_of(floor)).open_orders
            assert shown.limit_price == Decimal("130.01")
            wish = {
                "client_order_id": "BF-1",
                "broker_order_id": None,
                "perm_id": None,
                "quantity": Decimal(10),
            }
            await floor.broker.replace_order(ReplaceRequest(**wish, limit_price=Decimal("130.02")))
            await floor.gw.until(lambda: order.limit == "130.02")
            order.limit = TAILS[order.limit]
            floor.gw.open_order(order)
            await floor.settled()
            assert kinds(floor) == [K.ORDER_ACK, K.ORDER_REPLACED]
            (shown,) = (await state_of(floor)).open_orders
            assert shown.limit_price == Decimal("130.02")
            assert len(floor.gw.placed) == 1

    run(work())


@pytest.mark.parametrize("unset", ["", UNSET, "-1", "NaN"])
def test_a_market_order_has_no_limit_whatever_is_written_for_it(tmp_path, library, unset):
    async def work():
        async with open_floor(tmp_path, library, [["perm", "open Submitted"]], unset=unset) as floor:
            await floor.broker.place_order(make_order_request("BF-1", account="DU1", quantity=10))
            await floor.gw.until(lambda: floor.gw.placed)
            state = await state_of(floor)
            (shown,) = state.open_orders
            assert (shown.limit_price, shown.quantity, shown.filled) == (None, 10, 0)
            assert not state.incomplete

    run(work())


def test_order_ids_are_above_every_one_that_was_seen(tmp_path, library):
    async def work():
        async with open_floor(tmp_path, library, [["perm", "open Submitted"]]) as floor:
            floor.gw.placed.append(
                Order(5000, "", [*SPY], "BUY", "1", "MKT", "", 9, client_id=3, status="Submitted")
            )
            await state_of(floor)
            for number in range(3):
                await floor.broker.place_order(limit(f"BF-{number}"))
            await floor.gw.until(lambda: len(floor.gw.placed) == 4)
            ids = [order.order_id for order in floor.gw.placed[1:]]
            assert ids == sorted(set(ids))
            assert ids[0] > 5000
            floor.gw.habits = evolve(floor.gw.habits, next_id=ids[-1])  # one that was used
            floor.gw.leave()
            await floor.settled()
            await floor.ready()
            await floor.broker.place_order(limit("BF-9"))
            await floor.gw.until(lambda: len(floor.gw.placed) == 5)
            assert floor.gw.placed[-1].order_id > ids[-1]

    run(work())


def test_after_a_duplicate_id_the_next_one_is_far_above(tmp_path, library):
    async def work():
        steps = ["gone", "error 103 Duplicate order id"]
        async with open_floor(tmp_path, library, [steps, ["perm", "open Submitted"]]) as floor:
            await floor.broker.place_order(limit())
            await floor.gw.until(lambda: floor.gw.placed)
            await floor.settled()
            assert kinds(floor) == [K.ORDER_DOUBT]
            await floor.broker.place_order(limit("BF-2"))
            await floor.gw.until(lambda: len(floor.gw.placed) == 2)
            await floor.settled()
            assert floor.gw.placed[1].order_id >= floor.gw.placed[0].order_id + 1000
            assert kinds(floor, "BF-2") == [K.ORDER_ACK]

    run(work())


def test_a_cancel_is_sent_again_over_a_new_line(tmp_path, library):
    async def work():
        async with open_floor(tmp_path, library, [["perm", "open Submitted"]], [[]]) as floor:
            await floor.broker.place_order(limit())
            wish = CancelRequest(client_order_id="BF-1", broker_order_id=None, perm_id=None, reason="test")
            await floor.settled()
            await floor.broker.cancel_order(wish)
            await floor.broker.cancel_order(wish)
            await floor.gw.until(lambda: floor.gw.placed[0].cancels)
            floor.gw.leave(abruptly=True)
            await floor.settled()
            await floor.ready()
            await floor.broker.cancel_order(wish)
            await floor.gw.until(lambda: floor.gw.placed[0].cancels == 2)

    run(work())


def test_a_read_only_interface_takes_the_blame_for_the_first_order_and_gets_no_second(tmp_path, library):
    async def work():
        words = "Error validating request.-'bX' : cause - The API interface is currently in Read-Only mode."
        async with open_floor(tmp_path, library, [["gone", f"error 321 {words}"]]) as floor:
            await floor.broker.place_order(limit())
            await floor.gw.until(lambda: floor.gw.placed)
            await floor.settled()
            assert kinds(floor) == [K.ORDER_REJECTED]
            with pytest.raises(NotSent, match="Read-Only API"):
                await floor.broker.place_order(limit("BF-2"))

    run(work())
