"""The kinds of alerts, and one alert: what is told of an operation and how grave it is. Pure.

The table is all there is to choose from: an operation whose type isn't in it is never told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from attrs import Factory, frozen

Level = Literal["info", "warning", "failure"]
GRAVITY: tuple[Level, ...] = ("info", "warning", "failure")
Row = Mapping[str, Any]


@frozen
class Kind:
    """A row of the table.

    title    what it is called
    always   neither the quiet period nor the hourly limit holds it back
    default  told unless ``status.notify.tell`` says otherwise
    """

    title: str
    level: Level
    always: bool = False
    default: bool = True


OPERATIONS: dict[str, Kind] = {
    "kill": Kind("Kill", "failure", always=True),
    "clear_kill": Kind("Kill switch cleared", "warning", always=True),
    "flags": Kind("Flags changed", "warning", always=True),
    "halt": Kind("Halt", "failure", always=True),
    "hold": Kind("Hold", "failure"),
    "incident": Kind("Incident", "warning"),
    "reject": Kind("Order rejected", "warning"),
    "release": Kind("Released", "info"),
    "flatten": Kind("Flatten", "warning"),
    "flattened": Kind("Flattened", "info"),
    "suspend": Kind("Suspend", "warning"),
    "resume": Kind("Resume", "info"),
    "manual_resume": Kind("Manual resume", "info"),
    "config_rejected": Kind("Settings rejected", "warning"),
    "stopped": Kind("Stopped", "warning"),
    "start": Kind("Started", "info", default=False),
    "hedge_intent": Kind("Hedge wanted", "info", default=False),
    "order_sent": Kind("Order sent", "info", default=False),
    "fill": Kind("Fill", "info", default=False),
    "cancel": Kind("Order cancelled", "info", default=False),
    "day_end": Kind("Day ended", "info", default=False),
}
"""Type of operation → what an alert of it is."""

STATES: dict[str, Kind] = {
    "lamp": Kind("Lamp", "warning"),
    "finding": Kind("Reconciliation", "failure"),
}
"""Kinds that come from the newest state, not from an operation."""

KINDS = {**OPERATIONS, **STATES}
DEFAULT = tuple(name for name, kind in KINDS.items() if kind.default)


@frozen(kw_only=True)
class Alert:
    """One thing to tell.

    about   what it is the same as, for the quiet period
    ts      when it happened, epoch seconds
    always  it is told whatever was told before
    row     the operation that it tells of, if any
    """

    kind: str
    level: Level
    title: str
    text: str
    ts: float
    about: tuple[str, ...] = ()
    always: bool = False
    row: Row = Factory(dict)

    @property
    def line(self) -> str:
        """Time and text, on one line."""
        at = datetime.fromtimestamp(self.ts, UTC)
        return f"{at:%Y-%m-%d %H:%M:%S}Z  {self.title}: {self.text}"


def of_operation(row: Row) -> Alert | None:
    """Return the alert of an operation, None for a type that isn't in the table."""
    name = str(row["type"])
    kind = OPERATIONS.get(name)
    if kind is None:
        return None
    reason = str(row.get("state_reason") or "")
    whose = str(row.get("strategy_id") or "")
    return Alert(
        kind=name,
        level=kind.level,
        title=titled(kind.title, whose),
        text="; ".join(filter(None, (_size(row), reason, _trace(row)))) or "no reason was given",
        ts=float(row["ts"]),
        about=(name, whose, reason.partition(":")[0]),
        always=kind.always,
        row=row,
    )


def titled(title: str, whose: str) -> str:
    """Return a title with the strategy's name, where it is one strategy's."""
    return f"{title}, {whose}" if whose else title


def _size(row: Row) -> str:
    parts = (row.get("side"), row.get("quantity"))
    words = [str(part) for part in parts if part is not None]
    if row.get("price") is not None:
        words.append(f"at {row['price']:.10g}")
    return " ".join(words)


def _trace(row: Row) -> str:
    by, order = row.get("requested_by"), row.get("client_order_id")
    return ", ".join(filter(None, (order and f"order {order}", by and f"asked by {by}")))


def message(alerts: Sequence[Alert], sender: str) -> tuple[Level, str, str]:
    """Return level, title and body of one message that tells all of ``alerts``, which may not be empty."""
    gravest = max(alerts, key=lambda alert: GRAVITY.index(alert.level))
    more = f" (and {len(alerts) - 1} more)" if len(alerts) > 1 else ""
    title = f"{sender}: {gravest.title}{more}"
    return gravest.level, title, "\n".join(alert.line for alert in alerts)
