"""The other engines, installed from the package index into an environment of their own.

It lies in the user's cache, is no part of the project, and is made again when the list of
what it holds has changed.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

from platformdirs import user_cache_path

REQUIREMENTS = (
    "nautilus_trader==1.221.0",
    "vnpy==4.5.0",
    "vnpy_ctastrategy==1.4.1",
    "backtesting==0.6.6",
    "hftbacktest==2.4.4",
)
VARIABLE = "BIFROST_BENCHMARK_ENVIRONMENT"


def usual_place() -> Path:
    """Return where the environment is made if nobody says."""
    return user_cache_path("bifrost-benchmarks") / f"peers-{sys.version_info[0]}.{sys.version_info[1]}"


def python_of(place: Path) -> Path:
    """Return the interpreter of the environment, which is made if need be; raises CalledProcessError."""
    interpreter, stamp = place / "bin" / "python", place / "requirements.txt"
    wanted = "\n".join(REQUIREMENTS)
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"installing {', '.join(REQUIREMENTS)} into {place}", flush=True)
        venv.create(place, with_pip=True, clear=True)
        subprocess.run([interpreter, "-m", "pip", "install", "--quiet", *REQUIREMENTS], check=True)
        stamp.write_text(wanted)
    return interpreter
