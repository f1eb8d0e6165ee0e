"""The feed ``sim``: a market made up from a seed, in event time, for ever if need be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from heapq import merge
from operator import itemgetter
from zoneinfo import ZoneInfo

from bifrost_engine.domain import Contract, Quote, SecType
from bifrost_engine.hookspecs import HOOK_VERSION, PluginContext, hookimpl
from bifrost_paper.config import SimConfig
from bifrost_paper.path import SymbolPath, Wanted
from bifrost_paper.surface import SimOption

TS_NS = Quote._fields.index("ts_ns")


class SimFeed:
    """Quotes of whatever stocks and options it is asked for; the host's clock follows them."""

    Config = SimConfig
    hook_version = HOOK_VERSION

    def __init__(self, config: SimConfig, context: PluginContext) -> None:
        self.config = config
        self._log = context.log
        self._seed = context.seed if config.seed is None else config.seed
        self._zone = ZoneInfo(config.zone)
        self._paths: dict[str, SymbolPath] = {}

    @hookimpl
    async def connect(self) -> None:
        """Do nothing: there is nobody to connect to."""

    @hookimpl
    async def disconnect(self) -> None:
        """Do nothing: the market ends with its iterator."""

    @hookimpl
    async def subscribe(self, contracts: Sequence[Contract]) -> None:
        """Quote these from now on; a symbol that wasn't there at the start is left out, with a warning.

        One that isn't among them goes on as it was: an account may hold it, and a stream without
        a quote would be waited for without an end.
        """
        wanted = self._by_symbol(contracts)
        for symbol in wanted.keys() - self._paths.keys() if self._paths else ():
            self._log.warning("symbol isn't in the simulated market; it needs a restart", symbol=symbol)
        for symbol, path in self._paths.items():
            path.wanted = wanted.get(symbol, path.wanted)

    @hookimpl
    def read_quotes(self, contracts: Sequence[Contract]) -> Iterator[Quote]:
        """Yield the market of ``contracts``, in order of time; without an end unless ``days`` is set."""
        start_ns = self._start_ns()
        self._paths = {
            symbol: SymbolPath(symbol, self.config, self._seed, start_ns, wanted)
            for symbol, wanted in self._by_symbol(contracts).items()
        }
        streams = [path.quotes() for path in self._paths.values()]
        return streams[0] if len(streams) == 1 else merge(*streams, key=itemgetter(TS_NS))

    def _start_ns(self) -> int:
        start = datetime.fromisoformat(self.config.start)
        start = start if start.tzinfo else start.replace(tzinfo=self._zone)
        return int(start.timestamp()) * 1_000_000_000

    def _by_symbol(self, contracts: Sequence[Contract]) -> dict[str, Wanted]:
        symbols = dict.fromkeys(contract.symbol for contract in contracts)
        return {symbol: self._wanted([c for c in contracts if c.symbol == symbol]) for symbol in symbols}

    def _wanted(self, contracts: Sequence[Contract]) -> Wanted:
        options = {c.key: SimOption.of(c, self._zone) for c in contracts if c.sec_type is SecType.OPTION}
        return Wanted(
            stock=any(c.sec_type is SecType.STOCK for c in contracts), options=tuple(options.values())
        )
