"""Garbage on the line: what can't be read is not believed, nothing is traded on it, and it passes.

What the gateway says is spoilt on its way: numbers that are none, messages that are cut, that
nobody knows, that are no messages. Afterwards a real engine has the gateway's own record.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from importlib.util import find_spec

import pytest
from gateway_ordeal import SHARES, Ordeal

from bifrost_engine.domain.order import OrderState
from bifrost_engine.testing import make_order_request

LIBRARIES = ("ib_insync", "ib_async")


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("first", [0, 5, 10])
def test_whatever_is_spoilt_on_the_way_the_engine_ends_with_the_gateways_record(library, first, tmp_path):
    if find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    wrong, spoilt, orders = [], Counter(), 0
    for seed in range(first, first + 5):
        ordeal = Ordeal(library, seed, tmp_path / str(seed), gentle=True, spoils=0.05)
        wrong += [f"seed {seed}: {line}" for line in ordeal.play()]
        spoilt += ordeal.line.spoilt
        orders += len(ordeal.gateway.orders)
        assert all(order.quantity == SHARES for order in ordeal.gateway.orders)
        assert len(ordeal.gateway.orders) <= len(ordeal.trading.engine.placed)
    assert not wrong, "\n".join(wrong)
    assert orders
    assert len(spoilt) > 4


def test_an_order_under_way_when_the_link_breaks_is_settled_however_long_nobody_can_connect(
    library, tmp_path
):
    late = [{"wait": 9.0}, "ack", {"fill": "70%"}, "match"]
    ordeal = Ordeal(library, 0, tmp_path / "run", gentle=True, steps=late, turns=1, away_s=300.0)
    assert ordeal.play() == []
    (order,) = ordeal.trading.engine.engine.core.state.orders.values()
    assert (order.state, order.cum_quantity) == (OrderState.FILLED, SHARES)
    assert [execution.shares for execution in ordeal.gateway.executions] == [7, 3]


def test_an_absurd_number_for_the_next_order_is_neither_used_nor_kept(tmp_path, kit, library):
    """Kept, it would be the end of all orders of this client id."""
    request = make_order_request("BF-a-b-1", account="", limit_price="50")

    async def work():
        async with kit.gateway() as gateway:
            gateway.at_start = lambda at: (at.say("15", "1", "DU1"), at.say("9", "1", "9" * 20))
            async with kit.trading(tmp_path, gateway.port, library=library) as it:
                ack = await it.broker.place_order(request)
                await gateway.until(lambda: [f for f in gateway.received if f[0] == "3"])
                assert int(ack.broker_order_id) < 1000
                assert [f[1] for f in gateway.received if f[0] == "3"] == [ack.broker_order_id]

    asyncio.run(work())
