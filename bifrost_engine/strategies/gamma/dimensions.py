"""The six dimensions in which the strategy describes the situation."""

from __future__ import annotations

from math import isfinite
from typing import NamedTuple

from bifrost_engine.domain.quote import Quote

WORDS = {
    "O0": "NONE",
    "O1": "LONG_GAMMA",
    "O2": "SHORT_GAMMA",
    "D0": "IN_BAND",
    "D1": "MINOR",
    "D2": "HEDGE_NEEDED",
    "D3": "FORCE_HEDGE",
    "D4": "INVALID",
    "M0": "QUIET",
    "M1": "NORMAL",
    "M2": "TREND",
    "M3": "CHOPPY_HIGHVOL",
    "M4": "GAP",
    "M5": "STALE",
    "L0": "NORMAL",
    "L1": "WIDE",
    "L2": "EXTREME_WIDE",
    "L3": "NO_QUOTE",
    "E0": "IDLE",
    "E1": "ORDER_WORKING",
    "E2": "PARTIAL_FILL",
    "E3": "DISCONNECTED",
    "E4": "BROKER_ERROR",
    "S0": "OK",
    "S1": "GREEKS_BAD",
    "S2": "DATA_LAG",
    "S3": "RISK_HALT",
}
"""Code of a dimension's value → its word."""

LIMIT_OF_SENSE = 1e6
NO_GAMMA = 1e-9


class Dimensions(NamedTuple):
    """The situation: option position, delta deviation, market, liquidity, execution, system."""

    option: str
    deviation: str
    market: str
    liquidity: str
    execution: str
    system: str

    def words(self) -> dict[str, str]:
        """Return each letter with its code and word, such as ``{"O": "O1 LONG_GAMMA", …}``."""
        return {code[0]: f"{code} {WORDS[code]}" for code in self}


class DeltaBand(NamedTuple):
    """Thresholds of the net delta, share equivalents.

    max_net  a further limit that forces a hedge, or None
    """

    epsilon: float
    threshold: float
    maximum: float
    max_net: float | None

    def force_at(self) -> float:
        """Return the |net delta| from which a hedge is forced."""
        return self.maximum if self.max_net is None else min(self.maximum, self.max_net)


def option_dimension(quantities: tuple[float, ...], gamma: float) -> str:
    """Classify the option position; ``gamma`` is the book's, shares per USD."""
    if not quantities or abs(gamma) < NO_GAMMA:
        return "O0"
    if all(quantity > 0 for quantity in quantities):
        return "O1"
    if all(quantity < 0 for quantity in quantities):
        return "O2"
    return "O1" if gamma > 0 else "O2"


def deviation_dimension(net_delta: float | None, band: DeltaBand) -> str:
    """Classify the net delta; None stands for invalid greeks."""
    if net_delta is None:
        return "D4"
    size = abs(net_delta)
    if size <= band.epsilon:
        return "D0"
    if size >= band.force_at():
        return "D3"
    return "D2" if size >= band.threshold else "D1"


def liquidity_dimension(quote: Quote | None, wide_pct: float, extreme_pct: float) -> str:
    """Classify the underlying's spread, limits in percent of the mid."""
    if quote is None:
        return "L3"
    spread_pct = quote.spread_pct
    if spread_pct >= extreme_pct:
        return "L2"
    return "L1" if spread_pct >= wide_pct else "L0"


def execution_dimension(connected: bool, hedge_state: str, codes: dict[str, str]) -> str:
    """Classify the execution by the hedge machine's state and the connection."""
    return codes.get(hedge_state, "E1") if connected else "E3"


def system_dimension(halted: bool, greeks_valid: bool, lag_ms: float, lag_limit_ms: float) -> str:
    """Classify the system; a halt outranks bad greeks, and these outrank late data."""
    if halted:
        return "S3"
    if not greeks_valid:
        return "S1"
    return "S2" if lag_ms > lag_limit_ms else "S0"


def sensible(*values: float) -> bool:
    """Return whether a book's greeks are finite and within the limit of sense."""
    return all(isfinite(value) and abs(value) <= LIMIT_OF_SENSE for value in values)
