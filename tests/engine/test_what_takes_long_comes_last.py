"""A snapshot may take half a minute: orders, cancels and records don't wait for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bifrost_engine.domain.effects import CancelOrder, FetchBrokerState, PlaceOrder
from bifrost_engine.domain.record import Record
from bifrost_engine.testing.engine import EngineUnderTest


def places(effects: Sequence[Any], *kinds: type) -> list[int]:
    found = [number for number, effect in enumerate(effects) if isinstance(effect, kinds)]
    assert found, f"no {kinds} among {effects}"
    return found


def test_an_order_that_is_decided_when_a_pass_is_due_leaves_before_it() -> None:
    run = EngineUnderTest()
    run.mid(99.2)
    run.advance(301).mid(103)
    assert max(places(run.effects, PlaceOrder)) < min(places(run.effects, FetchBrokerState))


def test_a_cancel_leaves_before_a_pass_that_is_due_at_once() -> None:
    run = EngineUnderTest(settings={"order.working_timeout_seconds": 600.0}).hedge(103)
    run.advance(301).command("kill")
    assert max(places(run.effects, CancelOrder, Record)) < min(places(run.effects, FetchBrokerState))
