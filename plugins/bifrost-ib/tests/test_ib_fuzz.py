"""Garbage on the line: what can't be read is not believed, nothing is traded on it, and it passes.

What the gateway says is spoilt on its way: numbers that are none, messages that are cut, that
nobody knows, that are no messages. Afterwards a real engine has the gateway's own record.
"""

from __future__ import annotations

from collections import Counter
from importlib.util import find_spec

import pytest
from gateway_ordeal import SHARES, Ordeal

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
