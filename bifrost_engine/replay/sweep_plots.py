"""The pictures of a sweep: points as lines over settings and figures, pairs of settings as heat maps.

Colour goes from dark for the best to light for the worst, on a scale that differs in
brightness as well, so that it reads without telling red from green.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from textwrap import wrap
from typing import Any

from attrs import frozen

from bifrost_engine.replay.report import AMBER, BLUE, GREY, WIDTH
from bifrost_engine.replay.sweep import Outcome
from bifrost_engine.replay.walking import Step, heading, sides

FIGURES_SHOWN = ("net", "drawdown", "hedges", "shares", "commission", "slippage_bps")
MOST_LINES, MOST_PAIRS, MOST_LABELS, MOST_CELLS = 1_000, 10, 12, 200
SHADES = 200
"""Of the palette's 256: the lightest ones can't be told from the page."""
DARK = 110
"""Shades below it take white letters."""
LINE_LETTERS = 120
"""As many letters of the axes' names fit side by side."""
BEST = "#d95f02"

BRUSH = """
const chosen = new Map();
for (const i of crossings.selected.indices) {
  const axis = crossings.data.axis[i];
  if (!chosen.has(axis)) chosen.set(axis, new Set());
  chosen.get(axis).add(crossings.data.row[i]);
}
const rows = [...Array(lines.length).keys()].filter(
  (row) => [...chosen.values()].every((kept) => kept.has(row)));
lines.selected.indices = chosen.size ? rows : [];
const points = new Set(rows.map((row) => String(lines.data.point[row])));
for (const line of document.querySelectorAll('tr[data-point]'))
  line.hidden = chosen.size > 0 && !points.has(line.dataset.point);
"""
"""A line is chosen if it has a chosen crossing on each axis that has any; the table shows those alone."""


@frozen(kw_only=True)
class Axis:
    """One axis of the lines: a setting, its values evenly spaced, or a figure to scale.

    places  of each line, 0 to 1, bottom to top
    labels  (place, text)
    """

    name: str
    places: Sequence[float]
    labels: Sequence[tuple[float, str]]


def short_names(keys: Iterable[str]) -> dict[str, str]:
    """Return by key as few of its last parts as tell it from the others."""
    every = list(keys)
    return {key: _shortest(key, [other for other in every if other != key]) for key in every}


def _shortest(key: str, others: Sequence[str]) -> str:
    parts = key.split(".")
    tails = (".".join(parts[-count:]) for count in range(1, len(parts)))
    return next((tail for tail in tails if not any(o.endswith(f".{tail}") or o == tail for o in others)), key)


def varied(outcomes: Sequence[Outcome]) -> dict[str, list[Any]]:
    """Return the keys that have several values, numbers in order, all else as given."""
    given = sorted(outcomes, key=lambda outcome: outcome.number)
    keys = dict.fromkeys(key for outcome in given for key in outcome.settings)
    values = {key: list(dict.fromkeys(_hashable(o.settings[key]) for o in given)) for key in keys}
    return {key: _in_order(found) for key, found in values.items() if len(found) > 1}


def _hashable(value: Any) -> Any:
    return value if isinstance(value, int | float | str) else str(value)


def _in_order(values: list[Any]) -> list[Any]:
    is_numeric = all(isinstance(value, int | float) for value in values)
    return sorted(values) if is_numeric else values


# --- lines -------------------------------------------------------------------------------------


def axes_of(outcomes: Sequence[Outcome], rank: str) -> list[Axis]:
    """Return the axes of the lines, settings first, what doesn't vary left out."""
    names = short_names(outcomes[0].settings)
    found = [
        _setting(names[key], values, [_hashable(o.settings[key]) for o in outcomes])
        for key, values in varied(outcomes).items()
    ]
    for figure in dict.fromkeys((*FIGURES_SHOWN, rank)):
        values = [outcome.figures.get(figure) for outcome in outcomes]
        known = [value for value in values if value is not None]
        if len(known) == len(values) and min(known) < max(known):
            found.append(_scale(figure, known))
    return found


def _setting(name: str, values: Sequence[Any], own: Sequence[Any]) -> Axis:
    places = {value: index / (len(values) - 1) for index, value in enumerate(values)}
    shown = values if len(values) <= MOST_LABELS else (values[0], values[-1])
    return Axis(
        name=name,
        places=[places[value] for value in own],
        labels=[(places[value], _short(value)) for value in shown],
    )


def _scale(name: str, values: Sequence[float]) -> Axis:
    low, high = min(values), max(values)
    return Axis(
        name=name,
        places=[(value - low) / (high - low) for value in values],
        labels=[(0.0, _brief(low)), (1.0, _brief(high))],
    )


def _short(value: Any) -> str:
    return f"{value:,.6g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def lines(best: Sequence[Outcome], rank: str) -> Any:
    """Return the points as lines over all axes, the best last and on top; None where nothing varies.

    best  best first, all with the figure that ranks
    """
    from bokeh.models import ColumnDataSource, CustomJS

    drawn = list(reversed(best[:MOST_LINES]))
    axes = axes_of(drawn, rank) if drawn else []
    if len(axes) < 2:
        return None
    palette = _palette()
    # By place, not by value: a few very bad points would leave all others in one shade.
    worst = len(drawn) - 1
    source = ColumnDataSource(
        {
            "xs": [list(range(len(axes)))] * len(drawn),
            "ys": [[axis.places[row] for axis in axes] for row in range(len(drawn))],
            "color": [*(palette[_shade(row, worst, 0)] for row in range(worst)), BEST],
            "width": [1.5] * worst + [5.0],
            "point": [outcome.number for outcome in drawn],
        }
    )
    plot = _figure(
        title=f"Each point a line, the darker the better its place by {rank}; the best is thick",
        width=WIDTH,
        height=420,
        tools="box_select,reset,save",
        active_drag="box_select",
        x_range=(-0.35, len(axes) - 0.65),
        y_range=(-0.08, 1.08),
        min_border_right=60,
    )
    plot.segment(list(range(len(axes))), 0, list(range(len(axes))), 1, color=GREY, line_width=1)
    plot.multi_line(
        "xs",
        "ys",
        source=source,
        line_color="color",
        line_width="width",
        line_alpha=0.8,
        nonselection_line_alpha=0.06,
        nonselection_line_color=GREY,
    )
    crossings = ColumnDataSource(
        {
            "x": [place for place in range(len(axes)) for _ in drawn],
            "y": [y for axis in axes for y in axis.places],
            "axis": [place for place in range(len(axes)) for _ in drawn],
            "row": list(range(len(drawn))) * len(axes),
        }
    )
    plot.scatter("x", "y", source=crossings, size=5, color=GREY, alpha=0.5, nonselection_alpha=0.05)
    crossings.selected.js_on_change(
        "indices", CustomJS(args={"crossings": crossings, "lines": source}, code=BRUSH)
    )
    marks = [(place, y, text) for place, axis in enumerate(axes) for y, text in axis.labels]
    plot.text(
        [place for place, _, _ in marks],
        [y for _, y, _ in marks],
        text=[text for _, _, text in marks],
        x_offset=7,
        text_baseline="middle",
        text_font_size="12px",
        text_color="#1c2430",
        background_fill_color="white",
        background_fill_alpha=0.9,
    )
    _bare(plot)
    plot.xaxis.ticker = list(range(len(axes)))
    plot.xaxis.major_label_overrides = {
        place: _wrapped(axis.name, len(axes)) for place, axis in enumerate(axes)
    }
    plot.xaxis.major_label_text_font_size = "13px"
    plot.yaxis.visible = False
    return plot


def _rank(outcome: Outcome, rank: str) -> float:
    value = outcome.figures[rank]
    assert value is not None
    return value


def _shade(value: float, best: float, worst: float) -> int:
    return 0 if best == worst else round((SHADES - 1) * (best - value) / (best - worst))


def _palette() -> list[str]:
    from bokeh.palettes import Cividis256

    return list(Cividis256[:SHADES])


def _figure(**options: Any) -> Any:
    from bokeh.plotting import figure

    return figure(**options)


def _bare(plot: Any) -> None:
    plot.toolbar.logo = None
    plot.grid.visible = False
    plot.outline_line_color = None
    plot.xaxis.axis_line_color = None
    plot.xaxis.major_tick_line_color = None


def _wrapped(name: str, axes: int) -> str:
    return "\n".join(wrap(name.replace("_", " ").replace(".", ". "), max(LINE_LETTERS // axes, 9)))


# --- heat maps -----------------------------------------------------------------------------------


def pairs(outcomes: Sequence[Outcome]) -> list[tuple[str, str]]:
    """Return the pairs of keys that have a heat map, and no more than can be looked at."""
    return list(combinations(varied(outcomes), 2))[:MOST_PAIRS]


def cells(
    best: Sequence[Outcome], pair: tuple[str, str], rank: str, of: Callable[[Sequence[float]], float]
) -> dict[tuple[str, str], float]:
    """Return for each two values of a pair of keys what ``of`` makes of the figure, best first."""
    found: dict[tuple[str, str], list[float]] = {}
    for outcome in best:
        where = _short(_hashable(outcome.settings[pair[0]])), _short(_hashable(outcome.settings[pair[1]]))
        found.setdefault(where, []).append(_rank(outcome, rank))
    return {where: of(values) for where, values in found.items()}


def heat_maps(best: Sequence[Outcome], rank: str, lowest: bool) -> list[Any]:
    """Return for each pair of keys the best and, where others vary, too, the mean of the figure."""
    from bokeh.layouts import row

    several = len(varied(best)) > 2
    kinds: list[tuple[str, Callable[[Sequence[float]], float]]] = [("best", lambda values: values[0])]
    if several:
        kinds.append(("mean", lambda values: sum(values) / len(values)))
    return [
        row(*(_heat_map(best, pair, rank, lowest, kind, of) for kind, of in kinds)) for pair in pairs(best)
    ]


def _heat_map(
    best: Sequence[Outcome],
    pair: tuple[str, str],
    rank: str,
    lowest: bool,
    kind: str,
    of: Callable[[Sequence[float]], float],
) -> Any:
    from bokeh.models import LinearColorMapper
    from bokeh.models.annotations import ColorBar

    values, names = varied(best), short_names(best[0].settings)
    found = cells(best, pair, rank, of)
    low, high = min(found.values()), max(found.values())
    ends = (low, high) if lowest else (high, low)
    palette = _palette()
    shades = [_shade(value, *ends) for value in found.values()]
    across, up = ([_short(value) for value in values[key]] for key in pair)
    plot = _figure(
        title=f"{rank}, {kind} of what was tried there" if len(values) > 2 else rank,
        x_range=across,
        y_range=up,
        width=WIDTH // 2,
        height=max(220, min(90 + 34 * len(up), 460)),
        x_axis_label=names[pair[0]],
        y_axis_label=names[pair[1]],
        tools="save",
        tooltips=[(names[pair[0]], "@x"), (names[pair[1]], "@y"), (rank, "@value{0,0.00}")],
    )
    data: dict[str, list[Any]] = {
        "x": [x for x, _ in found],
        "y": [y for _, y in found],
        "value": list(found.values()),
        "color": [palette[shade] for shade in shades],
        "ink": ["white" if shade < DARK else "#1c2430" for shade in shades],
        "text": [_brief(value) for value in found.values()],
    }
    plot.rect("x", "y", 1, 1, source=data, color="color", line_color="white")
    if len(found) <= MOST_CELLS and len(across) <= MOST_LABELS:
        plot.text(
            "x",
            "y",
            text="text",
            source=data,
            text_color="ink",
            text_align="center",
            text_baseline="middle",
            text_font_size="12px",
        )
    mapper = LinearColorMapper(
        palette=palette if lowest else palette[::-1], low=low, high=high if high > low else low + 1
    )
    plot.add_layout(ColorBar(color_mapper=mapper, width=10, label_standoff=6), "right")
    _bare(plot)
    plot.axis.major_label_text_font_size = "12px"
    plot.axis.axis_label_text_font_size = "13px"
    plot.axis.axis_label_text_font_style = "normal"
    plot.yaxis.axis_line_color = None
    return plot


def _brief(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:,.4g}"


# --- windows -------------------------------------------------------------------------------------


def window_plots(steps: Sequence[Step], rank: str) -> list[Any]:
    """Return a figure in and out of sample by window, and what was chosen in each."""
    names = [str(step.window.test[0]) for step in steps]
    plot = _figure(
        title=f"{heading(rank)} in and out of sample, by the first day out of sample",
        x_range=names,
        width=WIDTH,
        height=300,
        y_axis_label=heading(rank),
        tools="hover,save",
        tooltips=[("window", "@x"), (heading(rank), "@y{0,0.00}")],
    )
    looks: Mapping[str, tuple[str, str, str]] = {
        "in sample": (BLUE, "circle", "solid"),
        "out of sample": (AMBER, "square", "dashed"),
    }
    for side, (label, (color, marker, dash)) in enumerate(looks.items()):
        known = [(name, sides([step], rank)[side]) for name, step in zip(names, steps, strict=True)]
        data = {"x": [n for n, v in known if v is not None], "y": [v for _, v in known if v is not None]}
        plot.line("x", "y", source=data, color=color, line_dash=dash, line_width=2, legend_label=label)
        plot.scatter("x", "y", source=data, color=color, marker=marker, size=9, legend_label=label)
    _steady(plot, names)
    return [plot, *_choice_plots(steps, names)]


def _choice_plots(steps: Sequence[Step], names: Sequence[str]) -> Iterable[Any]:
    tried = [outcome for step in steps for outcome in step.tried]
    short = short_names(tried[0].settings)
    for key, values in varied(tried).items():
        plot = _figure(
            title=f"Choice of {short[key]}",
            x_range=list(names),
            y_range=[_short(value) for value in values],
            width=WIDTH,
            height=110 + 20 * len(values),
            tools="save",
        )
        chosen = [
            (name, _short(_hashable(step.choice.settings[key])))
            for name, step in zip(names, steps, strict=True)
            if step.choice is not None
        ]
        where, what = [name for name, _ in chosen], [value for _, value in chosen]
        plot.line(where, what, color=BLUE, line_width=1)
        plot.scatter(where, what, color=BLUE, marker="circle", size=9)
        _steady(plot, names)
        yield plot


def _steady(plot: Any, names: Sequence[str]) -> None:
    plot.toolbar.logo = None
    plot.xgrid.visible = False
    plot.min_border_left = 90
    plot.xaxis.major_label_orientation = 0.6 if len(names) > 10 else "horizontal"
    if plot.legend:
        plot.add_layout(plot.legend[0], "right")
