"""The dashboard for Grafana asks for metrics and labels that there are, and its panels don't overlap."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[2] / "docs"
DASHBOARD = json.loads((DOCS / "grafana-dashboard.json").read_text("utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [pytest.param(t["expr"], id=f"{p['title']} {t['refId']}") for p in PANELS for t in p["targets"]]
ROW = re.compile(r"^\| `(bifrost_\w+)` \| ([^|]*)\| (counter:|histogram:)?", re.MULTILINE)
ENDINGS = {"counter:": ("_total",), "histogram:": ("_bucket", "_sum", "_count"), "": ("",)}
OF_PROMETHEUS = {"instance", "le"}


def known() -> dict[str, set[str]]:
    """Return the labels of each series, by the reference, which other tests hold against scrapes."""
    table = ROW.findall((DOCS / "reference" / "metrics.md").read_text("utf-8"))
    return {
        name + ending: {label.strip() for label in labels.split(",")}
        for name, labels, kind in table
        for ending in ENDINGS[kind]
    }


@pytest.mark.parametrize("query", QUERIES)
def test_what_is_asked_for_exists_with_the_labels_that_are_used(query):
    series = re.findall(r"\bbifrost_\w+", query)
    assert series
    assert [name for name in series if name not in known()] == []
    used = {label.strip() for group in re.findall(r"by \(([^)]*)\)", query) for label in group.split(",")}
    used |= set(re.findall(r"(\w+)=~?\"", query))
    assert used - OF_PROMETHEUS <= set.intersection(*(known()[name] for name in series))


def test_a_legend_names_labels_that_are_left_of_the_series():
    for panel in PANELS:
        for target in panel["targets"]:
            named, query = set(re.findall(r"{{(\w+)}}", target["legendFormat"])), target["expr"]
            grouped = re.search(r"sum(?: by \(([^)]*)\))?", query)
            left = (grouped[1] or "").split(", ") if grouped else known()[query.partition("{")[0]]
            assert named <= set(left), panel["title"]


def test_the_instances_to_choose_from_are_those_of_the_daemon_and_the_monitor():
    (chosen,) = [v for v in DASHBOARD["templating"]["list"] if v["name"] == "instance"]
    assert set(re.findall(r"\bbifrost_\w+", chosen["definition"])) <= set(known())


@pytest.mark.parametrize(
    "name",
    [
        *("bifrost_ticks_total", "bifrost_decisions_total", "bifrost_orders", "bifrost_queue_length"),
        *("bifrost_ack_seconds_bucket", "bifrost_sink_lag_seconds", "bifrost_reconnects_total"),
    ],
)
def test_what_an_operator_looks_for_is_shown(name):
    assert any(name in query.values[0] for query in QUERIES)


def test_panels_have_numbers_of_their_own_and_do_not_overlap():
    panels: list[dict[str, Any]] = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells
