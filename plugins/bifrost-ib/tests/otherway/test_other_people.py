"""Orders of others in the account, in every way in which a gateway shows them: theirs, and never touched."""

from __future__ import annotations

from copy import deepcopy
from decimal import Decimal
from typing import Any

import pytest
from other_floor import open_floor, run
from other_gateway import SPY, Order

BAG = ["28812380", "SPY", "BAG", "", "0", "?", "", "SMART", "USD", "28812380", "COMB"]
LEG = [
    "495512563",
    "SPY",
    "OPT",
    "20131018",
    "170.0",
    "C",
    "100",
    "SMART",
    "USD",
    "SPY   131018C00170000",
    "SPY",
]
DU2 = {"account": "DU2"}
FIVE = ("m", Decimal(5), "99.5", "01")


def order(order_id: int, perm_id: int, contract: list[str] = SPY, **facts: Any) -> Order:
    made = {"client_id": 0, "status": "Submitted", "ref": "", **facts}
    return Order(order_id, made.pop("ref"), [*contract], "BUY", "20", "LMT", "90.5", perm_id, **made)


OTHERS: dict[str, tuple[tuple[Order, ...], int]] = {
    "by hand, negative number": ((order(-3, 901, executed={"m": FIVE}),), 5),
    "by hand, number zero": ((order(0, 902, executed={"m": FIVE}),), 5),
    "two by hand, both zero": ((order(0, 903, executed={"m": FIVE}), order(0, 904)), 5),
    "number unset": ((order(2147483647, 905, status="Filled", executed={"m": FIVE}),), 5),
    "another client, our number": ((order(1, 906, client_id=7, executed={"m": FIVE}),), 5),
    "another program's reference": ((order(4, 907, client_id=7, ref="MY ORDER, \u00fc"),), 0),
    "a combination": (
        (
            order(-4, 908, BAG, executed={"m": FIVE}),
            order(-4, 908, LEG, executed={"l": FIVE}),
        ),
        0,
    ),
    "another account": ((order(9, 909, client_id=7, **DU2),), 0),
}


@pytest.mark.parametrize("way", OTHERS)
def test_ours_is_filled_and_theirs_is_left_alone(tmp_path, library, way):
    theirs, held = deepcopy(OTHERS[way])
    rows = (("DU1", *LEG, "5", "9950"),) if any(one.contract == LEG for one in theirs) else ()

    async def work():
        async with open_floor(tmp_path, library, positions=rows) as floor:
            floor.gw.placed += theirs
            await floor.trade()
            assert floor.wrong() == []
            assert (str(floor.order.state), floor.held) == ("FILLED", 10 + held)
            ours = [one for one in floor.gw.placed if one.ref.startswith("BF-")]
            assert len(ours) == 1
            assert not [fields for fields in floor.gw.received if fields[0] in ("4", "58")]

    run(work())


@pytest.mark.parametrize("way", ["by hand, negative number", "number unset", "another client, our number"])
def test_what_others_do_meanwhile_is_booked_as_theirs(tmp_path, library, way):
    (theirs,), held = deepcopy(OTHERS[way])
    theirs.executed.clear()

    async def work():
        async with open_floor(tmp_path, library) as floor:
            await floor.trading.connect()
            floor.gw.placed.append(theirs)
            theirs.steps = ["open Submitted", "exec 5 99.5 m.01", "fee m.01", "status Submitted"]
            floor.gw.play(theirs)
            await floor.advance()
            await floor.trading.trade(1)
            await floor.trading.come_to_rest(16)
            assert floor.wrong() == []
            assert (str(floor.order.state), floor.held) == ("FILLED", 10 + held)

    run(work())


def test_an_execution_that_cannot_be_read_is_told_of_once_and_the_broker_not_asked_without_end(
    tmp_path, library
):
    theirs = order(-4, 908, [*LEG[:5], "?", *LEG[6:]], executed={"l": FIVE})

    async def work():
        async with open_floor(tmp_path, library) as floor:
            await floor.trading.connect()
            floor.gw.placed.append(theirs)
            floor.gw.execution(theirs, -1, "l.01", Decimal(5), "99.5")
            for _ in range(5):
                await floor.trading.come_to_rest(1)
            bad = [event for event in floor.context.broker_events if event.code == "BAD_EVENT"]
            assert len(bad) == 1
            assert len([fields for fields in floor.gw.received if fields[0] == "7"]) < 20

    run(work())
