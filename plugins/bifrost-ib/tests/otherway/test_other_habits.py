"""How a gateway may speak, in other ways than ours: an order is placed, filled and booked all the same."""

from __future__ import annotations

import pytest
from other_floor import open_floor, run
from other_gateway import SPY, UNSET

NEWEST = {"ib_insync": 176, "ib_async": 178}
FOREIGN = (3, 7, "Submitted", "0", "5", "0", 777, 0, "0", 9, "", "0")
MANUAL = (3, -5, "Filled", "5", "0", "10.5", 778, 0, "10.5", 0, "", "0")
OPTION = (
    "495512563",
    "SPY",
    "OPT",
    "20131018 08:30:00 US/Central",
    "170",
    "C",
    "",
    "SMART",
    "USD",
    "SPY C",
    "SPY",
)
HABITS: dict[str, dict] = {
    **{f"version {v}": {"version": v} for v in (157, 158, 160, 162, 163, 164, 166, 169, 170, 176, 177, 178)},
    "accounts first": {"hello": ("accounts", 0.3, "next_id")},
    "accounts late": {"hello": ("next_id", "farms", 0.3, "accounts", 0.1, "farms")},
    "no accounts at first": {"hello": ("none", "next_id", "accounts")},
    "everything twice": {"hello": ("accounts", "next_id", "accounts", "next_id")},
    "unknown messages": {
        "hello": ("unknown", "next_id", "unknown", "accounts"),
        "between": ((9999, 1, "what"),),
    },
    "several accounts": {"accounts": "DU1,DU2,DF3"},
    "one byte at a time": {"pieces": "bytes"},
    "torn messages": {"pieces": "torn"},
    "joined messages": {"pieces": "joined"},
    "high order ids": {"next_id": 2_000_000_000},
    "order id zero": {"next_id": 0},
    "negative order id": {"next_id": -1},
    **{f"unset as {text}": {"unset": text} for text in (UNSET, "-1", "NaN", "Infinity")},
    "quantities with a point": {"number": "{:.1f}"},
    "quantities with eight places": {"number": "{:.8f}"},
    "completed orders unanswered": {"mute": frozenset({"99"})},
    "no details in errors": {"has_json": False},
    "no reference in executions": {"with_order_ref": False},
    "others' orders between": {"between": (FOREIGN, MANUAL)},
    "ticks between": {"between": ((1, 6, 4711, 1, "100.0", "", 0), (81, 4711, "", "", ""))},
    "nonsense between": {"between": ((2, 6, "x", "y", "z"), (6, 2, "NetLiquidation"), (14, 1, "news"))},
    "no summary": {"summary": ()},
    "summary of another kind": {
        "summary": (
            ("NetLiquidation", UNSET, "USD"),
            ("NetLiquidation", "7", "BASE"),
            ("AvailableFunds", "", "EUR"),
            ("Cushion", "0.9", ""),
            ("BuyingPower", "NaN", "USD"),
        )
    },
    "positions of all kinds": {
        "positions": (
            ("DU1", *OPTION, "0", "0.0"),
            ("DU2", *SPY, "100", "1.0"),
            ("DU1", 1, "EUR", "CASH", "", 0, "", "", "IDEALPRO", "USD", "EUR.USD", "EUR.USD", "5.5", "1.1"),
            ("DU1", 2, "ES", "FUT", "20131220", 0, "", "50", "", "USD", "ESZ3", "ES", "0.0", UNSET),
        )
    },
    "an average cost that is none": {
        "positions": (("DU1", *OPTION[:6], "100.0", *OPTION[7:], "0.0", "NaN"),)
    },
}


@pytest.mark.parametrize("habit", HABITS)
def test_an_order_is_filled_and_booked_at_a_gateway_with_such_a_habit(tmp_path, library, habit):
    habits = {"version": NEWEST[library], **HABITS[habit]}
    if habits["version"] > NEWEST[library]:
        pytest.skip("the library offers less")

    async def work():
        async with open_floor(tmp_path, library, **habits) as floor:
            await floor.trade(quiet=12)
            assert floor.wrong() == []
            assert len(floor.gw.placed) == 1
            assert (str(floor.order.state), floor.held) == ("FILLED", 10)
            assert [e for e in floor.context.broker_events if e.code == "BAD_EVENT"] == []
            assert "LINK_DOWN" not in {str(e.kind) for e in floor.context.broker_events}

    run(work())
