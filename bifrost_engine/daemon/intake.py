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

from bifrost_engine.domain.broker import BrokerEvent, BrokerEventKind
from bifrost_engine.domain.greeks import BrokerGreeks
from bifrost_engine.domain.last_price import LastPrice
from bifrost_engine.domain.quote import Quote
from bifrost_engine.hookspecs import Clock
from bifrost_engine.replay.misfit import misfit, quote_misfit

AHEAD_NS = 60_000_000_000
"""A quote from further in the future is dropped: every later one would count as older."""
TOLD_EVERY = 1000
BESIDE_EVENTS = (BrokerGreeks, LastPrice)
LINK = (BrokerEventKind.LINK_UP, BrokerEventKind.LINK_DOWN)
FEED_DOWN = "feed_connection"


class Intake:
    """Takes reports; ``forward`` gets those that fit.

    broker   the plugin whose link is the broker's; empty: every plugin's

    refused  reports that were dropped, by plugin
    quotes   quotes that were taken
    last     what each contract last traded at; kept here for whoever shows it, and not passed on
    """

    def __init__(self, clock: Clock, log: Any, forward: Callable[[Any], None], broker: str = "") -> None:
        self.refused: Counter[str] = Counter()
        self.quotes = 0
        self.last: dict[str, LastPrice] = {}
        self._clock = clock
        self._log = log
        self._forward = forward
        self._broker = broker

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
            fault = misfit(report, report.__class__ if report.__class__ in BESIDE_EVENTS else BrokerEvent)
            if fault is None:
                report = evolve(report, ts_ns=now_ns) if report.ts_ns > now_ns else report
                if report.__class__ is LastPrice:
                    self.last[report.contract_key] = report
                else:
                    self._forward(self._of_the_broker(plugin, report))
                return
        self._refuse(plugin, fault)

    def _of_the_broker(self, plugin: str, report: Any) -> Any:
        """Return a report as the engine is to have it: the link of a feed of another name is no broker's."""
        if plugin == self._broker or not self._broker or getattr(report, "kind", None) not in LINK:
            return report
        is_down = report.kind is BrokerEventKind.LINK_DOWN
        text = f"{plugin}: {report.text}" if is_down else f"{plugin} is connected"
        told = {"standing": is_down, "about": ""}
        notice = evolve(report, kind=BrokerEventKind.INFO, code=FEED_DOWN, text=text, values=told)
        return evolve(notice, client_id=None)

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
