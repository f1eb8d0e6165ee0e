"""What can't be written, told with its place and the next step, whichever library failed at it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bifrost_engine.errors import OutputError


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Make any OSError within an OutputError that names ``path``, the file or folder to be made."""
    try:
        yield
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        raise OutputError(
            f"{path}: can't be written: {why}; make room, or give a place that may be written to"
        ) from error


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield where to write what becomes ``path`` at the end, or nothing if that fails. Raises OutputError."""
    part = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with writing(path):
        try:
            yield part
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
