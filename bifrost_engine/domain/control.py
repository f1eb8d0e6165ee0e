"""What an operator says to a running daemon."""

from __future__ import annotations

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


@frozen(kw_only=True)
class Command:
    """One command taken from a control source.

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


@frozen(kw_only=True)
class ControlState:
    """Answer of ``poll_control``: at most one command, and the flags as last written.

    suspended, killed       None if the source holds no such flag
    heartbeat_interval_s    5–120, None: the file's
    """

    command: Command | None = None
    suspended: bool | None = None
    killed: bool | None = None
    heartbeat_interval_s: int | None = None
