"""How long tests wait for what must come. It bounds what hangs and measures nothing: machines are busy."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

PATIENCE_S = 60.0


def wait_for(holds: Callable[[], Any], what: str = "", patience_s: float = PATIENCE_S) -> Any:
    """Return what a condition gives as soon as it holds."""
    deadline_s = time.monotonic() + patience_s
    while not (found := holds()):
        assert time.monotonic() < deadline_s, f"waited {patience_s:g} s in vain {what}"
        time.sleep(0.01)
    return found
