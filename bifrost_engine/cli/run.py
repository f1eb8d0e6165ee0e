"""``bifrost run``."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import click


@click.command(name="run")
@click.option("--config", "config_path", type=click.Path(path_type=Path), help="Configuration file.")
@click.option("--broker", help="Broker plugin, over the file.")
@click.option(
    "--sink", "sinks", multiple=True, help="Sink plugin, over the file; may be given several times."
)
@click.option("--feed", help="Feed: sim, replay:PATH, or another plugin's name.")
@click.option("--speed", default="1", show_default=True, help="Event seconds per second, or 'max'.")
@click.option("--until", help="Event time at which to stop, such as 2025-03-03T16:00.")
@click.option("--fresh", is_flag=True, help="Set the state of earlier runs aside first.")
@click.option("--json-logs", is_flag=True, help="Log JSON lines.")
def command(
    config_path: Path | None,
    broker: str | None,
    sinks: tuple[str, ...],
    feed: str | None,
    speed: str,
    until: str | None,
    fresh: bool,
    json_logs: bool,
) -> None:
    """Run the daemon until it is stopped."""
    from bifrost_engine.cli.logs import configure
    from bifrost_engine.config.loader import Override
    from bifrost_engine.daemon.assemble import RunOptions, load_config
    from bifrost_engine.daemon.host import Daemon

    overrides = []
    if broker:
        overrides.append(Override("broker", broker, "--broker"))
    if feed:
        overrides.append(Override("feed", feed, "--feed"))
    if sinks:
        overrides.append(Override("status.sink", list(sinks), "--sink"))
    options = RunOptions(
        config_path=config_path,
        overrides=tuple(overrides),
        speed=None if speed == "max" else float(speed),
        fresh=fresh,
    )
    log = configure(json_logs)
    loaded = load_config(options, os.environ)
    daemon = Daemon(loaded, options, os.environ, log)
    asyncio.run(_run(daemon))


async def _run(daemon: Any) -> None:
    loop = asyncio.get_running_loop()

    def on_signal(name: str) -> None:
        if daemon.pipeline.stop_requested:
            os._exit(130)
        daemon.request_stop(name)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal, signal.Signals(number).name)
    await daemon.run()
