"""What a result was made of: gamma, theta, vega, the delta that was left open, the spread.

Between two looks an option is taken to have moved by

    δ·ΔS + ½·Γ·ΔS² + Θ·Δt + vega

with δ, Γ and Θ of Black and Scholes as they were at the first look, S the underlying's
mid, t in years of 365 days, and the volatility that the option's mark implied then; in
an option's last minute time stands still, as for its greeks.
Vega is by how much the second look's mark is off what that same volatility gives there:
what a change of the volatility came to, however large. δ·ΔS together with what the
shares held moved by is what being hedged imperfectly came to. What bookings changed, at
the second look's mark, is the spread. What is left is of higher order in S and t.

Each position goes by looks of its own, from the one at its opening mark on, so nothing
gets lost where it is looked at later than the others, or was once without a mark.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from attrs import Factory, define

from bifrost_engine.pricing.black_scholes import Greeks, greeks
from bifrost_engine.pricing.implied import implied_volatility
from bifrost_engine.pricing.years import time_years

CLOSE = 1e-10
STEPS = 8
HARDLY_ANY = 0.01

Key = tuple[str, str]
"""Owner of a book, and contract key."""


class Option(NamedTuple):
    """What an option's price depends on beside the market.

    right_sign  1 for a call, −1 for a put
    strike      quote currency per share
    """

    right_sign: int
    strike: float
    expiry_ns: int


class Line(NamedTuple):
    """A position at one time: result = units × mark + booked.

    units   quantity × multiplier, signed
    booked  quote currency, since its opening, before commissions
    mark    quote currency per unit; None for a closed position that nobody quotes
    option  None for all else, which moves as its mark does
    """

    key: Key
    units: float
    booked: float
    mark: float | None
    option: Option | None = None


class _Seen(NamedTuple):
    """A line at its last look; ``guess`` is the volatility that one before it found."""

    line: Line
    mark: float
    ts_ns: int
    spot: float | None
    guess: float | None


@define
class Attribution:
    """Adds up the parts, quote currency; positive is a gain.

    delta   what the delta left open, shares included, earned on the moves
    spread  what fills gained against the mark at which they were booked
    higher  of higher order: what the moves came to beyond delta, gamma and theta
    """

    rate: float
    dividend_yield: float
    gamma: float = 0.0
    theta: float = 0.0
    vega: float = 0.0
    delta: float = 0.0
    spread: float = 0.0
    higher: float = 0.0
    _seen: dict[Key, _Seen] = Factory(dict)

    def begin(self, ts_ns: int, spot: float | None, line: Line) -> None:
        """Take a position as it is, nothing added; what happens from now on is.

        spot  without one nothing is known of what moves an option until the next look
        """
        self._seen[line.key] = _Seen(line, line.mark or 0.0, ts_ns, spot, None)

    def shift(self, key: Key, by: float) -> None:
        """Move a position's last mark together with its opening, which was off by so much per unit."""
        seen = self._seen.get(key)
        if seen is not None:
            booked = seen.line.booked - seen.line.units * by
            self._seen[key] = seen._replace(line=seen.line._replace(booked=booked), mark=seen.mark + by)

    def holds(self, key: Key) -> bool:
        """Return whether there was something of a position at its last look."""
        seen = self._seen.get(key)
        return seen is not None and seen.line.units != 0.0

    def look(self, ts_ns: int, spot: float, lines: Iterable[Line]) -> None:
        """Take positions at a time; what happened to each since its last look is added."""
        for line in lines:
            seen = self._seen.get(line.key)
            if seen is None:
                mark, guess = line.mark or 0.0, None
                self.spread += line.units * mark + line.booked
            else:
                mark, guess = self._moved(seen, line, ts_ns, spot)
                self.spread += (line.units - seen.line.units) * mark + line.booked - seen.line.booked
            self._seen[line.key] = _Seen(line, mark, ts_ns, spot, guess)

    def _moved(self, seen: _Seen, line: Line, ts_ns: int, spot: float) -> tuple[float, float | None]:
        """Add what a position that was seen before moved by; return its mark now, and its volatility then."""
        units, option = seen.line.units, seen.line.option
        if option is None or not units or seen.spot is None:
            mark = seen.mark if line.mark is None else line.mark
            if option is None:
                self.delta += units * (mark - seen.mark)
            return mark, seen.guess
        years, left = time_years(seen.ts_ns, option.expiry_ns), time_years(ts_ns, option.expiry_ns)
        volatility = self._volatility(option, seen.mark, seen.spot, years, seen.guess)
        then = self._greeks(option, seen.spot, years, volatility)
        now = self._greeks(option, spot, left, volatility)
        expected = now.price + seen.mark - then.price
        mark = expected if line.mark is None else line.mark
        move = spot - seen.spot
        delta, gamma = then.delta * move, 0.5 * then.gamma * move * move
        theta = then.theta * (years - left)
        self.delta += units * delta
        self.gamma += units * gamma
        self.theta += units * theta
        self.higher += units * (now.price - then.price - delta - gamma - theta)
        self.vega += units * (mark - expected)
        return mark, volatility

    def _greeks(self, option: Option, spot: float, years: float, volatility: float) -> Greeks:
        return greeks(
            option.right_sign, spot, option.strike, years, self.rate, self.dividend_yield, volatility
        )

    def _volatility(
        self, option: Option, mark: float, spot: float, years: float, guess: float | None
    ) -> float:
        """Return what the mark implies, from the last answer if that is near; else that answer again.

        A price that no volatility explains, such as one without time value, goes by hardly any.
        """
        facts = (option.right_sign, spot, option.strike, years, self.rate, self.dividend_yield)
        volatility = guess
        for _ in range(STEPS if guess is not None else 0):
            assert volatility is not None
            now = greeks(*facts, volatility)
            off = now.price - mark
            if abs(off) <= CLOSE:
                return volatility
            step = off / now.vega if now.vega > CLOSE else volatility
            if not abs(step) < volatility:
                break
            volatility -= step
        solved = implied_volatility(mark, *facts)
        return solved or guess or HARDLY_ANY
