"""Hot reload: the file is looked at on each beat; what may change in a run takes effect as one event."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bifrost_engine.config.loader import find_config
from bifrost_engine.config.reload import reload_plan
from bifrost_engine.config.schema import Config
from bifrost_engine.daemon.assemble import RunOptions, load_config
from bifrost_engine.domain.events import Reloaded
from bifrost_engine.errors import BifrostError, ConfigError
from bifrost_engine.journal import new_journal_id


class FileWatch:
    """Remembers the file as it was loaded, and says what a change of it means."""

    def __init__(
        self,
        options: RunOptions,
        environ: Mapping[str, str],
        config: Config,
        database: Mapping[str, Any] | None = None,
    ) -> None:
        """Begin with what is in force; ``database`` is what the sinks had saved at the start."""
        self._options = options
        self._environ = environ
        self._database = database
        self._config = config
        self._path = find_config(options.config_path, environ, Path.cwd())
        self._seen = self._stamp()

    def _stamp(self) -> tuple[int, int] | None:
        try:
            stat = self._path.stat() if self._path is not None else None
        except OSError:
            return None
        return None if stat is None else (stat.st_mtime_ns, stat.st_size)

    def look(self, now_ns: int) -> Reloaded | None:
        """Return the event of a changed file, or None if it is as before."""
        stamp = self._stamp()
        if stamp is None or stamp == self._seen:
            return None
        self._seen = stamp
        try:
            loaded = load_config(self._options, self._environ, database=self._database)
        except ConfigError as error:
            return Reloaded(ts_ns=now_ns, config=None, problems=error.problems)
        except BifrostError as error:
            return Reloaded(ts_ns=now_ns, config=None, problems=(str(error),))
        plan = reload_plan(self._config, loaded.config)
        restart = tuple(f"{key}: changed in the file, takes a restart" for key in plan.restart_needed)
        self._config = plan.effective
        run_ids = {name: new_journal_id() for name in plan.strategies}
        return Reloaded(ts_ns=now_ns, config=plan.effective, run_ids=run_ids, problems=restart)
