"""A record of the journal → its rows in the tables of the audit trail.

Pure and without memory: the same record gives the same rows in any database, in any
batch. Rows of one record come in the order in which they refer to each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bifrost_engine.audit import books, decisions, findings, orders
from bifrost_engine.audit.tables import Change, Row
from bifrost_engine.domain.audit import AuditRow

Rows = Iterator[Row] | Iterator[Change] | Iterator[Row | Change]

KINDS: dict[str, Callable[[AuditRow, str], Rows]] = {
    "run": decisions.run,
    "run_end": decisions.run_end,
    "signal": decisions.signal,
    "risk": decisions.risk,
    "decision": decisions.decision,
    "order_event": orders.order_event,
    "parked_event": orders.parked_event,
    "fill": orders.fill,
    "transfer": orders.transfer,
    "commission": orders.commission,
    "position": books.position,
    "portfolio": books.portfolio,
    "recon": findings.recon,
    "recon_end": findings.recon_end,
    "recon_item": findings.recon_item,
    "recon_ack": findings.recon_ack,
}
"""Kind of record → what makes its rows; a kind that isn't here has none."""


def rows_of(record: AuditRow, journal_id: str) -> Rows:
    """Return the rows of a record, and the changes that it makes to rows of earlier ones.

    Raises KeyError, TypeError, ValueError or ArithmeticError, also while they are taken, for a
    payload that isn't of its kind's form.
    """
    made = KINDS.get(record.kind)
    return iter(()) if made is None else made(record, journal_id)
