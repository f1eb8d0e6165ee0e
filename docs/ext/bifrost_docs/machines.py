"""The state machines, each from the one table that the engine runs."""

from __future__ import annotations

from bifrost_docs.markdown import block, code, table
from bifrost_engine.domain.machine import Machine
from bifrost_engine.engine.lifecycle import LIFECYCLE
from bifrost_engine.oms import fsm
from bifrost_engine.oms.event import OrderEventKind, OutcomeKind
from bifrost_engine.oms.hedge import EXECUTION, HEDGE
from bifrost_engine.strategies.gamma.trading import CAUSES, TRADING

MACHINES = {"lifecycle": LIFECYCLE, "trading": TRADING, "hedge": HEDGE}
MARKS = {OutcomeKind.NOOP: "=", OutcomeKind.REFUSED: "R", OutcomeKind.ILLEGAL: "I"}


def machine(name: str) -> str:
    """Return a machine's rows in the order in which they are tried, and its diagram as text."""
    found = MACHINES[name]
    rows = [
        (_sources(row.sources, row.but), ", ".join(map(code, row.events)), row.guard, code(row.to))
        for row in found.rows
    ]
    return table(("from", "event", "if", "to"), rows) + "\n" + diagram(found.mermaid())


def _sources(sources: tuple[str, ...], but: tuple[str, ...]) -> str:
    named = ", ".join(map(code, sources)) if sources != ("any",) else "any"
    return f"{named} but {', '.join(map(code, but))}" if but else named


def diagram(mermaid: str) -> str:
    """Return a diagram's text folded away; any Mermaid viewer draws it."""
    return f"<details><summary>The same as a Mermaid diagram</summary>\n\n{block(mermaid)}\n</details>\n"


def states(machine: Machine[object]) -> str:
    """Return a machine's states."""
    return ", ".join(map(code, machine.states))


def order_table() -> str:
    """Return the order's table: a row for each event, a column for each state."""
    short = {state: name for name, state in fsm.SHORT.items()}
    header = ("event", *(code(name) for name in fsm.SHORT))
    rows = [
        (code(kind), *(_cell(fsm.TABLE[state][kind], short) for state in short)) for kind in OrderEventKind
    ]
    return table(header, rows)


def _cell(cell: fsm.Cell, short: dict[object, str]) -> str:
    if cell.outcome in MARKS:
        return MARKS[cell.outcome]
    target = "REST" if cell.target is None else short[cell.target]
    return target + ("!" if cell.outcome is OutcomeKind.CONTRADICTION else "")


def order_states() -> str:
    """Return the order's states with their abbreviations."""
    rows = [
        (code(name), code(state), "yes" if state.is_terminal else "") for name, state in fsm.SHORT.items()
    ]
    return table(("short", "state", "done"), rows)


def order_diagram() -> str:
    """Return the order's diagram as text."""
    return diagram(fsm.diagram())


def causes() -> str:
    """Return what leads to SAFE, by gravity."""
    rows = [(code(event), str(gravity), "yes" if gravity == 1 else "") for event, gravity in CAUSES.items()]
    return table(("cause", "gravity", "ends by itself"), rows)


def execution() -> str:
    """Return the execution dimension of each state of the hedge machine."""
    return table(("state", "E"), [(code(state), EXECUTION.get(state, "E1")) for state in HEDGE.states])
