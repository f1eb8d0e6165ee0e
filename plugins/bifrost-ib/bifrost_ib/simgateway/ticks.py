"""Market data: who is subscribed to what, and the ticks that a quote becomes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, time
from decimal import Decimal
from math import isfinite
from typing import Any

from attrs import define, field

from bifrost_engine.domain import Quote, Right
from bifrost_ib.simgateway.clock import NS, GatewayClock
from bifrost_ib.simgateway.greeks import Greeks, greeks
from bifrost_ib.simgateway.layout import Values
from bifrost_ib.simgateway.market import Market
from bifrost_ib.simgateway.sessions import Session
from bifrost_ib.simgateway.universe import ZONE, Listing, Universe

BID, ASK, LAST, CLOSE = "bid", "ask", "last", "close"
PRICES = {BID: (1, 0), ASK: (2, 3), LAST: (4, 5), CLOSE: (9, None)}
DELAYED_PRICES = {BID: (66, 69), ASK: (67, 70), LAST: (68, 71), CLOSE: (75, None)}
"""Number of the price's tick and of its size's."""
OPTIONS = {BID: 10, ASK: 11, LAST: 12, "model": 13}
DELAYED_OPTIONS = {BID: 80, ASK: 81, LAST: 82, "model": 83}
LIVE, DELAYED = 1, 3
IMPLIED_VOLATILITY, IMPLIED_VOLATILITY_ASKED = 24, "106"
LINES = 100
YEAR_NS = 365 * 86_400 * NS
END_OF_DAY = time(16)

Computed = tuple[Greeks | None, float]
"""Greeks, if there are any, and the price of the underlying."""


@define(eq=False)
class Line:
    """One subscription.

    said  what was said last, by tick; a tick is repeated only when it changes
    """

    session: Session
    req_id: int
    listing: Listing
    generic: tuple[str, ...] = ()
    is_delayed: bool = False
    said: dict[str, Any] = field(factory=dict)

    @property
    def prices(self) -> dict[str, tuple[int, int | None]]:
        """Return the ticks' numbers, live or delayed."""
        return DELAYED_PRICES if self.is_delayed else PRICES


class MarketData:
    """Subscriptions of all clients.

    not_subscribed  symbols for which there is only delayed data
    is_competing    somebody else's session has the data: nothing flows
    """

    def __init__(
        self,
        universe: Universe,
        market: Market,
        clock: GatewayClock,
        not_subscribed: frozenset[str],
        changed: Callable[[], None],
    ) -> None:
        self._universe = universe
        self._market = market
        self._clock = clock
        self.not_subscribed = not_subscribed
        self.is_competing = False
        self.is_lost = False
        self._changed = changed
        self._types: dict[Session, int] = {}
        self.lines: dict[tuple[Session, int], Line] = {}
        market.listeners.append(self.on_quote)
        self.handlers = {
            "reqMktData": self.subscribe,
            "cancelMktData": self.cancel,
            "reqMarketDataType": self.choose_type,
        }

    def choose_type(self, session: Session, asked: Values) -> None:
        """Remember what kind of data a client takes."""
        self._types[session] = asked["type"] or LIVE

    def subscribe(self, session: Session, asked: Values) -> None:
        """Begin to tell a client of a contract, or tell it once."""
        listing, req_id = self._universe.one(asked), asked["reqId"]
        if listing is None:
            session.error(200, "No security definition has been found for the request", req_id)
            return
        if sum(line.session is session for line in self.lines.values()) >= LINES:
            session.error(101, "Max number of tickers has been reached", req_id)
            return
        if self.is_competing:
            session.error(10197, "No market data during competing live session", req_id)
        line = Line(session, req_id, listing, tuple(asked["genericTicks"].split(",")))
        if listing.contract.symbol in self.not_subscribed and not self._settle_for_delayed(line):
            return
        self._open(line, asked["snapshot"])

    def _settle_for_delayed(self, line: Line) -> bool:
        if self._types.get(line.session, LIVE) < DELAYED:
            text = "Requested market data is not subscribed."
            line.session.error(354, text, line.req_id)
            return False
        text = "Requested market data is not subscribed. Displaying delayed market data."
        line.session.error(10167, text, line.req_id)
        line.is_delayed = True
        return True

    def _open(self, line: Line, is_snapshot: bool) -> None:
        session, req_id = line.session, line.req_id
        session.send("marketDataType", reqId=req_id, type=DELAYED if line.is_delayed else LIVE)
        quote = self._market.quotes.get(line.listing.key)
        tick = line.listing.tick_size(self._market.mark(line.listing.key) or Decimal(0))
        session.send("tickReqParams", reqId=req_id, minTick=tick, bboExchange="a60001")
        if quote is not None and not self.is_competing:
            self._tell(line, quote)
        if is_snapshot:
            session.send("tickSnapshotEnd", reqId=req_id)
            return
        self.lines[session, req_id] = line
        self._changed()

    def cancel(self, session: Session, asked: Values) -> None:
        """End a subscription."""
        if self.lines.pop((session, asked["reqId"]), None) is None:
            session.error(300, f"Can't find EId with tickerId:{asked['reqId']}", asked["reqId"])
        self._changed()

    def forget(self, session: Session) -> None:
        """Drop the subscriptions of a client that is gone."""
        self._types.pop(session, None)
        for key in [key for key in self.lines if key[0] is session]:
            del self.lines[key]

    def on_quote(self, quote: Quote) -> None:
        """Tell whoever is subscribed."""
        if self.is_competing or self.is_lost:
            return
        for line in list(self.lines.values()):
            if line.listing.key == quote.contract_key:
                self._tell(line, quote)

    def _tell(self, line: Line, quote: Quote) -> None:
        for tick, price, size in _sides(quote):
            self._price(line, tick, price, size)
        if line.listing.is_option:
            for tick, worked_out in self._computations(line.listing, quote):
                self._computation(line, tick, worked_out)
        elif IMPLIED_VOLATILITY_ASKED in line.generic:
            self._generic(line, IMPLIED_VOLATILITY, 0.35)

    def _price(self, line: Line, tick: str, price: float, size: float) -> None:
        said = line.said.get(tick)
        price_tick, size_tick = line.prices[tick]
        if said is None or said[0] != price:
            line.session.send("tickPrice", reqId=line.req_id, type=price_tick, price=price, size=size)
        if size_tick is not None and (said is None or said != (price, size)):
            line.session.send("tickSize", reqId=line.req_id, type=size_tick, size=size)
        line.said[tick] = (price, size)

    def _generic(self, line: Line, tick: int, value: float) -> None:
        if line.said.get(str(tick)) != value:
            line.session.send("tickGeneric", reqId=line.req_id, type=tick, value=value)
            line.said[str(tick)] = value

    def _computation(self, line: Line, tick: str, worked_out: Computed) -> None:
        if line.said.get(f"computed {tick}") == worked_out:
            return
        line.said[f"computed {tick}"] = worked_out
        number = (DELAYED_OPTIONS if line.is_delayed else OPTIONS)[tick]
        found, spot = worked_out
        values = {}
        if found is not None:
            values = {
                "impliedVol": found.volatility,
                "delta": found.delta,
                "optPrice": found.price,
                "pvDividend": 0,
                "gamma": found.gamma,
                "vega": found.vega,
                "theta": found.theta,
                "undPrice": spot,
            }
        line.session.send("tickOptionComputation", reqId=line.req_id, type=number, **values)

    def _computations(self, listing: Listing, quote: Quote) -> Iterator[tuple[str, Computed]]:
        contract = listing.contract
        stock = self._market.mark(self._universe.stock_of(listing).key)
        if stock is None or contract.expiry is None or contract.strike is None:
            return
        end = datetime.combine(contract.expiry, END_OF_DAY, ZONE)
        years = (int(end.timestamp()) * NS - self._clock.now_ns()) / YEAR_NS
        sign = 1 if contract.right is Right.CALL else -1
        prices = {BID: quote.bid, ASK: quote.ask, "model": (quote.bid + quote.ask) / 2}
        for tick, price in prices.items():
            spot = float(stock)
            found = greeks(price, spot, float(contract.strike), sign, years) if isfinite(price) else None
            yield tick, (found, spot)

    # --- mischief ----------------------------------------------------------------------

    def compete(self, is_competing: bool) -> None:
        """Let somebody else's session take the data, or give it back."""
        self.is_competing = is_competing
        for line in self.lines.values():
            if is_competing:
                line.session.error(10197, "No market data during competing live session", line.req_id)
            line.said.clear()

    def drop_lines(self) -> None:
        """Forget all subscriptions, as a gateway does that has lost its data."""
        self.lines.clear()


def _sides(quote: Quote) -> Iterator[tuple[str, float, float]]:
    """Yield tick, price and size; -1 and 0 say that there is none."""
    for tick, price, size in ((BID, quote.bid, quote.bid_size), (ASK, quote.ask, quote.ask_size)):
        yield (tick, price, size) if isfinite(price) else (tick, -1.0, 0.0)
    if isfinite(quote.bid) and isfinite(quote.ask):
        yield LAST, round((quote.bid + quote.ask) / 2, 2), 100.0
