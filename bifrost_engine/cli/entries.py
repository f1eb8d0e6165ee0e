"""Names of the commands that plugins bring, for the overall help.

Read straight from the files of the installed distributions, because importing
importlib.metadata alone takes a third of the time of the whole help. What is run is
found by ``plugins.py``, the proper way; a plugin that is installed in another form
than as a folder of metadata works, and is only missing here.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

GROUP = "[bifrost.commands]"


def commands() -> list[tuple[str, str]]:
    """Return each command's name with its distribution's, sorted."""
    return sorted(set(_everywhere()))


def _everywhere() -> Iterator[tuple[str, str]]:
    for folder in sys.path:
        try:
            names = [name for name in os.listdir(folder or ".") if name.endswith((".dist-info", ".egg-info"))]
        except OSError:
            continue
        for name in names:
            for command in _in(os.path.join(folder, name, "entry_points.txt")):
                yield command, name.partition("-")[0].replace("_", "-")


def _in(path: str) -> Iterator[str]:
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except OSError:
        return
    group = ""
    for line in text.splitlines() if GROUP in text else ():
        line = line.strip()
        if line.startswith("["):
            group = line
        elif group == GROUP and "=" in line:
            yield line.partition("=")[0].strip()
