"""Quotes of Interactive Brokers: named in the entry point, refused when a run selects it."""

from __future__ import annotations

from bifrost_engine.hookspecs import PluginContext
from bifrost_ib.broker import refuse
from bifrost_ib.config import IBConfig


class IBFeed:
    """The feed plugin ``ib``. Raises PluginError when it is made."""

    hook_version = "1.0"
    Config = IBConfig

    def __init__(self, config: IBConfig, context: PluginContext) -> None:
        refuse("market data")
