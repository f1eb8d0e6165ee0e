"""A gateway that goes wrong by chance, over real sockets: a real engine ends with the gateway's own record.

A run that fails is named by its library and its seed, and repeats.
"""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest
from gateway_ordeal import Ordeal

from bifrost_engine.domain import BrokerEventKind

K = BrokerEventKind
LIBRARIES = ("ib_insync", "ib_async")
RUNS = int(os.environ.get("IB_MISCHIEF_RUNS", "100"))


def player(library: str) -> str:
    """Return a client library, or skip the test without it."""
    if find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    return library


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("first", range(0, RUNS // 2, 10))
def test_whatever_the_gateway_does_the_engine_ends_with_the_gateways_record(library, first, tmp_path):
    seeds = range(first, min(first + 10, RUNS // 2))
    played = {seed: Ordeal(player(library), seed, tmp_path / str(seed)).play() for seed in seeds}
    wrong = [f"seed {seed}: {line}" for seed, found in played.items() for line in found]
    assert not wrong, "\n".join(wrong)


def test_the_gateway_did_go_wrong(library, tmp_path):
    """Or the runs above would show nothing."""
    kinds = set()
    for seed in range(12):
        ordeal = Ordeal(player(library), seed, tmp_path / str(seed))
        ordeal.play()
        kinds |= {event.kind for event in ordeal.context.events}
    assert {K.LINK_DOWN, K.ORDER_FILL, K.ORDER_CANCELED, K.ORDER_REJECTED, K.ORDER_DOUBT} <= kinds


@pytest.mark.parametrize("first", [0, 5])
def test_over_a_link_that_holds_each_execution_and_each_end_is_heard_once(library, first, tmp_path):
    for seed in range(first, first + 5):
        ordeal = Ordeal(player(library), seed, tmp_path / str(seed), gentle=True)
        assert ordeal.play() == []
        events, gateway = ordeal.context.broker_events, ordeal.gateway
        fills = [event.execution for event in events if event.kind is K.ORDER_FILL]
        assert len({(fill.base_id, fill.revision) for fill in fills}) == len(fills)
        latest = {fill.base_id: (fill.quantity, fill.price) for fill in fills}
        assert latest == {one.base_id: (one.shares, one.price) for one in gateway.executions}
        ends = {event.client_order_id: event.kind for event in events if event.kind in ENDS}
        assert len(ends) == sum(event.kind in ENDS for event in events)
        for order in gateway.orders:
            assert ends.get(order.order_ref) in ENDS_OF[str(order.status)], (seed, order)


ENDS = frozenset({K.ORDER_CANCELED, K.ORDER_REJECTED, K.ORDER_EXPIRED})
ENDS_OF = {
    "Filled": {None},
    "Cancelled": {K.ORDER_CANCELED},
    # One that worked before it was refused is in doubt: the broker is asked.
    "Inactive": {K.ORDER_REJECTED, None},
}
