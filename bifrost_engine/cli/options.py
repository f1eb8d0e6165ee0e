"""Options that several commands share."""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import Any

import click


class FiniteRange(click.FloatRange):
    """A number within bounds; neither inf nor nan."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number. Raises BadParameter."""
        number = super().convert(value, param, ctx)
        if not isfinite(number):
            self.fail(f"expected a number, was {value}", param, ctx)
        return number


config_option = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    help="Configuration file; else BIFROST_CONFIG, ./config/config.yaml or ./bifrost.yaml.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
every_option = click.option(
    "--all", "every", is_flag=True, help="Earlier journals too, set aside ones included."
)
