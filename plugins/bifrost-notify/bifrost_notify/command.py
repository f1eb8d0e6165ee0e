"""``bifrost notify``: try out where alerts go."""

from __future__ import annotations

import json
from typing import Any

import click
from attrs import asdict

from bifrost_notify.config import Config

SINK = "notify"


@click.group()
def notify() -> None:
    """Try out where alerts go."""


@notify.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def test(context: click.Context, as_json: bool) -> None:
    """Send a test alert to each target of status.notify and say which took it.

    Sends once, whatever the quiet period and the hourly limit; no daemon needs to run. A
    target is called by its place in the list and its service. Exits with 1 unless every one
    took it.
    """
    from bifrost_notify.trial import try_out

    config = context.find_root().obj.config
    settings = _settings(config)
    tried = try_out(settings)
    if as_json:
        click.echo(json.dumps([asdict(one) for one in tried], indent=2))
    else:
        for one in tried:
            click.echo(f"{one.target}: {'delivered' if one.delivered else 'FAILED'}, {one.found}")
    if SINK not in config.sinks:
        click.echo(f"no daemon tells anything yet: status.sink doesn't name {SINK}", err=True)
    context.exit(0 if all(one.delivered for one in tried) else 1)


def _settings(config: Any) -> Config:
    """Return ``status.notify``. Raises UsageError if it names nobody."""
    section = {} if config is None else config.status.get(SINK) or {}
    try:
        settings = Config(**section)
    except (TypeError, ValueError) as error:
        raise click.UsageError(f"status.notify: {error}") from None
    if not settings.urls:
        raise click.UsageError("status.notify.urls names nobody; give --config FILE with a URL there")
    return settings
