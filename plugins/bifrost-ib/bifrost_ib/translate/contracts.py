"""The gateway's contracts and the engine's.

The engine knows stock and options. Anything else that an account may hold is somebody
else's business; an option that can't be read is a fault.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from bifrost_engine.domain import Contract, Right, SecType
from bifrost_engine.domain.contract import DEFAULT_MULTIPLIER
from bifrost_ib.messages import WireContract
from bifrost_ib.translate.numbers import above_zero, words

COMBINATION = "BAG"
RIGHTS = {"C": Right.CALL, "CALL": Right.CALL, "P": Right.PUT, "PUT": Right.PUT}
_KINDS = {str(kind): kind for kind in SecType}


def is_served(wire: WireContract) -> bool:
    """Return whether the engine trades this kind of instrument at all."""
    return wire.sec_type in _KINDS


def contract_of(wire: WireContract) -> Contract | None:
    """Return the engine's contract; None for another kind of instrument, or one that can't be read."""
    kind, symbol = _KINDS.get(wire.sec_type), words(wire.symbol).strip()
    multiplier = _multiplier(wire, kind)
    if kind is None or multiplier is None or not symbol or "|" in symbol:
        return None
    # Not the exchange of the message: an execution names where it happened, not where orders go.
    currency = words(wire.currency) or "USD"
    if kind is SecType.STOCK:
        return Contract(symbol=symbol, multiplier=multiplier, currency=currency)
    expiry, strike, right = expiry_of(wire.expiry), above_zero(wire.strike), RIGHTS.get(wire.right)
    own_class = words(wire.trading_class).strip()
    if expiry is None or strike is None or right is None or "|" in own_class:
        return None
    return Contract(
        symbol=symbol,
        sec_type=kind,
        expiry=expiry,
        strike=strike,
        right=right,
        multiplier=multiplier,
        trading_class=own_class,
        currency=currency,
    )


def wire_contract(contract: Contract, con_id: int = 0) -> WireContract:
    """Return how to ask the gateway for a contract; an option without a class of its own fits any class."""
    is_option = contract.sec_type is SecType.OPTION
    return WireContract(
        con_id=con_id,
        symbol=contract.symbol,
        sec_type=str(contract.sec_type),
        expiry=f"{contract.expiry:%Y%m%d}" if contract.expiry is not None else "",
        strike=float(contract.strike) if contract.strike is not None else 0.0,
        right=str(contract.right or ""),
        multiplier=format(contract.multiplier, "f") if is_option else "",
        exchange=contract.exchange,
        currency=contract.currency,
        trading_class=contract.trading_class,
    )


def expiry_of(text: str) -> date | None:
    """Return the last day of ``YYYYMMDD``, whatever follows it."""
    digits = words(text)[:8]
    if len(digits) != 8 or not (digits.isascii() and digits.isdigit()):
        return None
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None


def last_trade_time(text: str) -> str:
    """Return the time and zone that may follow the last day, empty where there are none."""
    return words(text)[8:].strip()


def _multiplier(wire: WireContract, kind: SecType | None) -> Decimal | None:
    if kind is None:
        return None
    said = words(wire.multiplier).strip()
    if kind is SecType.STOCK or not said:
        return DEFAULT_MULTIPLIER[kind]
    return above_zero(said)
