"""Recording of the quotes that a run sees, where the configuration asks for it."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from pathlib import Path
from typing import Any

from bifrost_engine.config.schema import Config
from bifrost_engine.daemon.assemble import Assembly
from bifrost_engine.errors import LockHeld
from bifrost_engine.replay.parts import sessions_of
from bifrost_engine.replay.recorder import Recorder
from bifrost_engine.replay.recordings import Recordings

NAME = "record"
LEAVE_DEADLINE_S = 30.0
"""Where nobody waits for the end; else there is what is left of the time for a stop."""
LOOK_S = 0.02


def recordings_folder(config: Config, instance: Path) -> Path:
    """Return where quotes are recorded."""
    return instance / "recordings" if config.record.dir is None else Path(config.record.dir).expanduser()


def start_recorder(parts: Assembly) -> Recorder | None:
    """Return what records the quotes of a run, at work already; None if nothing is to be recorded.

    A folder that can't be used is told of and costs the recording, not the run. Raises ConfigError
    where pyarrow is missing.
    """
    if not parts.config.record.quotes:
        return None
    folder = recordings_folder(parts.config, parts.folder)
    log: Any = parts.log.bind(folder=str(folder))
    try:
        recordings = Recordings(
            folder,
            sessions_of(parts.config),
            lambda place: log.warning("earlier recordings set aside", place=str(place)),
        )
    except (LockHeld, OSError) as error:
        log.error("quotes aren't recorded", error=str(error))
        return None
    recorder = Recorder(recordings, log, partial(parts.counts.take, NAME))
    recorder.start()
    log.info("recording quotes")
    return recorder


async def leave_recorder(recorder: Recorder | None, within_s: float) -> None:
    """Let it write what is left. Streams that it doesn't put together in time, the next one does."""
    if recorder is None:
        return
    recorder.close()
    until_s = time.monotonic() + within_s
    while recorder.is_alive() and time.monotonic() < until_s:
        await asyncio.sleep(LOOK_S)
    recorder.leave()
