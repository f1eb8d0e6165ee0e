"""``bifrost plugins``."""

from __future__ import annotations

import click

from bifrost_engine.cli.options import json_option


@click.command(name="plugins")
@json_option
@click.pass_context
def command(ctx: click.Context, /, as_json: bool) -> None:
    """List the installed plugins: kind, name, distribution, hooks, and what is wrong with one.

    Each is imported to find its hooks. Exits with 1 if one can't be used.

    \b
    Which brokers are there?
        bifrost plugins
    """
    from bifrost_engine.cli.output import print_json, print_table
    from bifrost_engine.plugins import inspect, installed

    reports = [inspect(info) for info in installed()]
    if as_json:
        print_json(
            [
                {**report.info._asdict(), "hooks": report.hooks, "hook_version": report.hook_version}
                | {"error": report.error}
                for report in reports
            ]
        )
    else:
        columns = (
            "kind",
            "name",
            "distribution",
            "version",
            "for hooks",
            "implements, or why it can't be used",
        )
        print_table(
            columns,
            [
                (*report.info[:4], report.hook_version, report.error or ", ".join(report.hooks))
                for report in reports
            ],
        )
    ctx.exit(1 if any(report.error for report in reports) else 0)
