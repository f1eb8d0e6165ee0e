"""Commands as they are timed: processes of their own, with byte code kept, as an installed program has it."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

ENVIRON = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
BIFROST = str(Path(sys.executable).with_name("bifrost"))


class Seconds(NamedTuple):
    """What a command took, the processes that it started included."""

    processor: float
    wall: float


def timed(*command: object) -> Seconds:
    """Run a command and return what it took. Raises CalledProcessError if it fails."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([*map(str, command)], env=ENVIRON, check=True, capture_output=True)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Seconds(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall)
