"""A state's image holds all of it: what is folded from there on can't tell the difference."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from attrs import fields

from bifrost_engine.domain import BrokerEventKind
from bifrost_engine.engine.image import state_from_plain, state_to_plain
from bifrost_engine.engine.state import State
from bifrost_engine.testing.engine import CALL, EngineUnderTest, lasting

K = BrokerEventKind


def a_day_of_hedges(run: EngineUnderTest) -> None:
    run.hedge(103, filled=True)
    run.wait(60)
    run.hedge(110).fill(10)
    run.advance(86_400).mid(103)
    run.beat()


def doubts_and_commands(run: EngineUnderTest) -> None:
    run.mid(103)
    run.wait(11)
    run.command("suspend")
    run.command("kill", strategy_id="gamma")
    run.flags(suspended=True)


def a_halt_and_an_adjustment(run: EngineUnderTest) -> None:
    run.mid(99.2)
    run.positions[CALL] = 11
    run.broker(K.POSITION)
    run.reconcile()


def a_flatten(run: EngineUnderTest) -> None:
    run.hedge(103, filled=True)
    run.command("flatten")


SCENES = (a_day_of_hedges, doubts_and_commands, a_halt_and_an_adjustment, a_flatten)


def through_text(state: State) -> State:
    return state_from_plain(json.loads(json.dumps(state_to_plain(state))))


def first_difference(one: dict[str, Any], other: dict[str, Any]) -> str:
    return next((name for name in one | other if one.get(name) != other.get(name)), "")


@pytest.mark.parametrize("scene", SCENES)
def test_a_state_taken_up_from_its_image_folds_on_as_if_it_had_never_stopped(
    scene: Callable[[EngineUnderTest], None],
) -> None:
    run = EngineUnderTest()
    scene(run)
    records = run.stored_records()
    whole, state = State(run.account), State(run.account)
    whole.restore(records)
    for record in records:
        state = through_text(state)
        state.apply(record)
    assert first_difference(state_to_plain(state), state_to_plain(whole)) == ""
    assert first_difference(lasting(state), lasting(whole)) == ""


@pytest.mark.parametrize("scene", SCENES)
def test_the_working_states_image_is_that_of_its_journal(scene: Callable[[EngineUnderTest], None]) -> None:
    run = EngineUnderTest()
    scene(run)
    replayed = State(run.account)
    replayed.restore(run.stored_records())
    live = through_text(run.engine.core.state)
    assert first_difference(lasting(live), lasting(replayed)) == ""


def test_every_field_of_a_state_is_part_of_its_image() -> None:
    names = {attribute.name for attribute in fields(State)}
    assert set(vars(State())) == names == set(state_to_plain(State()))


def test_an_image_of_another_releases_fields_is_refused() -> None:
    image = state_to_plain(State("DTEST"))
    for changed in (
        {**image, "further": 1},
        {k: v for k, v in image.items() if k != "halts" and k != "sent"},
    ):
        with pytest.raises(ValueError, match="other fields"):
            state_from_plain(changed)


def test_the_order_of_what_a_state_holds_survives() -> None:
    run = EngineUnderTest()
    a_day_of_hedges(run)
    state = run.engine.core.state
    again = through_text(state)
    assert list(again.orders) == list(state.orders)
    assert list(again.strategies) == list(state.strategies)
    assert all(
        list(again.portfolio.books[owner].quantities) == list(book.quantities)
        for owner, book in state.portfolio.books.items()
    )
    assert all(earlier <= later for (earlier, _), (later, _) in pairwise(again.sent))
