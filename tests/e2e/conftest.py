"""Daemons that are processes, with the mischievous plugins on their path."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import mischief
import pytest
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
