"""A sink that keeps each operation as one line of JSON, in a file that any tool can read.

Operations come in journal order and, after a failure, once more. The file itself says how
far it got, so nothing is written twice and nothing is lost, whatever crashed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen

from bifrost_engine.errors import SinkUnavailable
from bifrost_engine.hookspecs import PluginContext, hookimpl


@frozen(kw_only=True)
class JsonlConfig:
    """The section ``status.jsonl``."""

    path: str = field(
        default="operations.jsonl",
        metadata={"help": "the file; a relative path is in the state directory", "pattern": r".+"},
    )


class JsonlSink:
    """Appends operations to a file."""

    hook_version = "1.0"
    Config = JsonlConfig

    def __init__(self, config: JsonlConfig, context: PluginContext) -> None:
        # Nothing is opened here: making a plugin must be cheap, and the disk may be away.
        self.path = context.state_dir / Path(config.path).expanduser()
        self._last: dict[str, int] | None = None

    @hookimpl
    def write_operation(self, operation: Mapping[str, Any]) -> None:
        """Append the operation, unless it is in the file. Called in the sink's own thread."""
        try:
            if self._last is None:
                self._last = self._recover()
            journal_id, jseq = operation["journal_id"], operation["jseq"]
            if jseq <= self._last.get(journal_id, 0):
                return
            self._append(operation)
            self._last[journal_id] = jseq
        except OSError as error:
            self._last = None  # how much of the line is in the file is only known by looking
            raise SinkUnavailable(f"jsonl: {self.path} can't be written: {error}") from error

    def _append(self, operation: Mapping[str, Any]) -> None:
        line = json.dumps(operation, default=str) + "\n"
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line)
            file.flush()
            # Once this call returns, the daemon won't offer the operation again.
            os.fsync(file.fileno())

    def _recover(self) -> dict[str, int]:
        """Return the last number of each journal in the file; cut off a line that was torn by a crash."""
        if not self.path.exists():
            return {}
        whole = self.path.read_bytes()
        kept = whole[: whole.rfind(b"\n") + 1]
        if kept != whole:
            os.truncate(self.path, len(kept))
        rows = [json.loads(line) for line in kept.splitlines()]
        return {row["journal_id"]: row["jseq"] for row in rows}
