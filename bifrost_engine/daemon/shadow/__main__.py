"""The process of one shadow: ``python -m bifrost_engine.daemon.shadow``, with the stream as its input."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import structlog

from bifrost_engine.daemon.shadow.run import follow
from bifrost_engine.daemon.shadow.stream import Beginning, read

NICENESS = 2
FIRST_TO_GO = "500"
"""The live daemon goes first where processors are few, and goes last where memory is."""


def main() -> int:
    """Run until the stream ends; return the exit code: 1 for a shadow that broke off."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # it ends with the daemon, which tells it or is gone
    with suppress(OSError):
        os.nice(NICENESS)
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_GO)
    values = read(sys.stdin.buffer)
    beginning = next(values, None)
    if not isinstance(beginning, Beginning):
        return 0  # the live run has ended before it came so far
    log = structlog.wrap_logger(
        structlog.PrintLogger(sys.stderr),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(default=str),
        ],
        shadow=beginning.name,
    )
    return asyncio.run(follow(beginning, values, log))


if __name__ == "__main__":
    sys.exit(main())
