"""Recorded quotes as one page that needs nothing else: prices, spreads, quotes a minute, gaps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from html import escape
from math import nan
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from bifrost_engine.errors import ConfigError
from bifrost_engine.replay.census import ContractCount
from bifrost_engine.replay.curves import MINUTE_NS, Curves, Point
from bifrost_engine.replay.describing import Description
from bifrost_engine.replay.report import INSTALL, RED, STYLE, is_possible, local_time, over_time
from bifrost_engine.replay.writing import whole_file

MOST_LINES, MOST_ROWS = 10, 80
EDGE = 170
COLOURS = (
    *("#1f5fa8", "#b26a00", "#1b7f3b", "#8e3b9e", "#0f7c8a"),
    *("#b3261e", "#6a7a1f", "#5a4fcf", "#a0522d", "#4a5568"),
)
SHADES = tuple(f"#{170 - 18 * n:02x}{196 - 13 * n:02x}{224 - 8 * n:02x}" for n in range(9))

GENERATOR = '<meta name="generator" content="bifrost data describe">'
"""Stands in each page near its beginning; a file with it may be replaced by a newer page."""
HEAD_BYTES = 1024

New = Callable[..., Any]


def require_bokeh() -> None:
    """Raise ConfigError, with what to install, where bokeh is missing."""
    if not is_possible():
        raise ConfigError(f"a picture needs bokeh: {INSTALL}")


def check_page(path: Path) -> None:
    """Raise ConfigError unless ``path`` is a place for a page: named so, and free or an earlier page's."""
    if path.suffix.lower() != ".html":
        raise ConfigError(f"--picture {path}: expected a name ending in .html")
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"--picture {path}: no such folder: {path.absolute().parent}")
    if path.exists() and not _is_page(path):
        raise ConfigError(f"--picture {path}: holds something else than an earlier page; give another name")


def _is_page(path: Path) -> bool:
    if not path.is_file():  # reading another kind might wait for ever
        return False
    with path.open("rb") as file:
        return GENERATOR.encode() in file.read(HEAD_BYTES)


def write_picture(path: Path, found: Description, curves: Curves, zone: ZoneInfo) -> None:
    """Write the page, whole or not at all. Raises OutputError."""
    from bokeh.embed import components
    from bokeh.resources import Resources

    plots = _plots(found, curves, zone)
    script, blocks = components(plots) if plots else ("", ())
    library = Resources(mode="inline", components=["bokeh"]).render_js() if plots else ""
    title = escape(found.data.path.name)
    sections = "".join(f"<section>{block}</section>" for block in blocks)
    page = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">{GENERATOR}'
        f"<title>{title}</title>"
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style>{library}</head><body>'
        f"<h1>{title}</h1>{_head(found, curves)}{sections}{script}</body></html>\n"
    )
    with whole_file(path) as part:
        part.write_text(page, encoding="utf-8")


def _head(found: Description, curves: Curves) -> str:
    bad = ", ".join(f"{why} {count:,}" for why, count in (found.skipped + found.rejected).items()) or "none"
    width = curves.width_ns // MINUTE_NS
    counted = (
        f"{found.rows:,} quotes of {len(found.contracts):,} contracts on {len(found.days):,} trading days"
    )
    return (
        f"<p>{counted}; rows that a replay leaves out: {escape(bad)}. Drawn are good quotes within sessions, "
        f"a point for each {width} min; times are the exchange's. "
        f"Where nothing at all was quoted for over {found.gap_s:g} s, the background is red.</p>"
        + "".join(f"<p><strong>{escape(warning)}</strong></p>" for warning in found.warnings)
    )


def _plots(found: Description, curves: Curves, zone: ZoneInfo) -> list[Any]:
    plots: list[Any] = []
    new = partial(over_time, plots, EDGE)
    drawn = [count for count in found.contracts if curves.contracts.get(count.key)]
    for symbol in found.symbols:
        own = [count for count in drawn if count.key.partition("|")[0] == symbol]
        for kind, counts in (
            ("", [count for count in own if _is_stock(count)]),
            (", options", [count for count in own if not _is_stock(count)]),
        ):
            if counts:
                _lines(new, f"{symbol}{kind}", counts, curves, zone)
    if drawn:
        _rates(new, drawn, curves, zone)
    for plot in plots:
        _mark_silences(plot, found, zone)
    return plots


def _is_stock(count: ContractCount) -> bool:
    return "|STK|" in count.key


def _lines(new: New, title: str, counts: Sequence[ContractCount], curves: Curves, zone: ZoneInfo) -> None:
    shown = sorted(counts, key=lambda count: -count.good)[:MOST_LINES]
    of = f" (the {len(shown)} with the most quotes, of {len(counts)})" if len(shown) < len(counts) else ""
    price, spread = new(f"{title}: mid{of}", "", 240), new(f"{title}: spread{of}", "% of mid", 180)
    for count, colour in zip(shown, COLOURS, strict=False):
        points = _broken(list(curves.points(count.key)), curves.width_ns)
        at = [local_time(ts_ns, zone) for ts_ns, _ in points]
        label = {"legend_label": count.key.strip("|")} if len(shown) > 1 else {}
        price.line(at, [point.mid for _, point in points], color=colour, **label)
        spread.line(at, [point.spread_pct / (point.count or 1) for _, point in points], color=colour)
    if len(shown) > 1:
        price.height = 330
        price.add_layout(price.legend[0], "below")
        price.legend.click_policy, price.legend.ncols = "hide", 4
        price.legend.label_text_font_size = "8pt"


def _broken(points: list[tuple[int, Point]], width_ns: int) -> list[tuple[int, Point]]:
    """Return points with an empty one wherever a stretch has none, so that no line is drawn across."""
    found: list[tuple[int, Point]] = []
    for ts_ns, point in points:
        if found and ts_ns - found[-1][0] > width_ns:
            found.append((found[-1][0] + width_ns, Point(nan, nan, 1)))
        found.append((ts_ns, point))
    return found


def _rates(new: New, counts: Sequence[ContractCount], curves: Curves, zone: ZoneInfo) -> None:
    """Draw for each contract how many quotes a minute there were; white is none."""
    from bokeh.models.annotations import ColorBar
    from bokeh.models.tickers import BasicTicker
    from bokeh.transform import log_cmap

    shown = sorted(counts, key=lambda count: -count.good)[:MOST_ROWS]
    shown = [count for count in counts if count in shown]
    names = [count.key.strip("|") for count in shown]
    of = f" (the {len(shown)} with the most, of {len(counts)})" if len(shown) < len(counts) else ""
    minutes = curves.width_ns / MINUTE_NS
    half = curves.width_ns // 2
    data: dict[str, list[Any]] = {"contract": [], "from": [], "to": [], "rate": []}
    for count, name in zip(shown, names, strict=True):
        for ts_ns, point in curves.points(count.key):
            data["contract"].append(name)
            data["from"].append(local_time(ts_ns - half, zone))
            data["to"].append(local_time(ts_ns + half, zone))
            data["rate"].append(point.count / minutes)
    plot = new(f"Quotes a minute{of}", "", 130 + 14 * len(names), y_range=list(reversed(names)))
    colours = log_cmap("rate", SHADES, min(data["rate"]), max(max(data["rate"]), 2 * min(data["rate"])))
    plot.hbar(y="contract", left="from", right="to", height=0.8, source=data, color=colours, line_color=None)
    plot.yaxis.major_label_text_font_size = "8pt"
    plot.add_layout(ColorBar(color_mapper=colours["transform"], ticker=BasicTicker(), height=8), "below")


def _mark_silences(plot: Any, found: Description, zone: ZoneInfo) -> None:
    from bokeh.models.annotations import BoxAnnotation

    for _, from_ns, to_ns in found.silences:
        left, right = local_time(from_ns, zone), local_time(to_ns, zone)
        plot.add_layout(BoxAnnotation(left=left, right=right, fill_color=RED, fill_alpha=0.18))
