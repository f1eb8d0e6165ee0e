"""The feed of a run, by its hooks.

One with ``read_quotes`` owns its time and is pulled from; any other emits its quotes and
is told which contracts are wanted.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, dropwhile

from bifrost_engine.clock import EventClock
from bifrost_engine.daemon.assemble import Assembly, feed_name
from bifrost_engine.domain.contract import Contract, parse_contract_key
from bifrost_engine.domain.effects import Subscribe
from bifrost_engine.domain.quote import Quote
from bifrost_engine.errors import BifrostError, ConfigError, DataError
from bifrost_engine.replay.calling import answer_within

SUBSCRIBE_DEADLINE_S = 5.0


class Feed:
    """The one feed of a run."""

    def __init__(self, parts: Assembly) -> None:
        self._parts = parts
        self._name = feed_name(parts.config)

    async def subscribe(self, effect: Subscribe) -> None:
        """Tell the feed which contracts are wanted; what it raises is noted."""
        subscribe = self._parts.plugins.implementation("feeds", self._name, "subscribe")
        if subscribe is not None:
            guard = self._parts.guard(f"feeds:{self._name}")
            await guard.wait("subscribe", answer_within, SUBSCRIBE_DEADLINE_S, subscribe, effect.contracts)

    def quotes(self, clock: EventClock, after_ns: int, wanted: tuple[Contract, ...]) -> Iterator[Quote]:
        """Yield the quotes after a time, 0 for all; the clock stands at the first one then.

        Raises ConfigError if there are none, DataError for whatever the feed raises.
        """
        clock.advance_to(after_ns)
        quotes = self._read(self._contracts(wanted))
        if after_ns:
            quotes = dropwhile(lambda quote: quote.ts_ns <= after_ns, quotes)
        first = next(quotes, None)
        if first is None:
            ended = "ends before the last run did; use --fresh to begin anew"
            raise ConfigError(
                f"feed {self._parts.config.feed_name}: {ended if after_ns else 'has no quotes'}"
            )
        clock.advance_to(first.ts_ns)
        return chain([first], quotes)

    def _read(self, contracts: tuple[Contract, ...]) -> Iterator[Quote]:
        read = self._parts.plugins.implementation("feeds", self._name, "read_quotes")
        assert read is not None
        try:
            yield from read(contracts)
        except BifrostError:
            raise
        except Exception as error:
            raise DataError(f"feed {self._name} raised {type(error).__name__}: {error}") from error

    def _contracts(self, wanted: tuple[Contract, ...]) -> tuple[Contract, ...]:
        """Return what the engine wants and what the paper account begins with."""
        found = {contract.key: contract for contract in wanted}
        for key in getattr(self._parts.broker_config, "positions", None) or {}:
            found.setdefault(key, parse_contract_key(key))
        return tuple(found.values())
