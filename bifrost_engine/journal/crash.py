"""Named places at which a test has the process killed, to see what the next start makes of it.

``BIFROST_TEST_CRASH_AT=K03`` kills at the first passing of the point K03, ``K03:5`` at the
fifth. Without it a point is one comparison, and nothing of this is ever armed.

The names: K01 before an order's records are committed, K02 within that transaction; K03
before the order is handed over, K05 after; K06 with the hand-over on disk; K07 an
acknowledgement and K08 a fill that came and wasn't handled; K09 a fill on disk, K10 with
the sinks told of it; K11 a cancel on disk and K12 sent; K13 a replace sent; K14 before a
reconciliation is committed; K15 before a batch goes to a sink and K16 after; K17 within a
checkpoint; K18 before a new trading day is committed and K18B after; K19 records on disk
while stopping. What happens inside a broker (K04) or to the disk (K20) is done from there.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Mapping
from typing import Any

VARIABLE = "BIFROST_TEST_CRASH_AT"

_armed: str | None = None
_passings = 0


def arm(environ: Mapping[str, str]) -> None:
    """Take from the environment where to die; called once, by a host, before it begins."""
    global _armed, _passings
    name, _, count = environ.get(VARIABLE, "").partition(":")
    _armed = name or None
    _passings = int(count or 1)


def crash_point(name: str) -> None:
    """Die here, as by ``kill -9``, if a test has asked for it."""
    if name == _armed:
        _pass()


def crash_point_with(name: str, records: Iterable[Any], kind: str, what: str = "") -> None:
    """Likewise, if a record of that kind is among ``records``.

    what  the event of an order, or the kind of an execution, that it must be
    """
    if name == _armed and any(
        record.kind == kind
        and (not what or what in (record.payload.get("event"), record.payload.get("kind")))
        for record in records
    ):
        _pass()


def _pass() -> None:
    global _passings
    _passings -= 1
    if _passings == 0:
        os.kill(os.getpid(), signal.SIGKILL)
