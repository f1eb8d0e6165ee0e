"""Messages a second through the plugin, beside the bare client library.

    python plugins/bifrost-ib/benchmarks/messages.py [--messages 40000]

The bytes of ticks and of order reports are handed to a connection as its socket would hand
them, in packets as a gateway sends them, so that nothing but decoding and what follows is
measured: by the library alone, with the plugin's taps, and up to the quotes and reports
that leave the plugin for the engine.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import time
from collections.abc import Awaitable, Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bifrost_ib import compat
from bifrost_ib.broker import IBBroker
from bifrost_ib.config import IBConfig
from bifrost_ib.feed import IBFeed
from bifrost_ib.session import State
from bifrost_ib.simgateway.answers import BY_NAME
from bifrost_ib.simgateway.framing import frame
from bifrost_ib.simgateway.layout import encode
from far_side import ACCOUNT, LIBRARIES, MIDS, REST_S, STOCK, far_side, quiet, tick

from bifrost_engine.domain import Contract, Quote
from bifrost_engine.testing import make_config, make_context, make_order_request

Measure = Callable[[Any, int, int, int], None]
"""Takes a connection, a line's number, and both numbers of an order that works."""
FAR_LIMIT = 50

PER_TICK = 4
TURNS = 5


class Version:
    """As much of a gateway's session as a tick's layout depends on."""

    version = 176


def ticks(req_id: int, count: int) -> list[bytes]:
    """Return so many messages: both sides of a quote with their sizes in each packet."""
    packets = [tick(Version(), req_id, mid) for mid in MIDS]  # type: ignore[arg-type]
    return [packets[i % 2] for i in range(count // PER_TICK)]


def statuses(order_id: int, perm_id: int, count: int) -> list[bytes]:
    """Return so many orderStatus messages of one order that works, one in each packet."""
    values = {"orderId": order_id, "status": "Submitted", "remaining": 9, "permId": perm_id, "clientId": 7}
    return [frame(encode(BY_NAME["orderStatus"], {**values, "filled": 0}, Version.version))] * count


def rate(ib: Any, packets: list[bytes], messages: int) -> float:
    """Return messages a second of processor time."""
    emit = ib.client.conn.hasData.emit
    gc.collect()
    start = time.process_time()
    for packet in packets:
        emit(packet)
    return messages / (time.process_time() - start)


async def bare(port: int, library: str, measure: Measure, tapped: bool) -> None:
    """Let a connection of the library's own be measured, with a line open; with taps that lead nowhere."""
    module = import_module(library)
    ib = module.IB()
    await ib.connectAsync("127.0.0.1", port, clientId=7, account=ACCOUNT)
    contract = module.Stock("NVDA", "SMART", "USD")
    await ib.qualifyContractsAsync(contract)
    ticker = ib.reqMktData(contract)
    if tapped:
        compat.attach_wire(ib, lambda message: None, lambda name, error: None)
    order = ib.placeOrder(contract, module.LimitOrder("BUY", 9, FAR_LIMIT)).order
    while not order.permId:
        await asyncio.sleep(0.01)
    measure(ib, ib.wrapper.ticker2ReqId["mktData"][ticker], order.orderId, order.permId)
    ib.cancelOrder(order)
    ib.disconnect()


async def whole(port: int, library: str, measure: Measure) -> None:
    """Let the connection of broker and feed be measured."""
    with TemporaryDirectory(prefix="bifrost-bench-") as folder:
        context = make_context(Path(folder), name="ib")
        config = make_config(IBConfig, port=port, client_id=7, library=library)
        broker, feed = IBBroker(config, context), IBFeed(config, context)
        await feed.subscribe([Contract.stock("NVDA")])
        await broker.connect()
        try:
            async with asyncio.timeout(10.0):
                while broker.session.state is not State.READY or STOCK not in feed.lines.quoted:
                    await asyncio.sleep(0.01)
            (req_id,) = feed.lines._by_id
            order = make_order_request("BF-1", account=ACCOUNT, limit_price=FAR_LIMIT)
            await broker.place_order(order)
            await asyncio.sleep(REST_S)
            known = broker._register.find("BF-1")
            count = len(context.events)
            measure(broker.session.link.ib, req_id, known.order_id, known.perm_id)
            assert any(isinstance(event, Quote) for event in context.events[count:]), "no quote came out"
        finally:
            await broker.disconnect()


def both(
    found: list[tuple[float, float]], count: int, ib: Any, req_id: int, order_id: int, perm: int
) -> None:
    """Add a connection's rates of ticks and of reports."""
    quoted = rate(ib, ticks(req_id, count), count)
    found.append((quoted, rate(ib, statuses(order_id, perm, count), count)))


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--messages", type=int, default=20_000, help="of each kind, in each of five turns")
    given = arguments.parse_args()
    quiet()
    count = given.messages
    ways: dict[str, Callable[..., Awaitable[None]]] = {
        "the library alone": lambda *how: bare(*how, tapped=False),
        "with taps": lambda *how: bare(*how, tapped=True),
        "broker and feed": whole,
    }
    for library in LIBRARIES:
        found: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
        with far_side({STOCK: (99.99, 100.01)}, spots={"NVDA": 100.0}) as near:
            port = asyncio.run(near.ask("port"))
            for _ in range(TURNS):
                for way, work in ways.items():
                    measure = partial(both, found[way], count)
                    asyncio.run(work(port, library, measure))  # type: ignore[arg-type]
        print(f"{library + ', messages/s':32}{'ticks':>10}{'of bare':>9}{'reports':>10}{'of bare':>9}")
        alone = [max(one) for one in zip(*found["the library alone"], strict=True)]
        for way, pairs in found.items():
            best = [max(one) for one in zip(*pairs, strict=True)]
            shares = [one / bare for one, bare in zip(best, alone, strict=True)]
            print(f"{way:32}{best[0]:10,.0f}{shares[0]:9.2f}{best[1]:10,.0f}{shares[1]:9.2f}")


if __name__ == "__main__":
    main()
