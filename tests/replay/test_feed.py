"""The feed ``replay``."""

from __future__ import annotations

import asyncio
from collections import Counter
from importlib.metadata import entry_points

from bifrost_engine.domain import Contract
from bifrost_engine.hookspecs import PluginContext
from bifrost_engine.replay.feed import ReplayFeed

ROWS = """ts_ms,contract_key,bid,ask,bid_size,ask_size
1,SPY|STK|||,1,2,3,4
2,TWX|STK|||,1,2,3,4
3,TWX|OPT|20140621|70|C,1,2,3,4
"""


class Log:
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, int]]] = []

    def warning(self, event: str, **fields: int) -> None:
        self.told.append((event, fields))


def make_feed(tmp_path) -> ReplayFeed:
    (tmp_path / "q.csv").write_text(ROWS)
    context = PluginContext(name="replay", log=Log(), clock=None, state_dir=tmp_path, emit=lambda event: None)
    return ReplayFeed(ReplayFeed.Config(path=str(tmp_path / "q.csv")), context)


def test_without_wanted_contracts_everything_is_played(tmp_path):
    feed = make_feed(tmp_path)
    assert [quote.ts_ns for quote in feed.read_quotes([])] == [1_000_000, 2_000_000, 3_000_000]
    assert feed.skipped == Counter()


def test_options_of_a_wanted_stock_are_played_and_other_symbols_counted(tmp_path):
    feed = make_feed(tmp_path)
    assert [quote.ts_ns for quote in feed.read_quotes([Contract.stock("TWX")])] == [2_000_000, 3_000_000]
    assert feed.skipped == Counter({"other_symbol": 1})


def test_a_row_far_ahead_is_counted_and_not_played(tmp_path):
    feed = make_feed(tmp_path)
    with open(feed.path, "a") as file:
        file.write("600000,TWX|STK|||,1,2,3,4\n4,TWX|STK|||,1,2,3,4\n")
    times = [quote.ts_ns for quote in feed.read_quotes([])]
    assert times == [1_000_000, 2_000_000, 3_000_000, 4_000_000]
    assert feed.skipped == Counter({"ahead": 1})


def test_what_was_left_out_is_logged_at_the_end(tmp_path):
    feed = make_feed(tmp_path)
    asyncio.run(feed.disconnect())
    assert feed._log.told == []
    list(feed.read_quotes([Contract.stock("TWX")]))
    asyncio.run(feed.disconnect())
    assert feed._log.told == [("rows left out", {"other_symbol": 1})]


def test_the_feed_is_installed_under_the_name_replay():
    (entry,) = entry_points(group="bifrost.feeds", name="replay")
    assert entry.load() is ReplayFeed
