"""Which contracts there are, and what a client is told of them.

A contract's number follows from its key, so it stays the same over restarts. Stocks are
those that the market was opened with; options lie on a grid of Fridays and strikes around
the first price, and anything that the account holds or a recording quotes is there, too.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from attrs import frozen
from bifrost_paper.sessions import sessions

from bifrost_engine.domain import Contract, Right, SecType

ZONE = ZoneInfo("America/New_York")
NS = 1_000_000_000
FRIDAY = 4
WEEKS, MONTHS = 8, 6
STRIKES_EACH_SIDE = 20
STEPS = ((25, "0.5"), (100, "1"), (250, "2.5"), (1_000, "5"))
"""Distance of strikes by price of the underlying, up to each bound; above: 10."""
MARKET_RULES = {26: (("0", "0.01"),), 110: (("0", "0.01"), ("3", "0.05"))}
"""Price increments from a price on; 26 is for stock, 110 for options."""
DAYS_OF_HOURS = 5


@frozen(kw_only=True)
class Listing:
    """A contract with its number and the name of its options' class."""

    contract: Contract
    con_id: int
    trading_class: str

    @property
    def key(self) -> str:
        """Return the contract's key."""
        return self.contract.key

    @property
    def is_option(self) -> bool:
        """Return whether it is an option."""
        return self.contract.sec_type is SecType.OPTION

    @property
    def local_symbol(self) -> str:
        """Return the symbol as the exchange has it."""
        contract = self.contract
        if contract.expiry is None or contract.strike is None:
            return contract.symbol
        thousandths = int(contract.strike * 1_000)
        return f"{self.trading_class:<6}{contract.expiry:%y%m%d}{contract.right}{thousandths:08d}"

    def tick_size(self, price: Decimal) -> Decimal:
        """Return the step of a limit at ``price``, quote currency."""
        rows = MARKET_RULES[110 if self.is_option else 26]
        return Decimal(max((Decimal(low), step) for low, step in rows if Decimal(low) <= abs(price))[1])

    def wire(self, **changes: Any) -> dict[str, Any]:
        """Return the contract's fields as answers have them."""
        contract = self.contract
        return {
            "conId": self.con_id,
            "symbol": contract.symbol,
            "secType": str(contract.sec_type),
            "expiry": f"{contract.expiry:%Y%m%d}" if contract.expiry else "",
            "strike": contract.strike or 0,
            "right": str(contract.right or ""),
            "multiplier": contract.multiplier if self.is_option else "",
            "exchange": "SMART",
            "primaryExchange": "" if self.is_option else "NASDAQ",
            "currency": contract.currency,
            "localSymbol": self.local_symbol,
            "tradingClass": self.trading_class,
            **changes,
        }


class Universe:
    """All contracts, by key and by number."""

    def __init__(self, spots: Mapping[str, float], now_ns: int, extra: Iterable[Contract] = ()) -> None:
        self.by_key: dict[str, Listing] = {}
        self.by_id: dict[int, Listing] = {}
        self.today = datetime.fromtimestamp(now_ns // NS, ZONE).date()
        for symbol, spot in spots.items():
            self.add(Contract.stock(symbol))
            for contract in chain(symbol, Decimal(str(spot)), self.today):
                self.add(contract)
        for contract in extra:
            self.add(contract)

    def add(self, contract: Contract) -> Listing:
        """List a contract, unless it is; an option brings its stock."""
        if contract.key in self.by_key:
            return self.by_key[contract.key]
        if contract.sec_type is SecType.OPTION:
            self.add(Contract.stock(contract.symbol))
        number = zlib.crc32(contract.key.encode()) & 0x3FFFFFFF or 1
        while number in self.by_id:
            number += 1
        listing = Listing(contract=contract, con_id=number, trading_class=contract.symbol)
        self.by_key[contract.key] = self.by_id[number] = listing
        return listing

    def find(self, asked: Mapping[str, Any]) -> list[Listing]:
        """Return the contracts that fit the fields that a request gives, in order of listing."""
        if asked.get("conId"):
            listing = self.by_id.get(asked["conId"])
            return [listing] if listing and _fits_symbol(listing, asked) else []
        if not asked.get("symbol") and not asked.get("localSymbol"):
            return []
        return [listing for listing in self.by_key.values() if _fits(listing, asked)]

    def one(self, asked: Mapping[str, Any]) -> Listing | None:
        """Return the contract that fits, or None if there is none or several."""
        found = self.find(asked)
        return found[0] if len(found) == 1 else None

    def stock_of(self, listing: Listing) -> Listing:
        """Return the listing of the underlying, or of itself."""
        return self.by_key[Contract.stock(listing.contract.symbol).key]


def _fits_symbol(listing: Listing, asked: Mapping[str, Any]) -> bool:
    return asked.get("symbol") in ("", None, listing.contract.symbol)


def _fits(listing: Listing, asked: Mapping[str, Any]) -> bool:
    if not _fits_symbol(listing, asked):
        return False
    wire = listing.wire()
    names = ("secType", "multiplier", "currency", "localSymbol", "tradingClass")
    if any(asked.get(name) and str(wire[name]) != asked[name] for name in names):
        return False
    if asked.get("exchange") not in ("", None, "SMART", "NASDAQ", "CBOE"):
        return False
    expiry, strike, right = asked.get("expiry"), asked.get("strike"), asked.get("right")
    return (
        (not expiry or wire["expiry"].startswith(expiry[:8]))
        and (not strike or listing.contract.strike == strike)
        and (right in ("", "0", "?", None) or wire["right"] == right[0])
    )


def chain(symbol: str, spot: Decimal, today: date) -> Iterator[Contract]:
    """Yield a symbol's options."""
    strikes = list(strikes_around(spot))
    for expiry in expiries(today):
        for strike in strikes:
            for right in Right:
                yield Contract.option(symbol, expiry, strike, right)


def strikes_around(spot: Decimal) -> Iterator[Decimal]:
    """Yield the strikes, lowest first."""
    step = next((Decimal(step) for bound, step in STEPS if spot <= bound), Decimal(10))
    middle = round(spot / step)
    for number in range(max(1, middle - STRIKES_EACH_SIDE), middle + STRIKES_EACH_SIDE + 1):
        yield number * step


def expiries(today: date) -> list[date]:
    """Return the next Fridays, and the third Fridays of the months after them."""
    first = today + timedelta(days=(FRIDAY - today.weekday()) % 7)
    days = {first + timedelta(weeks=week) for week in range(WEEKS)}
    for ahead in range(MONTHS + 1):
        year, month = divmod(today.month - 1 + ahead, 12)
        begin = date(today.year + year, month + 1, 15)
        days.add(begin + timedelta(days=(FRIDAY - begin.weekday()) % 7))
    return sorted(day for day in days if day >= today)


def trading_hours(now_ns: int, opens: str | None = None, closes: str | None = None) -> str:
    """Return the hours of the next days as contract details have them, closed days too."""
    by_day = {}
    for open_ns, close_ns in sessions("XNYS", now_ns):
        begin, end = (datetime.fromtimestamp(ns / NS, UTC).astimezone(ZONE) for ns in (open_ns, close_ns))
        by_day[begin.date()] = (opens or f"{begin:%H%M}", closes or f"{end:%H%M}")
        if len(by_day) >= DAYS_OF_HOURS:
            break
    day, last, rows = datetime.fromtimestamp(now_ns // NS, ZONE).date(), max(by_day), []
    while day <= last:
        hours = by_day.get(day)
        rows.append(f"{day:%Y%m%d}:{hours[0]}-{day:%Y%m%d}:{hours[1]}" if hours else f"{day:%Y%m%d}:CLOSED")
        day += timedelta(days=1)
    return ";".join(rows)
