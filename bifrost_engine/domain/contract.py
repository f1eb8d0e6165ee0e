"""What is traded: a contract and its key.

The key ``symbol|sec_type|expiry|strike|right`` names a contract in files,
tables and dictionaries; for stock it is ``symbol|STK|||``. Options of a class that isn't the
symbol, such as weeklies or adjusted ones, carry it as a sixth part.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal, InvalidOperation
from enum import StrEnum

from attrs import field, frozen


class SecType(StrEnum):
    """Kind of instrument, in the broker's usual abbreviations."""

    STOCK = "STK"
    OPTION = "OPT"


class Right(StrEnum):
    """Right of an option."""

    CALL = "C"
    PUT = "P"


DEFAULT_MULTIPLIER = {SecType.STOCK: Decimal(1), SecType.OPTION: Decimal(100)}


@frozen(kw_only=True)
class Contract:
    """One tradable instrument.

    symbol      the underlying's ticker
    expiry      last date of an option, exchange's calendar; None for stock
    strike      quote currency per share; None for stock
    multiplier  underlying units per contract (1 for stock, 100 for US equity options)
    tick_size   smallest step of a limit price, quote currency
    trading_class  class of an option; empty where it is the symbol itself
    """

    symbol: str
    sec_type: SecType = SecType.STOCK
    expiry: date | None = None
    strike: Decimal | None = None
    right: Right | None = None
    multiplier: Decimal = Decimal(1)
    currency: str = "USD"
    exchange: str = "SMART"
    tick_size: Decimal = Decimal("0.01")
    trading_class: str = ""
    key: str = field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if self.sec_type is SecType.OPTION and None in (self.expiry, self.strike, self.right):
            raise ValueError(f"option on {self.symbol} needs expiry, strike and right")
        if self.trading_class == self.symbol or self.sec_type is SecType.STOCK:
            object.__setattr__(self, "trading_class", "")
        object.__setattr__(self, "key", contract_key(self))

    @classmethod
    def stock(cls, symbol: str) -> Contract:
        """Return the stock of ``symbol``."""
        return cls(symbol=symbol)

    @classmethod
    def option(
        cls,
        symbol: str,
        expiry: date,
        strike: Decimal,
        right: Right,
        multiplier: Decimal = Decimal(100),
        trading_class: str = "",
    ) -> Contract:
        """Return an option on ``symbol``."""
        return cls(
            symbol=symbol,
            sec_type=SecType.OPTION,
            expiry=expiry,
            strike=strike,
            right=right,
            multiplier=multiplier,
            trading_class=trading_class,
        )


def plain(number: Decimal) -> str:
    """Return ``number`` without exponent and trailing zeros: ``72.50`` → ``72.5``, ``100`` → ``100``."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def contract_key(contract: Contract) -> str:
    """Return ``symbol|sec_type|expiry|strike|right``, with ``|trading_class`` if it has one of its own."""
    if contract.sec_type is SecType.STOCK:
        return f"{contract.symbol}|STK|||"
    assert contract.expiry is not None
    assert contract.strike is not None
    own = f"|{contract.trading_class}" if contract.trading_class else ""
    return (
        f"{contract.symbol}|{contract.sec_type}|{contract.expiry:%Y%m%d}"
        f"|{plain(contract.strike)}|{contract.right}{own}"
    )


def stock_key(symbol: str) -> str:
    """Return the key of ``symbol``'s stock."""
    return f"{symbol}|STK|||"


def parse_contract_key(key: str, multiplier: Decimal | None = None) -> Contract:
    """Return the contract that ``key`` names.

    multiplier  overrides the type's usual one (100 for options)

    Raises ValueError, saying what is wrong, when the key isn't of the form.
    """
    parts = key.split("|")
    if len(parts) not in (5, 6) or not parts[0] or parts[5:] == [""]:
        raise ValueError(
            f"contract key {key!r}: expected symbol|sec_type|expiry|strike|right, perhaps with |trading class"
        )
    symbol, sec_type, expiry, strike, right, *own = parts
    try:
        kind = SecType(sec_type)
    except ValueError:
        raise ValueError(f"contract key {key!r}: sec_type {sec_type!r} is not STK or OPT") from None
    usual = DEFAULT_MULTIPLIER[kind] if multiplier is None else multiplier
    if kind is SecType.STOCK:
        if own:
            raise ValueError(f"contract key {key!r}: stock has no trading class")
        return Contract(symbol=symbol, multiplier=usual)
    try:
        return Contract.option(
            symbol,
            date(int(expiry[:4]), int(expiry[4:6]), int(expiry[6:8])),
            Decimal(strike),
            Right(right),
            usual,
            *own,
        )
    except (ValueError, InvalidOperation):
        raise ValueError(f"contract key {key!r}: expected an expiry YYYYMMDD, a strike and C or P") from None
