"""The word with which a host ends a run by itself."""

from __future__ import annotations

from bifrost_engine.domain.control import Command
from bifrost_engine.domain.events import Commanded


def stop_command(why: str, ts_ns: int) -> Commanded:
    """Return the command to stop, with its reason in the place of who wants it."""
    return Commanded(ts_ns=ts_ns, command=Command(name="stop", source=why, requested_by=why))
