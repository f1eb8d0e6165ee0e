"""What can happen to the gateway as a whole, by a script or on demand."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from bifrost_ib.simgateway.script import ACTIONS, STEPS, ScriptError, load_script

NVDA = {"symbol": "NVDA", "secType": "STK", "exchange": "SMART", "currency": "USD"}


def codes(client):
    return [error["code"] for error in client.heard("error")][3:]


async def refused(stage) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", stage.gateway.port)
    except ConnectionRefusedError:
        return True
    writer.close()
    return False


async def until(holds):
    async with asyncio.timeout(8):
        while not await holds():
            await asyncio.sleep(0.01)


def test_a_timeline_disconnects_refuses_and_lets_in_again(play, manual_clock):
    async def act(stage):
        client = await stage.client()
        await manual_clock.advance(2)
        assert await client.ended()
        assert await refused(stage)
        await manual_clock.advance(4)
        await stage.client()

    play(act, {"timeline": [{"at": 2, "do": "disconnect", "refuse": 3}]}, clock=manual_clock)


def test_a_restart_hangs_up_is_silent_while_it_logs_in_and_knows_all_afterwards(play, dial, manual_clock):
    async def act(stage):
        client = await stage.client()
        client.place(5, orderType="LMT", lmtPrice=1, orderRef="kept")
        await client.until("orderStatus", lambda values: values["status"] == "Submitted")
        await stage.gateway.do("restart", down=2, silent=3)
        assert await client.ended()
        assert await refused(stage)
        await manual_clock.advance(2)
        connecting = asyncio.create_task(dial(stage.gateway))
        await manual_clock.advance(1)
        assert not connecting.done()
        await manual_clock.advance(2)
        again = await connecting
        assert await again.start() == 6
        again.ask("reqAllOpenOrders")
        assert (await again.until("openOrder"))["orderRef"] == "kept"
        again.close()

    play(act, clock=manual_clock)


def test_an_order_step_drops_the_client_before_it_hears_of_its_order(play):
    async def act(stage):
        client = await stage.client()
        client.place(1, orderRef="lost")
        assert await client.ended()
        assert "openOrder" not in client.names()
        order = await stage.gateway.wait_for_order(1)
        again = await stage.client()
        again.ask("reqExecutions", reqId=1)
        assert (await again.until("execDetails"))["orderRef"] == order.order_ref == "lost"

    play(act, {"orders": [{"steps": ["drop", "ack", "fill"]}]})


def test_while_the_link_is_lost_reports_wait_and_no_quote_comes(play, manual_clock):
    async def act(stage):
        client = await stage.client()
        client.ask("reqMktData", reqId=1, **NVDA)
        await client.until("tickPrice", lambda values: values["type"] == 2)
        await stage.gateway.do("lost")
        client.place(1)
        await stage.gateway.do("price", contract="NVDA", bid=1, ask=2)
        client.ask("reqCurrentTime")
        await client.until("currentTime")
        assert codes(client) == [1100]
        assert "orderStatus" not in client.names()
        await stage.gateway.do("restored", data=True)
        await client.until("orderStatus", lambda values: values["status"] == "Filled")
        assert codes(client) == [1100, 1102]

    play(act, clock=manual_clock)


@pytest.mark.parametrize(("data", "code"), [(True, 1102), (False, 1101)])
def test_a_link_restored_without_data_forgets_the_subscriptions(play, data, code):
    async def act(stage):
        client = await stage.client()
        client.ask("reqMktData", reqId=1, **NVDA)
        await client.until("tickReqParams")
        await stage.gateway.do("lost")
        await stage.gateway.do("restored", data=data)
        await client.until("error", lambda values: values["code"] == code)
        client.ask("cancelMktData", reqId=1)
        client.ask("reqCurrentTime")
        await client.until("currentTime")
        assert (300 in codes(client)) is not data

    play(act)


def test_a_hung_gateway_says_nothing_until_it_resumes(play, manual_clock):
    async def act(stage):
        client = await stage.client()
        await stage.gateway.do("hang", seconds=30)
        client.ask("reqCurrentTime")
        waiting = asyncio.create_task(client.until("currentTime"))
        await manual_clock.advance(29)
        assert not waiting.done()
        await manual_clock.advance(2)
        await waiting

    play(act, clock=manual_clock)


def test_slow_answers_come_late_or_never(play, manual_clock):
    async def act(stage):
        client = await stage.client()
        client.ask("reqPositions")
        client.ask("reqAllOpenOrders")
        client.ask("reqCurrentTime")
        await client.until("currentTime")
        assert "positionEnd" not in client.names()
        await manual_clock.advance(6)
        await client.until("positionEnd")
        await stage.gateway.do("slow", message="reqAllOpenOrders", delay=0)
        client.ask("reqAllOpenOrders")
        await client.until("openOrderEnd")
        assert client.names().count("openOrderEnd") == 1

    play(act, {"slow": {61: 5, "reqAllOpenOrders": "never"}}, clock=manual_clock)


def test_a_competing_session_takes_the_quotes_and_gives_them_back(play, manual_clock):
    async def act(stage):
        client = await stage.client()
        client.ask("reqMktData", reqId=1, **NVDA)
        await client.until("tickPrice")
        await stage.gateway.do("competing")
        await client.until("error", lambda values: values["code"] == 10197)
        client.said.clear()
        await stage.gateway.do("price", contract="NVDA", bid=1, ask=2)
        client.ask("reqCurrentTime")
        await client.until("currentTime")
        assert "tickPrice" not in client.names()[:-1] or client.heard("tickPrice")[-1]["price"] > 2
        await stage.gateway.do("competing", on=False)
        await stage.gateway.do("price", contract="NVDA", bid=3, ask=4)
        await client.until("tickPrice", lambda values: values["price"] == 3)

    play(act, clock=manual_clock)


def test_a_trade_by_hand_moves_the_position_and_is_an_execution_of_client_zero(play):
    async def act(stage):
        client = await stage.client()
        client.ask("reqPositions")
        await client.until("positionEnd")
        await stage.gateway.do("trade", contract="NVDA", quantity=-10, price=100)
        assert (await client.until("position"))["position"] == -10
        client.ask("reqExecutions", reqId=1)
        execution = await client.until("execDetails")
        assert (execution["clientId"], execution["orderRef"]) == (0, "")
        assert execution["orderId"] < 0

    play(act)


def test_notices_reach_every_client_with_the_usual_text(play):
    async def act(stage):
        clients = [await stage.client(1), await stage.client(2)]
        await stage.gateway.do("msg", code=2103)
        for client in clients:
            error = await client.until("error")
            assert (error["id"], error["code"]) == (-1, 2103)
            assert "broken" in error["text"]

    play(act)


FAULTS = {
    "orders: [{n: one}]": r"orders\[0\].n: .*'one'",
    "orders: [{side: Buy}]": r"orders\[0\].side: expected BUY or SELL, was 'Buy'",
    "cancels: [{type: STP, do: ignore}]": r"cancels\[0\].type: expected MKT or LMT, was 'STP'",
    "order: 1": "script: order isn't known",
    "orders: 5": "orders: expected a list",
    "orders: [{steps: [fly]}]": r"orders\[0\].steps\[0\]: 'fly' isn't known",
    "orders: [{steps: [{wait: -1}]}]": r"orders\[0\].steps\[0\].wait.seconds: -1 seconds",
    "orders: [{steps: [{fill: {size: 1}}]}]": r"orders\[0\].steps\[0\].fill: size isn't known",
    "orders: [{steps: [{ack: 1}]}]": r"orders\[0\].steps\[0\]: ack takes no value",
    "cancels: [{do: perhaps}]": r"cancels\[0\].do: expected accept or ignore",
    "timeline: [{do: hang}]": r"timeline\[0\]: expected at and do",
    "timeline: [{at: 1, do: price, bid: 1}]": r"timeline\[0\].price: expected contract",
    "slow: {reqNothing: 1}": "slow: ",
    "account: {positions: {NVDA: many}}": "account.positions.NVDA",
    "orders: [": "script: ",
}


@pytest.mark.parametrize("text", FAULTS)
def test_a_fault_in_a_script_is_named_by_its_place(text):
    with pytest.raises(ScriptError, match=FAULTS[text]):
        load_script(text)


def test_the_script_and_the_tables_of_the_documentation_are_what_there_is():
    docs = Path(__file__).parents[4] / "docs"
    script = load_script(docs / "examples" / "simgateway" / "rough-morning.yaml")
    assert [moment.action.name for moment in script.timeline] == ["msg", "msg", "lost", "restored", "restart"]
    page = (docs / "how-to" / "rehearse-with-a-simulated-gateway.md").read_text("utf-8")
    missing = [name for name in (*STEPS, *ACTIONS) if f"`{name}" not in page]
    assert missing == []


def test_a_script_may_say_that_something_is_on_without_quotation_marks():
    script = load_script("timeline: [{at: 12, do: competing, on: false}, {at: 25, do: competing, on: true}]")
    assert [moment.action.values["on"] for moment in script.timeline] == [False, True]
