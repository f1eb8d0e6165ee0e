"""hftbacktest on a workload: its exchange in Rust, the strategy compiled by numba.

An order without latency fills at once, at the touch of the quote that was decided on. The
arithmetic is that of ``hedging.py``, written once more in what numba compiles.
"""

from __future__ import annotations

import sys
from math import erfc, log, sqrt
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from hftbacktest import (
    BUY_EVENT,
    DEPTH_EVENT,
    EXCH_EVENT,
    GTC,
    LOCAL_EVENT,
    MARKET,
    SELL_EVENT,
    BacktestAsset,
    HashMapMarketDepthBacktest,
)
from hftbacktest.types import event_dtype
from numba import njit
from peers.hedging import MINUTE_NS, SQRT_HALF, YEAR_NS, Terms, read_terms
from peers.timing import measured, quotes_of

TICK = 0.01
NEXT_FEED, FOR_EVER = 2, 10**18


@njit
def option_delta(terms: Terms, right: int, spot: float, years: float) -> float:
    """Return an option's Black–Scholes delta, per share."""
    drift = (terms.rate + 0.5 * terms.volatility * terms.volatility) * years
    d1 = (log(spot / terms.strike) + drift) / (terms.volatility * sqrt(years))
    return right * 0.5 * erfc(-right * d1 * SQRT_HALF)


@njit
def hedge(hbt: Any, terms: Terms, times: Any, traded: Any) -> int:
    """Go through all quotes; note the times and shares of the orders, and return how many."""
    count = 0
    hedged_ns, hedged_at = 0, 0.0
    while hbt.wait_next_feed(False, FOR_EVER) == NEXT_FEED:
        depth = hbt.depth(0)
        bid, ask, ts_ns, shares = depth.best_bid, depth.best_ask, hbt.current_timestamp, hbt.position(0)
        spot = (bid + ask) / 2.0
        years = max(terms.expiry_ns - ts_ns, MINUTE_NS) / YEAR_NS
        delta = terms.weight * option_delta(terms, 1, spot, years)
        delta += terms.weight * option_delta(terms, -1, spot, years)
        if abs(delta + shares) < terms.threshold or not terms.open_ns <= ts_ns < terms.close_ns:
            continue
        if 100.0 * (ask - bid) / spot >= terms.widest_pct:
            continue
        if count and (
            ts_ns - hedged_ns < terms.cooldown_ns
            or count >= terms.max_hedges
            or 100.0 * abs(spot / hedged_at - 1.0) < terms.min_move_pct
        ):
            continue
        wanted = round(-delta) - shares
        if wanted > 0:
            hbt.submit_buy_order(0, count, ask, wanted, GTC, MARKET, True)
        elif wanted < 0:
            hbt.submit_sell_order(0, count, bid, -wanted, GTC, MARKET, True)
        hbt.clear_inactive_orders(0)
        times[count], traded[count] = ts_ns, wanted
        hedged_ns, hedged_at = ts_ns, ask if wanted > 0 else bid
        count += 1
    return count


def events(folder: Path) -> Any:
    """Return the quotes as changes of a book's levels: what leaves, what comes; exchange 1 ns ahead of us."""
    rows, last = [], {BUY_EVENT: 0.0, SELL_EVENT: 0.0}
    for ts_ns, bid, ask, bid_size, ask_size in quotes_of(folder):
        sides = ((BUY_EVENT, bid, bid_size), (SELL_EVENT, ask, ask_size))
        for side, price, _ in sides:
            if last[side] not in (0.0, price):
                rows.append((DEPTH_EVENT | side, ts_ns, last[side], 0.0))
        for side, price, size in sides:
            last[side] = price
            rows.append((DEPTH_EVENT | side, ts_ns, price, size))
    made = np.zeros(len(rows), event_dtype)
    kinds, times, prices, sizes = zip(*rows, strict=True)
    made["ev"] = np.array(kinds, "u8") | np.uint64(EXCH_EVENT | LOCAL_EVENT)
    made["exch_ts"], made["local_ts"] = np.array(times) - 1, times
    made["px"], made["qty"] = prices, sizes
    return made


def test_on(terms: Terms, data: Any) -> Any:
    """Return a test with its data."""
    asset = (
        BacktestAsset()
        .data(data)
        .linear_asset(1.0)
        .constant_order_latency(0, 0)
        .risk_adverse_queue_model()
        .no_partial_fill_exchange()
        .trading_qty_fee_model(terms.commission, terms.commission)
        .tick_size(TICK)
        .lot_size(1)
    )
    return HashMapMarketDepthBacktest([asset])


def main(place: str) -> None:
    """Prepare, run, tell."""
    folder = Path(place)
    warm = folder / "warm"
    times, traded = np.zeros(1_000_000, "i8"), np.zeros(1_000_000)
    terms, data = read_terms(warm), events(warm)  # the library keeps no reference to the data
    hedge(test_on(terms, data), terms, times, traded)
    terms, data = read_terms(folder), events(folder)
    test = test_on(terms, data)

    def look(count: int) -> tuple[list[tuple[int, int]], float]:
        state = test.state_values(0)
        trades = list(zip(times[:count].tolist(), traded[:count].astype(int).tolist(), strict=True))
        return trades, float(state.balance - state.fee)

    measured(lambda: hedge(test, terms, times, traded), look)


if __name__ == "__main__":
    main(*sys.argv[1:])
