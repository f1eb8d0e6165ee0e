"""One symbol's market: a stock that trends, chops and rests, gaps, jumps and halts, and its options.

Log-price takes a normal step per quote; times are whole milliseconds. Regimes, jumps and
halts are drawn for a session when it opens. Each symbol has random generators of its own,
one for the stock and one for its options: a path doesn't depend on what else is quoted.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import exp, log, nan, sqrt
from random import Random
from typing import NamedTuple

from bifrost_engine.domain import Quote
from bifrost_paper.config import SimConfig
from bifrost_paper.sessions import sessions
from bifrost_paper.surface import SimOption, Surface

NS = 1_000_000_000
NS_PER_MS = 1_000_000
DAYS_PER_YEAR = 252
SESSION_S = 23_400
TICKS_PER_UNIT = 100
"""Ticks of a stock in one unit of currency."""

OPENING_NS = 120 * NS
OPENING_SPREAD = 0.006
"""Extra spread at the open and after a halt, as a share of the price; gone after two minutes."""
OPENING_WIDEN = 4.0
"""The same for options, as a multiple of the usual spread."""

SPREADS = (1,) * 40 + (2,) * 16 + (3,) * 6 + (5,) * 2
"""Spread in multiples of the usual one; each as likely as it is frequent here (64 in all)."""

HALTED_QUOTES = 10
"""In a halt an empty quote comes after so many intervals."""


class Regime(NamedTuple):
    """How a stock moves for a while.

    volatility  multiple of the usual one
    trend       drift, in standard deviations of an hour per hour, up or down
    pull        share of the way back to where it began, per second
    """

    volatility: float
    trend: float
    pull: float


REGIMES = {
    "trend": Regime(volatility=1.0, trend=1.5, pull=0.0),
    "chop": Regime(volatility=1.0, trend=0.0, pull=0.005),
    "quiet": Regime(volatility=0.5, trend=0.0, pull=0.0),
}


class Wanted(NamedTuple):
    """What is to be quoted of a symbol."""

    stock: bool = False
    options: tuple[SimOption, ...] = ()


def sizes_around(usual: float, lot: int) -> tuple[float, ...]:
    """Return 64 sizes in whole lots, equally likely, exponentially distributed about ``usual``."""
    return tuple(
        float(max(lot, lot * round(-usual * log(1 - (i + 0.5) / len(SPREADS)) / lot)))
        for i in range(len(SPREADS))
    )


class SymbolPath:
    """The quotes of one symbol, in order of time.

    wanted  what is quoted; may be set anew between two quotes
    """

    def __init__(self, symbol: str, config: SimConfig, seed: int, start_ns: int, wanted: Wanted) -> None:
        self.wanted = wanted
        self._key = f"{symbol}|STK|||"
        self._config = config
        self._start_ns = start_ns
        self._random = Random(f"{seed}:{symbol}")
        self._option_random = Random(f"{seed}:{symbol}:options")
        self._surface = Surface(config)
        self._log_price = log(config.spots.get(symbol, config.spot))
        self._sizes = sizes_around(config.size, 100)
        self._option_sizes = sizes_around(config.option_size, 1)
        self._step_s = config.interval_ms / 1_000.0
        share = 1.0 - config.overnight_share
        self._sigma = config.volatility * sqrt(share / (DAYS_PER_YEAR * SESSION_S))
        self._gap = config.volatility * sqrt(config.overnight_share / DAYS_PER_YEAR)
        self._set_regime(REGIMES["quiet"])

    def quotes(self) -> Iterator[Quote]:
        """Yield session after session, for ``days`` or for ever; options alone end with the last of them."""
        for day, (open_ns, close_ns) in enumerate(sessions(self._config.exchange, self._start_ns)):
            if day == self._config.days or not self._has_quotes_after(open_ns):
                return
            if day:
                self._log_price += self._random.gauss(0.0, self._gap)
            yield from self._session(open_ns, max(open_ns, self._start_ns), close_ns)

    def _has_quotes_after(self, open_ns: int) -> bool:
        return self.wanted.stock or any(option.expiry_ns > open_ns for option in self.wanted.options)

    def _set_regime(self, regime: Regime) -> None:
        sign = self._random.choice((-1, 1))
        step_s = self._step_s
        trend = sign * regime.trend * self._sigma / sqrt(3_600.0)
        self._step = regime.volatility * self._sigma * sqrt(step_s)
        self._drift = (trend + self._config.drift / (DAYS_PER_YEAR * SESSION_S)) * step_s
        self._pull = min(1.0, regime.pull * step_s)
        self._anchor = self._log_price

    def _session(self, open_ns: int, from_ns: int, close_ns: int) -> Iterator[Quote]:
        random, gauss, bits = self._random.random, self._random.gauss, self._random.getrandbits
        new, key, sizes, spreads = tuple.__new__, self._key, self._sizes, SPREADS
        interval_ms = self._config.interval_ms
        happenings = self._happenings(from_ns, close_ns)
        next_ns, happening = next(happenings)
        wide_until_ns = open_ns + OPENING_NS
        usual, opening = self._usual_spread()
        wanted, log_price = self.wanted, self._log_price
        option_ns, option_step_ns = self._option_times(from_ns)
        ts_ns, reopened_ns = from_ns, 0
        while ts_ns < close_ns:
            if wanted is not self.wanted:
                wanted = self.wanted
                option_ns, option_step_ns = self._option_times(ts_ns)
            while option_ns <= ts_ns:
                quote = self._option_quote(option_ns, wide_until_ns)
                if quote is not None:
                    yield quote
                option_ns += option_step_ns
            if next_ns <= ts_ns:
                if happening == "halt" and next_ns >= reopened_ns:
                    until_ns = reopened_ns = min(
                        ts_ns + int(self._config.halt_minutes * 60_000) * NS_PER_MS, close_ns
                    )
                    yield from self._halt(ts_ns, until_ns)
                    ts_ns, option_ns = until_ns, max(option_ns, until_ns)
                    wide_until_ns = until_ns + OPENING_NS
                self._happen(happening)
                usual, opening = self._usual_spread()
                log_price = self._log_price
                next_ns, happening = next(happenings)
                continue
            log_price += self._drift + self._pull * (self._anchor - log_price) + gauss(0.0, self._step)
            self._log_price = log_price
            drawn = bits(18)
            if wanted.stock:
                ticks = usual * spreads[drawn & 63]
                if ts_ns < wide_until_ns:
                    ticks += int(opening * (wide_until_ns - ts_ns) / OPENING_NS)
                bid = int(exp(log_price) * TICKS_PER_UNIT - ticks / 2 + 0.5)
                if bid < 1:
                    bid = 1
                yield new(
                    Quote,
                    (
                        key,
                        bid / TICKS_PER_UNIT,
                        (bid + ticks) / TICKS_PER_UNIT,
                        sizes[drawn >> 6 & 63],
                        sizes[drawn >> 12],
                        ts_ns,
                        0,
                    ),
                )
            ts_ns += int(interval_ms * (0.5 + random()) + 0.5) * NS_PER_MS

    def _usual_spread(self) -> tuple[int, float]:
        """Return the usual spread and the opening's extra one, in ticks."""
        price = exp(self._log_price) * TICKS_PER_UNIT
        return max(1, round(price * self._config.spread_pct / 100.0)), price * OPENING_SPREAD

    # --- what happens in a session -----------------------------------------------------

    def _happenings(self, open_ns: int, close_ns: int) -> Iterator[tuple[int, str]]:
        """Yield when a regime begins, a jump or a halt comes; at last the close."""
        config, seconds = self._config, (close_ns - open_ns) / NS
        rates = {
            "regime": 1.0 / (config.regime_minutes * 60.0),
            "jump": config.jumps_per_day / SESSION_S,
            "halt": config.halts_per_day / SESSION_S,
        }
        found = [(open_ns, "regime")]
        for kind, rate in rates.items():
            at_s = self._random.expovariate(rate) if rate else seconds
            while at_s < seconds:
                found.append((open_ns + int(at_s * 1_000) * NS_PER_MS, kind))
                at_s += self._random.expovariate(rate)
        yield from sorted(found)
        yield close_ns, "close"

    def _happen(self, happening: str) -> None:
        config = self._config
        if happening == "regime":
            weights = [config.trend, config.chop, config.quiet]
            (regime,) = self._random.choices(tuple(REGIMES.values()), weights)
            self._set_regime(regime)
        else:
            # A stock reopens after a halt with a gap.
            self._log_price += self._random.gauss(0.0, config.jump_pct / 100.0)
            self._anchor = self._log_price

    def _halt(self, from_ns: int, until_ns: int) -> Iterator[Quote]:
        """Yield a quote without an ask, and then empty ones of all that is wanted."""
        bid = exp(self._log_price) - 1 / TICKS_PER_UNIT
        bid = max(1, int(bid * TICKS_PER_UNIT)) / TICKS_PER_UNIT
        if self.wanted.stock:
            yield Quote(self._key, bid, nan, 100.0, 0.0, from_ns)
        step_ns = int(HALTED_QUOTES * self._config.interval_ms) * NS_PER_MS
        for ts_ns in range(from_ns + step_ns, until_ns, step_ns):
            keys = [self._key] if self.wanted.stock else []
            for key in keys + [o.key for o in self.wanted.options if o.expiry_ns > ts_ns]:
                yield Quote(key, nan, nan, 0.0, 0.0, ts_ns)

    # --- options -----------------------------------------------------------------------

    def _option_times(self, from_ns: int) -> tuple[int, int]:
        """Return when the next option is quoted, and the time between two options."""
        self._next_option = 0
        number = len(self.wanted.options)
        if not number:
            return 1 << 63, 1
        return from_ns, max(1, int(self._config.option_interval_ms / number)) * NS_PER_MS

    def _option_quote(self, ts_ns: int, wide_until_ns: int) -> Quote | None:
        options = self.wanted.options
        option = options[self._next_option]
        self._next_option = (self._next_option + 1) % len(options)
        if ts_ns >= option.expiry_ns:
            return None
        widen = 1.0 + OPENING_WIDEN * max(0, wide_until_ns - ts_ns) / OPENING_NS
        bid, ask = self._surface.quote(option, exp(self._log_price), ts_ns, widen)
        drawn = self._option_random.getrandbits(12)
        sizes = self._option_sizes
        return Quote(option.key, bid, ask, sizes[drawn & 63], sizes[drawn >> 6], ts_ns)
