"""Requests about contracts: details, option chains, price rules, and a little history."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from bifrost_ib.simgateway.clock import NS, GatewayClock
from bifrost_ib.simgateway.framing import ascii_escaped
from bifrost_ib.simgateway.layout import Values
from bifrost_ib.simgateway.market import Market
from bifrost_ib.simgateway.orders import GATEWAY_ZONE, gateway_time
from bifrost_ib.simgateway.sessions import Session
from bifrost_ib.simgateway.universe import MARKET_RULES, Listing, Universe, trading_hours

UNKNOWN = "No security definition has been found for the request"
UNIT_S = {"S": 1, "D": 86_400, "W": 7 * 86_400, "M": 30 * 86_400, "Y": 365 * 86_400}
BAR_UNIT_S = {"sec": 1, "secs": 1, "min": 60, "mins": 60, "hour": 3_600, "hours": 3_600, "day": 86_400}
MOST_BARS = 1_000
SESSION_S = 23_400


class Catalogue:
    """What there is to know of contracts."""

    def __init__(self, universe: Universe, market: Market, clock: GatewayClock, seed: int) -> None:
        self._universe = universe
        self._market = market
        self._clock = clock
        self._seed = seed
        self._hours = (0, "", "")
        self.handlers = {
            "reqContractDetails": self.details,
            "reqSecDefOptParams": self.chain,
            "reqMarketRule": self.market_rule,
            "reqHistoricalData": self.history,
            "cancelHistoricalData": lambda session, asked: None,
        }

    def details(self, session: Session, asked: Values) -> None:
        """Tell every contract that fits, or 200 if none does."""
        found = self._universe.find(asked)
        if not found:
            session.error(200, UNKNOWN, asked["reqId"])
            return
        for listing in found:
            session.send("contractDetails", reqId=asked["reqId"], **self._details(listing))
        session.send("contractDetailsEnd", reqId=asked["reqId"])

    def _details(self, listing: Listing) -> dict[str, Any]:
        contract, stock = listing.contract, self._universe.stock_of(listing)
        trading, liquid = self._trading_hours()
        values = {
            **listing.wire(),
            "marketName": listing.trading_class,
            "minTick": Decimal("0.01"),
            "orderTypes": "ACTIVETIM,DAY,GTC,IOC,LMT,MKT,WHATIF",
            "validExchanges": "SMART,CBOE" if listing.is_option else "SMART,NASDAQ",
            "longName": ascii_escaped(f"{contract.symbol} (simulated)"),
            "timeZoneId": "US/Eastern",
            "tradingHours": liquid if listing.is_option else trading,
            "liquidHours": liquid,
            "marketRuleIds": "110,110" if listing.is_option else "26,26",
        }
        if contract.expiry is None:
            return {**values, "stockType": "COMMON"}
        return {
            **values,
            "contractMonth": f"{contract.expiry:%Y%m}",
            "underConId": stock.con_id,
            "underSymbol": contract.symbol,
            "underSecType": "STK",
            "realExpirationDate": f"{contract.expiry:%Y%m%d}",
        }

    def _trading_hours(self) -> tuple[str, str]:
        now_ns = self._clock.now_ns()
        day = now_ns // NS // 3_600
        if self._hours[0] != day:
            self._hours = (day, trading_hours(now_ns, "0400", "2000"), trading_hours(now_ns))
        return self._hours[1:]

    def chain(self, session: Session, asked: Values) -> None:
        """Tell the expiries and strikes of a symbol's options, once per exchange."""
        options = [
            listing
            for listing in self._universe.by_key.values()
            if listing.is_option and listing.contract.symbol == asked["symbol"]
        ]
        by_class: dict[str, list[Listing]] = {}
        for listing in options:
            by_class.setdefault(listing.trading_class, []).append(listing)
        for exchange in ("SMART", "CBOE"):
            for trading_class, listings in by_class.items():
                self._chain(session, asked, exchange, trading_class, listings)
        session.send("optionParamsEnd", reqId=asked["reqId"])

    def _chain(
        self, session: Session, asked: Values, exchange: str, trading_class: str, listings: list[Listing]
    ) -> None:
        contracts = [listing.contract for listing in listings]
        session.send(
            "optionParams",
            reqId=asked["reqId"],
            exchange=exchange,
            underConId=self._universe.stock_of(listings[0]).con_id,
            tradingClass=trading_class,
            multiplier=contracts[0].multiplier,
            expiries=[f"{day:%Y%m%d}" for day in sorted({c.expiry for c in contracts if c.expiry})],
            strikes=sorted({c.strike for c in contracts if c.strike is not None}),
        )

    def market_rule(self, session: Session, asked: Values) -> None:
        """Tell the steps of a price."""
        rule = MARKET_RULES.get(asked["marketRuleId"] or 0)
        if rule is None:
            session.error(321, f"Error validating request: no market rule {asked['marketRuleId']}")
            return
        rows = [{"lowEdge": Decimal(low), "increment": Decimal(step)} for low, step in rule]
        session.send("marketRule", marketRuleId=asked["marketRuleId"], increments=rows)

    # --- history -----------------------------------------------------------------------

    def history(self, session: Session, asked: Values) -> None:
        """Tell bars that end at the present price; they are made up from the seed."""
        req_id, listing = asked["reqId"], self._universe.one(asked)
        if listing is None:
            session.error(200, UNKNOWN, req_id)
            return
        price, bar_s = self._market.mark(listing.key), _seconds(asked["barSize"], BAR_UNIT_S)
        span_s = _seconds(asked["duration"], UNIT_S)
        if price is None or not bar_s or not span_s:
            session.error(162, "Historical Market Data Service error message: no data", req_id)
            return
        days = max(1, span_s // 86_400)
        number = min(MOST_BARS, days if bar_s >= 86_400 else min(span_s, SESSION_S * days) // bar_s)
        end_ns = self._clock.now_ns()
        bars = self._bars(listing.key, float(price), number, bar_s, end_ns, asked["formatDate"] == 2)
        start = gateway_time(end_ns - span_s * NS)
        session.send("historicalData", reqId=req_id, start=start, end=gateway_time(end_ns), bars=bars)

    def _bars(
        self, key: str, price: float, number: int, bar_s: int, end_ns: int, is_epoch: bool
    ) -> list[dict[str, Any]]:
        random, bars = Random(f"{self._seed}:{key}:{bar_s}"), []
        at = datetime.fromtimestamp(end_ns // NS // bar_s * bar_s, UTC)
        for _ in range(number):
            at -= timedelta(seconds=bar_s)
            begin = max(0.01, price * (1 + random.gauss(0, 0.002)))
            high, low = max(begin, price) * 1.001, min(begin, price) * 0.999
            row = {"open": begin, "high": high, "low": low, "close": price, "average": (begin + price) / 2}
            volume = random.randrange(100, 10_000)
            rounded = {name: round(value, 2) for name, value in row.items()}
            bars.append({"date": _bar_time(at, bar_s, is_epoch), **rounded, "volume": volume, "barCount": 10})
            price = begin
        return bars[::-1]


def _bar_time(at: datetime, bar_s: int, is_epoch: bool) -> str:
    if bar_s >= 86_400:
        return f"{at.astimezone(GATEWAY_ZONE):%Y%m%d}"
    if is_epoch:
        return str(int(at.timestamp()))
    return f"{at.astimezone(GATEWAY_ZONE):%Y%m%d %H:%M:%S} US/Eastern"


def _seconds(words: str, units: dict[str, int]) -> int:
    """Return a span such as ``2 D``, seconds; 0 if it isn't one."""
    number, _, unit = words.partition(" ")
    return int(number) * units.get(unit, 0) if number.isdecimal() and len(number) < 7 else 0
