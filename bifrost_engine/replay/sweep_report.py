"""A sweep as one page that needs nothing else: its points as lines and heat maps, and ranked in a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from bifrost_engine.replay.figures import FIGURES
from bifrost_engine.replay.report import REPORT, STYLE
from bifrost_engine.replay.sweep import Outcome, Task, ranked
from bifrost_engine.replay.sweep_plots import (
    MOST_LINES,
    MOST_PAIRS,
    heat_maps,
    lines,
    pairs,
    short_names,
    window_plots,
)
from bifrost_engine.replay.walking import Step, changes, heading, sides, totals, walked
from bifrost_engine.replay.windows import days_told
from bifrost_engine.replay.writing import whole_file

MOST_ROWS = 1_000
SHOWN = ("net", "return_pct", "drawdown", "sharpe", "hedges", "shares", "commission", "slippage_bps")
SORT = """
for (const button of document.querySelectorAll('th button')) button.onclick = () => {
  const head = button.parentElement, table = head.closest('table'), place = head.cellIndex;
  const down = head.ariaSort !== 'descending', body = table.tBodies[0];
  for (const other of head.parentElement.cells) other.ariaSort = 'none';
  head.ariaSort = down ? 'descending' : 'ascending';
  const value = (row) => row.cells[place].dataset.v ?? row.cells[place].textContent;
  const number = (text) => text === '' ? NaN : Number(text);
  const order = (a, b) => {
    const x = number(value(a)), y = number(value(b));
    if (!isNaN(x) && !isNaN(y)) return down ? y - x : x - y;
    if (isNaN(x) !== isNaN(y)) return isNaN(x) ? 1 : -1;
    return (down ? -1 : 1) * value(a).localeCompare(value(b));
  };
  body.append(...[...body.rows].sort(order));
};
"""
FURTHER_STYLE = """
.wide { overflow-x: auto } .wide td { white-space: nowrap } 
.wide td.why { white-space: normal; min-width: 20rem }
th button { font: inherit; font-weight: 600; border: 0; background: none; padding: 0; cursor: pointer;
            color: inherit; text-align: inherit }
th[aria-sort=ascending] button::after { content: " \\25b2" }
th[aria-sort=descending] button::after { content: " \\25bc" }
tr.best td { font-weight: 600 } thead th { vertical-align: bottom }
tfoot td { font-weight: 600; border-top: 2px solid #8a94a3 }
"""


@frozen(kw_only=True)
class About:
    """What a page says of the sweep as a whole.

    rank, lowest  the figure that ranks, and whether the lowest is the best
    """

    task: Task
    rank: str
    lowest: bool


def write_sweep_report(
    folder: Path, outcomes: Sequence[Outcome], about: About, made_at: datetime | None = None
) -> None:
    """Write ``report.html`` of a sweep's points."""
    plots, words = _of_points(outcomes, about)
    _write(folder, "Sweep", about, len(outcomes), plots, words, made_at)


def write_walk_report(
    folder: Path, steps: Sequence[Step], about: About, made_at: datetime | None = None
) -> None:
    """Write ``report.html`` of a walk forward: windows first, then the points over all of them."""
    every = [
        evolve(own[0], number=number, figures=totals([o.figures for o in own]), error=_first_error(own))
        for number, own in enumerate(zip(*(step.tried for step in steps), strict=True))
    ]
    plots, words = _of_points(every, about)
    head = (
        f"<h2>Windows</h2><p>The choice changed {changes(steps)} of {max(len(steps) - 1, 0)} times. Every "
        "run begins afresh, with the positions given. Of what can be added up there is the mean of a "
        f"trading day.</p>{_windows(steps, about.rank)}"
    )
    between = (
        "<h2>In sample, all windows together</h2><p>Each point over every window; sums of days that "
        "several windows have in sample count several times.</p>"
    )
    _write(
        folder,
        "Walk forward",
        about,
        len(every),
        [*window_plots(steps, about.rank), *plots],
        words,
        made_at,
        head=head,
        between=(len(window_plots(steps, about.rank)), between),
    )


def _first_error(outcomes: Iterable[Outcome]) -> str | None:
    return next((outcome.error for outcome in outcomes if outcome.error), None)


def _of_points(outcomes: Sequence[Outcome], about: About) -> tuple[list[Any], str]:
    """Return the plots of points and what stands below them."""
    best = ranked(outcomes, about.rank, about.lowest)
    known = [outcome for outcome in best if outcome.figures.get(about.rank) is not None]
    first = lines(known, about.rank)
    plots = [] if first is None else [first]
    plots += heat_maps(known, about.rank, about.lowest) if known else []
    return plots, _ranking(best, about.rank)


def _write(
    folder: Path,
    title: str,
    about: About,
    count: int,
    plots: Sequence[Any],
    words: str,
    made_at: datetime | None,
    head: str = "",
    between: tuple[int, str] = (0, ""),
) -> None:
    from bokeh.embed import components
    from bokeh.resources import Resources

    script, blocks = components(plots) if plots else ("", [])
    library = Resources(mode="inline", components=["bokeh"]).render_js() if plots else ""
    sections = [f"<section>{block}</section>" for block in blocks]
    sections.insert(between[0], between[1])
    made = datetime.now(UTC) if made_at is None else made_at
    page = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}{FURTHER_STYLE}</style>{library}'
        f"</head><body>{_head(title, about, count, made)}{head}{''.join(sections)}{words}{script}"
        f"<script>{SORT}</script></body></html>\n"
    )
    with whole_file(folder / REPORT) as part:
        part.write_text(page, encoding="utf-8")


def _head(title: str, about: About, count: int, made_at: datetime) -> str:
    files = ", ".join(f"{file.name} ({file.sha256[:12]}…)" for file in about.task.data.digests)
    order = "lowest" if about.lowest else "highest"
    return (
        f"<h1>{title}: {count:,} points by {escape(about.rank)}</h1>"
        f"<p>The {order} {escape(about.rank)} is the best: {escape(FIGURES[about.rank])}. Data: "
        f"{escape(files)}. Made {made_at:%Y-%m-%d %H:%M} UTC. Draw a box over an axis of the lines to choose "
        "among them, with Shift over another one, too; the table then shows those alone, until Esc.</p>"
    )


# --- tables ------------------------------------------------------------------------------------


def _ranking(best: Sequence[Outcome], rank: str) -> str:
    names = short_names(best[0].settings)
    shown = tuple(dict.fromkeys((rank, *SHOWN)))
    failed = any(outcome.error for outcome in best)
    head = ["place", *names.values(), *shown, *(["error"] if failed else [])]
    rows = []
    for place, outcome in enumerate(best[:MOST_ROWS], 1):
        cells = [place, *(outcome.settings[key] for key in names), *(outcome.figures.get(f) for f in shown)]
        kind = ' class="best"' if place == 1 and outcome.error is None else ""
        error = f"<td class=why>{escape(outcome.error or '')}</td>" if failed else ""
        rows.append(f'<tr{kind} data-point="{outcome.number}">{"".join(map(_cell, cells))}{error}</tr>')
    return (
        f"<h2>Ranking</h2>{_limits(best)}{_keys(names)}<div class=wide><table><thead><tr>"
        + "".join(map(_heading, head))
        + f"</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _limits(best: Sequence[Outcome]) -> str:
    told = []
    if len(best) > MOST_LINES:
        told.append(f"Lines and table show the best {MOST_LINES:,}.")
    if len(pairs(best)) == MOST_PAIRS:
        told.append(f"Heat maps show the first {MOST_PAIRS} pairs of keys.")
    if told:
        told.append("The Parquet file beside this page has all.")
    return f"<p>{' '.join(told)}</p>" if told else ""


def _keys(names: Mapping[str, str]) -> str:
    told = ", ".join(f"{escape(short)} is <code>{escape(key)}</code>" for key, short in names.items())
    return f"<p>A click on a heading sorts by it. {told}.</p>"


def _heading(name: str) -> str:
    broken = escape(name).replace("_", "_<wbr>").replace("/", "/<wbr>")
    return f'<th scope="col"><button>{broken}</button></th>'


def _cell(value: Any) -> str:
    if value is None:
        return '<td class="n" data-v="">–</td>'
    if isinstance(value, int | float) and not isinstance(value, bool):
        text = f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"
        return f'<td class="n" data-v="{value!r}">{text}</td>'
    return f"<td>{escape(str(value))}</td>"


def _windows(steps: Sequence[Step], rank: str) -> str:
    shown = tuple(dict.fromkeys((rank, "net", "drawdown", "hedges")))
    names = short_names(steps[0].tried[0].settings)
    head = ["window", "in sample", "out of sample", *names.values(), "choice"]
    head += [f"{heading(figure)} {side}" for figure in shown for side in ("in", "out")]
    body = "".join(f"<tr>{''.join(map(_cell, _row(step, names, shown)))}</tr>" for step in steps)
    whole = [value for figure in shown for value in sides(walked(steps), figure)]
    foot = f'<td colspan="{4 + len(names)}">all windows</td>' + "".join(map(_cell, whole))
    return (
        "<div class=wide><table><thead><tr>"
        + "".join(map(_heading, head))
        + f"</tr></thead><tbody>{body}</tbody><tfoot><tr>{foot}</tr></tfoot></table></div>"
    )


def _row(step: Step, names: Mapping[str, str], shown: Sequence[str]) -> list[Any]:
    window = step.window
    chosen = [None if step.choice is None else step.choice.settings[key] for key in names]
    kept = {None: "", True: "changed", False: "kept"}[step.changed]
    return [
        window.number,
        days_told(window.train),
        days_told(window.test),
        *chosen,
        step.error or kept,
        *(value for figure in shown for value in sides([step], figure)),
    ]
