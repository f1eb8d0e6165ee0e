"""Which options of the account the strategy manages.

Selection is sticky: a leg that came or went with the spot would make the delta
jump, and the strategy would trade on nothing.
"""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

from bifrost_engine.config.strategy import StructureConfig
from bifrost_engine.domain.contract import Contract, Right, SecType
from bifrost_engine.domain.view import StrategyView

NO_QUOTE = "chosen by the underlying's first quote of regular hours"


class Leg(NamedTuple):
    """A managed option with the numbers that its greeks need.

    weight       quantity × multiplier, signed: share equivalents per unit of delta
    right_sign   +1 for a call, −1 for a put
    strike       quote currency per share
    expiry_ns    close of its last session
    """

    contract_key: str
    weight: float
    right_sign: int
    strike: float
    expiry_ns: int


class Selection(NamedTuple):
    """The managed legs and, for the others on the underlying, why not."""

    managed: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]


def select(
    view: StrategyView, spot: float | None, structure: StructureConfig, keep: tuple[str, ...]
) -> Selection:
    """Choose the legs among the account's options on the view's symbol.

    spot  mid of the underlying; without one nothing is chosen beyond ``keep``
    keep  legs managed so far: they stay until closed or expired
    """
    managed, left_out = [], []
    for key, quantity in view.account_positions().items():
        contract = view.contract(key)
        if not quantity or contract.sec_type is not SecType.OPTION or contract.symbol != view.symbol:
            continue
        reason = _why_not(view, contract, spot, structure, key in keep)
        if reason is None:
            managed.append(key)
        else:
            left_out.append((key, reason))
    return Selection(tuple(sorted(managed)), tuple(sorted(left_out)))


def _why_not(
    view: StrategyView, contract: Contract, spot: float | None, structure: StructureConfig, kept: bool
) -> str | None:
    if view.now_ns >= view.expiry_close_ns(contract.key):
        return "expired"
    if view.claimed_elsewhere(contract.key):
        return "managed by another strategy"
    return None if kept else outside(contract, view.trading_day(), spot, structure)


def outside(contract: Contract, day: date, spot: float | None, structure: StructureConfig) -> str | None:
    """Return why an option isn't one to manage, by its expiry and strike; None if it is.

    day   the trading day
    spot  mid of the underlying, None (with the reason ``NO_QUOTE``) while there is none to choose by
    """
    assert contract.expiry is not None
    assert contract.strike is not None
    days = (contract.expiry - day).days
    if not structure.min_dte <= days <= structure.max_dte:
        return f"{days} days to expiry, outside {structure.min_dte}–{structure.max_dte}"
    if spot is None:
        return NO_QUOTE
    away = abs(float(contract.strike) - spot)
    if away > structure.atm_band_pct * spot:
        return f"strike {100 * away / spot:.1f} % from the spot, beyond {100 * structure.atm_band_pct:g} %"
    return None


def make_legs(view: StrategyView, keys: tuple[str, ...]) -> tuple[Leg, ...]:
    """Return the legs of ``keys`` with the account's quantities."""
    positions = view.account_positions()
    legs = []
    for key in keys:
        contract = view.contract(key)
        assert contract.strike is not None
        legs.append(
            Leg(
                key,
                float(positions.get(key, 0) * contract.multiplier),
                1 if contract.right is Right.CALL else -1,
                float(contract.strike),
                view.expiry_close_ns(key),
            )
        )
    return tuple(leg for leg in legs if leg.weight)
