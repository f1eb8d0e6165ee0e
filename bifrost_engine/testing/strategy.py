"""The suite for strategies: the same story gives the same decisions, and a missing quote no error.

``story`` is a small market with positions; a strategy that needs another one overrides it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import chain, zip_longest
from math import sin
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from bifrost_engine.domain import Beat, Decision, Quote
from bifrost_engine.testing.build import START_NS, STOCK, StaticView, make_quote
from bifrost_engine.testing.conformance import PluginConformance, Subject

SECOND_NS = 1_000_000_000
TICKS = 200

Answers = list[Decision | None]
Facts = tuple[Any, ...] | None


class StrategyConformance(PluginConformance):
    """What every strategy must do.

    positions  the strategy's book during the story, signed quantity by contract key
    """

    kind = "strategies"
    needs_one_of = ("on_tick", "on_heartbeat")
    positions: Mapping[str, Decimal] = MappingProxyType({STOCK.key: Decimal(-25)})

    def story(self) -> Sequence[tuple[Quote, StaticView]]:
        """Return quotes of the stock, a second apart, each with the view after it."""
        quotes = [
            make_quote(
                bid=round(100 + 3 * sin(second / 20), 2),
                ask=round(100.02 + 3 * sin(second / 20), 2),
                at_ns=START_NS + second * SECOND_NS,
            )
            for second in range(TICKS)
        ]
        return [
            (quote, StaticView(now_ns=quote.ts_ns, quotes={STOCK.key: quote}, positions=self.positions))
            for quote in quotes
        ]

    def tell(self, strategy: Subject, story: Sequence[tuple[Quote, StaticView]]) -> Answers:
        """Return the strategy's answers to each quote, and to a beat after each."""
        return list(chain.from_iterable(self._both(strategy, quote, view) for quote, view in story))

    def _both(self, strategy: Subject, quote: Quote, view: StaticView) -> Answers:
        tick = strategy.call("on_tick", quote, view) if strategy.has("on_tick") else None
        beats = strategy.has("on_heartbeat")
        return [tick, strategy.call("on_heartbeat", Beat(ts_ns=view.now_ns), view) if beats else None]

    def facts(self, strategy: Subject) -> list[Facts]:
        """Return all that the strategy decided in its story, explanations included."""
        said: list[Facts] = []
        for quote, view in self.story():
            # An explanation may be of this call alone: ask for it before the next one.
            said.extend(_facts(answer) for answer in self._both(strategy, quote, view))
        return said

    def test_it_answers_with_a_decision_or_nothing(self, tmp_path: Path) -> None:
        for answer in self.tell(self.subject(tmp_path), self.story()):
            assert answer is None or isinstance(answer, Decision)

    def test_the_same_story_gives_the_same_decisions(self, tmp_path: Path) -> None:
        first, second = (self.facts(self.subject(tmp_path)) for _ in range(2))
        agree(first, second)

    def test_it_looks_at_no_clock_but_the_views(self, tmp_path: Path) -> None:
        early, late = self.subject(tmp_path), self.subject(tmp_path)
        late.context.clock.advance_to(START_NS + 7 * 86_400 * SECOND_NS)
        agree(self.facts(early), self.facts(late))

    def test_an_intent_is_of_a_whole_order(self, tmp_path: Path) -> None:
        answers = self.tell(self.subject(tmp_path), self.story())
        for intent in (answer.intent for answer in answers if answer is not None and answer.intent):
            assert isinstance(intent.quantity, Decimal)
            assert intent.quantity > 0
            assert intent.contract_key

    def test_decisions_can_be_folded_by_their_key(self, tmp_path: Path) -> None:
        for answer in self.tell(self.subject(tmp_path), self.story()):
            if answer is not None:
                hash(answer.key)

    @pytest.mark.parametrize("positions", [{}, {STOCK.key: Decimal(-25)}])
    def test_it_survives_that_no_contract_has_a_quote(
        self, tmp_path: Path, positions: dict[str, Decimal]
    ) -> None:
        blind = [
            (quote, StaticView(now_ns=quote.ts_ns, positions=positions)) for quote, _ in self.story()[:10]
        ]
        for answer in self.tell(self.subject(tmp_path), blind):
            assert answer is None or isinstance(answer, Decision)

    def test_a_beat_before_the_first_quote_is_no_error(self, tmp_path: Path) -> None:
        strategy = self.subject(tmp_path)
        answer = strategy.call("on_heartbeat", Beat(ts_ns=START_NS), StaticView())
        assert answer is None or isinstance(answer, Decision)

    def test_it_never_emits(self, tmp_path: Path) -> None:
        strategy = self.subject(tmp_path)
        self.tell(strategy, self.story())
        assert strategy.context.events == []


def _facts(decision: Decision | None) -> Facts:
    if decision is None:
        return None
    # repr, for NaN equals nothing
    return (decision.intent, decision.key, decision.legs, decision.hold, repr(decision.explain()))


def agree(first: Sequence[object], second: Sequence[object]) -> None:
    """Fail at the first answer that differs; a comparison of the whole lists would take minutes to draw."""
    for number, (one, other) in enumerate(zip_longest(first, second)):
        assert one == other, f"answer {number} differs"
