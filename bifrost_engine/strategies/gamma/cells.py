"""Where on the scale of spots the net delta surely is within its band, or beyond it and below the threshold.

The net delta of legs that are all long, or all short, is monotone in the spot. So the
spots at which it has a certain value part the scale. Time moves it by at most the bound
of the charm: that much, and what the search for those spots is off, is left out on both
sides of each limit, and there the strategy is asked.
"""

from __future__ import annotations

from collections.abc import Callable

from bifrost_engine.strategies.gamma.dimensions import DeltaBand
from bifrost_engine.strategies.gamma.holds import Bounds

PRECISION = 1e-4
"""How close to its value, shares, a net delta is searched for."""
ATTEMPTS = 60
DEVIATIONS = ("D0", "D1")
"""Code in the map → deviation."""

NetDelta = Callable[[float], tuple[float, float]]


def parts(
    net_delta: NetDelta, bounds: Bounds, now_ns: int, band: DeltaBand, scale: float
) -> tuple[tuple[float, ...], tuple[int | None, ...]]:
    """Return the edges on the scale of spots, and the code of ``DEVIATIONS`` between them or None.

    net_delta  spot → net delta, shares, and gamma, shares per USD, at ``now_ns``
    scale      shares that the legs stand for: what rounding may spoil goes with it
    """
    aside = bounds.charm * (bounds.until_ns - now_ns) + 3.0 * PRECISION + 1e-9 * scale
    threshold = min(band.threshold, band.force_at())
    inner, outer, last = band.epsilon - aside, band.epsilon + aside, threshold - aside
    ranges = [(-inner, inner, 0)] if inner > 0.0 else []
    if outer < last:
        ranges = [(-last, -outer, 1), *ranges, (outer, last, 1)]
    if bounds.sign < 0:
        ranges = [(high, low, code) for low, high, code in reversed(ranges)]
    edges: list[float] = []
    codes: list[int | None] = [None]
    for begins, ends, code in ranges:
        low, high = _spot_at(begins, net_delta, bounds), _spot_at(ends, net_delta, bounds)
        if low < high and (not edges or edges[-1] <= low):
            edges += [low, high]
            codes += [code, None]
    return tuple(edges), tuple(codes)


def _spot_at(wanted: float, net_delta: NetDelta, bounds: Bounds) -> float:
    """Return the spot at which the net delta is ``wanted``, or the end of the bounds next to it."""
    low, high, sign = bounds.low, bounds.high, bounds.sign
    if sign * (net_delta(low)[0] - wanted) >= 0.0:
        return low
    if sign * (net_delta(high)[0] - wanted) <= 0.0:
        return high
    spot = (low + high) / 2.0
    for _ in range(ATTEMPTS):
        value, slope = net_delta(spot)
        off = value - wanted
        if abs(off) <= PRECISION:
            break
        if sign * off < 0.0:
            low = spot
        else:
            high = spot
        spot -= off / slope if slope else 0.0
        if not low < spot < high:
            spot = (low + high) / 2.0
    return spot
