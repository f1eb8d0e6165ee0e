"""The fill: one execution as it is booked, whoever reported, inferred or ordered it.

A later revision of the same ``base_id`` replaces an earlier one; a bust is a
revision whose quantity is 0. Both the journal and the portfolio hold these
values and nothing else about executions.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Any

from attrs import Attribute, evolve, field, frozen

from bifrost_engine.domain.contract import Contract, parse_contract_key, plain
from bifrost_engine.domain.money import EXACT, traded_value
from bifrost_engine.domain.order import Side

EXTERNAL = "EXTERNAL"
"""Owner of all that the account holds and no strategy caused."""
ACCOUNT = "ACCOUNT"
"""Owner under which the sum of all books is told."""


class FillKind(StrEnum):
    """Why an execution is booked."""

    TRADE = "TRADE"
    CORRECTION = "CORRECTION"
    BUST = "BUST"
    INFERRED = "INFERRED"
    ADJUST = "ADJUST"
    TRANSFER = "TRANSFER"
    ASSIGNMENT = "ASSIGNMENT"
    EXPIRY = "EXPIRY"


class FillSource(StrEnum):
    """Who said so."""

    LIVE = "LIVE"
    RECON = "RECON"
    OPERATOR = "OPERATOR"
    REPLAY = "REPLAY"


def _finite(_fill: object, attribute: Attribute[Any], value: object) -> None:
    if not isinstance(value, Decimal):
        raise TypeError(f"fill {attribute.name}: expected a Decimal, was {value!r}")
    if not value.is_finite():
        raise ValueError(f"fill {attribute.name}: expected a finite number, was {value}")


def _not_negative(fill: object, attribute: Attribute[Any], value: Decimal) -> None:
    _finite(fill, attribute, value)
    if value < 0:
        raise ValueError(f"fill {attribute.name}: expected 0 or above, was {value}")


def _finite_or_none(fill: object, attribute: Attribute[Any], value: Decimal | None) -> None:
    if value is not None:
        _finite(fill, attribute, value)


@frozen(kw_only=True)
class Fill:
    """One execution, or a later revision of it, as booked.

    base_id, revision    identify it; of one base the highest revision counts
    client_order_id      None if no order of ours caused it
    owner                strategy id or EXTERNAL
    quantity             shares or contracts; 0 once busted
    price                quote currency per unit, as reported, unrounded; 0 or negative are possible
    commission           positive is a cost; None: not reported yet
    exec_ts_ns           the broker's time, nanoseconds UTC
    booked_ns            ours
    trading_day          the day in which it was booked
    late_fill            it came after its order had ended
    prior_day            it was executed before ``trading_day`` began
    superseded_by        the execution that took the place of an inferred one, or of part of it

    Raises TypeError for a number that isn't a Decimal, ValueError for one that isn't finite.
    """

    base_id: str
    revision: int = 1
    client_order_id: str | None = None
    owner: str
    account: str
    contract: Contract
    side: Side
    quantity: Decimal = field(validator=_not_negative)
    price: Decimal = field(validator=_finite)
    commission: Decimal | None = field(default=None, validator=_finite_or_none)
    commission_currency: str = "USD"
    kind: FillKind = FillKind.TRADE
    source: FillSource = FillSource.LIVE
    exec_ts_ns: int
    booked_ns: int
    trading_day: date
    late_fill: bool = False
    prior_day: bool = False
    superseded_by: str | None = None

    @property
    def signed_quantity(self) -> Decimal:
        """Shares or contracts, positive for a buy."""
        return self.quantity if self.side is Side.BUY else EXACT.minus(self.quantity)

    @property
    def cash_flow(self) -> Decimal:
        """Change in cash, quote currency, less the commission as far as it is known; negative for a buy."""
        gross = traded_value(EXACT.minus(self.signed_quantity), self.price, self.contract.multiplier)
        return gross if self.commission is None else EXACT.subtract(gross, self.commission)

    def to_payload(self) -> dict[str, Any]:
        """Return its fields for the journal: numbers as plain strings, times as integers."""
        return {
            "base_id": self.base_id,
            "revision": self.revision,
            "client_order_id": self.client_order_id,
            "owner": self.owner,
            "account": self.account,
            "contract_key": self.contract.key,
            "multiplier": plain(self.contract.multiplier),
            "currency": self.contract.currency,
            "exchange": self.contract.exchange,
            "tick_size": plain(self.contract.tick_size),
            "side": str(self.side),
            "quantity": plain(self.quantity),
            "price": plain(self.price),
            "commission": None if self.commission is None else plain(self.commission),
            "commission_currency": self.commission_currency,
            "kind": str(self.kind),
            "source": str(self.source),
            "exec_ts_ns": self.exec_ts_ns,
            "booked_ns": self.booked_ns,
            "trading_day": self.trading_day.isoformat(),
            "late_fill": self.late_fill,
            "prior_day": self.prior_day,
            "superseded_by": self.superseded_by,
        }

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> Fill:
        """Return the fill that ``to_payload`` wrote.

        Raises KeyError or ValueError when a field is missing or isn't of its form.
        """
        commission = payload["commission"]
        contract = _contract(
            payload["contract_key"],
            payload["multiplier"],
            payload["currency"],
            payload["exchange"],
            payload["tick_size"],
        )
        return cls(
            base_id=payload["base_id"],
            revision=payload["revision"],
            client_order_id=payload["client_order_id"],
            owner=payload["owner"],
            account=payload["account"],
            contract=contract,
            side=Side(payload["side"]),
            quantity=Decimal(payload["quantity"]),
            price=Decimal(payload["price"]),
            commission=None if commission is None else Decimal(commission),
            commission_currency=payload["commission_currency"],
            kind=FillKind(payload["kind"]),
            source=FillSource(payload["source"]),
            exec_ts_ns=payload["exec_ts_ns"],
            booked_ns=payload["booked_ns"],
            trading_day=date.fromisoformat(payload["trading_day"]),
            late_fill=payload["late_fill"],
            prior_day=payload["prior_day"],
            superseded_by=payload.get("superseded_by"),
        )


@lru_cache(maxsize=1024)
def _contract(key: str, multiplier: str, currency: str, exchange: str, tick_size: str) -> Contract:
    """Return the contract that a fill names; one trades many times."""
    contract = parse_contract_key(key, Decimal(multiplier))
    return evolve(contract, currency=currency, exchange=exchange, tick_size=Decimal(tick_size))
