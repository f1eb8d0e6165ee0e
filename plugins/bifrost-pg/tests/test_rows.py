"""What the hooks write, read back from the tables."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from math import nan

import pytest
from psycopg.rows import dict_row

from bifrost_engine.domain.rows import SNAPSHOT_DETAIL, SNAPSHOT_FIELDS

SNAPSHOT = {
    "daemon_state": "RUNNING",
    "trading_state": "SAFE",
    "symbol": "NVDA",
    "spot": 500.25,
    "bid": 500.0,
    "ask": 500.5,
    "net_delta": -12.5,
    "stock_position": Decimal("-137"),
    "option_legs_count": 2,
    "daily_hedge_count": 3,
    "daily_pnl": Decimal("12.34"),
    "data_lag_ms": 7.0,
    "config_summary": "abc",
    "ts": 1_700_000_000.5,
    "strategy_id": "gamma",
    "dimensions": {"O": "O1", "D": "D2"},
    "gamma": "0.5",
    "theta": nan,
    "vega": 3.0,
    "block_reasons": ["L2"],
    "hedge_state": "EXEC_IDLE",
}


def rows(conn, query, *values):
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, values).fetchall()


def test_a_snapshot_is_stored_whole_and_overwrites_the_one_before(make_sink, conn):
    sink = make_sink()
    assert set(SNAPSHOT) == {*SNAPSHOT_FIELDS, *SNAPSHOT_DETAIL}
    sink.write_snapshot(SNAPSHOT)
    sink.write_snapshot(SNAPSHOT | {"spot": 501.0})
    (row,) = rows(conn, "SELECT * FROM status_current")
    detail = row.pop("detail")
    same = {name: SNAPSHOT[name] for name in (*SNAPSHOT_FIELDS, "strategy_id")}
    assert row == same | {"id": 1, "spot": 501.0, "stock_position": -137, "daily_pnl": 12.34}
    assert detail == {
        "dimensions": {"O": "O1", "D": "D2"},
        "gamma": 0.5,
        "theta": None,
        "vega": 3.0,
        "block_reasons": ["L2"],
        "hedge_state": "EXEC_IDLE",
    }
    assert rows(conn, "SELECT * FROM status_history") == []


def test_each_strategy_has_a_row_and_the_first_is_row_1(make_sink, conn):
    conn.execute("INSERT INTO status_current (id, strategy_id) VALUES (1, 'b'), (2, 'a')")
    sink = make_sink()
    for name in ("a", "b", "a"):
        sink.write_snapshot(SNAPSHOT | {"strategy_id": name})
    found = rows(conn, "SELECT id, strategy_id FROM status_current ORDER BY id")
    assert found == [{"id": 1, "strategy_id": "a"}, {"id": 2, "strategy_id": "b"}]


def test_history_is_appended_on_request_until_batches_bring_it(make_sink, conn, make_batch):
    sink = make_sink()
    sink.write_snapshot(SNAPSHOT, append_history=True)
    sink.write_audit(make_batch(1, 0))
    sink.write_snapshot(SNAPSHOT, append_history=True)
    assert [row["spot"] for row in rows(conn, "SELECT spot FROM status_history")] == [500.25]


def test_a_fraction_of_a_share_is_rounded_in_its_column_and_exact_in_the_detail(make_sink, conn):
    make_sink().write_snapshot(SNAPSHOT | {"stock_position": Decimal("10.35")})
    (row,) = rows(conn, "SELECT stock_position, detail ->> 'stock_position' AS exact FROM status_current")
    assert row == {"stock_position": 10, "exact": "10.35"}


def test_the_same_operation_twice_is_stored_once(make_sink, conn):
    sink = make_sink()
    operation = {"ts": 1.5, "type": "fill", "side": "SELL", "quantity": "300", "price": Decimal("1.25")}
    for jseq in (7, 7, 8):
        sink.write_operation(operation | {"state_reason": "D2", "journal_id": "j", "jseq": jseq})
    found = rows(conn, "SELECT jseq, ts, quantity, price FROM operations ORDER BY id")
    same = {"ts": 1.5, "quantity": 300, "price": 1.25}
    assert found == [{"jseq": 7} | same, {"jseq": 8} | same]


def test_a_heartbeat_fills_its_row(make_sink, conn):
    beat = {
        "last_ts_ns": 1_700_000_000_123_456_789,
        "daemon_state": "WAITING_IB",
        "hedge_running": False,
        "broker_connected": False,
        "ib_client_id": 1,
        "next_retry_ns": 1_700_000_002_000_000_000,
        "graceful_shutdown_ns": None,
        "interval_s": 10,
        "hostname": "trader1",
        "pid": 42,
        "version": "0.1.0",
        "role": "active",
    }
    sink = make_sink()
    sink.write_heartbeat(beat | {"graceful_shutdown_ns": 1})
    sink.write_heartbeat(beat)
    assert rows(conn, "SELECT * FROM daemon_heartbeat") == [
        {
            "id": 1,
            "last_ts": datetime(2023, 11, 14, 22, 13, 20, 123456, tzinfo=UTC),
            "hedge_running": False,
            "ib_connected": False,
            "ib_client_id": 1,
            "next_retry_ts": datetime(2023, 11, 14, 22, 13, 22, tzinfo=UTC),
            "seconds_until_retry": 2,  # 1.88 s, counted up
            "graceful_shutdown_at": None,
            "interval_s": 10.0,
            "hostname": "trader1",
            "pid": 42,
            "version": "0.1.0",
            "role": "active",
        }
    ]


@pytest.mark.parametrize(("retry_s", "shown"), [(-5, 0), (86_400, 32_767)])
def test_the_wait_until_the_next_attempt_stays_in_its_column(make_sink, conn, retry_s, shown):
    beat = {"last_ts_ns": 10**18, "daemon_state": "RUNNING", "next_retry_ns": 10**18 + retry_s * 10**9}
    make_sink().write_heartbeat(beat)
    (row,) = rows(conn, "SELECT seconds_until_retry AS s, hedge_running AS running FROM daemon_heartbeat")
    assert row == {"s": shown, "running": True}


# --- accounts ------------------------------------------------------------------------------


def account(account_id, *keys, complete=True, **summary):
    positions = [{"contract_key": key, "symbol": "NVDA", "position": "5", "multiplier": 100} for key in keys]
    return {"account_id": account_id, "summary": summary, "positions": positions, "complete": complete}


def held(conn):
    found = rows(conn, "SELECT account_id, contract_key FROM account_positions ORDER BY 1, 2")
    return [(row["account_id"], row["contract_key"]) for row in found]


def test_a_closed_position_disappears_and_other_accounts_stay(make_sink, conn):
    sink = make_sink()
    sink.write_accounts(
        [account("A", "x", "y", total_cash="10.5", margin="3"), account("B", "x", total_cash=1)]
    )
    sink.write_accounts([account("A", "y", "z", total_cash=Decimal("11.5"), margin="4")])
    assert held(conn) == [("A", "y"), ("A", "z"), ("B", "x")]
    found = rows(conn, "SELECT account_id, total_cash, buying_power, summary_extra FROM accounts ORDER BY 1")
    assert found[0] == {
        "account_id": "A",
        "total_cash": 11.5,
        "buying_power": None,
        "summary_extra": {"margin": "4"},
    }
    (row,) = rows(conn, "SELECT position, multiplier FROM account_positions WHERE contract_key = 'z'")
    assert row == {"position": 5.0, "multiplier": 100.0}


@pytest.mark.parametrize(
    "fetched",
    [
        [],
        [account("A", complete=False)],
        [account("A", complete=False, total_cash=1)],
        [account("A", "x", complete=False, total_cash=1)],
        [account("A")],
    ],
    ids=["no account", "failed", "positions failed", "half of the positions", "nothing"],
)
def test_an_empty_or_failed_fetch_deletes_nothing(make_sink, conn, fetched):
    sink = make_sink()
    sink.write_accounts([account("A", "x", "y", total_cash=1)])
    sink.write_accounts(fetched)
    assert held(conn) == [("A", "x"), ("A", "y")]


def test_the_last_position_closed_disappears_too(make_sink, conn):
    sink = make_sink()
    sink.write_accounts([account("A", "x", total_cash=1)])
    sink.write_accounts([account("A", total_cash=2)])
    assert held(conn) == []


# --- prices --------------------------------------------------------------------------------


def test_prices_carry_their_contract_and_a_mid(make_sink, conn):
    now_ns = 1_700_000_000 * 10**9
    make_sink().write_prices(
        [
            {
                "contract_key": "NVDA|OPT|20261218|72.5|C",
                "bid": 1.0,
                "ask": 1.5,
                "last": 9,
                "updated_ns": now_ns,
            },
            {"contract_key": "NVDA|STK|||", "bid": nan, "ask": 2.0, "last": 500.0, "updated_ns": now_ns},
            {"contract_key": "SPY|STK|||", "bid": -1, "ask": -1.0, "last": None, "updated_ns": None},
        ]
    )
    option, stock, empty = rows(conn, "SELECT * FROM instrument_prices ORDER BY contract_key")
    assert option == {
        "contract_key": "NVDA|OPT|20261218|72.5|C",
        "symbol": "NVDA",
        "sec_type": "OPT",
        "expiry": "20261218",
        "strike": 72.5,
        "option_right": "C",
        "last": 9.0,
        "bid": 1.0,
        "ask": 1.5,
        "mid": 1.25,
        "updated_at": datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC),
    }
    assert (stock["bid"], stock["ask"], stock["mid"], stock["expiry"]) == (None, 2.0, 500.0, None)
    assert (empty["bid"], empty["ask"], empty["last"], empty["mid"]) == (None, None, None, None)
