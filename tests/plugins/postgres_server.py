"""A PostgreSQL server that can be killed, and what a daemon must have left in it."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import psycopg
from bifrost_pg.embedded import EmbeddedServer
from patience import wait_for
from processes import Desk


class Server:
    """A server that can be killed and started again at the same address."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "postgres"
        self.uri = EmbeddedServer(self.folder).start()
        with self.connect() as conn:  # it is processes that die here, not the machine
            conn.execute("ALTER SYSTEM SET fsync = off")
            conn.execute("SELECT pg_reload_conf()")

    def kill(self) -> None:
        pid = int((self.folder / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGQUIT)  # the server's own word for: no farewell to anybody
        wait_for(lambda: not self._lives(pid), "for the server's end")

    def _lives(self, pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            return False

    def start(self) -> None:
        EmbeddedServer(self.folder).start()

    def dsn(self, database: str) -> str:
        return self.uri.replace("/postgres?", f"/{database}?")

    def connect(self, database: str = "postgres") -> psycopg.Connection[Any]:
        return psycopg.connect(self.dsn(database), autocommit=True)


def rows(server: Server, database: str, query: str) -> list[tuple[Any, ...]]:
    with server.connect(database) as conn:
        return conn.execute(query).fetchall()


def check_rows(server: Server, database: str, desk: Desk) -> None:
    """Check that the database has each operation of the journal once, in its order, and nothing else."""
    theirs = rows(server, database, "SELECT jseq, type, client_order_id FROM operations ORDER BY id")
    ours = [
        (record.jseq, record.payload["type"], record.payload["client_order_id"])
        for record in desk.records()
        if record.kind == "operation"
    ]
    assert theirs == ours
    history = rows(server, database, "SELECT count(*) FROM status_history")
    assert history == [(sum(record.kind == "history" for record in desk.records()),)]
