"""A shadow's run on a stream that the test writes, in the test's own process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import structlog
from generated_day import LEGS, OPEN_NS, market, write_config

from bifrost_engine.daemon.assemble import RunOptions, load_config
from bifrost_engine.daemon.shadow.config import TAKEN_ALONG
from bifrost_engine.daemon.shadow.run import follow
from bifrost_engine.daemon.shadow.state import read_state
from bifrost_engine.daemon.shadow.stream import Beginning, Ending, Item, Portion
from bifrost_engine.domain import parse_contract_key
from bifrost_engine.domain.broker import BrokerPosition
from bifrost_engine.domain.greeks import BrokerGreeks
from bifrost_engine.domain.record import Record
from bifrost_engine.journal import JournalReader
from bifrost_engine.replay.paper_run import on_paper

STOCK = "NVDA|STK|||"
SECOND_NS = 1_000_000_000


def beginning(folder: Path, claims: Any = None, held: Any = None, **changed: Any) -> Beginning:
    settings = write_config(folder / "calm.yaml", **changed)
    config = load_config(RunOptions(config_path=settings), {}).config
    config = on_paper(config, "sim", record="durable", positions={})
    assert set(config.sections) <= {*TAKEN_ALONG}
    state = folder / "calm"
    state.mkdir(exist_ok=True)
    return Beginning(
        name="calm",
        path=settings,
        config=config,
        folder=state,
        at_ns=OPEN_NS,
        positions=tuple(
            BrokerPosition(contract=parse_contract_key(key), quantity=Decimal(quantity), average_cost=cost)
            for key, (quantity, cost) in (held or {key: (10, None) for key in LEGS}).items()
        ),
        claims=claims or {},
    )


def portions(items: Iterable[Item], size: int = 100) -> list[Portion]:
    listed = list(items)
    return [Portion(listed[at : at + size], 0) for at in range(0, len(listed), size)]


def records(folder: Path) -> list[Record]:
    with JournalReader(folder / "calm" / "journal-DPAPER.db") as reader:
        return list(reader.records())


def operations(folder: Path, type: str) -> list[Any]:
    return [r.payload for r in records(folder) if r.kind == "operation" and r.payload["type"] == type]


def run(given: Beginning, *values: Any) -> int:
    return asyncio.run(follow(given, iter(values), structlog.get_logger()))


def test_however_the_stream_is_cut_the_same_comes_of_it(tmp_path):
    quotes = list(market(10))
    told = []
    for size in (7, 100, len(quotes)):
        folder = tmp_path / str(size)
        folder.mkdir()
        assert run(beginning(folder), *portions(quotes, size), Ending("the end")) == 0
        told.append([(r.jseq, r.ts_ns, r.kind) for r in records(folder)])
    assert told[0] == told[1] == told[2]
    assert operations(tmp_path / "7", "order_sent")


def test_without_quotes_the_live_run_s_beat_lets_its_time_pass(tmp_path):
    quotes = list(market(2))
    later_ns = quotes[-1].ts_ns + 60 * SECOND_NS

    run(beginning(tmp_path), *portions(quotes), Portion([], later_ns), Ending("the end"))

    seen = read_state(tmp_path / "calm")
    assert seen is not None
    assert seen.ts is not None
    assert later_ns - seen.ts * 1e9 <= 10 * SECOND_NS, "up to a beat of its own"
    last = [r for r in records(tmp_path) if r.kind == "signal" and "facts" in r.payload][-1]
    assert last.ts_ns > quotes[-1].ts_ns
    assert last.payload["facts"]["trading_state"] == "SAFE", "its quotes have grown old"


def test_a_stream_that_breaks_off_is_a_daemon_that_is_gone(tmp_path):
    assert run(beginning(tmp_path), *portions(market(2))) == 0

    state = read_state(tmp_path / "calm")
    assert state is not None
    assert (state.ended, state.quotes) == ("the daemon is gone", len(list(market(2))))
    (end,) = [r.payload for r in records(tmp_path) if r.kind == "run_end"]
    assert "the daemon is gone" in str(end)


def test_quotes_that_an_earlier_run_saw_are_not_seen_again(tmp_path):
    first, both = list(market(5)), list(market(6))
    run(beginning(tmp_path), *portions(first), Ending("the end"))
    run(beginning(tmp_path), *portions(both), Ending("the end"))

    state = read_state(tmp_path / "calm")
    assert state is not None
    assert state.quotes == len(both) - len(first)


def test_what_live_strategies_hold_is_taken_over_once_by_those_of_its_own(tmp_path):
    held = {**{key: (10, None) for key in LEGS}, STOCK: (-137, Decimal("119.5"))}
    given = beginning(tmp_path, claims={"gamma": {STOCK: Decimal(-100)}}, held=held)

    run(given, *portions(market(2)), Ending("the end"))
    run(given, *portions(market(3)), Ending("the end"))

    (claimed,) = operations(tmp_path, "claimed")
    assert (claimed["side"], int(claimed["quantity"]), float(claimed["price"])) == ("SELL", 100, 119.5)


@pytest.mark.parametrize("told", [True, False])
def test_greeks_of_the_broker_come_along(tmp_path, told):
    items: list[Item] = []
    for quote in market(3):
        if told and quote.contract_key in LEGS:
            sign = 1.0 if quote.contract_key == LEGS[0] else -1.0
            greeks = BrokerGreeks(
                contract_key=quote.contract_key,
                ts_ns=quote.ts_ns,
                delta=sign * 0.5 + 0.1,
                gamma=0.03,
                vega=10.0,
                theta=-20.0,
                volatility=0.35,
                underlying=120.0,
            )
            items.append(greeks)
        items.append(quote)

    run(beginning(tmp_path, greeks={"use_broker_greeks": True}), *portions(items), Ending("the end"))

    sent = operations(tmp_path, "order_sent")
    assert bool(sent) is told
    if told:
        assert (sent[0]["side"], int(sent[0]["quantity"])) == ("SELL", 200)  # 2 × 0.1 × 10 × 100


def test_a_journal_without_its_paper_account_is_not_gone_on_with(tmp_path):
    run(beginning(tmp_path), *portions(market(2)), Ending("the end"))
    (tmp_path / "calm" / "paper-DPAPER.db").unlink()

    assert run(beginning(tmp_path), *portions(market(3)), Ending("the end")) == 1

    state = read_state(tmp_path / "calm")
    assert state is not None
    assert state.failed
    assert "the journal is there without the broker's record" in state.ended
