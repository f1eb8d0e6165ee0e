"""Whatever broker, line, disk and process do, the engine's orders and books come to what is true.

Thousands of scenarios are drawn by number, so that the same ones run everywhere; one that fails is
told by the fewest and plainest acts that still fail.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence

import pytest
from attrs import evolve
from ordeal import Act, Ordeal, run
from scenarios import scenario, smallest

from bifrost_engine.domain.broker import BrokerState
from bifrost_engine.domain.effects import PlaceOrder

BLOCKS = 8
PER_BLOCK = 30 * int(os.environ.get("BIFROST_TEST_REPEATS", "10"))
MOST_ACTS = 100
WEIGHTS = {
    "want": 16,
    "quote": 1,
    "wait": 6,
    "attend": 5,
    "command": 2,
    "calm_down": 4,
    "die": 1,
    "light": 3,
    "fill_disk": 1,
    "free_disk": 2,
    "fill": 14,
    "overfill": 1,
    "late_trade": 1,
    "correct": 2,
    "bust": 1,
    "charge": 2,
    "recharge": 1,
    "end": 3,
    "lie": 1,
    "say_again": 2,
    "edit": 1,
    "by_hand": 1,
    "hear": 16,
    "hear_any": 4,
    "hear_twice": 3,
    "hear_old": 2,
    "mislay": 3,
    "recover": 6,
    "connect": 3,
    "disconnect": 2,
    "renumber": 1,
    "go_deaf": 1,
    "nudge": 2,
    "look": 3,
    "overtake": 1,
    "answer": 10,
}
"""How often each act is drawn, beside the others."""


def fault(setup: int, acts: Sequence[Act]) -> str | None:
    """Return what is wrong at the end of a scenario, None if nothing is."""
    try:
        run(setup, acts)
    except Exception as error:  # noqa: BLE001 - whatever an engine may do wrong
        return f"{type(error).__name__}: {error}"
    return None


def like(found: str, other: str | None) -> bool:
    return other is not None and other[:30] == found[:30]


@pytest.mark.parametrize("block", range(BLOCKS))
def test_whatever_happens_the_engine_comes_to_the_truth(block: int) -> None:
    for seed in range(block * PER_BLOCK, (block + 1) * PER_BLOCK):
        drawn = scenario(seed, WEIGHTS, MOST_ACTS)
        found = fault(*drawn)
        if found is not None:
            plain = smallest(*drawn, lambda *other: like(found, fault(*other)))  # noqa: B023 - called at once
            pytest.fail(f"scenario {seed}: run{plain!r} fails\n{fault(*plain)}", pytrace=False)


def test_the_scenarios_try_what_they_are_for() -> None:
    """The rest would hold of an engine that never trades, and of a broker that never errs."""
    seen: Counter[str] = Counter()
    for seed in range(150):
        seen += run(*scenario(seed, WEIGHTS, MOST_ACTS)).seen
    often = ("place", "fill", "crash", "disconnect", "snapshot", "cancel", "lost", "repeated", "ORDER_FILL")
    assert not [name for name in often if seen[name] < 20]
    ways = [f"placed {way}" for way in range(9)]
    mishaps = (
        "overfill",
        "late trade",
        "correction",
        "bust",
        "other fee",
        "lie",
        "edit",
        "by hand",
        "outdated",
        "overtaken",
    )
    assert not [name for name in ("replace", "ORDER_DOUBT", *mishaps, *ways) if not seen[name]]


# --- what only a comparison can put right -------------------------------------------------------

LOST = 4  # what wasn't heard by the end is lost
MENDED = [
    pytest.param(
        [("want", 0), ("fill", 0), ("recharge", 1), ("recover", 0), ("recharge", 2)], id="a commission"
    ),
    pytest.param([("want", 0), ("fill", 0), ("correct", 1)], id="an execution put right to less"),
    pytest.param([("want", 0), ("hear", 0), ("edit", 1), ("fill", 0)], id="an order made smaller"),
    pytest.param(
        [("want", 0), ("fill", 0), ("recover", 0), ("bust", 0)],
        id="an execution undone",
    ),
    pytest.param(
        [("want", 0), ("fill", 0), ("attend", 0), ("want", 28), ("attend", 3), ("bust", 0), ("attend", 3)],
        id="an execution undone while another order is nowhere",
    ),
]


@pytest.mark.parametrize("acts", MENDED)
def test_what_was_never_heard_is_mended_by_a_comparison(acts: list[Act]) -> None:
    assert fault(LOST, acts) is None


# --- a scenario tells of what it is meant to find ---------------------------------------------


class SentTwice(Ordeal):
    """A host that hands an order over again when it has heard nothing."""

    def place(self, effect: PlaceOrder) -> None:
        super().place(effect)
        super().place(effect)


class SentFirst(Ordeal):
    """A host that writes down what has left."""

    def commit(self) -> bool:
        return True


class DeafTo(Ordeal):
    """A host to which the account's trades are lost for good: reports, and all that they change."""

    def take(self) -> BrokerState:
        return evolve(super().take(), executions=(), completed_orders=(), positions=())

    def deliver(self, index: int) -> None:
        self.venue.reports = [report for report in self.venue.reports if report.trade is None]
        super().deliver(index)


BAD_HOSTS = [
    (SentTwice, "left while"),
    (SentFirst, "before its record was on disk"),
    (DeafTo, "0 of 10, really"),
]


@pytest.mark.parametrize(("host", "found"), BAD_HOSTS)
def test_a_host_that_breaks_its_word_is_found_out(host: type[Ordeal], found: str) -> None:
    with pytest.raises(AssertionError, match=found):
        run(0, [("want", 0), ("hear", 0), ("fill", 0), ("hear", 0)], host)
