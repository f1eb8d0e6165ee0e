"""Days of a made-up market around a holiday and a change of the clocks; two stocks, little size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from math import sin
from pathlib import Path
from random import Random

import yaml
from generated_day import HEADER

from bifrost_engine.calendar import ExchangeSessions

GOOD_FRIDAY = [date(2024, 3, 27), date(2024, 3, 28), date(2024, 4, 1), date(2024, 4, 2)]
"""29 March is a holiday; a month ends before it, a week after it."""
WINTER_TIME = [date(2025, 10, 30), date(2025, 10, 31), date(2025, 11, 3), date(2025, 11, 4)]
"""New York's clocks go back on Sunday, 2 November; a month has ended the day before."""
SPOTS = {"NVDA": 120.0, "SPY": 600.0}
SECOND_NS = 1_000_000_000


def legs(expiry: str) -> dict[str, int]:
    """Return a straddle on each stock, by contract key."""
    sizes = {"NVDA": 10, "SPY": 12}
    return {
        f"{symbol}|OPT|{expiry}|{spot:g}|{right}": sizes[symbol]
        for symbol, spot in SPOTS.items()
        for right in "CP"
    }


def _rows(days: Iterable[date], seed: int) -> Iterator[str]:
    chance, sessions = Random(seed), ExchangeSessions()
    for number, day in enumerate(days):
        session = sessions.first_session_on_or_after(day)
        assert session.day == day
        opening, closing = session.open_ns // SECOND_NS, session.close_ns // SECOND_NS
        for second in [*range(opening, opening + 200), *range(closing - 40, closing)]:
            for symbol, spot in SPOTS.items():
                moved = 1 + 0.004 * sin(number + (second - opening) / 40) + chance.gauss(0, 0.0002)
                mid = round(spot * moved, 2)
                half = 0.01 if chance.random() < 0.9 else 0.2
                size = chance.choice((10, 20, 100))
                key = f"{symbol}|STK|||"
                yield f"{second * 1000},{key},{mid - half:.2f},{mid + half:.2f},{size},{size}\n"


def write_days(path: Path, days: Iterable[date], seed: int = 5) -> Path:
    """Write the quotes as a recording has them, and return the path."""
    path.write_text(HEADER + "".join(_rows(days, seed)))
    return path


def write_two_strategies(path: Path, expiry: str, **changed: object) -> Path:
    """Write a configuration with a strategy for each stock, and return the path."""
    gates = {
        "strategy": {"structure": {"max_dte": 90, "atm_band_pct": 0.1}},
        "state": {"delta": {"epsilon_band": 5, "threshold_hedge_shares": 15}},
        "intent": {"hedge": {"cooldown_seconds": 20, "min_price_move_pct": 0.02}},
    }
    settings = {
        "broker": "paper",
        "daemon": {"heartbeat_interval": 120},
        "paper": {"positions": legs(expiry)},
        "strategies": [
            {"id": symbol.lower(), "symbol": symbol, "gates": gates, "greeks": {"volatility": 0.3}}
            for symbol in SPOTS
        ],
        "status": {"sink": []},
        **changed,
    }
    path.write_text(yaml.safe_dump(settings, sort_keys=False))
    return path
