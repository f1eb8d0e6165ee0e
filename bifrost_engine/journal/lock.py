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
    """Return the process of this host that holds the lock on ``path``, None if none does.

    The lock isn't tried: whoever tried it could be in a starting daemon's way. The process
    that the file names holds it for as long as it has the file open.
    """
    try:
        who = json.loads(path.read_text())
        opened = Path(f"/proc/{int(who['pid'])}/fd").iterdir()
        if not any(_leads_to(descriptor, path) for descriptor in opened):
            return None
        return Holder(int(who["pid"]), who["host"], who["instance"], who["since"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def is_gone(path: Path, pid: int, host: str) -> bool:
    """Return whether the process that last held the lock was this one, of this host, and holds it no more.

    False where that can't be found out: another host's, another user's, or a lock that was never its.
    """
    try:
        who = json.loads(path.read_text())
        if (who["pid"], who["host"]) != (pid, host) or host != socket.gethostname():
            return False
        opened = list(Path(f"/proc/{pid}/fd").iterdir())
    except FileNotFoundError:
        return path.exists() and Path("/proc/self").exists()
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return not any(_leads_to(descriptor, path) for descriptor in opened)


def _leads_to(descriptor: Path, path: Path) -> bool:
    try:
        return descriptor.samefile(path)
    except OSError:  # closed meanwhile
        return False
