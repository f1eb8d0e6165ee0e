"""The same recording gives the same operations, however fast it is played and whoever watches."""

from __future__ import annotations

from typing import Any

import pytest
from daemon_under_test import OPEN_GATES, Home

LEGS = {"NVDA|OPT|20250328|100|C": 10, "NVDA|OPT|20250328|100|P": 10}
GATES = {**OPEN_GATES, "state": {"delta": {"epsilon_band": 5, "threshold_hedge_shares": 20}}}
HEDGED: dict[str, Any] = {
    "broker": "paper",
    "strategies": [{"id": "gamma", "use": "gamma", "symbol": "NVDA", "gates": GATES}],
    "paper": {"positions": LEGS, "latency_ms": 40, "latency_jitter_ms": 30, "record": "memory"},
    "wave": {"seconds": 300, "swing": 1.5, "period_s": 120, "size": 7},  # most orders fill in parts
    "daemon": {"heartbeat_interval": 7},
}


@pytest.fixture
def here(home) -> Home:
    return home(**HEDGED)


def after(home: Home, **options: Any) -> list[Any]:
    """Return all operations of a fresh run but the host's word on its end."""
    home.run(fresh=True, **options)
    return [row for row in home.operations() if row["type"] not in ("stop", "stopped")]


def test_twice_the_same(here):
    first, second = after(here), after(here)
    assert first == second
    assert sum(row["type"] == "fill" for row in first) > 10


def test_paced_it_is_the_same(here):
    assert after(here) == after(here, speed=300.0)


def test_with_sinks_it_is_the_same(here):
    alone = after(here)
    here.write(**HEDGED, status={"sink": ["plain", "batched"]})
    assert after(here) == alone


def test_records_of_decisions_are_the_same_too(here):
    kinds = ("decision", "risk", "order_event", "fill", "commission", "history")
    told = []
    for speed in (None, 300.0):
        here.run(fresh=True, speed=speed)
        told.append(
            [(record.kind, record.ts_ns, _nameless(record.payload)) for record in here.records(*kinds)]
        )
    assert told[0] == told[1]


def _nameless(payload: Any) -> Any:
    """Leave out a run's name, which is new each time."""
    if isinstance(payload, dict):
        return {key: _nameless(value) for key, value in payload.items() if key != "run_id"}
    return payload
