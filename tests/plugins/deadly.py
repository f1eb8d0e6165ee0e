"""Configurations that kill the process which loads them: for a point of a sweep, or in a folder."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

from bifrost_engine.cli.sweeping import Source
from bifrost_engine.config.loader import Override
from bifrost_engine.config.schema import Config


@frozen(kw_only=True)
class Deadly(Source):
    """Loads as ``Source``, but with one setting ends its process by SIGKILL, a number of times.

    graves  folder with a file for each death, the process's number
    """

    key: str
    value: object
    deaths: int
    graves: Path

    def __call__(self, settings: Sequence[Override]) -> Config:
        wanted = any(one.path == self.key and one.value == self.value for one in settings)
        if wanted and len(list(self.graves.iterdir())) < self.deaths:
            (self.graves / str(os.getpid())).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(settings)


@frozen(kw_only=True)
class DeadlyIn(Source):
    """Loads as ``Source``, but ends a process whose working directory is ``folder`` by SIGKILL."""

    folder: Path

    def __call__(self, settings: Sequence[Override]) -> Config:
        if Path.cwd() == self.folder:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(settings)
