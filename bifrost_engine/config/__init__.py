"""The configuration: what it can say (``schema``), how it is read (``loader``), how it is shown and changed.

Importing this package loads the schema only; YAML is loaded with the first file.
"""

from bifrost_engine.config.schema import (
    AccountLimits,
    Config,
    GatesConfig,
    GreeksConfig,
    OrderConfig,
    StrategyConfig,
)

__all__ = ["AccountLimits", "Config", "GatesConfig", "GreeksConfig", "OrderConfig", "StrategyConfig"]
