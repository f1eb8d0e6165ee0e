"""What plugins report, checked before it goes on to the pipeline.

A plugin may report anything at any time from any thread. What doesn't fit the contract
is counted, told of and dropped here. Nothing is from the future: no plugin's idea of
time moves the engine's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from attrs import evolve

from bifrost_engine.domain.broker import BrokerEvent
from bifrost_engine.domain.greeks import BrokerGreeks
from bifrost_engine.domain.quote import Quote
from bifrost_engine.hookspecs import Clock
from bifrost_engine.replay.misfit import misfit, quote_misfit

AHEAD_NS = 60_000_000_000
"""A quote from further in the future is dropped: every later one would count as older."""
TOLD_EVERY = 1000


class Intake:
    """Takes reports; ``forward`` gets those that fit.

    refused  reports that were dropped, by plugin
    quotes   quotes that were taken
    """

    def __init__(self, clock: Clock, log: Any, forward: Callable[[Any], None]) -> None:
        self.refused: Counter[str] = Counter()
        self.quotes = 0
        self._clock = clock
        self._log = log
        self._forward = forward

    def take(self, plugin: str, report: Any) -> None:
        """Take a report of a plugin; never raises for what it is."""
        now_ns = self._clock.now_ns()
        if report.__class__ is Quote:
            fault = quote_misfit(report) or self._from_the_future(report, now_ns)
            if fault is None:
                self.quotes += 1
                self._forward(report)
                return
        else:
            fault = misfit(report, BrokerGreeks if report.__class__ is BrokerGreeks else BrokerEvent)
            if fault is None:
                late = report.ts_ns > now_ns
                self._forward(evolve(report, ts_ns=now_ns) if late else report)
                return
        self._refuse(plugin, fault)

    def _from_the_future(self, quote: Quote, now_ns: int) -> str | None:
        ahead_ns = quote.ts_ns - now_ns
        if ahead_ns <= AHEAD_NS:
            return None
        return f"{quote.contract_key}: ts_ns is {ahead_ns / 1e9:.0f} s in the future"

    def _refuse(self, plugin: str, fault: str) -> None:
        self.refused[plugin] += 1
        count = self.refused[plugin]
        if count % TOLD_EVERY == 1:
            self._log.warning("report dropped", plugin=plugin, why=fault, so_far=count)
