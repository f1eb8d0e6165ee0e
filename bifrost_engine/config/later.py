"""Keys that a file may have already and that nothing acts on in this release.

An operator who sets one of them is told so: a limit that doesn't limit is worse than none.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import Any

from bifrost_engine.config.schema import Config
from bifrost_engine.config.strategy import StrategyConfig

OF_A_STRATEGY = (
    "claims",
    "claims_external",
)
OF_THE_FILE = (
    "audit.require_sink",
    "recon.periodic_in_flight",
    "status_server.host",
    "status_server.port",
)


def warnings_of(config: Config, provenance: Mapping[str, str]) -> list[str]:
    """Return a line for each such key that isn't at its default."""
    found = [(key, key) for key in OF_THE_FILE if _is_set(config, Config(), key)]
    for strategy in config.strategies:
        plain = StrategyConfig(symbol=strategy.symbol)
        found += [(key, f"{strategy.id}: {key}") for key in OF_A_STRATEGY if _is_set(strategy, plain, key)]
    return [
        f"{provenance.get(key, 'configuration')}: {name}: set, but nothing acts on it in this release"
        for key, name in found
    ]


def _is_set(value: Any, default: Any, key: str) -> bool:
    read = attrgetter(key)
    return bool(read(value) != read(default))
