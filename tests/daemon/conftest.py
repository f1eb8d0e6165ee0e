"""A home for daemons, and the mischievous plugins on the path."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mischief
import pytest
from daemon_under_test import Home

from bifrost_engine.daemon import sinks


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Home]]:
    """Return a home whose settings are changed by section; control sources are asked more often there."""
    monkeypatch.setattr(sinks, "POLL_S", 0.05)
    monkeypatch.syspath_prepend(str(mischief.install(tmp_path)))

    def make(**changed: Any) -> Home:
        return Home(tmp_path, **changed)

    mischief.let_go.clear()
    yield make
    mischief.let_go.set()
