"""Draw ``_static/terminal.svg``: the display of ``bifrost run``, from a real run of the example.

A simulated hour goes through the daemon, the paper broker and a journal in a temporary
folder; then the display is drawn once, as the command line draws it. Run it when the
display has changed:

    .venv/bin/python docs/make_terminal_picture.py
"""

from __future__ import annotations

import asyncio
import logging
import re
from datetime import datetime
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

import structlog
from rich.console import Console, RenderableType

from bifrost_engine.cli.display import Display
from bifrost_engine.config.loader import Override
from bifrost_engine.daemon.assemble import RunOptions, load_config
from bifrost_engine.daemon.host import Daemon

HERE = Path(__file__).parent
TARGET = HERE / "_static" / "terminal.svg"
ZONE = ZoneInfo("America/New_York")
UNTIL = datetime(2025, 3, 3, 10, 30, tzinfo=ZONE)
WIDTH = 112
FONT = '"Fira Code", ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace'


def run(folder: Path) -> list[RenderableType]:
    """Return what the display showed during an hour of the example's market, newest last."""
    options = RunOptions(
        config_path=HERE.parent / "examples" / "paper.yaml",
        overrides=(Override("daemon.state_dir", str(folder)), Override("status.sink", [])),
        speed=None,
        until_ns=int(UNTIL.timestamp() * 1e9),
    )
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    daemon = Daemon(load_config(options, {}), options, {}, structlog.get_logger())
    display = Display(ZONE, "speed 30", str(daemon.folder / "bifrost.log"))
    shown: list[RenderableType] = []

    def draw(daemon: Daemon) -> None:
        if not daemon.stopping:
            shown.append(display.draw(daemon))

    daemon.display = draw
    asyncio.run(daemon.run())
    return shown


def svg(picture: RenderableType) -> str:
    """Return a picture as SVG that asks nothing of the network."""
    console = Console(
        record=True, width=WIDTH, file=StringIO(), force_terminal=True, color_system="truecolor"
    )
    console.print(picture)
    text = console.export_svg(title="bifrost run", unique_id="bifrost")
    text = re.sub(r"@font-face \{.*?\}", "", text, flags=re.DOTALL)
    return text.replace("Fira Code, monospace", FONT)


def main() -> None:
    """Run, draw, write."""
    with TemporaryDirectory() as folder:
        text = svg(run(Path(folder))[-1])
    TARGET.write_text(text.replace(folder, "/var/lib/bifrost"), "utf-8")
    print(f"{TARGET}: {len(text) // 1024} KiB")


if __name__ == "__main__":
    main()
