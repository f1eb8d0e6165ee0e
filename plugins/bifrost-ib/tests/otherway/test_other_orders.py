"""What a gateway says of an order, in other ways than ours: books are the same, and nothing leaves twice."""

from __future__ import annotations

import pytest
from other_floor import open_floor, run

ACK = ("perm", "open PreSubmitted", "open Submitted", "status Submitted")
FILL = ("exec rest 100.02", "fee")
DONE = ("open Filled", "status Filled")
LATE_10148 = "error 10148 OrderId 1 that needs to be cancelled cannot be cancelled, state: Filled."
CANCELED = "error 202 Order Canceled - reason:"
NOT_FOUND = "error 10147 OrderId 1 that needs to be cancelled is not found."
REFUSED = "error 201 Order rejected - reason:Insufficient margin"
READ_ONLY = (
    "error 321 Error validating request.-'bX' : cause - The API interface is currently in Read-Only mode."
)

FILLS: dict[str, tuple[str, ...]] = {
    "as usual": (*ACK, *FILL, *DONE),
    "status before the order": ("perm", "status Submitted", "open Submitted", *FILL, *DONE),
    "order only": ("perm", "open Submitted", *FILL, "open Filled"),
    "no status at the end": ("perm", "open Submitted", *FILL),
    "execution only": FILL,
    "lasting number late": (
        "open Submitted",
        "status Submitted",
        "wait",
        "perm",
        "open Submitted",
        *FILL,
        *DONE,
    ),
    "lasting number with the execution": ("open Submitted", "wait", "perm", *FILL, *DONE),
    "execution before the rest": ("perm", *FILL, "open Submitted", "status Submitted", *DONE),
    "filled before its execution": (*ACK, *DONE, "wait", *FILL),
    "cost before": (*ACK, "fee", "exec rest 100.02", *DONE),
    "cost late": (*ACK, "exec rest 100.02", *DONE, "wait", "wait", "fee"),
    "no cost": (*ACK, "exec rest 100.02", *DONE),
    "in parts": (*ACK, "exec 4 100.02 a.01", "status Submitted 4", "exec 6 100.03 b.01", *DONE),
    "said again": (
        *ACK,
        "exec 4 100 a.01",
        "exec 6 100 b.01",
        "exec 4 100 a.01",
        *DONE,
        "exec 6 100 b.01",
        *DONE,
    ),
    "held only": ("perm", "open PreSubmitted", "status PreSubmitted", "wait", *FILL, *DONE),
    "with a long tail": (*ACK, "exec rest 130.00999999999999", *DONE),
    "corrected": (*ACK, "exec 10 100.02 a.01", *DONE, "wait", "exec 10 100.05 a.02"),
    "corrected before": (*ACK, "exec 10 100.05 a.02", "exec 10 100.02 a.01", *DONE),
    "corrected, and said again": (*ACK, "exec 10 100 a.01", "exec 10 99 a.02", *DONE, "exec 10 100 a.01"),
    "time in force set": ("error 10349 Order TIF was set to DAY", *ACK, *FILL, *DONE),
    "held until the open": ("error 399 Order Message: BUY 10 SPY Warning: held", "wait", *ACK, *FILL, *DONE),
    "unknown code": (*ACK, "error 10999 what is this", "wait", *FILL, *DONE),
    "warned": (*ACK, "error 2109 outside RTH ignored", *FILL, *DONE),
    "cancelled, it says, then filled": (*ACK, "status Cancelled", "wait", *FILL, *DONE),
    "cancelled by 202, then filled": (*ACK, CANCELED, "wait", *FILL, *DONE),
    "refused late, then filled": (*ACK, REFUSED, "wait", *FILL, *DONE),
    "inactive, then filled": ("perm", "open Inactive", "status Inactive", "wait", *ACK, *FILL, *DONE),
    "line closed, working": ("perm", "close", "open Submitted", "wait", "wait", "wait", *FILL, *DONE),
    "line reset, working": (*ACK, "reset", "wait", "wait", "wait", *FILL, *DONE),
    "line closed before an answer, filled meanwhile": ("perm", "close", *FILL, *DONE),
    "line reset, filled meanwhile": (*ACK, "exec 4 100 a.01", "reset", "exec 6 100.1 b.01", *DONE),
    "servers lost, filled meanwhile": (*ACK, "notice 1100", *FILL, *DONE, "wait", "notice 1102"),
    "data lost": (*ACK, "notice 1100", "notice 1100", *FILL, *DONE, "wait", "notice 1101", "notice 1101"),
    "restored without a loss": (*ACK, "notice 1102", *FILL, *DONE),
    "farms": (
        *ACK,
        "notice 2103 broken:usfarm",
        "notice 2104 OK:usfarm",
        "notice 2110",
        "notice 1102",
        *FILL,
        *DONE,
    ),
}


@pytest.mark.parametrize("way", FILLS)
def test_a_fill_is_booked_once_whatever_is_said_around_it(tmp_path, library, way):
    async def work():
        async with open_floor(tmp_path, library, [FILLS[way]]) as floor:
            await floor.trade()
            assert floor.wrong() == []
            assert len(floor.gw.placed) == 1
            assert (str(floor.order.state), floor.held) == ("FILLED", 10)

    run(work())


CANCELS: dict[str, tuple[tuple[str, ...], tuple[str, ...], str, int]] = {
    "by status": (ACK, ("status Cancelled",), "CANCELED", 0),
    "by 202": (ACK, (CANCELED, "gone"), "CANCELED", 0),
    "202 before the status": (ACK, (CANCELED, "status Cancelled", "open Cancelled"), "CANCELED", 0),
    "pending": (ACK, ("status PendingCancel", "wait", "status Cancelled", CANCELED), "CANCELED", 0),
    "before it was known": (ACK, ("status ApiCancelled",), "CANCELED", 0),
    "after a part": ((*ACK, "exec 4 100.02"), ("status Cancelled 4", CANCELED), "CANCELED", 4),
    "part unheard of": (ACK, ("exec 4 100.02 a.01", "status Cancelled 4", CANCELED), "CANCELED", 4),
    "filled meanwhile": (ACK, (*FILL, *DONE, LATE_10148), "FILLED", 10),
    "told before its execution": (ACK, (LATE_10148, "wait", *FILL, *DONE), "FILLED", 10),
    "not yet": (
        ACK,
        ("error 161 Cancel attempted when order is not in a cancellable state", "wait", "status Cancelled"),
        "CANCELED",
        0,
    ),
    "filled after 202": (ACK, (CANCELED, "wait", *FILL, *DONE), "FILLED", 10),
    "part after 202": (ACK, (CANCELED, "status Cancelled", "wait", "exec 3 100.02"), "CANCELED", 3),
    "while the line is reset": (ACK, ("reset", "status Cancelled"), "CANCELED", 0),
    "of the gateway": ((*ACK, "wait", "status Cancelled"), (), "CANCELED", 0),
}


@pytest.mark.parametrize("way", CANCELS)
def test_a_cancel_leaves_what_was_executed(tmp_path, library, way):
    steps, cancel, state, filled = CANCELS[way]

    async def work():
        async with open_floor(tmp_path, library, [steps], [cancel]) as floor:
            await floor.trade(quiet=30)
            assert floor.wrong() == []
            assert len(floor.gw.placed) == 1
            assert (str(floor.order.state), floor.held) == (state, filled)

    run(work())


REFUSALS: dict[str, tuple[tuple[str, ...], str]] = {
    "201": ((REFUSED, "gone"), "REJECTED"),
    "201, inactive, cancelled": ((REFUSED, "gone", "status Inactive", "status Cancelled"), "REJECTED"),
    "inactive, 201": (("perm", "open Inactive", "status Inactive", REFUSED, "gone"), "REJECTED"),
    "201 and an order": ((REFUSED, "perm", "open Inactive", "status Inactive"), "REJECTED"),
    "price": (("error 110 The price does not conform to the minimum price variation", "gone"), "REJECTED"),
    "202 with a reason": (("error 202 Order Canceled - reason:The exchange is closed", "gone"), "REJECTED"),
    "cancelled without a word": (("perm", "status Cancelled"), "CANCELED"),
    "number used already": (("gone", "error 103 Duplicate order id"), "REJECTED"),
    "never heard of": (("gone",), "REJECTED"),
    "never heard of, line reset": (("gone", "reset"), "REJECTED"),
    "read-only": (("gone", READ_ONLY), "REJECTED"),
}


@pytest.mark.parametrize("way", REFUSALS)
def test_an_order_that_was_not_taken_ends_and_is_not_sent_again(tmp_path, library, way):
    steps, state = REFUSALS[way]

    async def work():
        async with open_floor(tmp_path, library, [steps], [[NOT_FOUND]]) as floor:
            await floor.trade(quiet=30)
            assert floor.wrong() == []
            assert len(floor.gw.placed) == 1
            assert (str(floor.order.state), floor.held) == (state, 0)

    run(work())
