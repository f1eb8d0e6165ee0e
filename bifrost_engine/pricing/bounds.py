"""How large Black–Scholes sensitivities can get, over all strikes, spots and times from a floor on.

Between two looks at an option its delta moves by at most gamma's bound times
the spot's move plus charm's bound times the time that passes, so a decision
that is further from its threshold than that need not be made again. Let
S ≥ S₀ and t ≥ t₀, any strike, q ≥ 0, b = r − q, φ and N the normal density and
distribution function.

Gamma is e^(−qt) φ(d₁) / (S σ √t). φ is at most φ(0), and each other factor
falls in S and in t, so it is at most e^(−q t₀) φ(0) / (S₀ σ √t₀).

Delta of a call is e^(−qt) N(d₁). With x = ln(S/K), d₁ = x/(σ√t) + a√t and
a = (b + σ²/2)/σ, hence ∂d₁/∂t = −x/(2σ t^1.5) + a/(2√t) = −d₁/(2t) + a/√t, and

    ∂delta/∂t = e^(−qt) [ −q N(d₁) − d₁ φ(d₁)/(2t) + a φ(d₁)/√t ]

0 ≤ N ≤ 1; |z φ(z)| is largest at |z| = 1, where it is φ(1); φ ≤ φ(0). So it is
at most e^(−q t₀) [ q + φ(1)/(2t₀) + |a| φ(0)/√t₀ ] in size. A put's delta is
the call's less e^(−qt): N(d₁) − 1 stands for N(d₁), with the same bound.

For q < 0 the factor e^(−qt) grows with time and there is no bound over all
times: the answer is infinity. Nothing is known of other models.
"""

from __future__ import annotations

from math import exp, inf, sqrt

from bifrost_engine.pricing.black_scholes import DENSITY_AT_0, density

# Bounds are attained; a last digit lost to rounding must not make them too small.
OUTWARD = 1.0 + 1e-12


def gamma_bound(
    spot_low: float, t_years_min: float, volatility: float, dividend_yield: float, rate: float
) -> float:
    """Return what gamma per share can't exceed at any spot ≥ ``spot_low`` and time ≥ ``t_years_min``.

    ``rate`` has no part in it, nor has the strike. Infinite for a negative yield.
    """
    if dividend_yield < 0.0:
        return inf
    decay = exp(-dividend_yield * t_years_min)
    return OUTWARD * decay * DENSITY_AT_0 / (spot_low * volatility * sqrt(t_years_min))


def charm_bound(t_years_min: float, volatility: float, rate: float, dividend_yield: float) -> float:
    """Return what |∂delta/∂t| per year can't exceed at any spot and any time ≥ ``t_years_min``.

    Infinite for a negative yield.
    """
    if dividend_yield < 0.0:
        return inf
    drift = abs(rate - dividend_yield + 0.5 * volatility * volatility) / volatility
    turning = 0.5 * density(1.0) / t_years_min
    drifting = drift * DENSITY_AT_0 / sqrt(t_years_min)
    return OUTWARD * exp(-dividend_yield * t_years_min) * (dividend_yield + turning + drifting)
