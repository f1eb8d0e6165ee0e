"""The rules of a comparison, by number and in the order in which a pass asks them.

Executions come before what orders are, and both before positions: each explains the
next. Evidence that fills an order comes before evidence that ends it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bifrost_engine.recon import absent, executions, outside, positions, snapshot, working
from bifrost_engine.recon.finding import Disconnect, Finding
from bifrost_engine.recon.look import Look

Rule = Callable[[Look], Iterator[Finding]]

RULES: dict[str, Rule] = {
    "R03": snapshot.other_account,
    "R02": snapshot.sink_ahead,
    "R01": snapshot.incomplete,
    "R12": executions.missed_fill,
    "R13": executions.foreign_fill,
    "R17": executions.revised_fill,
    "R18": executions.vanished_fill,
    "R06": working.never_sent,
    "R07": working.sent_after_all,
    "R15": working.untold_fill,
    "R16": working.untrue_fill,
    "R23": working.changed_terms,
    "R04": working.same_on_both_sides,
    "R05": working.answered,
    "R09": working.over_there,
    "R11": absent.filled_unseen,
    "R08": absent.never_arrived,
    "R10": absent.gone,
    "R19": outside.lost_order,
    "R20": outside.foreign_order,
    "R21": outside.doubled_order,
    "R22": working.wanted_cancel,
    "R26": positions.expired_option,
    "R14": positions.unexplained_position,
    "R24": executions.unknown_cost,
    "R25": working.false_cancel,
    "R27": working.foreign_client,
}
"""Number → rule, in the order of a pass."""


def reconcile(look: Look) -> Iterator[Finding]:
    """Yield what differs, rule by rule; whoever asks carries out a finding before the next is looked for."""
    for rule in RULES.values():
        for finding in rule(look):
            yield finding
            if any(isinstance(step, Disconnect) for step in finding.steps):
                return
