"""The page of a sweep: complete in itself, true to the points, and of use with a hand on it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from browser import Browser, executable, open_browser

from bifrost_engine.replay.dataset import DataFile
from bifrost_engine.replay.figures import FIGURES
from bifrost_engine.replay.mapped import Mapped
from bifrost_engine.replay.points import grid
from bifrost_engine.replay.sweep import Outcome, Task, ranked
from bifrost_engine.replay.walking import Step
from bifrost_engine.replay.windows import Window

pytest.importorskip("bokeh")

from bifrost_engine.replay.sweep_plots import axes_of, cells, pairs, short_names, varied
from bifrost_engine.replay.sweep_report import About, write_sweep_report, write_walk_report

AXES = {"a.width": [10, 20, 30], "b.width": ["low", "high"], "c.height": [1, 2], "c.fixed": [5]}
FAILED = 3


def load(_settings: object) -> object:
    raise NotImplementedError


def about() -> About:
    file = DataFile(name="day.csv", size=1, sha256="ab" * 32)
    data = Mapped(folder=Path(), source=Path("day.csv"), digests=(file,), start_ns=0, end_ns=None)
    return About(task=Task(load=load, data=data), rank="net", lowest=False)  # type: ignore[arg-type]


@pytest.fixture
def outcomes() -> list[Outcome]:
    """Points whose net result is their number, but one that failed."""
    made = []
    for point in grid(AXES):
        settings = dict(point.settings)
        figures = dict.fromkeys(FIGURES, 1.0) | {"net": float(point.number)}
        error = "didn't <fit>" if point.number == FAILED else None
        made.append(
            Outcome(number=point.number, settings=settings, figures={} if error else figures, error=error)
        )
    return made


def known(outcomes: list[Outcome]) -> list[Outcome]:
    return [outcome for outcome in ranked(outcomes, "net") if outcome.error is None]


# --- what is drawn -------------------------------------------------------------------------------


def test_a_key_is_named_by_as_little_as_tells_it_from_the_others():
    assert short_names(AXES) == {
        "a.width": "a.width",
        "b.width": "b.width",
        "c.height": "height",
        "c.fixed": "fixed",
    }


def test_an_axis_has_a_settings_values_evenly_and_a_figure_to_scale(outcomes):
    best = known(outcomes)
    width, word, height, net = axes_of(best, "net")  # what doesn't vary has none
    assert [axis.name for axis in (width, word, height, net)] == ["a.width", "b.width", "height", "net"]
    assert width.labels == [(0.0, "10"), (0.5, "20"), (1.0, "30")]
    assert word.labels == [(0.0, "low"), (1.0, "high")]  # as given
    assert net.labels == [(0.0, "0"), (1.0, "11")]
    assert [place * 11 for place in net.places] == pytest.approx([o.figures["net"] for o in best])


def test_a_cell_has_the_best_and_the_mean_of_all_points_with_its_two_settings(outcomes):
    best = known(outcomes)
    assert pairs(best) == [("a.width", "b.width"), ("a.width", "c.height"), ("b.width", "c.height")]
    assert set(varied(best)) == {"a.width", "b.width", "c.height"}
    first = cells(best, ("a.width", "b.width"), "net", lambda values: values[0])
    mean = cells(best, ("a.width", "b.width"), "net", lambda values: sum(values) / len(values))
    assert (first["30", "high"], mean["30", "high"]) == (11.0, 10.5)
    assert (first["10", "high"], mean["10", "high"]) == (2.0, 2.0)  # the other one has failed


# --- the page ------------------------------------------------------------------------------------


def test_it_needs_nothing_else_and_says_why_a_point_failed(outcomes, tmp_path):
    write_sweep_report(tmp_path, outcomes, about())
    page = (tmp_path / "report.html").read_text("utf-8")
    assert len(page.encode()) < 3_000_000
    assert re.findall(r"<(?:script|link|img)[^>]*(?:src|href)=", page) == []
    assert "didn&#x27;t &lt;fit&gt;" in page
    assert "<h1>Sweep: 12 points by net</h1>" in page


def test_a_sweep_in_which_nothing_came_to_anything_still_has_a_page(outcomes, tmp_path):
    write_sweep_report(tmp_path, [outcomes[FAILED]], about())
    assert "didn&#x27;t" in (tmp_path / "report.html").read_text("utf-8")


def test_a_walk_shows_both_sides_of_each_window(outcomes, tmp_path):
    days = [date(2025, 3, day) for day in (3, 4, 5, 6)]
    steps = []
    for number in range(2):
        window = Window(number=number, train=tuple(days[number : number + 2]), test=(days[number + 2],))
        choice = known(outcomes)[0]
        steps.append(Step(window=window, tried=outcomes, choice=choice, tested=outcomes[2], changed=False))
    write_walk_report(tmp_path, steps, about())
    page = (tmp_path / "report.html").read_text("utf-8")
    row = next(line for line in page.split("<tr>") if "2025-03-04 to 2025-03-05" in line)
    assert 'data-v="5.5"' in row  # 11 on two days
    assert 'data-v="2.0"' in row
    assert "The choice changed 0 of 1 times" in page


@pytest.fixture
def browser() -> Iterator[Browser]:
    if executable() is None:
        pytest.skip("needs Chromium")
    with open_browser() as made:
        yield made


def test_it_opens_from_disk_sorts_and_shows_what_a_box_chooses(outcomes, tmp_path, browser):
    write_sweep_report(tmp_path, outcomes, about())
    browser.go((tmp_path / "report.html").as_uri())
    browser.wait("Bokeh.documents.length > 0")
    first = "document.querySelector('tbody tr').dataset.point"
    assert browser.js(first) == "11"
    browser.js("[...document.querySelectorAll('th button')].find(b => b.textContent === 'net').click()")
    assert browser.js(first) == "11"  # highest first
    browser.js("[...document.querySelectorAll('th button')].find(b => b.textContent === 'net').click()")
    assert browser.js(first) == "0"
    assert browser.js("document.querySelector('tbody').lastElementChild.dataset.point") == str(FAILED)
    # What a box over the upper end of the first axis chooses, and one over the lower of the last.
    browser.js(
        """(() => {
          const sources = [...Bokeh.documents[0]._all_models.values()];
          const crossings = sources.find(m => m.data instanceof Map && m.data.has('row')
                                           || m.data && m.data.row);
          const column = name => crossings.data[name] ?? crossings.data.get(name);
          const last = Math.max(...column('axis'));
          crossings.selected.indices = [...column('y').keys()].filter(i =>
            column('axis')[i] === 0 && column('y')[i] > 0.9
            || column('axis')[i] === last && column('y')[i] < 0.8);
        })()"""
    )
    shown = (
        "[...document.querySelectorAll('tbody tr')].filter(r => !r.hidden).map(r => r.dataset.point).join()"
    )
    browser.wait(f"{shown} === '8'")
    assert browser.complaints == []
