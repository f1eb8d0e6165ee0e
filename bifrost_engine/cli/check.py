"""``bifrost check``."""

from __future__ import annotations

import os
from pathlib import Path

import click

from bifrost_engine.cli.options import config_option, json_option


@click.command(name="check")
@config_option
@click.option("--skip-ib", "--skip-broker", "skip_broker", is_flag=True, help="Don't try the broker's link.")
@click.option("--skip-db", "skip_database", is_flag=True, help="Don't try the database.")
@click.option("--signal-test", is_flag=True, help="Start a rehearsal and stop it by SIGTERM.")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    config_path: Path | None,
    skip_broker: bool,
    skip_database: bool,
    signal_test: bool,
    as_json: bool,
) -> None:
    """Check all that a run needs: configuration, plugins, database, broker, journal.

    Sends no order and changes no state. Each failure says what mends it. Exits with 0
    only if nothing failed; what was skipped doesn't count.

    \b
    Before the first run:
        bifrost check --config hedge.yaml --signal-test
    Without a gateway at hand:
        bifrost check --skip-ib
    """
    from bifrost_engine.cli.output import print_json, print_table
    from bifrost_engine.daemon.instance import Instance
    from bifrost_engine.daemon.selfcheck import selfcheck
    from bifrost_engine.domain import CheckResult, Verdict
    from bifrost_engine.errors import ConfigError, PluginError

    try:
        instance = Instance.find(config_path, os.environ)
    except (ConfigError, PluginError) as error:
        findings = [CheckResult("configuration", Verdict.FAILED, str(error), "see: bifrost config check")]
    else:
        findings = list(
            selfcheck(
                instance,
                config_path,
                skip_broker=skip_broker,
                skip_database=skip_database,
                signal_test=signal_test,
            )
        )
    if as_json:
        from attrs import asdict

        print_json([asdict(finding) for finding in findings])
    else:
        rows = [(finding.name, finding.result, finding.found, finding.mend) for finding in findings]
        print_table(("check", "result", "found", "what mends it"), rows)
    ctx.exit(1 if any(finding.result is Verdict.FAILED for finding in findings) else 0)
