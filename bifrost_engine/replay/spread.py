"""Spreads counted into a fixed number of classes: quantiles in memory that doesn't grow."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bifrost_engine.replay.columns import Floats

LEAST, MOST = -5, 3
"""Powers of ten, per cent: what is narrower or wider falls into the outermost classes."""
PER_DECADE = 50
CLASSES = (MOST - LEAST) * PER_DECADE
QUANTILES = (0.5, 0.95)


class Spreads:
    """The spreads of good quotes, in per cent of the mid.

    count, total, widest  how many, their sum, the largest; all exact
    """

    def __init__(self) -> None:
        import numpy as np

        self.count = 0
        self.total = 0.0
        self.widest = 0.0
        self._classes = np.zeros(CLASSES, np.int64)

    def take(self, spread_pct: Floats) -> None:
        """Count spreads, none of them NaN."""
        import numpy as np

        if not len(spread_pct):
            return
        self.count += len(spread_pct)
        self.total += float(spread_pct.sum())
        self.widest = max(self.widest, float(spread_pct.max()))
        with np.errstate(divide="ignore"):
            places = (np.log10(spread_pct) - LEAST) * PER_DECADE
        self._classes += np.bincount(np.clip(places, 0, CLASSES - 1).astype(np.int64), minlength=CLASSES)

    @property
    def mean(self) -> float | None:
        """The mean, None without any."""
        return self.total / self.count if self.count else None

    def quantile(self, share: float) -> float | None:
        """Return what that share of the spreads doesn't exceed, within 2.4 %; None without any."""
        import numpy as np

        if not self.count:
            return None
        place = int(np.searchsorted(np.cumsum(self._classes), share * self.count))
        return 0.0 if place == 0 else float(10 ** (LEAST + (place + 0.5) / PER_DECADE))
