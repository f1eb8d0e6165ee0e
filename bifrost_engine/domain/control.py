"""What an operator says to a running daemon."""

from __future__ import annotations

import shlex

from attrs import frozen

COMMANDS = (
    "stop",
    "flatten",
    "suspend",
    "resume",
    "kill",
    "clear_kill",
    "manual_resume",
    "retry_ib",
    "refresh_accounts",
)
OPERATOR_COMMANDS = ("reconcile", "exec", "claim")
"""Commands that say more than their first word; see ``Command.words``."""


@frozen(kw_only=True)
class Command:
    """One command taken from a control source.

    name          one of ``COMMANDS``, or a whole line that begins with one of ``OPERATOR_COMMANDS``
    command_id    the source's key, so that its outcome can be told
    source        name of the source, such as ``postgres`` or ``local``
    strategy_id   None for all strategies
    requested_by  who asked, as far as the source knows
    expired       older than 60 s when it was taken: consumed, not executed
    """

    name: str
    command_id: str = ""
    source: str = ""
    strategy_id: str | None = None
    requested_by: str = ""
    expired: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        """The command's words, as a shell takes them apart; none if it can't be."""
        try:
            return tuple(shlex.split(self.name))
        except ValueError:
            return ()

    @property
    def operation(self) -> str:
        """The type of the operation that tells of it: the first word of a line, else the name."""
        words = self.words
        return words[0] if words and words[0] in OPERATOR_COMMANDS else self.name


@frozen(kw_only=True)
class ControlState:
    """Answer of ``poll_control``: at most one command, and the flags as last written.

    suspended, killed       None if the source holds no such flag
    heartbeat_interval_s    5–120, None: the file's
    standbys                daemons that wait to take over, as the source knows now
    """

    command: Command | None = None
    suspended: bool | None = None
    killed: bool | None = None
    heartbeat_interval_s: int | None = None
    standbys: int = 0


@frozen(kw_only=True)
class LockState:
    """Answer of ``take_lock``.

    held_by     why this daemon can't have the lock yet, in words; empty: it has it from now on
    engine_ids  those of the journals whose orders the sink knows, so that a daemon with a journal
                of its own recognizes orders of the one before it
    """

    held_by: str = ""
    engine_ids: tuple[str, ...] = ()
