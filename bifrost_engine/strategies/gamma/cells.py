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
    search = _Search(net_delta, bounds)
    edges: list[float] = []
    codes: list[int | None] = [None]
    for begins, ends, code in ranges:
        low, high = search.spot_at(begins), search.spot_at(ends)
        if low < high and (not edges or edges[-1] <= low):
            edges += [low, high]
            codes += [code, None]
    return tuple(edges), tuple(codes)


class _Search:
    """Finds spots within bounds; each search begins where the last one ended."""

    def __init__(self, net_delta: NetDelta, bounds: Bounds) -> None:
        self._net_delta, self._bounds = net_delta, bounds
        self._least, self._most = net_delta(bounds.low)[0], net_delta(bounds.high)[0]
        self._spot = (bounds.low + bounds.high) / 2.0

    def spot_at(self, wanted: float) -> float:
        """Return the spot at which the net delta is ``wanted``, or the end of the bounds next to it."""
        low, high, sign = self._bounds.low, self._bounds.high, self._bounds.sign
        if sign * (self._least - wanted) >= 0.0:
            return low
        if sign * (self._most - wanted) <= 0.0:
            return high
        self._spot = _root(self._net_delta, wanted, low, high, sign, self._spot)
        return self._spot


def _root(net_delta: NetDelta, wanted: float, low: float, high: float, sign: int, spot: float) -> float:
    """Return where the net delta is ``wanted``, by Newton's steps within a bracket that shrinks."""
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
