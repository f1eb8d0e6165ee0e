"""The sink ``notify``: hooks only; what is news and how it is delivered is in the modules beside.

No hook waits for a delivery. Alerts that aren't delivered when the process ends are gone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bifrost_engine.hookspecs import PluginContext, hookimpl
from bifrost_notify.config import Config as Settings
from bifrost_notify.news import News
from bifrost_notify.outbox import Outbox

LEAVE_S = 1.5
OLD_S = 900.0
"""Operations from so long before the start aren't news: a new sink gets the whole journal."""


class NotifySink:
    """Tells people what a daemon has to tell.

    configured  whether there is anybody to tell; if not the host leaves the sink out
    """

    Config = Settings
    hook_version = "1.0"

    def __init__(self, config: Settings, context: PluginContext) -> None:
        self.configured = bool(config.urls)
        self.outbox = Outbox(config.urls, config.sender, context.log)
        self.newest: dict[str, Mapping[str, Any]] = {}
        self._news = News(config.tell, config.quiet_s, config.most_per_hour)
        self._context = context
        self._path = context.state_dir / f"notify-{context.name}.json"
        self._started_s = context.clock.now_ns() / 1e9
        self._told: dict[str, int] | None = None

    @hookimpl
    def write_operation(self, operation: Mapping[str, Any]) -> None:
        """Tell of an operation, unless it was told by this process or one before."""
        told = self._kept() if self._told is None else self._told
        journal_id, jseq = operation["journal_id"], operation["jseq"]
        if jseq <= told.get(journal_id, 0):
            return
        told[journal_id] = jseq
        if operation["ts"] < self._started_s - OLD_S:
            return
        if alerts := self._news.operation(operation):
            self.outbox.put(alerts)
            self._keep(told)

    @hookimpl
    def write_snapshot(self, snapshot: Mapping[str, Any], append_history: bool = False) -> None:
        """Tell what changed since the state before; history is of the past, and no news."""
        if not append_history:
            self.newest[str(snapshot.get("strategy_id"))] = snapshot
            self.outbox.put(self._news.snapshot(snapshot))

    @hookimpl
    def disconnect(self) -> None:
        """Give what waits a moment to leave."""
        if left := self.outbox.close(LEAVE_S):
            self._context.log.warning("alerts not delivered at the end", alerts=left)

    def _kept(self) -> dict[str, int]:
        try:
            kept = json.loads(self._path.read_text("utf-8"))
            self._told = {str(journal_id): int(jseq) for journal_id, jseq in kept.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            self._told = {}  # the host's own cursor still keeps most from being told twice
        return self._told

    def _keep(self, told: Mapping[str, int]) -> None:
        fresh = self._path.with_suffix(".new")
        try:
            fresh.write_text(json.dumps(told), "utf-8")
            fresh.replace(self._path)
        except OSError as error:
            self._context.log.warning("not kept what was told", file=str(self._path), error=str(error))
