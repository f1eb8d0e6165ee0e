"""Each plugin may fail in each way; the others, and the books, don't notice. Through the whole daemon."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from daemon_under_test import OPEN_ACCOUNT, QUICK, broker_of, eager, sink_of

from bifrost_engine.daemon import sinks, threads
from bifrost_engine.domain.fill import EXTERNAL
from bifrost_engine.errors import DataError, PluginError
from bifrost_engine.replay import pipeline

TWO_MINUTES = {"seconds": 120, "step_ms": 3000}
ORDERS = ("hedge_intent", "order_sent", "fill", "reject", "cancel")


def story(home, *, of: str | None = None) -> list[tuple[Any, ...]]:
    """Return what was ordered and filled when, without the orders' names."""
    return [
        (row["ts"], row["type"], row["side"], row["quantity"], row["price"])
        for row in home.operations(*ORDERS)
        if of in (None, row["strategy_id"])
    ]


def check_books(home, daemon) -> None:
    """Check that the journal and the broker's record tell the same orders, fills and positions."""
    ledger = broker_of(daemon)._venue.ledger
    orders = daemon.engine.core.state.orders
    theirs = {coid: order.filled for coid, order in ledger.orders.items()}
    assert {coid: order.cum_quantity for coid, order in orders.items() if coid in theirs} == theirs
    assert all(order.cum_quantity == 0 for coid, order in orders.items() if coid not in theirs)
    positions = daemon.engine.core.state.portfolio.account_quantities()
    assert {k: q for k, q in positions.items() if q} == {
        key: holding.quantity for key, holding in ledger.account.holdings.items() if holding.quantity
    }
    outside = daemon.engine.core.state.portfolio.books.get(EXTERNAL)
    assert outside is None or not any(p.quantity for p in outside.positions.values())
    home.records()  # the chain verifies


# --- the broker --------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["raise", "raise_after", "hang", "nonsense"])
def test_an_order_of_unknown_outcome_blocks_and_is_resolved_and_none_is_sent_twice(home, how, monkeypatch):
    monkeypatch.setattr(pipeline, "PLACE_DEADLINE_S", 0.02)
    here = home(wave=TWO_MINUTES, mischief={**QUICK, "wrong": {"place_order": f"{how}:3"}})
    daemon = here.run()
    sent = [request.client_order_id for request in broker_of(daemon).placed]
    events = [record.payload for record in here.records("order_event")]
    doubted = [e["order"]["client_order_id"] for e in events if e["to_state"] == "UNKNOWN" != e["from_state"]]
    assert len(sent) == len(set(sent)) > 3
    assert doubted[:3] == sent[:3]
    reached = how in ("raise_after", "nonsense")
    resolved = {order.state for coid, order in daemon.engine.core.state.orders.items() if coid in doubted}
    assert resolved == ({"FILLED"} if reached else {"REJECTED"})
    check_books(here, daemon)
    for unknown in sent[:3]:  # while it was unknown no other left
        since = next(i for i, e in enumerate(events) if e["order"]["client_order_id"] == unknown)
        until = next(
            i
            for i, e in enumerate(events)
            if e["order"]["client_order_id"] == unknown and e["to_state"] in resolved
        )
        assert {e["order"]["client_order_id"] for e in events[since:until]} == {unknown}


def test_a_broker_that_never_sends_says_so_and_nothing_is_left_open(home):
    here = home(wave=TWO_MINUTES, mischief={**QUICK, "wrong": {"place_order": "not_sent"}})
    daemon = here.run()
    assert {order.state for order in daemon.engine.core.state.orders.values()} == {"REJECTED"}
    assert not here.operations("fill")
    check_books(here, daemon)


def test_a_broker_whose_code_raises_on_a_quote_counts_as_lost_and_is_connected_anew(home):
    here = home(
        wave=TWO_MINUTES,
        daemon={"ib_retry_interval": 20, "shutdown_grace_seconds": 1},
        mischief={**QUICK, "wrong": {"on_tick": "raise:5"}},
    )
    daemon = here.run()
    assert broker_of(daemon).connects == 2
    begun = float(here.operations("start")[0]["ts"])
    fills = [float(row["ts"]) - begun for row in here.operations("fill")]
    assert fills
    assert min(fills) >= 20
    assert daemon.engine.core.connected
    check_books(here, daemon)


def test_a_broker_that_raises_on_every_quote_keeps_the_daemon_up_and_its_hands_still(home):
    here = home(
        wave=TWO_MINUTES,
        daemon={"ib_retry_interval": 20, "shutdown_grace_seconds": 1},
        mischief={**QUICK, "wrong": {"on_tick": "raise"}},
    )
    daemon = here.run()
    assert broker_of(daemon).connects == 6  # at once, and each 20 s of the two minutes
    assert broker_of(daemon).placed == []
    assert daemon.stop_reason == "the feed has ended"


@pytest.mark.parametrize("how", ["raise", "nonsense"])
def test_without_the_brokers_state_nothing_is_sent_until_it_can_be_read(home, how):
    here = home(wave=TWO_MINUTES, mischief={**QUICK, "wrong": {"fetch_broker_state": f"{how}:3"}})
    daemon = here.run()
    results = [r.payload["result"] for r in here.records("recon_end")]
    assert results[:4] == ["INCOMPLETE", "INCOMPLETE", "INCOMPLETE", "CLEAN"]
    begun = float(here.operations("start")[0]["ts"])
    assert float(here.operations("order_sent")[0]["ts"]) - begun >= 7  # tried after 1, 2 and 5 s
    check_books(here, daemon)


@pytest.mark.parametrize(
    "odd", [{"price": "NaN"}, {"quantity": "NaN"}, {"quantity": "0"}, {"quantity": "-10"}], ids=str
)
def test_a_fill_whose_numbers_say_nothing_is_kept_as_an_incident_and_the_broker_is_asked(home, odd):
    wrong = {"place_order": "odd_fill:1"}
    here = home(wave=TWO_MINUTES, mischief={**QUICK, "wrong": wrong, "odd": odd})
    daemon = here.run()
    (event,) = [r for r in here.records("order_event") if "BAD_EVENT" in (r.payload["incident"] or "")]
    assert event.payload["outcome"] == "ILLEGAL"
    assert "odd revision 1" in event.payload["incident"]
    assert event.ts_ns in broker_of(daemon).fetched_ns
    assert len(here.operations("incident")) == 1
    assert daemon.intake.refused == {}
    check_books(here, daemon)


def test_a_fill_whose_commission_says_nothing_is_booked_without_it(home):
    wrong, odd = {"place_order": "odd_fill:1"}, {"commission": "NaN"}
    here = home(wave=TWO_MINUTES, mischief={**QUICK, "wrong": wrong, "odd": odd})
    here.run()
    fill = here.records("fill")[0].payload
    assert (fill["base_id"], fill["quantity"], fill["commission"]) == ("odd", "10", None)


def test_a_snapshot_with_an_execution_that_says_nothing_isnt_complete(home):
    wrong, odd = {"place_order": "raise:1", "fetch_broker_state": "odd_fill"}, {"price": "NaN"}
    here = home(wave=TWO_MINUTES, mischief={**QUICK, "wrong": wrong, "odd": odd})
    daemon = here.run()
    assert daemon.pipeline.counters["execution_left_out"] == len(broker_of(daemon).fetched_ns) - 1
    assert not here.operations("incident")
    assert [order.state for order in daemon.engine.core.state.orders.values()] == ["UNKNOWN"]


def test_a_bust_is_a_revision_without_quantity_and_takes_the_execution_back(home):
    here = home(wave=TWO_MINUTES, mischief={**QUICK, "wrong": {"place_order": "busted_fill:1"}})
    daemon = here.run()
    fills = [record.payload for record in here.records("fill")][:3]
    told = [(fill["base_id"] == "odd", fill["revision"], fill["quantity"]) for fill in fills]
    assert told == [(True, 1, "10"), (True, 2, "0"), (False, 1, "10")]
    assert daemon.intake.refused == {}
    check_books(here, daemon)


@pytest.mark.parametrize("how", ["raise", "nonsense"])
def test_a_broker_that_doesnt_say_what_it_can_do_is_named_and_nothing_starts(home, how):
    here = home(wave=TWO_MINUTES, mischief={**QUICK, "wrong": {"broker_caps": how}})
    with pytest.raises(PluginError, match="brokers:mischief doesn't say what it can do"):
        here.run()


# --- the feed ----------------------------------------------------------------------------


@pytest.mark.parametrize("nonsense", ["text", "none", "float_time"])
def test_a_feed_that_gives_nonsense_ends_the_run_in_good_order(home, nonsense):
    here = home(wave={**TWO_MINUTES, "nonsense_after": 20, "nonsense": nonsense})
    daemon = here.daemon(speed=1000.0)  # paced: each quote is looked at
    with pytest.raises(DataError, match="isn't a quote"):
        asyncio.run(daemon.run())
    assert [row["type"] for row in here.operations()][-1] == "stopped"
    assert len(here.operations("fill")) in (19, 20)
    check_books(here, daemon)


def test_a_feed_that_raises_ends_the_run_in_good_order_and_working_orders_are_cancelled(home):
    here = home(
        wave={**TWO_MINUTES, "nonsense_after": 20, "wrong": {"read_quotes": "raise"}},
        mischief={**QUICK, "latency_ms": 700},
    )
    daemon = here.daemon()
    with pytest.raises(DataError, match="wave raised RuntimeError: read_quotes: mischief"):
        asyncio.run(daemon.run())
    assert daemon.stop_reason.startswith("the feed failed")
    assert {order.state for order in daemon.engine.core.state.orders.values()} <= {"FILLED", "CANCELED"}
    check_books(here, daemon)


# --- sinks -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> list[tuple[Any, ...]]:
    """What is ordered and filled when no sink is there."""
    import mischief
    from daemon_under_test import Home

    folder = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(mischief.install(folder)))
        home = Home(folder, wave=TWO_MINUTES)
        home.run()
    return story(home)


@pytest.mark.parametrize(
    ("sink", "wrong"),
    [
        ("plain", {"write_operation": "raise", "write_snapshot": "raise", "write_heartbeat": "raise"}),
        ("plain", {"write_operation": "block"}),
        ("plain", {"write_snapshot": "block"}),
        ("plain", {"poll_control": "block"}),
        ("plain", {"poll_control": "raise"}),
        ("plain", {"poll_control": "nonsense"}),
        ("batched", {"write_audit": "raise"}),
        ("batched", {"write_audit": "unavailable"}),
        ("batched", {"write_audit": "nonsense"}),
        ("batched", {"write_audit": "nothing"}),
        ("batched", {"write_audit": "block"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "+".join(f"{h} {w}" for h, w in value.items()),
)
def test_whatever_a_sink_does_trading_is_the_same(home, undisturbed, monkeypatch, sink, wrong):
    monkeypatch.setattr(threads, "SINK_PATIENCE_S", 0.3)
    monkeypatch.setattr(threads, "FIRST_POLL_S", 0.2)
    other = "batched" if sink == "plain" else "plain"
    here = home(wave=TWO_MINUTES, status={"sink": [sink, other], sink: {"wrong": wrong}})
    daemon = here.run()
    assert story(here) == undisturbed
    good = sink_of(daemon, other)
    if other == "plain":
        assert [row["type"] for row in good.operations] == [row["type"] for row in here.operations()]
    else:
        assert [row.jseq for row in good.rows] == [record.jseq for record in here.records()]
    assert good.left


def test_a_sink_that_floods_gets_one_command_a_poll_and_a_refusal_for_each(home, undisturbed, monkeypatch):
    monkeypatch.setattr(sinks, "POLL_S", 1.0)
    here = home(wave=TWO_MINUTES, status={"sink": ["plain"], "plain": {"flood": True}})
    daemon = here.run(speed=60.0)
    refused = [row for row in here.operations() if row["type"].startswith("flood")]
    assert 1 <= len(refused) <= 5
    assert all(row["state_reason"].startswith("refused: no command") for row in refused)
    assert story(here) == undisturbed
    assert daemon.stop_reason == "the feed has ended"


# --- strategies --------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["raise", "nonsense", "flood"])
def test_a_strategy_that_fails_or_floods_leaves_the_others_alone(home, undisturbed, how):
    bad = eager(id="bad", symbol="AMD", after=10, wrong={"on_tick": how})
    here = home(wave=TWO_MINUTES, strategies=[bad, eager()], account=OPEN_ACCOUNT)
    daemon = here.run()
    assert story(here, of="eager") == undisturbed
    types = Counter(row["type"] for row in here.operations() if row["strategy_id"] == "bad")
    if how == "flood":
        assert types["fill"] == 40
    else:
        assert types["hold"] == 1
        assert types["order_sent"] == 10
        assert "strategy_raised" in daemon.engine.snapshots()[0]["block_reasons"]
    check_books(here, daemon)
