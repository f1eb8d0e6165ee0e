"""Named places at which a test has the process killed, to see what the next start makes of it.

``BIFROST_TEST_CRASH_AT=K03`` kills at the first passing of the point K03, ``K03:5`` at the
fifth. Without it a point is one comparison, and nothing of this is ever armed.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping

VARIABLE = "BIFROST_TEST_CRASH_AT"

_armed = ""
_passings = 0


def arm(environ: Mapping[str, str]) -> None:
    """Take from the environment where to die; called once, by a host, before it begins."""
    global _armed, _passings
    _armed, _, count = environ.get(VARIABLE, "").partition(":")
    _passings = int(count or 1)


def is_armed() -> bool:
    """Return whether any point may kill."""
    return bool(_armed)


def crash_point(name: str) -> None:
    """Die here, as by ``kill -9``, if a test has asked for it."""
    if name == _armed:
        _pass()


def _pass() -> None:
    global _passings
    _passings -= 1
    if _passings == 0:
        os.kill(os.getpid(), signal.SIGKILL)
