from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bifrost_engine.daemon.standing import by_database

NOW = datetime(2025, 3, 3, 15, 0, tzinfo=UTC)


def status(**beat):
    heart = {
        "last_ts": NOW,
        "interval_s": 10.0,
        "pid": 7,
        "hostname": "trader",
        "graceful_shutdown_at": None,
    } | beat
    row = {"id": 1, "symbol": "SPY", "detail": {"gamma": 1.5, "block_reasons": ["x"]}}
    return {
        "now": NOW,
        "strategies": [row],
        "heartbeat": heart,
        "run_status": {"suspended": True, "killed": False},
    }


@pytest.mark.parametrize(
    ("age_s", "interval_s", "alive"),
    [(0, 10, True), (30, 10, True), (31, 10, False), (100, 60, True), (181, 60, False)],
)
def test_a_heart_is_silent_after_three_intervals_and_no_sooner_than_30_s(
    age_s: int, interval_s: int, alive: bool
):
    found = by_database(status(last_ts=NOW - timedelta(seconds=age_s), interval_s=interval_s), "db")
    assert found.daemon["alive"] is alive
    assert ("vanished" in found.daemon["text"]) is not alive


def test_a_graceful_end_is_told_apart_from_a_vanished_daemon():
    found = by_database(status(graceful_shutdown_at=NOW), "db")
    assert found.daemon["text"].startswith("stopped in good order")
    assert found.daemon["alive"] is False


def test_a_database_that_no_daemon_has_written_to_says_so():
    found = by_database({"now": NOW, "strategies": [], "heartbeat": None, "run_status": None}, "db")
    assert found.daemon["text"] == "no daemon has written to this database yet"
    assert (found.suspended, found.killed) == (False, False)


def test_details_stand_beside_the_columns():
    found = by_database(status(), "db")
    assert (found.strategies[0]["symbol"], found.strategies[0]["gamma"]) == ("SPY", 1.5)
    assert found.suspended is True


def test_the_account_is_told_with_the_times_of_its_values():
    account = {"net_liquidation": 5.0, "total_cash": 1.0, "updated_at": NOW}
    day = {"day_pnl": "2.5", "ts": NOW + timedelta(seconds=3)}
    found = by_database({**status(), "accounts": [account], "account_day": day}, "db")
    assert (found.account["ts"], found.account["day_pnl_ts"]) == (NOW.timestamp(), NOW.timestamp() + 3)
    nothing = by_database(status(), "db").account
    assert (nothing["ts"], nothing["day_pnl_ts"]) == (None, None)
