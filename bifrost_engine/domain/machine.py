"""A state machine as a table: state × event → state, with named guards.

The first row that fits wins. An event without a row leaves the state as it is.
The same table draws the diagram in the documentation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from attrs import frozen

Facts = TypeVar("Facts")
ANY = "any"


@frozen
class Row:
    """One transition.

    sources  states it leaves from; ``ANY`` for all but those in ``but``
    events   names of the events it answers to
    to       the state it leads to
    guard    name of a condition, empty for none
    """

    sources: tuple[str, ...]
    events: tuple[str, ...]
    to: str
    guard: str = ""
    but: tuple[str, ...] = ()

    def leaves(self, state: str) -> bool:
        """Return whether the row applies in ``state``."""
        if self.sources == (ANY,):
            return state not in self.but
        return state in self.sources


class Machine(Generic[Facts]):
    """A table of rows, the guards that it names, and its first state."""

    def __init__(
        self,
        name: str,
        states: tuple[str, ...],
        rows: tuple[Row, ...],
        guards: Mapping[str, Callable[[Facts], bool]],
    ) -> None:
        self.name = name
        self.states = states
        self.rows = rows
        self.guards = guards
        self._by_cell = {
            (state, event): tuple(
                (guards[row.guard] if row.guard else None, row.to)
                for row in rows
                if row.leaves(state) and event in row.events
            )
            for state in states
            for row_ in rows
            for event in row_.events
        }

    def step(self, state: str, event: str, facts: Facts | None) -> str | None:
        """Return the next state, or None if no row fits; ``facts`` may be None where no row has a guard."""
        for guard, to in self._by_cell.get((state, event), ()):
            if guard is None or guard(facts):  # type: ignore[arg-type]
                return to
        return None

    def mermaid(self) -> str:
        """Return the table as a Mermaid state diagram."""
        lines = ["stateDiagram-v2", f"    [*] --> {self.states[0]}"]
        for row in self.rows:
            label = ", ".join(row.events) + (f" [{row.guard}]" if row.guard else "")
            sources = self.states if row.sources == (ANY,) else row.sources
            lines += [
                f"    {source} --> {row.to}: {label}"
                for source in sources
                if source not in row.but and source != row.to
            ]
        return "\n".join(lines)
