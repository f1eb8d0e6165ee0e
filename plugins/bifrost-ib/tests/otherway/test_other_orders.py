"""What a gateway says of an order, in other ways than ours: books are the same, and nothing leaves twice."""

from __future__ import annotations

import pytest
from other_floor import open_floor, run

ACK = ("perm", "open PreSubmitted", "open Submitted", "status Submitted")
DONE = ("open Filled", "status Filled")

WAYS: dict[str, tuple[tuple[str, ...], str]] = {
    "as usual": ((*ACK, "exec rest 100.02", "fee", *DONE), "FILLED"),
    "status before the order": (
        ("perm", "status Submitted", "open Submitted", "exec rest 100.02", *DONE),
        "FILLED",
    ),
    "order only": (("perm", "open Submitted", "exec rest 100.02", "open Filled"), "FILLED"),
    "no status": (("perm", "open Submitted", "exec rest 100.02"), "FILLED"),
    "execution only": (("exec rest 100.02",), "FILLED"),
    "lasting number late": (
        ("open Submitted", "status Submitted", "wait", "perm", "open Submitted", "exec rest 100.02", *DONE),
        "FILLED",
    ),
    "execution before the rest": (
        ("perm", "exec rest 100.02", "open Submitted", "status Submitted", *DONE),
        "FILLED",
    ),
    "filled before its execution": ((*ACK, *DONE, "wait", "exec rest 100.02"), "FILLED"),
    "cost before": ((*ACK, "fee", "exec rest 100.02", *DONE), "FILLED"),
    "cost late": ((*ACK, "exec rest 100.02", *DONE, "wait", "wait", "fee"), "FILLED"),
    "in parts": ((*ACK, "exec 4 100.02 a.01", "status Submitted 4", "exec 6 100.03 b.01", *DONE), "FILLED"),
    "said again": (
        (
            *ACK,
            "exec 4 100.02 a.01",
            "exec 6 100 b.01",
            "exec 4 100.02 a.01",
            *DONE,
            "exec 6 100 b.01",
            *DONE,
        ),
        "FILLED",
    ),
    "held only": (
        ("perm", "open PreSubmitted", "status PreSubmitted", "wait", "exec rest 100.02", *DONE),
        "FILLED",
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_fill_is_booked_once_whatever_is_said_around_it(tmp_path, library, way):
    steps, state = WAYS[way]

    async def work():
        async with open_floor(tmp_path, library, [steps]) as floor:
            await floor.trade()
            assert floor.wrong() == []
            assert len(floor.gw.placed) == 1
            assert str(floor.order.state) == state

    run(work())
