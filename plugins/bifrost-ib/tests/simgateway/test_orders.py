"""What becomes of orders and cancels, message by message."""

from __future__ import annotations

from decimal import Decimal

import pytest

ORDER_MESSAGES = ("openOrder", "orderStatus", "execDetails", "commissionReport", "position")
QUOTED = {"contract": "NVDA", "bid": 130.0, "ask": 130.02}


def told(client):
    """Return what was said of orders: short names, and the status where there is one."""
    short = {"openOrder": "5", "orderStatus": "3", "execDetails": "11", "commissionReport": "59"}
    lines = []
    for name, values in client.said:
        if name in short:
            lines.append(" ".join(filter(None, (short[name], values.get("status", "")))))
        elif name == "position":
            lines.append(f"61 {values['position']}")
        elif name == "error" and values["id"] > 0:
            lines.append(f"4:{values['code']}")
    return lines


async def traded(stage, **order):
    await stage.gateway.do("price", **QUOTED)
    client = await stage.client()
    client.ask("reqPositions")
    await client.until("positionEnd")
    client.said.clear()
    client.place(1, **order)
    return client


def test_a_market_order_is_acknowledged_filled_paid_and_held(play):
    async def act(stage):
        client = await traded(stage, orderRef="BF.1")
        held = await client.until("position")
        assert told(client) == [
            "5 PreSubmitted", "3 PreSubmitted", "5 Submitted", "3 Submitted",
            "11", "5 Filled", "3 Filled", "59", "61 100",
        ]  # fmt: skip
        (execution,) = client.heard("execDetails")
        assert (execution["price"], execution["orderRef"]) == (Decimal("130.02"), "BF.1")
        assert held["avgCost"] == Decimal("130.03")  # 130.02 + 1.00 commission / 100
        assert client.heard("commissionReport")[0]["realizedPNL"] is None

    play(act)


def test_a_sale_realizes_price_less_average_cost_less_commission(play):
    async def act(stage):
        client = await traded(stage, action="SELL", totalQuantity=50)
        report = await client.until("commissionReport")
        assert report["realizedPNL"] == Decimal(499)  # 50 * (130.00 - 120) - 1.00
        assert (await client.until("position"))["position"] == 50

    play(act, {"account": {"positions": {"NVDA": {"quantity": 100, "average_cost": 120}}}})


SEQUENCES = {
    "partial and cancel": (
        {"orders": [{"steps": ["ack", {"fill": "40%"}, "hold"]}]},
        ["11", "3 Submitted", "59", "61 40", "3 Cancelled", "4:202"],
    ),
    "fill after cancel": (
        {"orders": [{"steps": ["ack"]}], "cancels": [{"steps": ["fill", {"error": {"code": 10148}}]}]},
        ["11", "5 Filled", "3 Filled", "59", "61 100", "4:10148"],
    ),
    "commission first": (
        {
            "orders": [
                {
                    "steps": [
                        "ack",
                        {"reorder": ["commission", "status", "open", "exec", "position"]},
                        "fill",
                    ]
                }
            ]
        },
        ["59", "3 Filled", "5 Filled", "11", "61 100", "4:10148"],
    ),
    "duplicates": (
        {"orders": [{"steps": ["ack", "fill", "dup_exec", "dup_status"]}]},
        ["11", "5 Filled", "3 Filled", "59", "61 100", "11", "3 Filled", "4:10148"],
    ),
    "commission never": (
        {"orders": [{"steps": ["ack", {"fill": {"qty": "rest", "commission": "never"}}]}]},
        ["11", "5 Filled", "3 Filled", "61 100", "4:10148"],
    ),
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_a_script_decides_what_is_said_of_an_order_and_its_cancel(play, name):
    script, expected = SEQUENCES[name]
    is_over = {"4:202": 202, "4:10148": 10148}[expected[-1]]

    async def act(stage):
        client = await traded(stage)
        await client.until("orderStatus", lambda values: values["status"] != "PreSubmitted")
        client.ask("cancelOrder", orderId=1)
        await client.until("error", lambda values: values["code"] == is_over)
        assert told(client)[4:] == expected

    play(act, script)


def test_a_scripted_rejection_says_the_error_once_and_inactive(play):
    async def act(stage):
        client = await traded(stage)
        await client.until("orderStatus")
        assert told(client) == ["4:201", "5 Inactive", "3 Inactive"]
        client.ask("cancelOrder", orderId=1)
        assert (await client.until("error"))["code"] == 161

    play(act, {"orders": [{"steps": [{"reject": 201}]}]})


def test_a_warning_leaves_the_order_alive(play):
    async def act(stage):
        client = await traded(stage)
        await client.until("position")
        assert told(client)[0] == "4:10349"
        assert told(client)[-2:] == ["59", "61 100"]

    play(act, {"orders": [{"steps": [{"error": {"code": 10349, "text": "tif"}}, "ack", "match"]}]})


def test_a_correction_is_the_next_revision_and_moves_the_account(play):
    async def act(stage):
        client = await traded(stage)
        await client.until("position")
        again = await client.until("execDetails")
        assert again["execId"] == "0000e0d5.00000001.01.02"
        assert again["shares"] == 60
        assert (await client.until("position"))["position"] == 60
        assert [e.exec_id for e in stage.gateway.executions] == ["0000e0d5.00000001.01.02"]

    play(act, {"orders": [{"steps": ["ack", "fill", {"correct": {"qty": 60}}]}]})


def test_a_second_cancel_of_an_order_being_cancelled_draws_10148_and_nothing_else(play):
    async def act(stage):
        client = await traded(stage)
        await client.until("orderStatus", lambda values: values["status"] == "Submitted")
        client.ask("cancelOrder", orderId=1)
        client.ask("cancelOrder", orderId=1)
        assert "PendingCancel" in (await client.until("error"))["text"]
        client.ask("reqAllOpenOrders")
        assert (await client.until("openOrder"))["status"] == "Submitted"

    play(act, {"orders": [{"steps": ["ack"]}], "cancels": [{"do": "ignore"}]})


def test_a_global_cancel_takes_every_clients_orders(play):
    async def act(stage):
        one, two = await stage.client(1), await stage.client(2)
        one.place(1, orderType="LMT", lmtPrice=1)
        two.place(1, orderType="LMT", lmtPrice=1)
        await two.until("orderStatus", lambda values: values["status"] == "Submitted")
        one.ask("reqGlobalCancel")
        for client in (one, two):
            await client.until("orderStatus", lambda values: values["status"] == "Cancelled")

    play(act)


REFUSALS = [
    (321, {}, {"read_only": True}),
    (200, {"symbol": "NOPE"}, {}),
    (201, {"account": "DU999"}, {}),
    (435, {}, {"accounts": ("DU1", "DU2")}),
    (434, {"totalQuantity": 0}, {}),
    (387, {"orderType": "TRAIL"}, {}),
    (110, {"orderType": "LMT", "lmtPrice": "130.005"}, {}),
    (321, {"orderType": "LMT"}, {}),
]


@pytest.mark.parametrize(("code", "order", "options"), REFUSALS)
def test_an_order_that_cannot_be_taken_draws_its_code_and_leaves_no_trace(play, code, order, options):
    async def act(stage):
        client = await stage.client()
        client.place(1, **order)
        error = await client.until("error")
        assert (error["id"], error["code"]) == (1, code)
        assert stage.gateway.orders == []

    play(act, None, **options)


def test_an_id_that_was_used_draws_103_and_the_next_one_is_told(play):
    async def act(stage):
        client = await stage.client()
        client.place(7)
        await client.until("commissionReport")
        for order_id in (7, 3):
            client.place(order_id)
            assert (await client.until("error"))["code"] == 103
        client.ask("reqIds", count=1)
        assert (await client.until("nextValidId"))["orderId"] == 8
        other = await dial_next(stage)
        assert other == 1  # ids are counted per client

    async def dial_next(stage):
        client = await stage.client(2)
        return client.heard("nextValidId")[0]["orderId"]

    play(act)


def test_the_same_id_while_it_works_modifies_the_order(play):
    async def act(stage):
        await stage.gateway.do("price", **QUOTED)
        client = await stage.client()
        client.place(1, orderType="LMT", lmtPrice=100)
        await client.until("orderStatus", lambda values: values["status"] == "Submitted")
        client.place(1, orderType="LMT", lmtPrice=131, totalQuantity=20)
        assert (await client.until("execDetails"))["shares"] == 20
        assert len(stage.gateway.orders) == 1

    play(act)


def test_a_what_if_order_tells_margins_and_creates_nothing(play):
    async def act(stage):
        await stage.gateway.do("price", **QUOTED)
        client = await stage.client()
        client.place(1, whatIf=True)
        answer = await client.until("openOrder")
        assert answer["initMarginChange"] == "6500.5"  # half of 100 * 130.01
        assert answer["commission"] == "1"
        assert stage.gateway.orders == []

    play(act)


def test_executions_are_told_again_by_filter_and_not_after_midnight(play):
    async def act(stage):
        client = await traded(stage)
        await client.until("position")
        for filters, expected in (
            ({}, 1),
            ({"symbol": "SPY"}, 0),
            ({"side": "BUY"}, 1),
            ({"clientId": 9}, 0),
        ):
            client.said.clear()
            client.ask("reqExecutions", reqId=5, **filters)
            await client.until("execDetailsEnd")
            assert len(client.heard("execDetails")) == expected, filters
        await stage.gateway.do("midnight")
        client.said.clear()
        client.ask("reqExecutions", reqId=6)
        await client.until("execDetailsEnd")
        assert client.heard("execDetails") == []

    play(act)


def test_an_order_of_an_option_costs_premium_times_multiplier(play):
    async def act(stage):
        await stage.gateway.do("price", contract=option.key, bid=2.0, ask=2.5)
        client = await stage.client()
        client.ask("reqPositions")
        client.place(1, conId=option.con_id, secType="OPT", totalQuantity=1)
        held = await client.until("position", lambda values: values["secType"] == "OPT")
        assert held["avgCost"] == Decimal("251")  # 2.5 * 100 + 1.00 commission, the least there is

    async def with_option(stage):
        nonlocal option
        option = next(one for one in stage.gateway.universe.by_key.values() if one.is_option)
        await act(stage)

    option = None
    play(with_option)


def test_what_an_immediate_order_does_not_fill_on_arrival_is_cancelled(play):
    async def act(stage):
        await stage.gateway.do("price", **QUOTED, size=30)
        client = await stage.client()
        client.place(1, tif="IOC", orderType="LMT", lmtPrice="130.02")
        await client.until("error", lambda error: error["code"] == 202)
        last = client.heard("orderStatus")[-1]
        assert (last["status"], last["filled"], last["remaining"]) == ("Cancelled", 30, 70)

    play(act)


def test_an_order_made_smaller_than_what_has_filled_is_filled(play):
    async def act(stage):
        client = await traded(stage, orderType="LMT", lmtPrice=131)
        await client.until("execDetails")
        client.place(1, orderType="LMT", lmtPrice=131, totalQuantity=10)
        done = await client.until("orderStatus", lambda values: values["status"] == "Filled")
        assert (done["filled"], done["remaining"]) == (40, 0)

    play(act, {"orders": [{"steps": ["ack", {"fill": 40}]}]})
