"""The page of a result: complete in itself, of a size that can be sent, and true to the tables."""

from __future__ import annotations

import re

import pytest
from generated_day import market, write_config, write_quotes

from bifrost_engine.cli.main import run
from bifrost_engine.replay.report import MOST_POINTS, MOST_SPANS, RESIDUAL, band_of, block_spans, thinned

pytest.importorskip("bokeh")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    config = write_config(folder / "bifrost.yaml")
    data = write_quotes(folder / "day.csv", market(12))
    out = folder / "out"
    assert run(["backtest", "--config", str(config), "--data", str(data), "--out", str(out)]) == 0
    return (out / "report.html").read_text("utf-8")


def test_it_needs_nothing_else_and_is_below_three_megabytes(page):
    assert len(page.encode()) < 3_000_000
    assert re.findall(r"<(?:script|link|img)[^>]*(?:src|href)=", page) == []


def test_it_shows_each_curve_and_each_table(page):
    for title in ("Result, all strategies", "Drawdown", "Net delta of gamma", "Price, and hedges of gamma"):
        assert title in page
    for caption in ("All strategies", "By day, USD", "Made of, USD", "Slippage to mid", "No order for"):
        assert f"<caption>{caption}</caption>" in page
    assert page.count(RESIDUAL) == 1  # of one strategy


def span(code: str, first: int, until: int, outcome: str = "FILTERED") -> dict[str, object]:
    return {"codes": [code], "first": first, "until": until, "outcome": outcome}


def test_touching_spans_of_a_reason_are_one_and_orders_are_none():
    rows = [span("a", 0, 5), span("b", 5, 6), span("a", 6, 9), span("a", 9, 20), span("c", 20, 30, "ALLOW")]
    assert block_spans(rows) == [("a", 0, 5), ("a", 6, 20), ("b", 5, 6)]


def test_of_too_many_spans_the_longest_are_shown():
    rows = [span("a", 10 * n, 10 * n + (9 if n < 100 else 1)) for n in range(MOST_SPANS + 500)]
    found = block_spans(rows)
    assert len(found) <= MOST_SPANS
    assert sum(until - first == 9 for _, first, until in found) == 100


def test_a_long_curve_is_thinned_out_with_its_extremes_and_ends_kept():
    rows = [{"ts": n, "total": n % 1_000} for n in range(100_000)]
    rows[7_777]["total"], rows[63_210]["total"], rows[5]["total"] = 10**6, -(10**6), None
    kept = thinned(rows, "total")
    times = [row["ts"] for row in kept]
    assert len(kept) <= MOST_POINTS + 2
    assert times == sorted(times)
    assert (times[0], times[-1]) == (0, 99_999)
    assert {7_777, 63_210} <= set(times)
    assert thinned([], "total") == []


def test_a_short_curve_is_left_as_it_is_but_for_what_is_unknown():
    rows = [{"total": 1.0}, {"total": None}, {"total": 3.0}]
    assert thinned(rows, "total") == [rows[0], rows[2]]


def test_the_band_is_that_of_the_strategy():
    def delta(epsilon: float) -> dict[str, object]:
        return {
            "gates": {"state": {"delta": {"epsilon_band": epsilon, "threshold_hedge_shares": 2 * epsilon}}}
        }

    single = {"provenance": {"config": delta(5)}}
    several = {"provenance": {"config": {"strategies": [{"id": "a", **delta(3)}, {"id": "b", **delta(4)}]}}}
    assert band_of(single, "gamma") == {"epsilon": 5.0, "threshold": 10.0}
    assert band_of(several, "b") == {"epsilon": 4.0, "threshold": 8.0}
