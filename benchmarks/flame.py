"""Where the time of a replay goes, as a flame graph: one picture for exact, one for fast replay.

    python benchmarks/flame.py [--quotes 100000] [--out docs/_static]

Every few milliseconds of processor time the stack is noted; a box is as wide as the share of notes
that have it. Boxes of one module have one colour. No library draws it: a picture with text
that can be searched takes fewer lines than calling one.
"""

from __future__ import annotations

import argparse
import os
import signal
from collections.abc import Iterator
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from zlib import crc32

from attrs import Factory, define
from peers.on_bifrost import VARIANTS, Built, run
from peers.workload import KINDS, generated, make

from bifrost_engine.daemon.assemble import RunOptions, load_config
from bifrost_engine.replay.dataset import DataSet

EVERY_S = 0.004
WIDTH, ROW, LEAST, LETTER = 1_200.0, 17, 0.5, 6.4
ROOT = "run_blocks"
"""What is called before it is the host's, and the same in every picture."""


@define
class Box:
    """Calls of one function from one place: how often they were seen, and what they called."""

    seen: int = 0
    calls: dict[str, Box] = Factory(dict)

    def note(self, names: list[str]) -> None:
        """Count a stack, outermost first."""
        box = self
        box.seen += 1
        for name in names:
            box = box.calls.setdefault(name, Box())
            box.seen += 1

    @property
    def depth(self) -> int:
        """How many rows it needs, its own with it."""
        return 1 + max((box.depth for box in self.calls.values()), default=0)


def stack_of(frame: FrameType | None) -> list[str]:
    """Return the names of a stack's functions, outermost first, from ``ROOT`` on."""
    names: list[str] = []
    while frame is not None:
        code = frame.f_code
        names.append(f"{Path(code.co_filename).stem}.{code.co_name}")
        frame = frame.f_back
    names.reverse()
    inner = [index for index, name in enumerate(names) if name.endswith(f".{ROOT}")]
    return names[inner[-1] :] if inner else ["before and after"]


def sampled(variant: str, folder: Path) -> Box:
    """Return what a run was seen at."""
    root = Box()
    config = load_config(RunOptions(config_path=folder / "bifrost.yaml"), os.environ).config
    run(VARIANTS[variant], config, DataSet(folder / "warm" / "quotes.parquet"))
    data = Built(folder / "quotes.parquet")
    signal.signal(signal.SIGPROF, lambda _signal, frame: root.note(stack_of(frame)))
    signal.setitimer(signal.ITIMER_PROF, EVERY_S, EVERY_S)
    try:
        run(VARIANTS[variant], config, data)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
    return root


def drawn(root: Box, title: str) -> str:
    """Return the picture, callers above what they call."""
    height = ROW * (root.depth + 2)
    boxes = "".join(_boxes(root, title, 0.0, ROW * 2, WIDTH / root.seen))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:.0f} {height}" '
        'font-family="monospace" font-size="11">'
        f"<title>{escape(title)}</title>"
        f'<rect width="{WIDTH:.0f}" height="{height}" fill="#fff"/>'
        f'<text x="6" y="{ROW}" font-size="13">{escape(title)}</text>{boxes}</svg>\n'
    )


def _boxes(box: Box, name: str, left: float, top: int, scale: float) -> Iterator[str]:
    width = box.seen * scale
    if width < LEAST:
        return
    shown = name[: int((width - 6) / LETTER)]
    share = f"{escape(name)}: {100 * width / WIDTH:.1f} %"
    yield (
        f'<g><title>{share}</title><rect x="{left:.1f}" y="{top}" width="{width:.1f}" height="{ROW - 1}" '
        f'fill="{_colour(name)}" rx="1"/>'
    )
    if len(shown) > 2:
        yield f'<text x="{left + 3:.1f}" y="{top + 12}">{escape(shown)}</text>'
    yield "</g>"
    for called, inner in sorted(box.calls.items(), key=lambda item: -item[1].seen):
        yield from _boxes(inner, called, left, top + ROW, scale)
        left += inner.seen * scale


def _colour(name: str) -> str:
    return f"hsl({crc32(name.partition('.')[0].encode()) % 360} 60% 80%)"


def main() -> None:
    """Draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quotes", type=int, default=100_000)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs" / "_static")
    asked = parser.parse_args()
    with TemporaryDirectory(prefix="bifrost-flame-") as place:
        folder = make(Path(place) / "workload", KINDS["peers' strategy"], generated(asked.quotes)).folder
        for variant in ("exact", "fast"):
            root = sampled(variant, folder)
            title = f"{variant} replay of {asked.quotes:,} quotes, {root.seen:,} looks"
            (asked.out / f"flame-{variant}.svg").write_text(drawn(root, title), encoding="utf-8")
            print(title)


if __name__ == "__main__":
    main()
