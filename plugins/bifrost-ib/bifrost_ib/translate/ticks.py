"""Ticks of one instrument's line to its quote.

A tick changes one field of a ``Ticker``, and a ticker gives a quote. What the gateway says
by -1, NaN or the largest double is a missing side, never a price. Live and delayed lines
have numbers of their own for the same fields.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from math import nan
from typing import Any, NamedTuple

from attrs import frozen

from bifrost_engine.domain import Quote, SecType
from bifrost_ib.messages import GenericTick, MarketDataType, OptionTick, PriceTick, SizeTick, Tick
from bifrost_ib.translate.numbers import floating

LIVE_PRICES = {1: "bid", 2: "ask", 4: "last", 6: "high", 7: "low", 9: "close", 14: "open", 37: "mark"}
DELAYED_PRICES = {66: "bid", 67: "ask", 68: "last", 72: "high", 73: "low", 75: "close", 76: "open"}
LIVE_SIZES = {0: "bid_size", 3: "ask_size", 5: "last_size", 8: "volume"}
DELAYED_SIZES = {69: "bid_size", 70: "ask_size", 71: "last_size", 74: "volume"}
PRICES = LIVE_PRICES | DELAYED_PRICES
SIZES = LIVE_SIZES | DELAYED_SIZES
SIZE_OF = {"bid": "bid_size", "ask": "ask_size", "last": "last_size"}
COMPUTATIONS = {10: "bid", 11: "ask", 12: "last", 13: "model", 80: "bid", 81: "ask", 82: "last", 83: "model"}
HALTED = frozenset({49, 90})
IMPLIED_VOLATILITY = 24
DELAYED_KINDS = frozenset({*DELAYED_PRICES, *DELAYED_SIZES, 80, 81, 82, 83, 88, 90})
QUOTED = frozenset({"bid", "ask", "bid_size", "ask_size"})
NO_VALUE = {
    "implied_volatility": -1.0,
    "option_price": -1.0,
    "pv_dividend": -1.0,
    "underlying_price": -1.0,
    "delta": -2.0,
    "gamma": -2.0,
    "vega": -2.0,
    "theta": -2.0,
}
"""What says "none", for each value that the gateway computes."""


class Quality(StrEnum):
    """How good a line's data is; only ``LIVE`` is now and whole."""

    LIVE = "live"
    FROZEN = "frozen"
    DELAYED = "delayed"
    DELAYED_FROZEN = "delayed_frozen"
    UNKNOWN = "unknown"


QUALITIES = {1: Quality.LIVE, 2: Quality.FROZEN, 3: Quality.DELAYED, 4: Quality.DELAYED_FROZEN}


@frozen(kw_only=True)
class Greeks:
    """What the gateway computed for an option; None where it says nothing."""

    implied_volatility: float | None = None
    option_price: float | None = None
    pv_dividend: float | None = None
    underlying_price: float | None = None
    delta: float | None = None
    gamma: float | None = None
    vega: float | None = None
    theta: float | None = None


class Ticker(NamedTuple):
    """What a line brought so far.

    zero_bid     a bid of 0 is a price: the contract is an option
    bid … mark   quote currency per unit; None: none now, or never received
    greeks       by what they were computed from: bid, ask, last, model
    halted       None where the line doesn't say
    """

    contract_key: str
    zero_bid: bool = False
    quality: Quality = Quality.LIVE
    bid: float | None = None
    ask: float | None = None
    bid_size: float | None = None
    ask_size: float | None = None
    last: float | None = None
    last_size: float | None = None
    volume: float | None = None
    high: float | None = None
    low: float | None = None
    open: float | None = None
    close: float | None = None
    mark: float | None = None
    implied_volatility: float | None = None
    halted: bool | None = None
    greeks: tuple[tuple[str, Greeks], ...] = ()


def ticker_of(contract_key: str, sec_type: SecType) -> Ticker:
    """Return the ticker of a line that has brought nothing yet."""
    return Ticker(contract_key=contract_key, zero_bid=sec_type is SecType.OPTION)


def ticked(ticker: Ticker, tick: Tick) -> Ticker:
    """Return a ticker after a tick; the same object if the tick is of no field."""
    if tick.kind in DELAYED_KINDS and ticker.quality is Quality.LIVE and type(tick) is not MarketDataType:
        ticker = _of_quality(ticker, Quality.DELAYED)
    return _ON_TICK[type(tick)](ticker, tick)


def is_quoted(tick: Tick) -> bool:
    """Return whether a tick is of a field of the quote, or changes how good it is."""
    if isinstance(tick, PriceTick):
        return PRICES.get(tick.kind) in QUOTED
    if isinstance(tick, SizeTick):
        return SIZES.get(tick.kind) in QUOTED
    if isinstance(tick, GenericTick):
        return tick.kind in HALTED
    return isinstance(tick, MarketDataType)


def is_trade(before: Ticker, after: Ticker) -> bool:
    """Return whether a trade happened in between; the first that a line tells of may be an old one."""
    if before.last is not None and after.last is not None and after.last != before.last:
        return True
    return before.volume is not None and after.volume is not None and after.volume > before.volume


def quote_of(ticker: Ticker, now_ns: int, *, allow_delayed: bool = False) -> Quote:
    """Return the quote of a ticker; without sides where it is halted, or its data no good to trade on.

    now_ns  when the tick arrived, by our clock: the gateway's says nothing of most ticks
    """
    key = ticker.contract_key
    if ticker.halted or (ticker.quality is not Quality.LIVE and not allow_delayed):
        return Quote(key, nan, nan, nan, nan, now_ns, now_ns)
    sides = (ticker.bid, ticker.ask, ticker.bid_size, ticker.ask_size)
    bid, ask, bid_size, ask_size = (nan if side is None else side for side in sides)
    return Quote(key, bid, ask, bid_size, ask_size, now_ns, now_ns)


def _on_price(ticker: Ticker, tick: PriceTick) -> Ticker:
    name = PRICES.get(tick.kind)
    if name is None:
        return ticker
    price = _price(tick.price, may_be_zero=name == "bid" and ticker.zero_bid)
    facts: dict[str, Any] = {name: price}
    if name in SIZE_OF and (price is None or tick.size):
        # A price that comes without its size has the one that was told by itself.
        facts[SIZE_OF[name]] = None if price is None else _size(tick.size)
    return ticker._replace(**facts)


def _on_size(ticker: Ticker, tick: SizeTick) -> Ticker:
    name = SIZES.get(tick.kind)
    if name is None:
        return ticker
    facts: dict[str, Any] = {name: _size(tick.size)}
    return ticker._replace(**facts)


def _on_generic(ticker: Ticker, tick: GenericTick) -> Ticker:
    value = floating(tick.value)
    if tick.kind in HALTED:
        return ticker._replace(halted=None if value is None or value < 0 else value > 0)
    if tick.kind == IMPLIED_VOLATILITY:
        return ticker._replace(implied_volatility=None if value is None or value <= 0 else value)
    return ticker


def _on_computation(ticker: Ticker, tick: OptionTick) -> Ticker:
    name = COMPUTATIONS.get(tick.kind)
    if name is None:
        return ticker
    found = Greeks(**{field: _computed(field, getattr(tick, field)) for field in NO_VALUE})
    others = tuple(pair for pair in ticker.greeks if pair[0] != name)
    return ticker._replace(greeks=(*others, (name, found)))


def _on_quality(ticker: Ticker, tick: MarketDataType) -> Ticker:
    return _of_quality(ticker, QUALITIES.get(tick.kind, Quality.UNKNOWN))


def _of_quality(ticker: Ticker, quality: Quality) -> Ticker:
    """Return the ticker for data of another quality: what came before isn't mixed with it."""
    if quality is ticker.quality:
        return ticker
    return Ticker(contract_key=ticker.contract_key, zero_bid=ticker.zero_bid, quality=quality)


_ON_TICK: dict[type, Callable[[Ticker, Any], Ticker]] = {
    PriceTick: _on_price,
    SizeTick: _on_size,
    GenericTick: _on_generic,
    OptionTick: _on_computation,
    MarketDataType: _on_quality,
}


def _price(value: Any, *, may_be_zero: bool) -> float | None:
    found = floating(value)
    if found is None or found < 0 or (found == 0 and not may_be_zero):
        return None
    return found


def _size(value: Any) -> float | None:
    found = floating(value)
    return None if found is None or found < 0 else found


def _computed(field: str, value: Any) -> float | None:
    found = floating(value)
    return None if found is None or found == NO_VALUE[field] else found
