"""What plugins count: kept by plugin and name, whatever they count, and shown to who scrapes."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from bifrost_engine.daemon.counting import MOST_NAMES, PluginCounts
from bifrost_engine.testing import make_context


def rows(*counted: tuple[Any, ...]) -> dict[tuple[str, str], float]:
    counts = PluginCounts()
    for one in counted:
        counts.take(*one)
    return dict(counts.rows())


def test_counts_add_up_by_plugin_and_event():
    found = rows(("ib", "lost"), ("ib", "lost", 2), ("ib", "late", 0.5), ("pg", "lost"))
    assert found == {("ib", "lost"): 3, ("ib", "late"): 0.5, ("pg", "lost"): 1}


@pytest.mark.parametrize("event", ["", "Lost", "a b", "é", "x" * 61, None, 7, ["lost"]])
def test_what_has_no_usable_name_is_one_of_the_others(event):
    assert rows(("ib", event, 5)) == {("ib", "other"): 1}


@pytest.mark.parametrize("amount", [-1, float("nan"), float("inf"), "2", None])
def test_what_has_no_usable_amount_is_one_of_the_others(amount):
    assert rows(("ib", "lost", amount)) == {("ib", "other"): 1}


def test_beyond_a_hundred_names_a_plugin_has_others_and_the_names_it_has_go_on():
    found = rows(*(("ib", f"name{n}") for n in range(MOST_NAMES + 50)), ("ib", "name0"), ("pg", "name999"))
    assert len(found) == MOST_NAMES + 2
    assert (found["ib", "other"], found["ib", "name0"], found["pg", "name999"]) == (50, 2, 1)


def test_counting_from_several_threads_loses_nothing():
    counts = PluginCounts()

    def count() -> None:
        for _ in range(20_000):
            counts.take("ib", "lost")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert dict(counts.rows()) == {("ib", "lost"): 80_000}


def test_a_tests_context_keeps_what_was_counted(tmp_path):
    context = make_context(tmp_path)
    context.count("lost")
    context.count("lost", 2)
    assert context.counted == {"lost": 3}
