"""A result as one page that needs nothing else: curves over time, and its figures in tables.

Made from the files of a result's folder. Long runs are thinned out for the curves, not
for the figures.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from html import escape
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

REPORT = "report.html"
INSTALL = "pip install 'bifrost-engine[report]'"
EQUITY = (
    "ts",
    "kind",
    "strategy_id",
    "spot",
    "net_delta",
    "total",
    "drawdown",
    "fill_quantity",
    "fill_price",
)
DECISIONS = ("strategy_id", "first", "until", "outcome", "codes")
MOST_POINTS, MOST_FILLS, MOST_SPANS, MOST_CODES, MOST_FILES = 3_000, 1_000, 3_000, 12, 5
NS = 1_000_000_000
WIDTH, LEFT = 1_000, 150
BLUE, GREY, RED, GREEN, AMBER = "#1f5fa8", "#8a94a3", "#b3261e", "#1b7f3b", "#b26a00"
RESIDUAL = (
    "The residual is of higher order: what moves of the price and of time between two looks came to beyond "
    "delta, gamma and theta at the first of them. Within a session looks are at most a minute apart, which "
    "leaves next to nothing. A night or another gap is one step: it leaves most, the more the nearer an "
    "option is to its end."
)
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1040px; padding: 0 1rem;
       color: #1c2430; background: #fff }
h1 { font-size: 1.5rem; margin-bottom: 0 } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem }
p { margin: .25rem 0 1rem; color: #5a6675 }
table { border-collapse: collapse; margin: .5rem 2rem .5rem 0; display: inline-table; vertical-align: top }
caption { text-align: left; font-weight: 600; padding: .25rem .5rem }
td, th { padding: .15rem .75rem .15rem .5rem; border-bottom: 1px solid #e4e8ee;
         text-align: left; font-weight: 400 }
td.n { text-align: right; font-variant-numeric: tabular-nums }
code { font-size: .85em; overflow-wrap: anywhere }
"""

Row = Mapping[str, Any]


def is_possible() -> bool:
    """Return whether what draws the curves is installed."""
    from importlib.util import find_spec

    return find_spec("bokeh") is not None


def write_report(folder: Path, result: Row, made_at: datetime | None = None) -> None:
    """Write ``report.html`` beside the tables of a result."""
    from bokeh.embed import components
    from bokeh.resources import Resources

    zone = ZoneInfo(result["provenance"]["config"]["portfolio"]["roll_tz"])
    plots = _plots(folder, result, zone)
    script, blocks = components(plots)
    library = Resources(mode="inline", components=["bokeh"]).render_js()
    curves = "".join(f"<section>{block}</section>" for block in blocks)
    made = datetime.now(UTC) if made_at is None else made_at
    page = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{_title(result)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style>{library}</head><body>'
        f"{_head(result, made)}{curves}{_tables(result)}{script}</body></html>\n"
    )
    (folder / REPORT).write_text(page, encoding="utf-8")


# --- curves --------------------------------------------------------------------------------


def over_time(plots: list[Any], left: int, title: str, unit: str, height: int = 220, **options: Any) -> Any:
    """Add a plot over time to those above it, with whose axis its own moves; return it.

    left  width left of the axis, pixels, the same for all, so that times stand above each other
    """
    from bokeh.plotting import figure

    if plots:
        options["x_range"] = plots[0].x_range
    made = figure(
        title=title,
        width=WIDTH,
        min_border_left=left,
        height=height,
        x_axis_type="datetime",
        y_axis_label=unit,
        tools="xpan,xwheel_zoom,box_zoom,reset,save",
        active_drag="box_zoom",
        **options,
    )
    made.toolbar.logo = None
    plots.append(made)
    return made


def _plots(folder: Path, result: Row, zone: ZoneInfo) -> list[Any]:
    from bifrost_engine.replay.folder import read_table

    equity = read_table(folder, "equity", EQUITY)
    blocks = read_table(folder, "decisions", DECISIONS)
    plots: list[Any] = []

    new = partial(over_time, plots, LEFT)
    rows = thinned(equity, "total")
    new("Result, all strategies", "USD").line(
        _local(rows, zone), [row["total"] for row in rows], color=BLUE, line_width=2
    )
    rows = thinned(equity, "drawdown")
    fall = [-row["drawdown"] for row in rows]
    new("Drawdown", "USD", 140).varea(_local(rows, zone), fall, [0.0] * len(fall), color=RED, fill_alpha=0.5)
    for name in result["strategies"]:
        own = [row for row in equity if row["strategy_id"] == name]
        _delta(new, name, own, band_of(result, name), zone)
        _hedges(new, name, own, zone)
        _blocks(new, name, [row for row in blocks if row["strategy_id"] == name], zone)
    return plots


def _delta(new: Any, name: str, rows: Sequence[Row], band: Mapping[str, float], zone: ZoneInfo) -> None:
    from bokeh.models.annotations import BoxAnnotation, Span

    known = thinned(rows, "net_delta")
    plot = new(f"Net delta of {name}, in the band nothing is hedged", "shares")
    plot.step(_local(known, zone), [row["net_delta"] for row in known], mode="after", color=BLUE)
    inner, outer = band["epsilon"], band["threshold"]
    plot.add_layout(BoxAnnotation(bottom=-inner, top=inner, fill_color=GREEN, fill_alpha=0.12))
    for limit in (-outer, outer):
        plot.add_layout(Span(location=limit, dimension="width", line_color=AMBER, line_dash="dashed"))


def _hedges(new: Any, name: str, rows: Sequence[Row], zone: ZoneInfo) -> None:
    known = thinned(rows, "spot")
    plot = new(f"Price, and hedges of {name}", "USD")
    plot.line(_local(known, zone), [row["spot"] for row in known], color=GREY)
    fills = [row for row in rows if row["kind"] == "fill"]
    for title, sign, marker, color in (
        ("bought", 1, "triangle", GREEN),
        ("sold", -1, "inverted_triangle", RED),
    ):
        own = thinned([row for row in fills if row["fill_quantity"] * sign > 0], "fill_price", MOST_FILLS)
        if own:
            prices = [row["fill_price"] for row in own]
            plot.scatter(_local(own, zone), prices, marker=marker, size=9, color=color, legend_label=title)


def _blocks(new: Any, name: str, rows: Sequence[Row], zone: ZoneInfo) -> None:
    spans = block_spans(rows)
    codes = list(dict.fromkeys(code for code, _, _ in spans))
    if not codes:
        return
    plot = new(f"Why {name} sent no order", "", 60 + 24 * len(codes), y_range=list(reversed(codes)))
    plot.hbar(
        y=[code for code, _, _ in spans],
        left=[local_time(first, zone) for _, first, _ in spans],
        right=[local_time(until, zone) for _, _, until in spans],
        height=0.7,
        color=BLUE,
        line_color=None,
    )


def block_spans(rows: Iterable[Row]) -> list[tuple[str, int, int]]:
    """Return (code, from, until) of what kept orders from being sent, the codes that did longest first.

    Spans of one code that touch are one; of too many the longest are kept.
    """
    spans: dict[str, list[list[int]]] = {}
    for row in rows:
        first, until = row["first"], row["until"]
        for code in () if row["outcome"] in ("ALLOW", "REDUCE") else row["codes"]:
            own = spans.setdefault(code, [])
            if own and first <= own[-1][1]:
                own[-1][1] = max(own[-1][1], until)
            else:
                own.append([first, until])
    longest = sorted(spans, key=lambda code: -sum(until - first for first, until in spans[code]))[:MOST_CODES]
    found = [(code, first, until) for code in longest for first, until in spans[code] if until > first]
    if len(found) <= MOST_SPANS:
        return found
    least = sorted((until - first for _, first, until in found), reverse=True)[MOST_SPANS]
    return [span for span in found if span[2] - span[1] > least]


def thinned(rows: Sequence[Row], column: str, most: int = MOST_POINTS) -> list[Row]:
    """Return at most ``most`` of the rows that have a number there, and the first and the last of them.

    Of each stretch of equally many its lowest and its highest are kept, in order of time: what is left
    out lies between them, so a curve has its extremes wherever it is looked at.
    """
    known = [row for row in rows if row[column] is not None]
    if len(known) <= most:
        return known
    length = -(-2 * len(known) // most)
    kept = {0, len(known) - 1}
    for first in range(0, len(known), length):
        stretch = range(first, min(first + length, len(known)))
        kept |= {extreme(stretch, key=lambda index: known[index][column]) for extreme in (min, max)}
    return [known[index] for index in sorted(kept)]


def band_of(result: Row, name: str) -> dict[str, float]:
    """Return the delta band of a strategy: inner limit and the one from which it hedges, shares."""
    config = result["provenance"]["config"]
    every = config.get("strategies") or [{**config, "id": name}]
    delta = next(one for one in every if one["id"] == name)["gates"]["state"]["delta"]
    return {"epsilon": float(delta["epsilon_band"]), "threshold": float(delta["threshold_hedge_shares"])}


def local_time(ts_ns: int, zone: ZoneInfo) -> float:
    """Return a time as the axis takes it, milliseconds, so that it reads as in the exchange's zone."""
    offset = datetime.fromtimestamp(ts_ns // NS, zone).utcoffset()
    assert offset is not None
    return ts_ns / 1e6 + offset.total_seconds() * 1e3


def _local(rows: Iterable[Row], zone: ZoneInfo) -> list[float]:
    return [local_time(row["ts"], zone) for row in rows]


# --- words and tables ------------------------------------------------------------------------


def _title(result: Row) -> str:
    period = result["period"]
    return escape(f"Backtest {period['first'][:10]} to {period['last'][:10]}")


def _head(result: Row, made_at: datetime) -> str:
    period, made = result["period"], result["provenance"]
    files = ", ".join(f"{file['name']} ({file['sha256'][:12]}…)" for file in made["data"][:MOST_FILES])
    if len(made["data"]) > MOST_FILES:
        files += f" and {len(made['data']) - MOST_FILES} more, named in result.json"
    versions = ", ".join(f"{name} {version}" for name, version in made["versions"].items())
    return (
        f"<h1>{_title(result)}</h1>"
        f"<p>{period['quotes']:,} quotes of {escape(files)}. {escape(versions)}, configuration "
        f"<code>{made['config_sha256'][:12]}</code>. Made {made_at:%Y-%m-%d %H:%M} UTC; "
        "times in the curves are the exchange's.</p>"
        + "".join(f"<p><strong>{escape(warning)}</strong></p>" for warning in result["warnings"])
    )


def _tables(result: Row) -> str:
    fall, daily = result["drawdown"], result["daily"]
    whole = {
        "result after commissions, USD": result["result"]["net"],
        f"return on {result['capital']:,.0f} USD, %": result["return_pct"],
        "deepest drawdown, USD": fall["amount"],
        "deepest drawdown, %": fall["pct"],
        f"Sharpe, by day ({daily['n']})": daily["sharpe"],
        f"Sortino, by day ({daily['n']})": daily["sortino"],
    }
    parts = [f"<h2>Figures</h2>{_pairs('All strategies', whole)}{_pairs('By day, USD', daily['pnl'])}"]
    for name, part in result["strategies"].items():
        money, slipped = part["result"], part["slippage"]
        split = {key: money[key] for key in ("options", "stock", "commission", "net")}
        counts = {key: part[key] for key in ("decisions", "orders", "hedges", "fills", "shares")}
        costs = {key.replace("_", " "): value for key, value in slipped.items()}
        hours = {state: seconds / 3600 for state, seconds in part["states_s"].items()}
        parts.append(
            f"<h2>{escape(name)}</h2>{_pairs('Result, USD', split)}"
            f"{_pairs('Made of, USD', money['attribution'])}{_pairs('Trading', counts)}"
            f"{_pairs('Slippage to mid', costs)}{_pairs('Hours in states', hours)}"
            f"{_grid('Gates', part['gates'])}{_grid('No order for', part['reasons'])}"
            f"<p>{RESIDUAL}</p>"
        )
    return "".join(parts)


def _pairs(caption: str, values: Mapping[str, Any]) -> str:
    rows = "".join(
        f'<tr><th>{escape(name)}</th><td class="n">{_n(value)}</td></tr>' for name, value in values.items()
    )
    return f"<table><caption>{escape(caption)}</caption>{rows}</table>"


def _grid(caption: str, rows: Mapping[str, Mapping[str, Any]]) -> str:
    if not rows:
        return ""
    names = list(next(iter(rows.values())))
    head = "".join(f"<th>{escape(name.replace('_s', ', s'))}</th>" for name in ("", *names))
    body = "".join(
        f"<tr><th>{escape(code)}</th>"
        + "".join(f'<td class="n">{_n(row[name])}</td>' for name in names)
        + "</tr>"
        for code, row in rows.items()
    )
    return f"<table><caption>{escape(caption)}</caption><tr>{head}</tr>{body}</table>"


def _n(value: Any) -> str:
    if value is None:
        return "–"
    return (
        f"{value:,.2f}"
        if isinstance(value, float)
        else f"{value:,}"
        if isinstance(value, int)
        else escape(str(value))
    )
