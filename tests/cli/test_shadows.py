"""What ``bifrost status`` and the display say of shadows."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from rich.console import Console

from bifrost_engine.cli.display import shadows_table
from bifrost_engine.cli.status import shadow_rows
from bifrost_engine.config.loader import load
from bifrost_engine.daemon.instance import Instance
from bifrost_engine.daemon.shadow.state import ShadowState, folder_of, shadow_states, write_state
from bifrost_engine.journal import Journal

CALM = ShadowState(
    name="calm",
    config="calm.yaml",
    ts=1_741_012_200.0,
    pnl=-1234.5,
    hedges=6,
    delta=8.26,
    states=("NO_TRADE",),
)


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    config = load("symbol: NVDA\nbroker: paper\nstatus: {sink: []}").config
    return Instance(config=config, folder=tmp_path, zone=ZoneInfo("America/New_York"))


def put(instance: Instance, state: ShadowState) -> Path:
    folder = folder_of(instance.folder, state.name)
    folder.mkdir(parents=True)
    write_state(folder, state)
    return folder


def rows(instance: Instance) -> list[tuple[str, str]]:
    return list(shadow_rows(shadow_states(instance.folder), instance))


def test_a_shadow_at_work_has_one_line_with_its_result(instance):
    folder = put(instance, CALM)
    journal = Journal.open(folder, "DPAPER", new_engine_id="s000")
    try:
        assert rows(instance) == [
            (
                "shadow calm",
                "alive; day's P&L -1,234.50 USD, 6 hedges, delta +8.3 as of 2025-03-03 09:30:00 EST",
            )
        ]
    finally:
        journal.close()


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"ended": "too slow: 100000 quotes wait for it", "failed": True}, "ended: too slow: 100000 quotes"),
        ({"ended": "SIGTERM"}, "stopped: SIGTERM; "),
        ({}, "gone without a word; "),
        ({"ts": None, "pnl": None, "delta": None}, "starting; day's P&L – USD"),
    ],
)
def test_how_one_that_is_not_at_work_came_to_be_so_is_told(instance, changed, told):
    from attrs import evolve

    put(instance, evolve(CALM, **changed))
    ((name, text),) = rows(instance)
    assert name == "shadow calm"
    assert text.startswith(told)


def test_the_display_has_a_line_for_each():
    file = StringIO()
    failed = ShadowState(name="wide", config="wide.yaml", ended="killed by signal 9", failed=True)
    Console(file=file, width=100).print(shadows_table([(CALM, True), (failed, True)]))
    _head, calm, wide = file.getvalue().splitlines()
    assert calm.split() == ["calm", "-1,234.50", "6", "+8.3", "alive"]
    assert wide.split()[0] == "wide"
    assert wide.rstrip().endswith("ended: killed by signal 9")
