"""The gauge and the curves: where everything is, in percent of the space there is. Pure.

Positions are in percent and lines are stretched, so the same drawing fits a desk and a phone.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from math import ceil, floor, log10
from zoneinfo import ZoneInfo

from attrs import frozen

from bifrost_monitor.answers import Band, Operation, Point
from bifrost_monitor.wording import clock, figure, whole

STOPS = (0.4, 25.0, 38.0, 50.0, 62.0, 75.0, 99.6)
"""Where −force, −threshold, −epsilon, 0, epsilon, threshold and force are on the gauge, percent."""
OPEN, CLOSE = (9, 30), (16, 0)
BUCKETS = 200
STEPS = (1.0, 2.0, 5.0)
Mark = tuple[float, float, str, str]
"""A hedge: where it is, across and down in percent, its side and its label."""


# --- the gauge -----------------------------------------------------------------------------


@frozen
class Gauge:
    """A net delta on its scale; ``stops`` are position and label of each mark."""

    at: float
    due: bool
    stops: list[tuple[float, str]]
    text: str


def gauge(delta: float | None, band: Band | None) -> Gauge | None:
    """Return the gauge, None while there is nothing to show."""
    if delta is None or band is None:
        return None
    marks = [-band.force, -band.threshold, -band.epsilon, 0.0, band.epsilon, band.threshold, band.force]
    text = (
        f"{figure(delta, 1, signed=True)} shares; in band to {whole(band.epsilon)}, hedge from"
        f" {whole(band.threshold)}, forced from {whole(band.force)}"
    )
    labels = [whole(mark, signed=True) for mark in marks]
    return Gauge(
        at=_on_scale(delta, marks),
        due=abs(delta) >= band.threshold,
        stops=list(zip(STOPS, labels, strict=True)),
        text=text,
    )


def _on_scale(value: float, marks: Sequence[float]) -> float:
    held = min(max(value, marks[0]), marks[-1])
    i = min(max(bisect_right(marks, held) - 1, 0), len(marks) - 2)
    width = marks[i + 1] - marks[i]
    share = (held - marks[i]) / width if width else 0.0
    return round(STOPS[i] + share * (STOPS[i + 1] - STOPS[i]), 2)


def next_hedge(
    spot: float | None, delta: float | None, gamma: float | None, band: Band | None
) -> tuple[float, float] | None:
    """Return the spots below and above at which the delta reaches a threshold, as far as gamma holds.

    None where that can't be said, or a hedge is due already.
    """
    if spot is None or delta is None or not gamma or band is None or abs(delta) >= band.threshold:
        return None
    low, high = sorted(spot + (side * band.threshold - delta) / gamma for side in (-1, 1))
    return (low, high) if low > 0 else None


# --- the curves ----------------------------------------------------------------------------


@frozen(kw_only=True)
class Panel:
    """One curve: ``path`` in a box of 1000 by 100, ticks and lines at heights in percent.

    dues  where the next hedge falls due: height and label
    """

    name: str
    kind: str
    path: str
    ticks: list[tuple[float, str]]
    bounds: list[tuple[float, str]]
    band: tuple[float, float] | None
    end: tuple[float, float, str] | None
    hedges: list[Mark]
    dues: list[tuple[float, str]]


@frozen(kw_only=True)
class Chart:
    """The day's curves, and what the keys read: ``points`` are x|time|spot|delta|result;…

    marks  times that are marked through all curves: place in percent, kind and label
    """

    panels: list[Panel]
    hours: list[tuple[float, str]]
    marks: list[tuple[float, str, str]]
    points: str
    text: str


def chart(
    points: Sequence[Point],
    fills: Sequence[Operation],
    band: Band | None,
    zone: ZoneInfo,
    *,
    told: Sequence[Operation] = (),
    live: bool = True,
    next_hedge: tuple[float, float] | None = None,
) -> Chart | None:
    """Return the curves of the day of the newest point; None without one.

    told        what operators did, of which kills and their ends are marked
    next_hedge  spots at which the next hedge falls due, below and above
    """
    if not points:
        return None
    start, end = span(points[0].ts, points[-1].ts, zone)
    x = _scale(start, end, 1000.0)
    kept = [fill for fill in fills if fill.ts is not None and start <= fill.ts <= end]
    spots = [(p.ts, p.spot) for p in points if p.spot is not None]
    spots += [(f.ts, f.price) for f in kept if f.price is not None and f.ts is not None]
    deltas = [(p.ts, p.net_delta) for p in points if p.net_delta is not None]
    results = [(p.ts, p.daily_pnl) for p in points if p.daily_pnl is not None]
    hedges = [fill for fill in kept if fill.price is not None]
    threshold = band.threshold if band else None
    panels = [
        _panel(
            "Price, hedges marked", "price", sorted(spots), x, start, end, 2, hedges=hedges, dues=next_hedge
        ),
        _panel("Net delta", "delta", deltas, x, start, end, 1, band=band, about=threshold),
        _panel("Day P&L", "result", results, x, start, end, 2, signed=True),
    ]
    newest = points[-1]
    text = (
        f"Price {figure(newest.spot)}, net delta {figure(newest.net_delta, 1, signed=True)},"
        f" day P&L {figure(newest.daily_pnl, 2, signed=True)}; {len(kept)} fills."
    )
    ends = [] if live else [(_at(newest.ts, x) / 10, "stale", f"no data since {clock(newest.ts, zone)[:5]}")]
    return Chart(
        panels=[panel for panel in panels if panel],
        hours=list(_hours(start, end, zone)),
        marks=[*_switched(told, start, newest.ts, x, zone), *ends],
        points=_read(points, x, zone),
        text=text,
    )


def span(first: float, last: float, zone: ZoneInfo) -> tuple[float, float]:
    """Return the axis of a day: the regular session, by whole hours wider if it must be."""
    day = datetime.fromtimestamp(last, zone)
    opens = day.replace(hour=OPEN[0], minute=OPEN[1], second=0, microsecond=0).timestamp()
    closes = day.replace(hour=CLOSE[0], minute=CLOSE[1], second=0, microsecond=0).timestamp()
    start = opens if first >= opens else floor(first / 3600) * 3600.0
    return start, closes if last <= closes else ceil(last / 3600) * 3600.0


def _scale(start: float, end: float, size: float) -> tuple[float, float]:
    return start, size / (end - start)


def _at(value: float, scale: tuple[float, float]) -> float:
    return round((value - scale[0]) * scale[1], 1) + 0.0  # never −0


def axis(low: float, high: float, least: float = 0.0) -> tuple[float, float, float]:
    """Return bottom, top and step of an axis: bounds on whole steps, so it grows in few jumps."""
    size = max(high - low, least, 1e-9)
    power = 10.0 ** floor(log10(size / 4.0))
    step = next((s * power for s in STEPS if s * power >= size / 4.0), 10.0 * power)
    bottom, top = floor(low / step) * step, ceil(high / step) * step
    return bottom, top if top > bottom else bottom + step, step


def _panel(
    name: str,
    kind: str,
    values: list[tuple[float, float]],
    x: tuple[float, float],
    start: float,
    end: float,
    digits: int,
    *,
    band: Band | None = None,
    about: float | None = None,
    hedges: Sequence[Operation] = (),
    dues: tuple[float, float] | None = None,
    signed: bool = False,
) -> Panel | None:
    values = [(ts, value) for ts, value in values if start <= ts <= end]
    if not values:
        return None
    numbers = [value for _, value in values]
    low, high = min(numbers), max(numbers)
    if about is not None:
        high = max(abs(low), abs(high), 1.5 * about)
        low = -high
    elif signed:
        low, high = min(low, 0.0), max(high, 0.0)
    bottom, top, step = axis(low, high)
    y = (top, -100.0 / (top - bottom))
    count = round((top - bottom) / step)
    places = 0 if step >= 1 else 2 if kind == "price" else 1
    ticks = [
        (_at(bottom + i * step, y), figure(bottom + i * step, places, kind != "price"))
        for i in range(count + 1)
    ]
    last_ts, last = values[-1]
    return Panel(
        name=name,
        kind=kind,
        path=_path(_thinned(values, start, end), x, y),
        ticks=ticks,
        bounds=[(_at(side * about, y), whole(side * about, True)) for side in (1, -1)] if about else [],
        band=None if band is None else (_at(band.epsilon, y), round(2 * band.epsilon * -y[1], 1)),
        end=(_at(last_ts, x) / 10, _at(last, y), figure(last, digits, signed or kind == "delta")),
        hedges=_readable([_mark(fill, x, y) for fill in hedges]),
        dues=[(at, figure(spot)) for spot in dues or () if 0.0 <= (at := _at(spot, y)) <= 100.0],
    )


ROOM = (3.5, 14.0)
"""How far apart two labels must be at least, in percent across and down."""


def _readable(marks: Iterable[Mark]) -> list[Mark]:
    """Return the marks, without the labels that would lie upon an earlier one's."""
    told: list[Mark] = []
    kept: list[Mark] = []
    for at, height, side, label in marks:
        near = (
            before[2] == side and at - before[0] < ROOM[0] and abs(height - before[1]) < ROOM[1]
            for before in told[-5:]
        )
        kept.append((at, height, side, "" if any(near) else label))
        if kept[-1][3]:
            told.append(kept[-1])
    return kept


SWITCHED = {"kill": ("killed", "✕ killed"), "clear_kill": ("cleared", "kill cleared")}
"""Type of an operation → kind and label of its mark."""


def _switched(
    told: Iterable[Operation], start: float, end: float, x: tuple[float, float], zone: ZoneInfo
) -> Iterable[tuple[float, str, str]]:
    for one in told:
        if one.type in SWITCHED and one.ts is not None and start <= one.ts <= end:
            kind, label = SWITCHED[one.type]
            yield _at(one.ts, x) / 10, kind, f"{label} {clock(one.ts, zone)[:5]}"


def _mark(fill: Operation, x: tuple[float, float], y: tuple[float, float]) -> Mark:
    assert fill.ts is not None
    assert fill.price is not None
    size = (fill.quantity or 0) * (1 if fill.side == "BUY" else -1)
    return _at(fill.ts, x) / 10, _at(fill.price, y), fill.side or "", whole(size, signed=True)


def _path(values: Iterable[tuple[float, float]], x: tuple[float, float], y: tuple[float, float]) -> str:
    pairs = [f"{_at(ts, x):g} {_at(value, y):g}" for ts, value in values]
    return "M" + "L".join(pairs)


def _thinned(values: Sequence[tuple[float, float]], start: float, end: float) -> list[tuple[float, float]]:
    """Return as much of a curve as can be seen: lowest, highest and last of each stretch of time."""
    stretches: dict[int, list[tuple[float, float]]] = {}
    for ts, value in values:
        stretches.setdefault(int((ts - start) / (end - start) * BUCKETS), []).append((ts, value))
    kept: list[tuple[float, float]] = []
    for inside in stretches.values():
        chosen = {min(inside, key=lambda one: one[1]), max(inside, key=lambda one: one[1]), inside[-1]}
        kept += sorted(chosen)
    return kept


def _hours(start: float, end: float, zone: ZoneInfo) -> Iterable[tuple[float, str]]:
    every = 1 if end - start <= 8 * 3600 else 2 if end - start <= 14 * 3600 else 4
    at = datetime.fromtimestamp(start, zone).replace(minute=0, second=0)
    x = _scale(start, end, 100.0)
    while at.timestamp() <= end:
        if at.timestamp() >= start and at.hour % every == 0:
            yield _at(at.timestamp(), x), f"{at:%H:%M}"
        at += timedelta(hours=1)


def _read(points: Sequence[Point], x: tuple[float, float], zone: ZoneInfo) -> str:
    last: dict[int, Point] = {}
    for point in points:
        last[int(_at(point.ts, x) / 1000 * BUCKETS)] = point
    return ";".join(
        f"{_at(p.ts, x) / 10:g}|{clock(p.ts, zone)}|{figure(p.spot)}"
        f"|{figure(p.net_delta, 1, signed=True)}|{figure(p.daily_pnl, 2, signed=True)}"
        for p in last.values()
    )
