"""``bifrost demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

SPOT = 120
EXPIRY = "20250328"
START = "2025-03-03T09:30"
OPEN_MINUTES = 390


@click.command(name="demo")
@click.option(
    "--minutes",
    type=click.IntRange(1, OPEN_MINUTES),
    default=OPEN_MINUTES,
    help="Of the market's day; else all 390.",
)
@click.option(
    "--speed",
    metavar="N|max",
    help="Minutes per minute; else the day takes half a minute, without a terminal none.",
)
@click.option("--seed", type=int, default=7, show_default=True, help="Another seed is another day.")
@click.option("--short", is_flag=True, help="Sell the straddles instead of holding them.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where to keep file and state; else a temporary folder.",
)
def command(minutes: int, speed: str | None, seed: int, short: bool, folder: Path | None) -> None:
    """Watch a simulated day being hedged; no file, account or database needed.

    Ten straddles on a made-up stock are kept delta-neutral by a paper broker. At the end
    the day's result is taken apart: what gamma earned, what theta cost, what hedging cost.
    Everything is kept in a temporary folder, so that the other commands can look at it.

    \b
        bifrost demo
        bifrost demo --seed 3 --short
    """
    from bifrost_engine.cli.run import EarlyStop, Speed

    stop = EarlyStop()
    import sys
    import tempfile

    from bifrost_engine.cli.running import Run
    from bifrost_engine.cli.times import NEW_YORK, parse_time
    from bifrost_engine.daemon.assemble import RunOptions

    folder = Path(tempfile.mkdtemp(prefix="bifrost-demo-")) if folder is None else folder
    config_path = write_file(folder, seed, short)
    chosen = speed or (f"{max(1.0, 2.0 * minutes):g}" if sys.stdout.isatty() else "max")
    until_ns = parse_time(START, NEW_YORK) + minutes * 60 * 1_000_000_000
    options = RunOptions(
        config_path=config_path, speed=Speed().convert(chosen, None, None), until_ns=until_ns, fresh=True
    )
    run = Run(options, log_level="warning")
    code = run.execute(stop)
    for line in lesson(run.summary, config_path):
        click.echo(line)
    raise click.exceptions.Exit(code)


def write_file(folder: Path, seed: int, short: bool) -> Path:
    """Write the demo's configuration, with every setting explained, and return its path."""
    from bifrost_engine.cli.init import write
    from bifrost_engine.config.template import commented_file
    from bifrost_engine.daemon.assemble import plugin_names

    count = -10 if short else 10
    values = {
        "symbol": "DEMO",
        "broker": "paper",
        "paper": {"positions": {f"DEMO|OPT|{EXPIRY}|{SPOT}|{right}": count for right in "CP"}},
        "sim": {"seed": seed, "spot": SPOT, "start": START},
        "status": {"sink": []},
        "daemon": {"state_dir": str((folder / "state").absolute())},
    }
    path = folder / "bifrost.yaml"
    write(path, commented_file(values, plugin_names=plugin_names()))
    return path


def lesson(summary: Any, config_path: Path) -> list[str]:
    """Return what the day's result tells, and what to try next."""
    lines = [""]
    if summary is not None and summary.days and summary.days[0].total is not None:
        day, hedges = summary.days[0], summary.tally.hedges
        gamma, theta = day.moves.gamma, day.moves.theta
        took, gave = ("earned", "took") if gamma >= 0 else ("cost", "paid")
        costs = day.slippage + day.commission
        lines.append(
            f"The moves {took} {abs(gamma):.2f} USD through gamma, time {gave} {abs(theta):.2f};"
            f" {hedges} hedges cost {costs:.2f} in spread and commission."
        )
    return [
        *lines,
        "Next: bifrost init, which writes a file of your own; then bifrost check and bifrost run.",
        f"The demo is kept until you delete it: rm -r {config_path.parent}",
    ]
