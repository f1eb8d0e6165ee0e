"""The client libraries connect to the simulated gateway and trade with it."""

from __future__ import annotations

import asyncio
import logging
from importlib import import_module
from importlib.util import find_spec

import pytest
from bifrost_ib.simgateway import SimGateway

VERSIONS = {
    "ib_insync": (157, 163, 164, 166, 169, 170, 176),
    "ib_async": (157, 163, 164, 166, 169, 170, 176, 177, 178),
}
CASES = [(library, version) for library, versions in VERSIONS.items() for version in versions]
HELD = {"account": {"positions": {"NVDA": {"quantity": 100, "average_cost": 120}}}}


async def until(holds, timeout: float = 60.0) -> None:
    async with asyncio.timeout(timeout):
        while not holds():
            await asyncio.sleep(0.01)


async def connected(library: str, gateway: SimGateway):
    asyncio.set_event_loop(asyncio.get_running_loop())
    module = import_module(library)
    ib = module.IB()
    await ib.connectAsync("127.0.0.1", gateway.port, clientId=1, timeout=30)
    return module, ib


@pytest.mark.parametrize(("library", "version"), CASES)
def test_client_trades_at_each_version_without_a_decoding_error(library, version, caplog):
    if find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    caplog.set_level(logging.ERROR)

    async def trade() -> None:
        async with SimGateway(server_version=version, script=HELD) as gateway:
            module, ib = await connected(library, gateway)
            assert ib.client.serverVersion() == version
            assert [position.position for position in ib.positions()] == [100]
            (details,) = await ib.reqContractDetailsAsync(module.Stock("NVDA", "SMART", "USD"))
            ticker = ib.reqMktData(details.contract)
            await until(lambda: ticker.bid > 0)
            sell = ib.placeOrder(details.contract, module.MarketOrder("SELL", 30, orderRef="a", tif="DAY"))
            rest = ib.placeOrder(details.contract, module.LimitOrder("BUY", 5, 1, orderRef="b", tif="DAY"))
            await until(
                lambda: sell.orderStatus.status == "Filled" and rest.orderStatus.status == "Submitted"
            )
            assert sum(fill.execution.shares for fill in sell.fills) == 30
            assert sum(fill.commissionReport.commission for fill in sell.fills) == 1
            ib.cancelOrder(rest.order)
            await until(lambda: rest.orderStatus.status == "Cancelled")
            await until(lambda: ib.positions()[0].position == 70)
            assert len(await ib.accountSummaryAsync()) >= 9
            completed = await ib.reqCompletedOrdersAsync(False)
            assert [(c.order.orderRef, c.orderStatus.status) for c in completed] == [
                ("a", "Filled"),
                ("b", "Cancelled"),
            ]
            assert completed[0].order.filledQuantity == 30
            ib.disconnect()

    asyncio.run(trade())
    faults = [record for record in caplog.records if "202" not in record.getMessage()]
    assert not faults, [record.getMessage() for record in faults]
