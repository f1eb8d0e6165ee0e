"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

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
