"""``bifrost audit``: whether what is recorded is whole, unaltered, and adds up."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bifrost_engine.cli.options import config_option, every_option, json_option

if TYPE_CHECKING:
    from bifrost_engine.daemon.verification import Verified


@click.group(name="audit")
def command() -> None:
    """Examine the audit trail.

    \b
        bifrost audit verify
    """


@command.command(name="verify")
@config_option
@every_option
@json_option
@click.pass_context
def verify(context: click.Context, config_path: Path | None, every: bool, as_json: bool) -> None:
    """Check that the records are whole, unaltered, and add up; exit 1 if they don't.

    The journal's chain of hashes is computed anew. Where there is a database, the hashes
    that it noted and the rows that it holds are compared with the journal's, and its tables
    are checked; without one the journal is, through the same tables. Fills have to come to
    the positions that are stored, cash and cost to the realized result, and each order of a
    strategy or an operator needs its signal, gates and decision.

    The daemon may run meanwhile.

    \b
        bifrost audit verify
        bifrost audit verify --all --json
    """
    from bifrost_engine.cli.output import print_json
    from bifrost_engine.daemon.instance import Instance
    from bifrost_engine.daemon.verification import verify as verify_all

    found = list(verify_all(Instance.find(config_path, os.environ), every))
    if as_json:
        print_json([values(verified) for verified in found])
    else:
        for verified in found:
            tell(verified)
    context.exit(0 if all(verified.well for verified in found) else 1)


def values(verified: Verified) -> dict[str, Any]:
    """Return what was checked of a journal as plain values."""
    from attrs import asdict

    return {
        "journal_id": verified.journal_id,
        "path": str(verified.path),
        "database": verified.database,
        "well": verified.well,
        "checks": [asdict(verdict) for verdict in verified.verdicts],
    }


MARKS = {True: "ok", False: "WRONG", None: "not checked"}


def tell(verified: Verified) -> None:
    """Print what was checked, and all that is wrong."""
    click.echo(f"journal {verified.path} ({verified.journal_id})")
    for verdict in verified.verdicts:
        click.echo(f"  {MARKS[verdict.well]:<11}  {verdict.check}: {verdict.said}")
        for finding in verdict.found:
            if finding != verdict.said:
                click.echo(f"               {finding}")
    wrong = sum(verdict.well is False for verdict in verified.verdicts)
    click.echo("  nothing is wrong" if not wrong else f"  {wrong} of {len(verified.verdicts)} checks failed")
