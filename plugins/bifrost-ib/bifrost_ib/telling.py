"""What is told of a line: its quotes, its trades, its greeks, and what stands in their way.

A quote is told while it may be traded on, and withdrawn once when it may not. Trouble is said
once, and said to be over.
"""

from __future__ import annotations

from math import nan

from bifrost_engine.domain import BrokerEvent, BrokerEventKind, BrokerGreeks, LastPrice, Quote
from bifrost_engine.hookspecs import PluginContext
from bifrost_ib.config import IBConfig
from bifrost_ib.line import Line
from bifrost_ib.translate.ticks import Quality, quote_of
from bifrost_ib.troubles import Trouble

POINTS, DAYS = 100.0, 365.0
"""The gateway's vega is per point of volatility, its theta per day."""


class Telling:
    """Tells the engine and the log of lines."""

    def __init__(self, config: IBConfig, context: PluginContext) -> None:
        self._config = config
        self._clock = context.clock
        self._emit = context.emit
        self._log = context.log

    def quote(self, line: Line) -> None:
        """Tell a line's quote, as far as it has or had one that is good."""
        quote = quote_of(line.ticker, self._now(), allow_delayed=self._config.allow_delayed)
        is_good = quote.bid == quote.bid or quote.ask == quote.ask
        if is_good or line.is_quoted:
            line.is_quoted = is_good
            self._emit(quote)
        if is_good:
            line.is_renewed = False
            if line.ticker.quality is Quality.LIVE:
                self.over(line, f"{line.key}: quotes again")

    def withdraw(self, line: Line) -> None:
        """Let the engine have no quote of a contract, rather than one that may be wrong."""
        if line.is_quoted:
            line.is_quoted = False
            self._emit(Quote(line.key, nan, nan, nan, nan, self._now()))

    def last(self, line: Line) -> None:
        """Tell the price of a line's last trade, if it is another."""
        price = line.ticker.last
        is_good = line.ticker.quality is Quality.LIVE or self._config.allow_delayed
        if price is not None and price != line.told_last and is_good:
            line.told_last = price
            self._emit(LastPrice(contract_key=line.key, price=price, ts_ns=self._now()))

    def greeks(self, line: Line) -> None:
        """Tell the gateway's own greeks of an option, if they are others."""
        found = dict(line.ticker.greeks).get("model")
        is_good = line.ticker.quality is Quality.LIVE or self._config.allow_delayed
        if found is None or found == line.told_greeks or not is_good:
            return
        line.told_greeks = found
        if found.delta is None or found.gamma is None:
            return  # what was told stays, and gets old
        self._emit(
            BrokerGreeks(
                contract_key=line.key,
                ts_ns=self._now(),
                delta=found.delta,
                gamma=found.gamma,
                vega=_times(found.vega, POINTS),
                theta=_times(found.theta, DAYS),
                volatility=_times(found.implied_volatility, 1.0),
                underlying=_times(found.underlying_price, 1.0),
            )
        )

    def in_the_way(self, line: Line, trouble: Trouble, text: str) -> None:
        """Say, once, what stands in a line's way."""
        if line.trouble != trouble:
            self.over(line, "")
        line.trouble, line.told = trouble, text
        self.say(trouble, text, standing=True, about=line.key)

    def over(self, line: Line, text: str) -> None:
        """Say that nothing does any more; without a text silently."""
        if line.trouble:
            trouble, line.trouble = line.trouble, ""
            self.say(trouble, text, standing=False, about=line.key)

    def say(self, code: str, text: str, *, standing: bool, about: str = "", about_farm: str = "") -> None:
        """Say something to the log and the engine, which keeps what is ``standing``."""
        if text:
            (self._log.warning if standing else self._log.info)(text, code=str(code))
        self._emit(
            BrokerEvent(
                kind=BrokerEventKind.INFO,
                ts_ns=self._now(),
                code=f"{code} {about_farm}".strip(),
                text=text,
                values={"about": about, "standing": standing},
            )
        )

    def _now(self) -> int:
        return self._clock.now_ns()


def _times(value: float | None, factor: float) -> float:
    return nan if value is None else value * factor
