"""One session of each client library, message by message, against what was recorded before.

A difference means that the wire changed. Where that was meant: delete the file in
``transcripts`` and run again, which writes it and fails once.
"""

from __future__ import annotations

import asyncio
import threading
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
from bifrost_ib.simgateway import ManualClock, SimGateway

GOLDEN = Path(__file__).parent / "transcripts"
START_NS = 1_740_150_000 * 1_000_000_000
SCRIPT = {
    "account": {"positions": {"NVDA": {"quantity": 50, "average_cost": 120}}},
    "market": {"symbols": {"NVDA": 130}},
    "orders": [
        {"n": 1, "steps": ["ack", {"wait": 1}, {"fill": {"qty": "50%", "price": 130}}, {"wait": 1}, "fill"]},
        {"n": 2, "steps": [{"reject": {"code": 201, "text": "Order rejected - reason:margin"}}]},
        {"n": 3, "steps": ["presubmit", "submit"]},
    ],
}


class Tape:
    """Every message in either direction, but the connection's time."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.grew = asyncio.Event()

    def tap(self, way, session, fields) -> None:
        if len(fields) == 2 and way == "<" and not session.is_started:
            fields = [fields[0], "TIME"]
        self.lines.append(f"{way} {'|'.join(fields)}")
        self.grew.set()

    async def until(self, start: str, times: int = 1) -> None:
        """Wait until so many lines begin like this."""
        async with asyncio.timeout(8):
            while sum(line.startswith(start) for line in self.lines) < times:
                self.grew.clear()
                await self.grew.wait()


async def session_of_asyncio_library(
    library: str, gateway: SimGateway, tape: Tape, clock: ManualClock
) -> None:
    asyncio.set_event_loop(asyncio.get_running_loop())
    module = import_module(library)
    ib = module.IB()
    await ib.connectAsync("127.0.0.1", gateway.port, clientId=3, timeout=30)
    (details,) = await ib.reqContractDetailsAsync(module.Stock("NVDA", "SMART", "USD"))
    stock = details.contract
    ib.reqMktData(stock)
    await tape.until("< 1|", 3)
    terms = {"tif": "DAY", "account": "DU1234567", "transmit": True}
    filled = ib.placeOrder(stock, module.MarketOrder("BUY", 10, orderRef="BF.1", **terms))
    await tape.until("< 3|", 2)
    await clock.advance(1)
    await tape.until("< 59|", 1)
    await clock.advance(1)
    await tape.until("< 59|", 2)
    ib.placeOrder(stock, module.LimitOrder("BUY", 10, 129, orderRef="BF.2", **terms))
    await tape.until("< 4|2|", 4)
    rests = ib.placeOrder(stock, module.LimitOrder("SELL", 10, 140, orderRef="BF.3", **terms))
    await tape.until("< 3|", 7)
    ib.cancelOrder(rests.order)
    await tape.until("< 4|2|", 5)
    await ib.reqExecutionsAsync()
    assert (filled.orderStatus.status, rests.orderStatus.status) == ("Filled", "Cancelled")
    assert sum(fill.execution.shares for fill in filled.fills) == 10
    ib.disconnect()


def official_client():
    """Return a client of the official package that keeps what it is told."""
    from ibapi.client import EClient
    from ibapi.contract import Contract
    from ibapi.order import Order
    from ibapi.wrapper import EWrapper

    class App(EWrapper, EClient):
        def __init__(self):
            EClient.__init__(self, self)
            self.told = []

        def execDetails(self, reqId, contract, execution):  # noqa: N802, N803
            self.told.append(("execDetails", reqId, execution.shares, execution.orderRef))

        def orderStatus(self, orderId, status, filled, *more):  # noqa: N802, N803
            self.told.append(("orderStatus", orderId, status, filled))

        def openOrder(self, orderId, contract, order, state):  # noqa: N802, N803
            self.told.append(("openOrder", orderId, order.orderRef, state.status))

        def contractDetails(self, reqId, details):  # noqa: N802, N803
            self.told.append(("contractDetails", details.contract.symbol, details.minTick))

        def position(self, account, contract, position, cost):
            self.told.append(("position", contract.symbol, position, cost))

        def commissionReport(self, report):  # noqa: N802
            self.told.append(("commissionReport", report.commission))

        def error(self, reqId, code, text):  # noqa: N803
            self.told.append(("error", reqId, code))

        def completedOrder(self, contract, order, state):  # noqa: N802
            self.told.append(("completedOrder", order.orderRef, order.filledQuantity, state.status))

        def completedOrdersEnd(self):  # noqa: N802
            self.told.append(("completedOrdersEnd",))

        def execDetailsEnd(self, reqId):  # noqa: N802, N803
            self.told.append(("execDetailsEnd", reqId))

    stock = Contract()
    stock.symbol, stock.secType, stock.exchange, stock.currency = "NVDA", "STK", "SMART", "USD"

    def order(**values):
        made = Order()
        for name, value in {"tif": "DAY", "account": "DU1234567", "eTradeOnly": False, **values}.items():
            setattr(made, name, value)
        return made

    return App(), stock, order


async def session_of_official_client(
    library: str, gateway: SimGateway, tape: Tape, clock: ManualClock
) -> None:
    app, stock, order = official_client()
    await asyncio.to_thread(app.connect, "127.0.0.1", gateway.port, 3)
    assert app.serverVersion() == 157
    threading.Thread(target=app.run, daemon=True).start()
    await tape.until("< 4|2|", 3)
    app.reqContractDetails(1, stock)
    app.reqPositions()
    app.reqAccountSummary(2, "All", "NetLiquidation,BuyingPower")
    app.reqAccountUpdates(True, "DU1234567")
    app.reqMktData(3, stock, "", False, False, [])
    await tape.until("< 1|", 3)
    app.placeOrder(1, stock, order(action="BUY", totalQuantity=10, orderType="MKT", orderRef="BF.1"))
    await tape.until("< 3|", 2)
    await clock.advance(2)
    await tape.until("< 59|", 2)
    app.placeOrder(2, stock, order(action="BUY", totalQuantity=10, orderType="LMT", lmtPrice=129))
    await tape.until("< 4|2|", 4)
    app.placeOrder(3, stock, order(action="SELL", totalQuantity=10, orderType="LMT", lmtPrice=140))
    await tape.until("< 3|", 7)
    app.cancelOrder(3)
    await tape.until("< 4|2|", 5)
    app.reqExecutions(4, import_module("ibapi.execution").ExecutionFilter())
    async with asyncio.timeout(8):
        while ("execDetailsEnd", 4) not in app.told:
            await asyncio.sleep(0.01)
        app.reqCompletedOrders(False)
        while ("completedOrdersEnd",) not in app.told:
            await asyncio.sleep(0.01)
    await asyncio.to_thread(app.disconnect)
    assert app.told[:3] == [("error", -1, 2104), ("error", -1, 2106), ("error", -1, 2158)]
    assert ("contractDetails", "NVDA", 0.01) in app.told
    assert ("openOrder", 1, "BF.1", "Filled") in app.told
    assert ("orderStatus", 3, "Cancelled", 0.0) in app.told
    assert [line[1:] for line in app.told if line[0] == "execDetails"] == [
        (-1, 5.0, "BF.1"), (-1, 5.0, "BF.1"), (4, 5.0, "BF.1"), (4, 5.0, "BF.1"),
    ]  # fmt: skip
    assert ("position", "NVDA", 50.0, 120.0) in app.told
    assert [line[2:] for line in app.told if line[0] == "completedOrder"] == [
        (10.0, "Filled"), (0.0, "Inactive"), (0.0, "Cancelled"),
    ]  # fmt: skip


SESSIONS = {
    "ib_insync": session_of_asyncio_library,
    "ib_async": session_of_asyncio_library,
    "ibapi": session_of_official_client,
}


def record(library: str) -> list[str]:
    tape, clock = Tape(), ManualClock(START_NS)

    async def main() -> None:
        async with (
            asyncio.timeout(30),
            SimGateway(script=SCRIPT, clock=clock, seed=7, tap=tape.tap) as gateway,
        ):
            await SESSIONS[library](library, gateway, tape, clock)

    asyncio.run(main())
    return tape.lines


@pytest.mark.parametrize("library", SESSIONS)
def test_a_session_is_what_was_recorded_message_by_message(library):
    if find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    path = GOLDEN / f"{library}.txt"
    lines = record(library)
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(lines) + "\n")
        pytest.fail(f"{path.name} was written; look at it, and run again")
    recorded = path.read_text().splitlines()
    for number, (was, now) in enumerate(zip(recorded, lines, strict=False)):
        assert now == was, f"message {number}"
    assert len(lines) == len(recorded)


def test_the_same_seed_and_script_say_the_same_again(dial):
    def run(seed: int) -> list[str]:
        tape, clock = Tape(), ManualClock(START_NS)

        async def main() -> None:
            async with SimGateway(script=SCRIPT, clock=clock, seed=seed, tap=tape.tap) as gateway:
                client = await dial(gateway)
                await client.start()
                for req_id, symbol in enumerate(("NVDA", "NVDA")):
                    client.ask("reqMktData", reqId=req_id, symbol=symbol, secType="STK")
                    await client.until("tickReqParams")
                client.place(1)
                await client.until("orderStatus", lambda values: values["status"] == "Submitted")
                await clock.advance(60)
                client.ask("reqExecutions", reqId=9)
                await client.until("execDetailsEnd")
                client.close()

        asyncio.run(main())
        return tape.lines

    first, second, other = run(1), run(1), run(2)
    assert len(first) > 200  # a minute of quotes
    assert [pair for pair in zip(first, second, strict=True) if pair[0] != pair[1]][:1] == []
    assert first[:3] == other[:3]
    assert first != other
