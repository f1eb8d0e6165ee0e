"""Quotes of Interactive Brokers: named in the entry point, refused when a run selects it."""

from __future__ import annotations

from typing import NoReturn

from bifrost_engine.errors import PluginError
from bifrost_engine.hookspecs import PluginContext
from bifrost_ib.config import IBConfig


def refuse(what: str) -> NoReturn:
    """Raise the PluginError that says what can be done instead."""
    raise PluginError(
        f"ib: {what} through Interactive Brokers comes with the next release of bifrost-ib;"
        " nothing was connected. Rehearse meanwhile: bifrost run --broker paper"
    )


class IBFeed:
    """The feed plugin ``ib``. Raises PluginError when it is made."""

    hook_version = "1.0"
    Config = IBConfig

    def __init__(self, config: IBConfig, context: PluginContext) -> None:
        refuse("market data")
