"""An import as its command line sees it: any file in, a folder of ours out."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import click

from bifrost_engine.cli.describing import progress, silent
from bifrost_engine.cli.output import print_json, warn
from bifrost_engine.replay.importing import Imported, import_quotes
from bifrost_engine.replay.layout import parse_layout


class Run:
    """One import from its options to its summary. Raises ConfigError for what can't be used."""

    def __init__(
        self,
        path: Path,
        out: Path,
        columns: tuple[str, ...],
        fixed: tuple[str, ...],
        unit: str,
        zone: str,
        sort: bool,
        force: bool,
    ) -> None:
        self.path, self.out = path, out
        self.layout = parse_layout(columns, fixed, unit, zone)
        self.sort, self.force = sort, force

    def execute(self, *, as_json: bool, show_progress: bool) -> int:
        """Import, and tell what came of it; return the exit code."""
        with ExitStack() as stack:
            show = stack.enter_context(progress()) if show_progress else silent
            found = import_quotes(
                self.path, self.out, self.layout, sort=self.sort, force=self.force, on_progress=show
            )
        if as_json:
            left_out = dict(sorted(found.skipped.items()))
            told = {"folder": str(self.out), "rows": found.rows, "rows_left_out": left_out}
            print_json({**told, "backward": found.backward, "sorted": self.sort})
        else:
            self._print(found)
        return 0

    def _print(self, found: Imported) -> None:
        days = f"{len(found.rows):,} day{'' if len(found.rows) == 1 else 's'}"
        click.echo(f"{sum(found.rows.values()):,} quotes of {days} in {self.out}")
        if found.skipped:
            why = ", ".join(f"{why} {count:,}×" for why, count in sorted(found.skipped.items()))
            click.echo(f"rows left out: {why}")
        if found.backward and not self.sort:
            warn(
                f"time goes back {found.backward:,}×; a replay drops a quote that is older than its "
                "contract's one before; --sort puts each day in order"
            )
