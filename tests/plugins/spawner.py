"""A process that has everything imported and forks daemons from itself, so that each starts in no time.

It reads one JSON object per line: ``{"arguments": …, "folder": …, "environ": …, "output": PATH}``,
answers with the child's number, and writes the exit code to ``PATH.code`` when it has ended. A
child goes through the command line's ``main`` and the interpreter's usual end.
"""

from __future__ import annotations

import json
import os
import select
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any


def warm() -> None:
    """Import what a run imports, and load the exchange's calendar."""
    for name in ("cli.main", "cli.run", "cli.running"):
        import_module(f"bifrost_engine.{name}")
    for name in ("bifrost_paper.broker", "bifrost_pg.plugin", "bifrost_pg.session"):
        if find_spec(name.partition(".")[0]) is not None:
            import_module(name)
    from bifrost_engine.calendar import ExchangeSessions

    ExchangeSessions().session_at(1_741_012_200_000_000_000)


def reap() -> None:
    """Write the exit codes of the children that have ended."""
    for pid in list(CHILDREN):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            output = CHILDREN.pop(pid)
            fresh = output.with_suffix(".new")
            fresh.write_text(str(os.waitstatus_to_exitcode(status)))
            fresh.replace(output.with_suffix(".code"))


def fork(order: dict[str, Any]) -> None:
    """Fork a child; return in the parent only. The child leaves by SystemExit."""
    output = Path(order["output"])
    pid = os.fork()
    if pid:
        CHILDREN[pid] = output
        print(pid, flush=True)
        return
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environ"])
    nothing = os.open(os.devnull, os.O_RDONLY)
    told = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number, fd in ((0, nothing), (1, told), (2, told)):
        os.dup2(fd, number)
    sys.path[:0] = order["environ"].get("PYTHONPATH", "").split(os.pathsep)
    sys.argv = ["bifrost", *order["arguments"]]
    from bifrost_engine.cli.main import main

    main()


CHILDREN: dict[int, Path] = {}

if __name__ == "__main__":
    warm()
    print("ready", flush=True)
    while True:
        readable, _, _ = select.select([sys.stdin], [], [], 0.01)
        reap()
        if readable:
            line = os.read(0, 1 << 20).decode()
            if not line:
                break
            for order in line.splitlines():
                fork(json.loads(order))
