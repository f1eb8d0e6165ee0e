"""The strategies that come with the engine, in the shape of plugins.

The strategies themselves lie below the hooks and don't know them; here their
methods are marked as implementations.
"""

from __future__ import annotations

from bifrost_engine.hookspecs import hookimpl
from bifrost_engine.strategies.gamma import GammaStrategy


class Gamma(GammaStrategy):
    """The gamma scalper as the plugin ``gamma``."""

    on_tick = hookimpl(GammaStrategy.on_tick)
    on_heartbeat = hookimpl(GammaStrategy.on_heartbeat)
    on_order = hookimpl(GammaStrategy.on_order)
