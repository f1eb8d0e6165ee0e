"""The suite for strategies passes for a small right one and fails for each way to be wrong."""

from __future__ import annotations

from decimal import Decimal

import pytest
from attrs import evolve

from bifrost_engine.domain import Decision, Intent, Side
from bifrost_engine.hookspecs import HOOK_VERSION, hookimpl
from bifrost_engine.testing import StrategyConformance


class Flat:
    """Buys back what it is short, one order at a time."""

    hook_version = HOOK_VERSION

    def __init__(self, context):
        self.context = context

    @hookimpl
    def on_tick(self, quote, view):
        short = -view.own_positions().get(quote.contract_key, Decimal(0))
        if short <= 0 or view.quote(quote.contract_key) is None:
            return Decision(key=("FLAT",), explain=lambda: {"reasons": ["FLAT"]})
        return Decision(intent=Intent(contract_key=quote.contract_key, side=Side.BUY, quantity=short))

    @hookimpl
    def on_heartbeat(self, beat, view): ...


class TestFlat(StrategyConformance):
    def make(self, context):
        return Flat(context)


calls = iter(range(10**9))


class Remembering(Flat):
    @hookimpl
    def on_tick(self, quote, view):
        return evolve(Flat.on_tick(self, quote, view), explain=lambda: {"call": next(calls)})


class LookingAtTheClock(Flat):
    @hookimpl
    def on_tick(self, quote, view):
        return evolve(Flat.on_tick(self, quote, view), key=(self.context.clock.now_ns(),))


class Talkative(Flat):
    @hookimpl
    def on_tick(self, quote, view):
        return "buy"


class OfNothing(Flat):
    @hookimpl
    def on_tick(self, quote, view):
        decision = Flat.on_tick(self, quote, view)
        return evolve(decision, intent=decision.intent and evolve(decision.intent, quantity=Decimal(0)))


class Unhashable(Flat):
    @hookimpl
    def on_tick(self, quote, view):
        return Decision(key=([],))


class NeedingAQuote(Flat):
    @hookimpl
    def on_tick(self, quote, view):
        view.quote(quote.contract_key).mid  # noqa: B018


class NeedingAQuoteAtABeat(Flat):
    @hookimpl
    def on_heartbeat(self, view):
        view.quote("SPY|STK|||").mid  # noqa: B018


class Emitting(Flat):
    @hookimpl
    def on_tick(self, quote):
        self.context.emit(quote)


@pytest.mark.parametrize(
    ("strategy", "test", "arguments"),
    [
        (Talkative, "test_it_answers_with_a_decision_or_nothing", ()),
        (Remembering, "test_the_same_story_gives_the_same_decisions", ()),
        (LookingAtTheClock, "test_it_looks_at_no_clock_but_the_views", ()),
        (OfNothing, "test_an_intent_is_of_a_whole_order", ()),
        (Unhashable, "test_decisions_can_be_folded_by_their_key", ()),
        (NeedingAQuote, "test_it_survives_that_no_contract_has_a_quote", ({},)),
        (NeedingAQuoteAtABeat, "test_a_beat_before_the_first_quote_is_no_error", ()),
        (Emitting, "test_it_never_emits", ()),
    ],
)
def test_a_wrong_strategy_fails(tmp_path, strategy, test, arguments):
    class Suite(StrategyConformance):
        def make(self, context):
            return strategy(context)

    with pytest.raises((AssertionError, AttributeError, TypeError)):
        getattr(Suite(), test)(tmp_path, *arguments)
