"""What the strategy saw and why it did what it did, in values and in words.

``Seen`` is taken at the moment; the words and the slower greeks are made when
somebody looks, and come out the same whenever that is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from bifrost_engine.config.strategy import StateGatesConfig
from bifrost_engine.domain.quote import Quote
from bifrost_engine.strategies.gamma.dimensions import WORDS, DeltaBand, Dimensions
from bifrost_engine.strategies.gamma.legs import Leg
from bifrost_engine.strategies.gamma.pricer import Prices, ToldPrices

NS = 1_000_000_000
NO_TICK = "AT_BEAT nothing is proposed before the next quote"
NO_SHARES = "NO_SHARES the need comes to no whole share"
OF_ITS_OWN = (NO_TICK, NO_SHARES)
"""Reasons of a hedge that is needed and isn't proposed, though no term of the condition fails."""


class Seen(NamedTuple):
    """The situation at one instant; all of it immutable.

    blocked   codes of the terms that keep a hedge from being proposed
    quote_ns  time of the last good quote of the underlying, or of the run's start
    outside_shares  in the net delta, beside the strategy's own
    """

    now_ns: int
    state: str
    cause: str
    hedge_state: str
    dims: Dimensions
    underlying: Quote | None
    net_delta: float | None
    stock_position: float
    legs: tuple[Leg, ...]
    left_out: tuple[tuple[str, str], ...]
    lag_ms: float
    quote_ns: int
    halts: tuple[str, ...]
    blocked: tuple[str, ...]
    band: DeltaBand
    limits: StateGatesConfig
    prices: Prices
    outside_shares: float


def explain(seen: Seen) -> Mapping[str, Any]:
    """Return the values behind a decision, with its reasons in words."""
    quote = seen.underlying
    totals = None if quote is None else seen.prices.totals(seen.legs, quote.mid, seen.now_ns)
    told = seen.prices.told(seen.legs, seen.now_ns) if isinstance(seen.prices, ToldPrices) else None
    return {
        **({} if told is None else {"broker_greeks": told}),
        **({"outside_shares": seen.outside_shares} if seen.outside_shares else {}),
        "trading_state": seen.state,
        "safe_cause": seen.cause,
        "hedge_state": seen.hedge_state,
        "dimensions": seen.dims.words(),
        "spot": None if quote is None else quote.mid,
        "bid": None if quote is None else quote.bid,
        "ask": None if quote is None else quote.ask,
        "net_delta": seen.net_delta,
        "stock_position": int(seen.stock_position),
        "option_legs_count": len(seen.legs),
        "legs_left_out": [f"{key}: {why}" for key, why in seen.left_out],
        "gamma": None if totals is None else totals.gamma,
        "theta": None if totals is None else totals.theta,
        "vega": None if totals is None else totals.vega,
        "volatility_age_s": seen.prices.oldest_volatility_s(seen.legs, seen.now_ns),
        "data_lag_ms": seen.lag_ms,
        "reasons": [_reason(code, seen) for code in seen.blocked],
    }


def explain_at(seen: Seen, shares: float, quote: Quote) -> Mapping[str, Any]:
    """Return the same for a quote at which all but time, prices and net delta was as in ``seen``.

    shares  in the net delta, beside the options
    """
    now_ns = quote.event_ns
    totals = seen.prices.delta_and_gamma(seen.legs, quote.mid, now_ns)
    net_delta = None if totals is None else totals[0] + shares
    lag_ms = (now_ns - quote.ts_ns) / 1e6
    return explain(
        seen._replace(
            now_ns=now_ns, underlying=quote, quote_ns=quote.ts_ns, lag_ms=lag_ms, net_delta=net_delta
        )
    )


def _reason(code: str, seen: Seen) -> str:
    if code in OF_ITS_OWN:
        return code
    word = WORDS.get(code)
    if word is None:
        why = ", ".join(seen.halts) or seen.cause
        return f"state {code} ({why})" if code == "SAFE" and why else f"state {code}"
    facts = _facts(code, seen)
    return f"{code} {word} {facts}" if facts else f"{code} {word}"


def _facts(code: str, seen: Seen) -> str:
    if code in ("D0", "D1") and seen.net_delta is not None:
        limit = seen.band.epsilon if code == "D0" else seen.band.threshold
        return f"net delta {seen.net_delta:.1f} within ±{limit:g}"
    if code == "L2" and seen.underlying is not None:
        limit = seen.limits.liquidity.extreme_spread_pct
        return f"spread {seen.underlying.spread_pct:.2f} % ≥ {limit:g} %"
    if code == "M5":
        age_s, limit = (seen.now_ns - seen.quote_ns) / NS, seen.limits.market.stale_ts_threshold_ms / 1000
        return f"last quote {age_s:.1f} s ago > {limit:g} s"
    if code == "S2":
        return f"lag {seen.lag_ms:.0f} ms > {seen.limits.system.data_lag_threshold_ms:g} ms"
    if code == "S3":
        return ", ".join(seen.halts)
    return seen.hedge_state if code[0] == "E" else ""
