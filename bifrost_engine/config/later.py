"""Keys that a file may have already and that nothing acts on in this release.

An operator who sets one of them is told so: a limit that doesn't limit is worse than none.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import Any

from bifrost_engine.config.schema import Config

OF_THE_FILE = (
    "status_server.host",
    "status_server.port",
)


def warnings_of(config: Config, provenance: Mapping[str, str]) -> list[str]:
    """Return a line for each such key that isn't at its default."""
    return [
        f"{provenance.get(key, 'configuration')}: {key}: set, but nothing acts on it in this release"
        for key in OF_THE_FILE
        if _is_set(config, Config(), key)
    ]


def _is_set(value: Any, default: Any, key: str) -> bool:
    read = attrgetter(key)
    return bool(read(value) != read(default))
