"""From a lost connection to books that are compared again, with 1, 50 and 500 orders at the broker.

    python plugins/bifrost-ib/benchmarks/reconnect.py [--times 5]

The gateway hangs up on a daemon that has nothing else to do; the orders are another
client's, so they are read and compared but need no repair. Beside it the client library's
own ``connectAsync`` with a list of all open orders. The pause before the first attempt is left
out; that messages leave at no more than the gateway takes isn't.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from importlib import import_module
from typing import Any

from far_side import ACCOUNT, LIBRARIES, STOCK, Near, far_side, quantile, quiet, running

COUNTS = (1, 50, 500)
OWNER_ID, BARE_ID, DAEMON_ID = 6, 7, 8
PAUSE_S = 0.02


def settings(port: int, library: str) -> dict[str, Any]:
    """Return a daemon's configuration: a strategy that holds nothing, and a short pause before attempts."""
    return {
        "broker": "ib",
        "feed": "ib",
        "strategies": [{"id": "gamma", "symbol": "NVDA"}],
        "status": {"sink": []},
        "daemon": {"shutdown_grace_seconds": 1},
        "ib": {
            "port": port,
            "account": ACCOUNT,
            "client_id": DAEMON_ID,
            "library": library,
            "retry_ib": {"first": PAUSE_S, "max": PAUSE_S, "jitter": 0},
        },
    }


async def place_one(near: Near, port: int, library: str) -> Any:
    """Connect a client and let it send an order far from the market; return its connection."""
    module = import_module(library)
    ib = module.IB()
    await ib.connectAsync("127.0.0.1", port, clientId=OWNER_ID, account=ACCOUNT)
    contract = module.Stock("NVDA", "SMART", "USD")
    await ib.qualifyContractsAsync(contract)
    order = ib.placeOrder(contract, module.LimitOrder("BUY", 1, 50)).order
    while not order.permId:
        await asyncio.sleep(0.01)
    return ib


async def bare(port: int, library: str) -> float:
    """Return the seconds in which the library connects and lists what is open."""
    ib = import_module(library).IB()
    begun_s = time.perf_counter()
    await ib.connectAsync("127.0.0.1", port, clientId=BARE_ID, account=ACCOUNT)
    await ib.reqAllOpenOrdersAsync()
    taken_s = time.perf_counter() - begun_s
    ib.disconnect()
    return taken_s


async def reconnected(near: Near, daemon: Any) -> float:
    """Hang up on a daemon; return the seconds until its books are compared again, but for the pause."""
    core, session = daemon.engine.core, daemon.parts.plugins.plugin("brokers", "ib").session
    before = session.name
    begun_s = await near.ask("hang_up", DAEMON_ID) / 1e9
    async with asyncio.timeout(60.0):
        while session.name == before or not (core.connected and core.reconciled):
            await asyncio.sleep(0.001)
    return time.perf_counter() - begun_s - PAUSE_S


async def measure(near: Near, library: str, times: int) -> dict[int, tuple[list[float], list[float]]]:
    """Return the seconds of the bare library and of a daemon, by the number of open orders."""
    found: dict[int, tuple[list[float], list[float]]] = {count: ([], []) for count in COUNTS}
    port = await near.ask("port")
    owner = await place_one(near, port, library)
    async with running(settings(port, library)) as daemon:
        for count, (alone, ours) in found.items():
            await near.ask("orders", count)
            for _ in range(times):
                await asyncio.sleep(1.0)  # or the gateway's limit on messages would be measured
                alone.append(await bare(port, library))
                ours.append(await reconnected(near, daemon))
    owner.disconnect()
    return found


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--times", type=int, default=5, help="for each number of orders")
    given = arguments.parse_args()
    quiet()
    for library in LIBRARIES:
        with far_side({STOCK: (99.99, 100.01)}, spots={"NVDA": 100.0}) as near:
            found = asyncio.run(measure(near, library, given.times))
        print(f"{library + ', milliseconds':28}{'library':>10}{'daemon':>10}{'ratio':>8}")
        for count, (alone, ours) in found.items():
            alone_ms, ours_ms = (1e3 * quantile(one, 0.5) for one in (alone, ours))
            what = f"{count} open order{'s' if count > 1 else ''}"
            print(f"{what:28}{alone_ms:10.0f}{ours_ms:10.0f}{ours_ms / alone_ms:8.1f}")


if __name__ == "__main__":
    main()
