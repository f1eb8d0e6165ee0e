"""The feed ``replay``."""

from __future__ import annotations

from collections import Counter
from importlib.metadata import entry_points

from bifrost_engine.domain import Contract
from bifrost_engine.replay.feed import ReplayFeed

ROWS = """ts_ms,contract_key,bid,ask,bid_size,ask_size
1,SPY|STK|||,1,2,3,4
2,TWX|STK|||,1,2,3,4
3,TWX|OPT|20140621|70|C,1,2,3,4
"""


def make_feed(tmp_path) -> ReplayFeed:
    (tmp_path / "q.csv").write_text(ROWS)
    return ReplayFeed(ReplayFeed.Config(path=str(tmp_path / "q.csv")), context=None)


def test_without_wanted_contracts_everything_is_played(tmp_path):
    feed = make_feed(tmp_path)
    assert [quote.ts_ns for quote in feed.read_quotes([])] == [1_000_000, 2_000_000, 3_000_000]
    assert feed.skipped == Counter()


def test_options_of_a_wanted_stock_are_played_and_other_symbols_counted(tmp_path):
    feed = make_feed(tmp_path)
    assert [quote.ts_ns for quote in feed.read_quotes([Contract.stock("TWX")])] == [2_000_000, 3_000_000]
    assert feed.skipped == Counter({"other_symbol": 1})


def test_the_feed_is_installed_under_the_name_replay():
    (entry,) = entry_points(group="bifrost.feeds", name="replay")
    assert entry.load() is ReplayFeed
