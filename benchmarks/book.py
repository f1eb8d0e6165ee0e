"""What the benchmarks trade: a book, generated quotes, and the same arithmetic without an engine."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from math import erfc, log, sqrt
from pathlib import Path

from bifrost_engine.domain import Contract, Quote, Right

OPEN_NS = 1_741_012_200_000_000_000
"""Monday 2025-03-03, 09:30 in New York."""
EXPIRY_NS = 1_743_192_000_000_000_000
"""Friday 2025-03-28, 16:00 in New York."""
YEAR_NS = 365 * 86_400 * 1_000_000_000
RATE, VOLATILITY = 0.05, 0.35
STOCK = Contract.stock("NVDA")


def straddles(legs: int) -> tuple[tuple[Contract, int], ...]:
    """Return a book of ``legs`` options around 100, each long 10."""
    strikes = [Decimal(100 + (i // 2) % 3 - 1) if legs > 2 else Decimal(100) for i in range(legs)]
    expiries = (
        [date(2025, 3, 28 - 2 * (i // 6)) for i in range(legs)] if legs > 2 else [date(2025, 3, 28)] * 2
    )
    return tuple(
        (Contract.option("NVDA", expiry, strike, Right.CALL if i % 2 else Right.PUT), 10)
        for i, (expiry, strike) in enumerate(zip(expiries, strikes, strict=True))
    )


def walk(count: int, *, step: float = 0.003, gap_ms: int = 20, seed: int = 1) -> Iterator[Quote]:
    """Yield a random walk of stock quotes, a cent either side of the mid."""
    rng = random.Random(seed)
    mid, ts_ns, key = 100.0, OPEN_NS, STOCK.key
    for _ in range(count):
        ts_ns += gap_ms * 1_000_000
        mid += rng.gauss(0.0, step)
        cents = round(mid, 2)
        yield Quote(key, cents - 0.01, cents + 0.01, 500.0, 500.0, ts_ns)


def recorded(folder: Path, count: int, *, step: float = 0.003, gap_ms: int = 20) -> list[str]:
    """Write a recording and a configuration, and return the options that name them."""
    with open(folder / "day.csv", "w") as file:
        file.write("ts_ms,contract_key,bid,ask,bid_size,ask_size\n")
        for key, bid, ask, bid_size, ask_size, ts_ns, _ in walk(count, step=step, gap_ms=gap_ms):
            file.write(f"{ts_ns // 1_000_000},{key},{bid!r},{ask!r},{bid_size!r},{ask_size!r}\n")
    legs = {contract.key: quantity for contract, quantity in straddles(2)}
    config = {"symbol": "NVDA", "broker": "paper", "paper": {"positions": legs}, "status": {"sink": []}}
    (folder / "bifrost.yaml").write_text(json.dumps(config))  # JSON is YAML
    return ["--config", str(folder / "bifrost.yaml"), "--data", str(folder / "day.csv")]


def bare_delta(spot: float, strike: float, years: float) -> float:
    """Return a call's Black–Scholes delta, for the loop without an engine."""
    root = VOLATILITY * sqrt(years)
    d1 = (log(spot / strike) + (RATE + 0.5 * VOLATILITY * VOLATILITY) * years) / root
    return 0.5 * erfc(-d1 * 0.7071067811865476)


def quantile(values: Sequence[float], q: float) -> float:
    """Return the value below which the share ``q`` of ``values`` lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]
