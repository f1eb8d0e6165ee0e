"""What a comparison asks the broker for: everything, or what may differ since the last one that settled.

An account that is watched for days has thousands of orders that are over, and compared. So the
questions between two links leave them out; each that begins or renews a link, or that a person
asks, is for everything. A broker may always tell more than it was asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from bifrost_engine.domain.broker import BrokerState
from bifrost_engine.domain.effects import FetchBrokerState

if TYPE_CHECKING:
    from bifrost_engine.engine.core import Core
    from bifrost_engine.engine.state import State

NARROW = ("PERIODIC", "TARGETED")
MARGIN_NS = 60_000_000_000
"""So much longer ago, since a broker's times may be of another clock."""


def ask(core: Core, trigger: str) -> None:
    """Ask the host for a snapshot; a second question for the same reason takes the first one's place."""
    since_ns = _since_ns(core.state, core.compared_ns) if trigger in NARROW else None
    asked = FetchBrokerState(trigger, core.link, since_ns)
    for place, effect in enumerate(core.effects):
        if isinstance(effect, FetchBrokerState) and (effect.trigger, effect.link) == (trigger, core.link):
            core.effects[place] = asked
            return
    core.effects.append(asked)


def _since_ns(state: State, compared_ns: int | None) -> int | None:
    """Return from when on there may be news; what befell an open order is told from its beginning."""
    if compared_ns is None:
        return None
    begun = (order.created_ns for sid in state.strategies for order in state.open_orders(sid))
    return min((compared_ns, *begun)) - MARGIN_NS


def bounded(state: BrokerState, compared_ns: int | None) -> BrokerState:
    """Return a snapshot with the parts named incomplete that leave out what wasn't compared yet."""
    if state.since_ns is None or (compared_ns is not None and state.since_ns <= compared_ns):
        return state
    return evolve(state, incomplete=state.incomplete | {"completed_orders", "executions"})
