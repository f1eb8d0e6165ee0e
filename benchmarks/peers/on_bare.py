"""The strategy on a workload without an engine: what the arithmetic alone costs in Python."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from peers.hedging import Hedger, hedge_all, read_terms
from peers.timing import measured, quotes_of


def main(place: str) -> None:
    """Prepare, run, tell."""
    folder = Path(place)
    terms, quotes = read_terms(folder), [quote[:3] for quote in quotes_of(folder)]

    def look(hedger: Hedger) -> tuple[list[tuple[int, int]], float]:
        return list(hedger.trades), hedger.cash

    measured(lambda: hedge_all(terms, quotes), look)


if __name__ == "__main__":
    main(*sys.argv[1:])
