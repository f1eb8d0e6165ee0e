"""Calling 1, 3 and 10 implementations of a tick hook: our cached list beside pluggy's own call.

python benchmarks/hooks.py
"""

from __future__ import annotations

import timeit

import pluggy

from bifrost_engine import hookspecs
from bifrost_engine.domain import Quote
from bifrost_engine.hookspecs import hookimpl
from bifrost_engine.plugins import PluginSet

CALLS = 20_000
QUOTE = Quote("SPY|STK|||", 99.99, 100.01, 100.0, 100.0, 1)


class Watcher:
    """An observer that does nothing."""

    @hookimpl
    def on_tick(self, quote: Quote) -> None:
        """Do nothing."""


def ours(count: int) -> float:
    """Return microseconds for a quote through ``count`` observers, as the pipeline calls them."""
    plugins = PluginSet()
    for i in range(count):
        plugins.register("sinks", f"w{i}", Watcher())
    calls = tuple(call for _, call in plugins.observers())

    def tick() -> None:
        for call in calls:
            call(QUOTE)

    return min(timeit.repeat(tick, number=CALLS, repeat=7)) / CALLS * 1e6


def by_pluggy(count: int) -> float:
    """Return microseconds for the same through pluggy's hook caller."""
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    for i in range(count):
        manager.register(Watcher(), f"w{i}")

    def tick() -> None:
        manager.hook.on_tick(quote=QUOTE, view=None)

    return min(timeit.repeat(tick, number=CALLS, repeat=7)) / CALLS * 1e6


def main() -> None:
    """Measure and print."""
    print(f"{'implementations':>15}{'ours, us':>11}{'pluggy, us':>12}{'cheaper':>9}")
    for count in (1, 3, 10):
        mine, theirs = ours(count), by_pluggy(count)
        print(f"{count:15}{mine:11.2f}{theirs:12.2f}{theirs / mine:8.1f}x")


if __name__ == "__main__":
    main()
