"""An exclusive lock on a file, held for the life of the process that took it.

The kernel drops it with the process, however that ends, so there is nothing to
clean up; the file says who holds it. It isn't inherited by started programs.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path

from attrs import frozen

from bifrost_engine.errors import LockHeld


class FileLock:
    """A lock that this process holds until ``release`` or its end."""

    def __init__(self, path: Path, instance: str) -> None:
        """Take the lock; ``instance`` is told to who finds it taken.

        Raises LockHeld naming the holder, OSError if the file can't be opened or written.
        """
        self.path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = self._holder()
            os.close(self._fd)
            raise LockHeld(f"{path}: held by {holder}; stop that daemon or use another instance") from None
        self._sign(instance)

    @property
    def held(self) -> bool:
        """Whether the lock hasn't been given up."""
        return self._fd >= 0

    def release(self) -> None:
        """Give the lock up; may be called twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _sign(self, instance: str) -> None:
        who = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "instance": instance,
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        try:
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, json.dumps(who).encode(), 0)
        except OSError:
            self.release()
            raise

    def _holder(self) -> str:
        try:
            who = json.loads(os.pread(self._fd, 4096, 0))
            return f"pid {who['pid']} on {who['host']} (instance {who['instance']}) since {who['since']}"
        except (OSError, ValueError, KeyError, TypeError):
            return "a process that hasn't said who it is"


@frozen
class Holder:
    """Who holds a lock, as far as the file says; ``pid`` as that host numbers it."""

    pid: int
    host: str
    instance: str
    since: str


def holder(path: Path) -> Holder | None:
    """Return who holds the lock on ``path``, None if nobody does; the lock isn't touched."""
    try:
        inode = path.stat().st_ino
        locks = Path("/proc/locks").read_text()
        who = json.loads(path.read_text() or "{}")
    except (OSError, ValueError):
        return None
    if not any(_locks(line, inode) for line in locks.splitlines()):
        return None
    names = ("host", "instance", "since")
    return Holder(int(who.get("pid", 0)), *(str(who.get(name, "?")) for name in names))


def _locks(line: str, inode: int) -> bool:
    # 1: FLOCK  ADVISORY  WRITE 4711 08:01:1234567 0 EOF; a "->" stands for one that waits
    words = line.split()
    return len(words) >= 6 and words[1] == "FLOCK" and words[5].rpartition(":")[2] == str(inode)
