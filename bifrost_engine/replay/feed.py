"""The feed ``replay:PATH``: a recorded market, in event time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from attrs import field, frozen

from bifrost_engine.domain import Contract, Quote
from bifrost_engine.hookspecs import HOOK_VERSION, PluginContext, hookimpl
from bifrost_engine.replay.ahead import rows_in_time
from bifrost_engine.replay.readers import read_quotes


@frozen(kw_only=True)
class ReplayConfig:
    """What ``replay:`` accepts."""

    path: str = field(metadata={"help": "file of quotes (.csv, .csv.gz, .parquet), or a folder of them"})


class ReplayFeed:
    """Plays recorded quotes; the host's clock follows them.

    skipped  rows left out so far, by reason: ``columns``, ``non_numeric``, ``contract_key``,
             ``other_symbol``, ``time``, ``ahead``
    """

    Config = ReplayConfig
    hook_version = HOOK_VERSION

    def __init__(self, config: ReplayConfig, context: PluginContext) -> None:
        self.path = config.path
        self.skipped: Counter[str] = Counter()
        self._log = context.log

    @hookimpl
    async def connect(self) -> None:
        """Do nothing: the files are opened when they are read."""

    @hookimpl
    async def disconnect(self) -> None:
        """Tell which rows were left out; the files are closed with the iterator."""
        if self.skipped:
            self._log.warning("rows left out", **dict(sorted(self.skipped.items())))

    @hookimpl
    async def subscribe(self, contracts: Sequence[Contract]) -> None:
        """Do nothing: what was recorded is what there is."""

    @hookimpl
    def read_quotes(self, contracts: Sequence[Contract]) -> Iterator[Quote]:
        """Yield the quotes of the recording, those of other symbols than ``contracts``' left out.

        Raises DataError, naming file and line, when a file can't be read.
        """
        symbols = frozenset(contract.symbol for contract in contracts)
        return rows_in_time(read_quotes(self.path, self.skipped, symbols), self.skipped)
