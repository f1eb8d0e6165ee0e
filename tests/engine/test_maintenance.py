"""A link that a broker's plugin lost as planned: the snapshots say so for a while, trading is the same."""

from __future__ import annotations

import pytest

from bifrost_engine.domain import BrokerEventKind
from bifrost_engine.domain.effects import Notice
from bifrost_engine.testing.engine import EngineUnderTest

DOWN, UP = BrokerEventKind.LINK_DOWN, BrokerEventKind.LINK_UP
PLANNED = {"maintenance": True}
QUARTER_S = 900.0


def connected() -> EngineUnderTest:
    run = EngineUnderTest()
    run.connect()
    return run


def now_s(run: EngineUnderTest) -> float:
    return run.now_ns / 1e9


def test_a_planned_loss_is_in_the_snapshot_for_a_quarter_of_an_hour():
    run = connected()
    assert run.snapshot["maintenance_until"] is None
    lost_s = now_s(run)
    run.broker(DOWN, values=PLANNED)
    assert run.snapshot["maintenance_until"] == lost_s + QUARTER_S
    assert run.snapshot["daemon_state"] == "WAITING_IB"
    assert "maintenance" in run.snapshot["block_reasons"]
    run.advance(899)
    run.beat()
    assert run.snapshot["maintenance_until"] == lost_s + QUARTER_S
    run.advance(1)
    run.beat()
    assert run.snapshot["maintenance_until"] is None
    assert "maintenance" not in run.snapshot["block_reasons"]


@pytest.mark.parametrize("values", [{}, {"maintenance": False}, {"maintenance": "yes"}])
def test_a_loss_that_nobody_announced_is_none_of_it(values):
    run = connected()
    run.broker(DOWN, values=values)
    assert run.snapshot["maintenance_until"] is None
    assert [e.level for e in run.effects if isinstance(e, Notice)] == ["warning"]


def test_told_again_it_counts_from_the_first_time_and_a_fault_ends_it():
    run = connected()
    lost_s = now_s(run)
    run.broker(DOWN, values=PLANNED)
    run.advance(300)
    run.broker(DOWN, values=PLANNED)
    assert run.snapshot["maintenance_until"] == lost_s + QUARTER_S
    run.broker(DOWN, values={"reason": "client_id_in_use", "maintenance": False})
    assert run.snapshot["maintenance_until"] is None


def test_it_outlasts_the_links_return_but_is_no_reason_then_and_the_next_loss_counts_anew():
    run = connected()
    lost_s = now_s(run)
    run.broker(DOWN, values=PLANNED)
    run.advance(120)
    run.connect()
    assert run.snapshot["maintenance_until"] == lost_s + QUARTER_S
    assert "maintenance" not in run.snapshot["block_reasons"]
    run.broker(DOWN, values=PLANNED)
    assert run.snapshot["maintenance_until"] == lost_s + 120 + QUARTER_S


def test_what_is_traded_and_recorded_is_the_same_whether_it_was_planned_or_not():
    def recorded(values):
        run = connected()
        run.hedge()
        run.broker(DOWN, values=values)
        run.wait(60)
        run.connect()
        run.mid(104.0)
        return [(r.kind, r.strategy_id, r.client_order_id, r.payload) for r in run.records]

    planned, unplanned = recorded(PLANNED), recorded({})
    assert "order_event" in {kind for kind, *_ in planned}
    differs = [pair for pair in zip(planned, unplanned, strict=True) if pair[0] != pair[1]]
    assert differs[:1] == []
