"""A day of the simulated market as a recording, and a configuration that trades it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile
from pathlib import Path

import structlog
import yaml
from bifrost_paper.config import SimConfig
from bifrost_paper.market import SimFeed

from bifrost_engine.clock import EventClock
from bifrost_engine.domain import Contract, Quote, parse_contract_key
from bifrost_engine.hookspecs import PluginContext

LEGS = ("NVDA|OPT|20250328|120|C", "NVDA|OPT|20250328|120|P")
OPEN_NS = 1_741_012_200_000_000_000
"""Monday 2025-03-03, 09:30 in New York."""
HEADER = "ts_ms,contract_key,bid,ask,bid_size,ask_size\n"


def market(minutes: float, *, seed: int = 7, interval_ms: float = 250.0) -> Iterable[Quote]:
    """Yield the quotes of NVDA and a straddle for so many minutes from the opening."""
    config = SimConfig(seed=seed, spot=120.0, interval_ms=interval_ms)
    log = structlog.get_logger()
    context = PluginContext(
        name="sim", log=log, clock=EventClock(OPEN_NS), state_dir=Path(), emit=lambda _event: None
    )
    contracts = [Contract.stock("NVDA"), *map(parse_contract_key, LEGS)]
    end_ns = OPEN_NS + int(minutes * 60e9)
    return takewhile(lambda quote: quote.ts_ns < end_ns, SimFeed(config, context).read_quotes(contracts))


def write_quotes(path: Path, quotes: Iterable[Quote]) -> Path:
    """Write quotes as a recording has them, and return the path."""
    with open(path, "w") as file:
        file.write(HEADER)
        for key, bid, ask, bid_size, ask_size, ts_ns, _ in quotes:
            file.write(f"{ts_ns // 1_000_000},{key},{bid!r},{ask!r},{bid_size!r},{ask_size!r}\n")
    return path


def write_config(path: Path, **changed: object) -> Path:
    """Write a configuration that hedges the straddle often, and return the path."""
    settings = {
        "symbol": "NVDA",
        "broker": "paper",
        "paper": {"positions": dict.fromkeys(LEGS, 10)},
        "status": {"sink": []},
        "gates": {
            "state": {"delta": {"epsilon_band": 5, "threshold_hedge_shares": 15}},
            "intent": {"hedge": {"cooldown_seconds": 5, "min_price_move_pct": 0.02}},
        },
        **changed,
    }
    path.write_text(yaml.safe_dump(settings, sort_keys=False))
    return path
