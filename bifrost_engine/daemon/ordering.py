"""Giving a daemon a command from another process, and hearing what became of it.

By the database where there is one and it answers, else by the local source in the
instance's folder. Flags (suspended, killed) are written together with their command,
so that they hold for a daemon that starts later too.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from attrs import define

from bifrost_engine.daemon.instance import Instance
from bifrost_engine.daemon.local_control import LocalControl
from bifrost_engine.engine.operator import ASKED
from bifrost_engine.errors import SinkUnavailable

PATIENCE_S = 6.0
RESULT_PATIENCE_S = 30.0
"""How long the result of a comparison is waited for, once the broker was asked."""
ASK_AGAIN_S = 0.1

FLAGS: dict[str, dict[str, bool]] = {
    "suspend": {"suspended": True},
    "flatten": {"suspended": True},
    "resume": {"suspended": False},
    "kill": {"killed": True},
    "clear_kill": {"killed": False},
}
"""Command for all strategies → the flags that are written with it."""


@define(kw_only=True)
class Given:
    """A command that was given.

    source   the database or the local source, in words
    outcome  what the daemon said; None if it said nothing in time
    note     what else the operator should know
    """

    command: str
    command_id: str
    source: str
    outcome: str | None
    note: str = ""

    @property
    def done(self) -> bool:
        """Whether a daemon took it and did it."""
        return self.outcome is not None and not self.outcome.startswith(("refused", "expired"))


def give(instance: Instance, name: str, strategy_id: str | None = None, requested_by: str = "") -> Given:
    """Give one command and wait a few seconds for its outcome.

    Raises SinkUnavailable if there is no way to give it.
    """
    flags = FLAGS.get(name, {}) if strategy_id is None else {}
    with instance.database() as (reader, why):
        if reader is not None:
            given = _by_database(reader, name, strategy_id, requested_by, flags)
            given.note = _clear_local(instance, requested_by, flags) or _left_behind(given, flags)
            return given
    if not instance.folder.exists():
        raise SinkUnavailable(f"{instance.folder}: no state of a daemon on this host, and no database: {why}")
    patience_s = PATIENCE_S if instance.daemon() is not None else 0.0
    given = _by_local(instance.control(), name, strategy_id, requested_by, flags, patience_s)
    given.note = _left_behind(given, flags)
    if instance.config.sinks:
        held = "; a flag that was last seen there holds until it is back" if False in flags.values() else ""
        given.note = "; ".join(filter(None, (given.note, f"the database wasn't used: {why}{held}")))
    return given


def _left_behind(given: Given, flags: dict[str, bool]) -> str:
    return "the flag holds for the next start" if given.outcome is None and flags else ""


def _by_database(reader: Any, name: str, strategy_id: str | None, by: str, flags: dict[str, bool]) -> Given:
    number = reader.send_command(name, strategy_id, by, flags)

    def ask() -> str | None:
        row = reader.command_outcome(number)
        return None if row is None else row["outcome"]

    source = f"database {reader.address}"
    return Given(command=name, command_id=str(number), source=source, outcome=_wait(ask, PATIENCE_S))


def _by_local(
    local: LocalControl,
    name: str,
    strategy_id: str | None,
    by: str,
    flags: dict[str, bool],
    patience_s: float,
) -> Given:
    number = local.submit(name, strategy_id, by, **flags)
    outcome = _wait(lambda: local.outcome(number), patience_s)
    return Given(command=name, command_id=number, source=f"local source {local.path}", outcome=outcome)


def _clear_local(instance: Instance, by: str, flags: dict[str, bool]) -> str:
    """Lift a flag of the local source that would keep a resume from taking effect."""
    if False not in flags.values() or not (instance.folder / "control.db").exists():
        return ""
    local = instance.control()
    held = local.flags()
    if (held.suspended and flags.get("suspended") is False) or (held.killed and flags.get("killed") is False):
        command = "resume" if "suspended" in flags else "clear_kill"
        local.submit(command, None, by, **flags)
        return "the same flag of the local source was lifted too"
    return ""


def _wait(ask: Callable[[], str | None], patience_s: float) -> str | None:
    """Return the outcome once there is one, and the result of what the broker was asked for it."""
    begun_s = time.monotonic()
    while True:
        outcome = ask()
        left_s = begun_s + (RESULT_PATIENCE_S if outcome == ASKED else patience_s) - time.monotonic()
        if (outcome is not None and outcome != ASKED) or left_s <= 0:
            return outcome
        time.sleep(ASK_AGAIN_S)
