"""``bifrost db``: create, upgrade and verify the tables, and free locks.

Thin: the work is in ``migrations`` and ``locks``. The settings come from the command
line's context object (its ``config`` and ``state_dir``), else from the PG* variables.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import click

from bifrost_pg.config import Config


def section(config: Any) -> Config:
    """Return ``status.postgres`` of a loaded configuration, empty where there is none.

    config  nested mappings or objects; None for none
    """
    found = _get(_get(config, "status"), "postgres")
    if isinstance(found, Mapping):
        return Config(**found)
    return found if isinstance(found, Config) else Config()


def _get(holder: Any, name: str) -> Any:
    return holder.get(name) if isinstance(holder, Mapping) else getattr(holder, name, None)


@contextmanager
def _connection(context: click.Context) -> Iterator[Any]:
    from bifrost_engine.errors import BifrostError
    from bifrost_pg.refusals import explain
    from bifrost_pg.session import Door

    given = context.find_root().obj
    config, state_dir = section(_get(given, "config")), _get(given, "state_dir")
    if config.embedded and state_dir is None:
        raise click.ClickException("the embedded server needs the state directory; give --config")
    door = Door(config, Path(state_dir or "default"))
    try:
        with door.connect() as conn:
            yield conn
    except BifrostError as error:
        raise click.ClickException(str(error)) from error
    except _psycopg_error() as error:
        raise click.ClickException(explain(error)) from error
    finally:
        door.leave()


def _psycopg_error() -> type[Exception]:
    import psycopg

    return psycopg.Error


@click.group()
def db() -> None:
    """Keep the database's tables."""


def _upgrade(context: click.Context) -> None:
    from bifrost_pg import migrations

    with _connection(context) as conn:
        ran = migrations.refresh(conn)
    for name in ran:
        click.echo(f"ran {name}")
    click.echo(f"{len(migrations.TABLES)} tables verified")


@db.command()
@click.pass_context
def init(context: click.Context) -> None:
    """Create the tables; existing ones are kept and upgraded."""
    _upgrade(context)


@db.command()
@click.pass_context
def refresh(context: click.Context) -> None:
    """Upgrade the tables, losing nothing, and verify them."""
    _upgrade(context)


@db.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def check(context: click.Context, as_json: bool) -> None:
    """Verify tables, columns and types, changing nothing; exit 1 if something is wrong."""
    from bifrost_pg import migrations

    with _connection(context) as conn:
        problems = migrations.check(conn)
    if as_json:
        click.echo(json.dumps({"tables": len(migrations.TABLES), "problems": problems}))
    else:
        click.echo("\n".join(problems) or f"{len(migrations.TABLES)} tables verified")
    context.exit(1 if problems else 0)


@db.command()
@click.option("--dry-run", is_flag=True, help="Only list.")
@click.option("--yes", is_flag=True, help="End them without asking.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def locks(context: click.Context, dry_run: bool, yes: bool, as_json: bool) -> None:
    """List sessions with locks on the daemon's tables and end them; never the daemon's."""
    from bifrost_pg.locks import end_backends, list_locks

    with _connection(context) as conn:
        found = list_locks(conn)
        _print_backends(found, as_json)
        endable = [backend for backend in found if not backend.daemon]
        if dry_run or not endable:
            return
        if not yes:
            click.confirm(f"End {len(endable)} of them?", abort=True, err=True)
        ended = end_backends(conn, endable)
    click.echo(f"ended {len(ended)}", err=as_json)


def _print_backends(backends: list[Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([attrs.asdict(backend) for backend in backends], default=str))
        return
    if not backends:
        click.echo("no locks on the daemon's tables")
    for backend in backends:
        age = "-" if backend.age_s is None else f"{backend.age_s:.0f} s"
        role = "daemon, not ended" if backend.daemon else "waits" if backend.waits else "holds"
        about = f"{backend.application or '-'}  {backend.state}  {age}"
        click.echo(f"{backend.pid}  {role}  {about}  {' '.join((backend.query or '').split())}")
