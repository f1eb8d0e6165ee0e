"""State machines as tables."""

from __future__ import annotations

from bifrost_engine.domain.machine import ANY, Machine, Row

DOOR: Machine[bool] = Machine(
    "door",
    ("SHUT", "OPEN", "LOCKED"),
    (
        Row((ANY,), ("fire",), "OPEN", but=("OPEN",)),
        Row(("SHUT",), ("push",), "OPEN", "allowed"),
        Row(("SHUT",), ("push",), "LOCKED"),
        Row(("OPEN",), ("pull", "wind"), "SHUT"),
    ),
    {"allowed": lambda allowed: allowed},
)


def test_the_first_row_whose_guard_holds_wins():
    assert DOOR.step("SHUT", "push", True) == "OPEN"
    assert DOOR.step("SHUT", "push", False) == "LOCKED"


def test_an_event_without_a_row_leads_nowhere():
    assert DOOR.step("LOCKED", "push", True) is None
    assert DOOR.step("SHUT", "knock", True) is None


def test_a_row_for_any_state_leaves_out_those_it_names():
    assert DOOR.step("LOCKED", "fire", False) == "OPEN"
    assert DOOR.step("OPEN", "fire", False) is None


def test_each_event_of_a_row_counts():
    assert DOOR.step("OPEN", "pull", False) == "SHUT"
    assert DOOR.step("OPEN", "wind", False) == "SHUT"


def test_the_diagram_has_every_transition_once():
    drawn = DOOR.mermaid().splitlines()
    assert drawn[:2] == ["stateDiagram-v2", "    [*] --> SHUT"]
    assert "    SHUT --> OPEN: push [allowed]" in drawn
    assert "    LOCKED --> OPEN: fire" in drawn
    assert len(drawn) == len(set(drawn)) == 2 + 2 + 1 + 1 + 1
