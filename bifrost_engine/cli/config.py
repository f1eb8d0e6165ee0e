"""``bifrost config``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from bifrost_engine.cli.init import command as init_command
from bifrost_engine.cli.options import config_option, json_option
from bifrost_engine.cli.rehearse import command as rehearse_command


@click.group(name="config")
def command() -> None:
    """Check, show, write or rehearse a configuration.

    \b
        bifrost config check hedge.yaml
        bifrost config show --changed
        bifrost config rehearse calmer.yaml --data quotes
    """


command.add_command(init_command, "init")
command.add_command(rehearse_command, "rehearse")


@command.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@json_option
@click.pass_context
def check(ctx: click.Context, /, file: Path | None, as_json: bool) -> None:
    """Find everything that is wrong with FILE, or with the file that a run would take.

    Every problem is one line: file and line, the key, what was expected, what was found.
    Exits with 2 if there is one. Nothing is started or connected.

    \b
        bifrost config check hedge.yaml
    """
    from bifrost_engine.cli.output import print_json, warn
    from bifrost_engine.config.loader import live_warnings
    from bifrost_engine.daemon.assemble import RunOptions, load_config
    from bifrost_engine.errors import ConfigError

    try:
        loaded = load_config(RunOptions(config_path=file), os.environ)
    except ConfigError as error:
        if not as_json:
            raise
        print_json({"ok": False, "problems": error.problems})
        ctx.exit(2)
    warnings = (*loaded.warnings, *live_warnings(loaded.config))
    if as_json:
        print_json({"ok": True, "problems": [], "warnings": warnings})
        return
    for warning in warnings:
        warn(warning)
    config = loaded.config
    names = ", ".join(f"{strategy.id} on {strategy.symbol}" for strategy in config.strategies)
    sinks = ", ".join(config.sinks) or "none"
    click.echo(f"ok: {names}; broker {config.broker}, feed {config.feed_name}, sinks {sinks}")


@command.command()
@config_option
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="As for a run; repeatable.")
@click.option("--changed", is_flag=True, help="Only what differs from the defaults.")
@json_option
def show(config_path: Path | None, settings: tuple[str, ...], changed: bool, as_json: bool) -> None:
    """Show what is in force, and where each value came from.

    Later wins: default, file and line, environment, database, command line. Passwords
    are shown as •••.

    \b
        bifrost config show --changed
        IB_PORT=4002 bifrost config show --json
    """
    from bifrost_engine.cli.output import print_json, print_table
    from bifrost_engine.config.loader import parse_override
    from bifrost_engine.config.section import MASK
    from bifrost_engine.config.template import inline
    from bifrost_engine.daemon.assemble import RunOptions, load_config

    overrides = tuple(parse_override(text) for text in settings)
    loaded = load_config(RunOptions(config_path=config_path, overrides=overrides), os.environ)
    rows = list(effective(loaded))
    if changed:
        usual = defaults()
        rows = [(key, value, source) for key, value, source in rows if usual.get(key) != inline(value)]
    if as_json:
        print_json({key: {"value": value, "source": source} for key, value, source in rows})
    else:
        shown = [(key, value if value == MASK else inline(value), source) for key, value, source in rows]
        print_table(("key", "value", "from"), shown)


def defaults() -> dict[str, str]:
    """Return the default of each setting as a file would have it."""
    from bifrost_engine.config.schema import Config, StrategyConfig
    from bifrost_engine.config.template import settings

    return {setting.path: setting.default for cls in (StrategyConfig, Config) for setting in settings(cls)}


def effective(loaded: Any) -> list[tuple[str, Any, str]]:
    """Return each key with its value and its source, secrets hidden."""
    from bifrost_engine.config.plain import leaves, to_plain

    plain = to_plain(loaded.config, secret_paths=secret_paths(loaded.config))
    found = []
    for key, path in leaves(plain):
        value: Any = plain
        for step in path:
            value = value[step]
        found.append((key, value, loaded.provenance.get(key, "default")))
    return found


def secret_paths(config: Any) -> list[str]:
    """Return the keys that the plugins of a configuration mark as secret."""
    import attrs

    from bifrost_engine.daemon.assemble import section_classes

    return [
        f"{path}.{attribute.name}"
        for path, cls in section_classes(config).items()
        for attribute in attrs.fields(cls)
        if attribute.metadata.get("secret")
    ]
