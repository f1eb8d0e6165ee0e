"""A feed of one class: stocks that walk a cent up or down each second, by the run's seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from random import Random

from attrs import field, frozen

from bifrost_engine.domain import Contract, Quote, SecType
from bifrost_engine.hookspecs import PluginContext, hookimpl


@frozen(kw_only=True)
class WalkConfig:
    """The section ``walk``."""

    start: str = field(default="2025-03-03T14:30:00+00:00", metadata={"help": "time of the first quotes"})
    spot: float = field(default=100.0, metadata={"help": "first mid", "gt": 0})
    seconds: int = field(default=23_400, metadata={"help": "quotes of each stock", "ge": 1, "unit": "s"})


class WalkFeed:
    """Yields its market; the host's clock follows the quotes."""

    hook_version = "1.0"
    Config = WalkConfig

    def __init__(self, config: WalkConfig, context: PluginContext) -> None:
        self._config = config
        self._seed = context.seed

    @hookimpl
    def read_quotes(self, contracts: Sequence[Contract]) -> Iterator[Quote]:
        """Yield a quote of each stock every second, in order of time."""
        chance = Random(self._seed)
        keys = [contract.key for contract in contracts if contract.sec_type is SecType.STOCK]
        mids = dict.fromkeys(keys, self._config.spot)
        start_ns = int(datetime.fromisoformat(self._config.start).timestamp()) * 1_000_000_000
        for second in range(self._config.seconds):
            for key in keys:
                mids[key] = max(0.02, mids[key] + chance.choice((-0.01, 0.01)))
                bid, ask = round(mids[key] - 0.01, 2), round(mids[key] + 0.01, 2)
                yield Quote(key, bid, ask, 500.0, 500.0, start_ns + second * 1_000_000_000)
