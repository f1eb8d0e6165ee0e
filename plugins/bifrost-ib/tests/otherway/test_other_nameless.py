"""Executions that don't name their order: without its reference, and even its lasting number."""

from __future__ import annotations

import pytest
from other_floor import open_floor, run

FILL = ("exec rest 100.02", "fee")
DONE = ("open Filled", "status Filled")
ACK = ("perm", "open PreSubmitted", "open Submitted", "status Submitted")
WAYS = {
    "all over at once": FILL,
    "line closed before a word": ("close", *FILL, *DONE),
    "line closed before a word, lasting number": ("close", "perm", *FILL, *DONE),
    "working, line closed": ("open Submitted", "wait", "close", *FILL, *DONE),
    "working with its lasting number, line closed": (*ACK, "wait", "close", *FILL, *DONE),
    "in parts": ("exec 4 100.02 a.01", "wait", "close", "exec 6 100.03 b.01", *DONE),
}


@pytest.mark.parametrize("way", WAYS)
def test_an_execution_is_booked_with_the_order_of_its_number(tmp_path, library, way):
    async def work():
        async with open_floor(tmp_path, library, [WAYS[way]], with_order_ref=False) as floor:
            await floor.trade(quiet=30)
            assert floor.wrong() == []
            assert len(floor.gw.placed) == 1
            assert (str(floor.order.state), floor.held) == ("FILLED", 10)

    run(work())
