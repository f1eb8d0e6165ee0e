"""Tick on the wire to order on the wire: a real daemon, beside a callback of the bare client library.

    python plugins/bifrost-ib/benchmarks/latency.py [--samples 300] [--rounds 2]

Both trade at the same simulated gateway, a process of its own, over real sockets. The
daemon hedges a straddle with all gates on its way; the bare one calls ``placeOrder`` in the
library's callback for ticks. Rounds of either take turns, so that both meet the same noise;
the processor time from the tick's arrival to the order's write doesn't count what other
programs take on a busy machine, the other times do.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from importlib import import_module
from typing import Any, NamedTuple

from far_side import ACCOUNT, LIBRARIES, STOCK, Near, Sample, far_side, quantile, quiet, running

from bifrost_engine.domain.quote import Quote

BARE_ID, DAEMON_ID = 7, 8
WARM_UP = 20
PLACE_ORDER = b"3\0"
"""What the message begins with, after its length."""


def straddle() -> tuple[str, str]:
    """Return a call and a put at 100 on a Friday in four weeks."""
    today = date.today()
    friday = today + timedelta(days=28 + (4 - today.weekday()) % 7)
    call, put = (f"NVDA|OPT|{friday:%Y%m%d}|100|{right}" for right in "CP")
    return call, put


LEGS = straddle()
OPEN_GATES = {
    "strategy": {"trading_hours_only": False, "structure": {"min_dte": 0, "max_dte": 100}},
    "state": {"delta": {"threshold_hedge_shares": 20, "max_delta_limit": 1e6}},
    "intent": {
        "hedge": {"cooldown_seconds": 0, "min_price_move_pct": 0, "max_hedge_shares_per_order": 1_000_000}
    },
    "guard": {
        "risk": {
            "max_daily_hedge_count": 1_000_000,
            "max_daily_loss_usd": 1e9,
            "max_position_shares": 1_000_000,
        }
    },
}


def settings(port: int, library: str) -> dict[str, Any]:
    """Return a daemon's configuration: the built-in strategy, with gates that let every hedge pass."""
    return {
        "broker": "ib",
        "feed": "ib",
        "strategies": [{"id": "gamma", "symbol": "NVDA", "gates": OPEN_GATES}],
        "account": {
            "max_orders_per_minute": 1_000_000,
            "max_orders_per_day": 1_000_000,
            "duplicate_window_seconds": 1e-6,
        },
        "status": {"sink": []},
        "daemon": {"shutdown_grace_seconds": 1},
        "ib": {
            "port": port,
            "account": ACCOUNT,
            "client_id": DAEMON_ID,
            "library": library,
            "stale_after": {"stock": 3600, "option": 3600},
        },
    }


class Span(NamedTuple):
    """From when to when something lasted, and the processor time of its thread, nanoseconds."""

    begin_ns: int
    end_ns: int
    cpu_ns: int


class Stamps:
    """The near side's times: each way from a packet's arrival to the order's write, and spans within.

    ways     one for each order
    commits  of the journal; ``engine`` likewise
    """

    def __init__(self, conn: Any) -> None:
        self.ways: list[Span] = []
        self.commits: list[Span] = []
        self.engine: list[Span] = []
        receive, send = conn.data_received, conn.sendMsg
        came = (0, 0)

        def data_received(data: bytes) -> None:
            nonlocal came
            came = time.perf_counter_ns(), time.thread_time_ns()
            receive(data)

        def send_message(message: bytes) -> None:
            send(message)
            if message[4:6] == PLACE_ORDER:
                cpu_ns = time.thread_time_ns() - came[1]
                self.ways.append(Span(came[0], time.perf_counter_ns(), cpu_ns))

        conn.data_received, conn.sendMsg = data_received, send_message


def timed(call: Callable[..., Any], spans: list[Span], only: type | None = None) -> Callable[..., Any]:
    """Return ``call`` with each of its calls written down, or those alone with an argument of a class."""

    def called(*arguments: Any) -> Any:
        begin_ns, cpu_ns = time.perf_counter_ns(), time.thread_time_ns()
        answer = call(*arguments)
        if only is None or arguments[0].__class__ is only:
            spans.append(Span(begin_ns, time.perf_counter_ns(), time.thread_time_ns() - cpu_ns))
        return answer

    return called


def within(spans: Sequence[Span], way: Span) -> tuple[float, float]:
    """Return how much of a way these spans took, in microseconds: of time, and of the processor's."""
    found = [one for one in spans if way.begin_ns <= one.begin_ns and one.end_ns <= way.end_ns]
    return sum(one.end_ns - one.begin_ns for one in found) / 1e3, sum(one.cpu_ns for one in found) / 1e3


async def bare(near: Near, port: int, library: str, count: int) -> tuple[list[Sample], Stamps]:
    """Return the samples of a callback that calls ``placeOrder``, and nothing around it."""
    module = import_module(library)
    ib = module.IB()
    await ib.connectAsync("127.0.0.1", port, clientId=BARE_ID, account=ACCOUNT)
    contract = module.Stock("NVDA", "SMART", "USD")
    await ib.qualifyContractsAsync(contract)
    ticker = ib.reqMktData(contract)
    stamps = Stamps(ib.client.conn)
    last = 100.0

    def on_update(ticker: Any) -> None:
        nonlocal last
        mid = (ticker.bid + ticker.ask) / 2
        if mid == mid and abs(mid - last) > 0.2:
            ib.placeOrder(contract, module.MarketOrder("BUY" if mid > last else "SELL", 50))
            last = mid

    ticker.updateEvent += on_update
    try:
        await near.ask("ticks", BARE_ID, WARM_UP)
        return await near.ask("ticks", BARE_ID, count), stamps
    finally:
        ib.disconnect()


async def through_daemon(near: Near, port: int, library: str, count: int) -> tuple[list[Sample], Stamps]:
    """Return the samples of a daemon that hedges, and what of each was spent where."""
    async with running(settings(port, library)) as daemon:
        pipeline: Any = daemon.pipeline
        stamps = Stamps(daemon.parts.plugins.plugin("brokers", "ib").session.link.ib.client.conn)
        pipeline.flush = timed(pipeline.flush, stamps.commits)
        pipeline.engine.handle = timed(pipeline.engine.handle, stamps.engine, Quote)
        await near.ask("ticks", DAEMON_ID, WARM_UP)
        return await near.ask("ticks", DAEMON_ID, count), stamps


Pair = tuple[float, float]
"""Microseconds: of time, and of the near side's processor."""


def split(samples: Sequence[Sample], stamps: Stamps) -> Iterator[dict[str, Pair]]:
    """Yield each sample's parts."""
    for sample, way in zip(samples, stamps.ways[-len(samples) :], strict=True):
        whole = sample.us, way.cpu_ns / 1e3
        commit, engine = within(stamps.commits, way), within(stamps.engine, way)
        left = whole[0] - commit[0], whole[1] - commit[1]
        yield {
            "whole": whole,
            "commit": commit,
            "left": left,
            "engine": engine,
            "rest": (left[0] - engine[0], left[1] - engine[1]),
        }


def measure(library: str, samples: int, rounds: int) -> dict[str, list[Pair]]:
    """Return the microseconds of each part, rounds of either side taking turns."""
    found: dict[str, list[Pair]] = {name: [] for name in ROWS}
    pinned = {STOCK: (99.99, 100.01), **dict.fromkeys(LEGS, (3.9, 4.0))}
    held = {key: {"quantity": 10, "average_cost": "390"} for key in LEGS}
    script = {"account": {"positions": held}, "orders": [{"steps": ["ack", {"fill": "rest"}]}]}
    with far_side(pinned, spots={"NVDA": 100.0}, script=script) as near:
        port = asyncio.run(near.ask("port"))
        for _ in range(rounds):
            count = samples // rounds
            for parts in split(*asyncio.run(bare(near, port, library, count))):
                found["bare"].append(parts["whole"])
            for parts in split(*asyncio.run(through_daemon(near, port, library, count))):
                for name, pair in parts.items():
                    found[name].append(pair)
    return found


ROWS = {
    "bare": "bare: callback to placeOrder",
    "whole": "daemon: tick to order",
    "commit": "  the journal's commit",
    "left": "  without it",
    "engine": "    the engine: decide, gates, order",
    "rest": "    wire, library, plugin, host",
}


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--samples", type=int, default=300, help="ticks, per library and side")
    arguments.add_argument("--rounds", type=int, default=3)
    given = arguments.parse_args()
    quiet()
    for library in LIBRARIES:
        found = measure(library, given.samples, given.rounds)
        times = {name: list(zip(*pairs, strict=True)) for name, pairs in found.items()}
        bare_us = [quantile(one, 0.5) for one in times["bare"]]
        print(f"{library + ', microseconds':38}{'p50':>8}{'p99':>8}{'÷ bare':>8}{'cpu p50':>10}{'÷ bare':>8}")
        for name, text in ROWS.items():
            wall, cpu = times[name]
            p50, cpu_us = quantile(wall, 0.5), quantile(cpu, 0.5)
            ratio, cpu_ratio = p50 / bare_us[0], cpu_us / bare_us[1]
            print(f"{text:38}{p50:8.0f}{quantile(wall, 0.99):8.0f}{ratio:8.2f}{cpu_us:10.0f}{cpu_ratio:8.2f}")


if __name__ == "__main__":
    main()
