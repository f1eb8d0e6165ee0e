"""What the daemon reports, as rows: state, history, operations, heartbeat, accounts, prices.

Each ``write_…`` takes the mapping of its hook and stores it in one transaction. Rows that
go through the journal are turned here (``operation_row``, ``history_row``) and stored by
``drain``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from psycopg import Connection

from bifrost_engine.domain.contract import parse_contract_key
from bifrost_pg.values import document, instant, price, real, rounded, text, whole

Row = tuple[Any, ...]
Fields = Mapping[str, Any]
Convert = Callable[[Any], Any]

STATUS: dict[str, Convert] = {
    "daemon_state": text,
    "trading_state": text,
    "symbol": text,
    "spot": real,
    "bid": real,
    "ask": real,
    "net_delta": real,
    "stock_position": rounded,
    "option_legs_count": rounded,
    "daily_hedge_count": rounded,
    "daily_pnl": real,
    "data_lag_ms": real,
    "config_summary": text,
    "ts": real,
    "strategy_id": text,
}
HISTORY_COLUMNS = (*STATUS, "detail")
DETAIL_NUMBERS = ("gamma", "theta", "vega")

OPERATION: dict[str, Convert] = {
    "ts": real,
    "type": text,
    "side": text,
    "quantity": whole,
    "price": real,
    "state_reason": text,
    "strategy_id": text,
    "client_order_id": text,
    "trace_id": text,
}
OPERATION_COLUMNS = (*OPERATION, "journal_id", "jseq")

POSITION: dict[str, Convert] = {
    "contract_key": text,
    "symbol": text,
    "sec_type": text,
    "exchange": text,
    "currency": text,
    "position": real,
    "avg_cost": real,
    "expiry": text,
    "strike": real,
    "option_right": text,
    "multiplier": real,
}
SUMMARY = ("net_liquidation", "total_cash", "buying_power")
CONTRACT = ("symbol", "sec_type", "expiry", "strike", "option_right")


def insert(table: str, columns: Sequence[str], tail: str = "") -> str:
    """Return an INSERT of one row; names are ours, values are parameters, ``now()`` may stand for one."""
    names = [name.removesuffix("=now()") for name in columns]
    marks = ["now()" if name.endswith("=now()") else "%s" for name in columns]
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(marks)}) {tail}"


def upsert(table: str, key: Sequence[str], columns: Sequence[str]) -> str:
    """Return an INSERT that overwrites the row of the same key."""
    names = [name.removesuffix("=now()") for name in columns]
    changes = ", ".join(f"{name} = EXCLUDED.{name}" for name in names if name not in key)
    return insert(table, columns, f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changes}")


# --- state and operations ------------------------------------------------------------------


def history_row(snapshot: Fields) -> Row:
    """Return a snapshot's values in the order of ``HISTORY_COLUMNS``.

    Counts are whole in their columns; a position with a fraction is rounded there and
    kept as it is in ``detail``. Raises ValueError for a number that is none.
    """
    detail = {name: value for name, value in snapshot.items() if name not in STATUS}
    detail |= {name: real(detail[name]) for name in DETAIL_NUMBERS if name in detail}
    position = snapshot.get("stock_position")
    if rounded(position) != real(position):
        detail["stock_position"] = str(position)
    return (*(convert(snapshot.get(name)) for name, convert in STATUS.items()), document(detail))


def operation_row(operation: Fields, journal_id: str | None, jseq: int | None) -> Row:
    """Return an operation's values in the order of ``OPERATION_COLUMNS``.

    Raises ValueError for a number that is none, or a quantity with a fraction.
    """
    return (*(convert(operation.get(name)) for name, convert in OPERATION.items()), journal_id, jseq)


_CURRENT = upsert("status_current", ("id",), ("id", *HISTORY_COLUMNS))
_HISTORY = insert("status_history", HISTORY_COLUMNS)
_OPERATION = insert("operations", OPERATION_COLUMNS, "ON CONFLICT (journal_id, jseq) DO NOTHING")


def write_snapshot(conn: Connection[Any], row_id: int, snapshot: Fields, history: bool) -> None:
    """Overwrite a strategy's row of ``status_current``; with ``history`` add one to ``status_history``."""
    row = history_row(snapshot)
    with conn.transaction():
        conn.execute(
            "DELETE FROM status_current WHERE strategy_id = %s AND id <> %s",
            (snapshot.get("strategy_id"), row_id),
        )
        conn.execute(_CURRENT, (row_id, *row))
        if history:
            conn.execute(_HISTORY, row)


def write_operation(conn: Connection[Any], operation: Fields) -> None:
    """Add one operation; the same journal number again changes nothing."""
    row = operation_row(operation, operation.get("journal_id"), operation.get("jseq"))
    with conn.transaction():
        conn.execute(_OPERATION, row)
        tell_outcome(conn, operation)


def tell_outcome(conn: Connection[Any], operation: Fields) -> None:
    """Write into ``daemon_control`` what became of the command that ``operation`` reports, if it does."""
    command_id = str(operation.get("command_id") or "")
    if operation.get("source") != "postgres" or not command_id.isdecimal():
        return
    outcome = text(operation.get("outcome") or operation.get("state_reason") or operation.get("type"))
    conn.execute("UPDATE daemon_control SET outcome = %s WHERE id = %s", (outcome, int(command_id)))


# --- heartbeat -----------------------------------------------------------------------------

HEARTBEAT_COLUMNS = (
    "id",
    "last_ts",
    "hedge_running",
    "ib_connected",
    "ib_client_id",
    "next_retry_ts",
    "seconds_until_retry",
    "graceful_shutdown_at",
    "interval_s",
    "hostname",
    "pid",
    "version",
    "role",
)
_HEARTBEAT = upsert("daemon_heartbeat", ("id",), HEARTBEAT_COLUMNS)
SMALLEST_INT_MAX = 32767


def heartbeat_row(beat: Fields) -> Row:
    """Return a heartbeat's values in the order of ``HEARTBEAT_COLUMNS``."""
    now_ns, retry_ns = int(beat["last_ts_ns"]), beat.get("next_retry_ns")
    wait_s = None if retry_ns is None else -((now_ns - int(retry_ns)) // 1_000_000_000)
    running = beat.get("hedge_running")
    return (
        1,
        instant(now_ns),
        beat.get("daemon_state") == "RUNNING" if running is None else bool(running),
        bool(beat.get("broker_connected")),
        whole(beat.get("ib_client_id")),
        instant(retry_ns),
        None if wait_s is None else min(max(wait_s, 0), SMALLEST_INT_MAX),
        instant(beat.get("graceful_shutdown_ns")),
        real(beat.get("interval_s")),
        text(beat.get("hostname")),
        whole(beat.get("pid")),
        text(beat.get("version")),
        text(beat.get("role") or "active"),
    )


def write_heartbeat(conn: Connection[Any], beat: Fields) -> None:
    """Overwrite the daemon's row of ``daemon_heartbeat``, a transaction of one statement."""
    conn.execute(_HEARTBEAT, heartbeat_row(beat))


# --- accounts and prices -------------------------------------------------------------------

_ACCOUNT = upsert("accounts", ("account_id",), ("account_id", *SUMMARY, "summary_extra", "updated_at=now()"))
_POSITION = upsert(
    "account_positions", ("account_id", "contract_key"), ("account_id", *POSITION, "updated_at=now()")
)
_GONE = "DELETE FROM account_positions WHERE account_id = %s AND contract_key <> ALL(%s)"


def write_accounts(conn: Connection[Any], accounts: Sequence[Fields]) -> None:
    """Store accounts with their positions; drop positions that a complete snapshot lacks.

    Accounts that aren't in the list stay, and so do all rows of an account whose fetch
    failed (``complete`` not true) or brought nothing, neither summary nor positions.
    """
    with conn.transaction():
        for account in sorted(accounts, key=lambda item: str(item["account_id"])):
            _write_account(conn, account)


def _write_account(conn: Connection[Any], account: Fields) -> None:
    account_id = str(account["account_id"])
    summary, positions = account.get("summary") or {}, account.get("positions") or ()
    if summary:
        extra = {name: value for name, value in summary.items() if name not in SUMMARY}
        amounts = [real(summary.get(name)) for name in SUMMARY]
        conn.execute(_ACCOUNT, (account_id, *amounts, document(extra)))
    rows: list[Row] = sorted(
        (account_id, *(convert(item.get(name)) for name, convert in POSITION.items())) for item in positions
    )
    conn.cursor().executemany(_POSITION, rows)
    if account.get("complete") and (summary or positions):
        conn.execute(_GONE, (account_id, [row[1] for row in rows]))


PRICE_COLUMNS = ("contract_key", *CONTRACT, "last", "bid", "ask", "mid", "updated_at")
_PRICE = upsert("instrument_prices", ("contract_key",), PRICE_COLUMNS)


def price_row(item: Fields) -> Row:
    """Return a price's values in the order of ``PRICE_COLUMNS``; mid is that of bid and ask, else last."""
    key = str(item["contract_key"])
    contract = parse_contract_key(key)
    last, bid, ask = (price(item.get(name)) for name in ("last", "bid", "ask"))
    mid = last if bid is None or ask is None else (bid + ask) / 2
    expiry = contract.expiry and f"{contract.expiry:%Y%m%d}"
    named = (contract.symbol, str(contract.sec_type), expiry, real(contract.strike), text(contract.right))
    return (key, *named, last, bid, ask, mid, instant(item.get("updated_ns")))


def write_prices(conn: Connection[Any], prices: Sequence[Fields]) -> None:
    """Overwrite the latest price of each contract."""
    in_order = sorted(prices, key=lambda item: str(item["contract_key"]))
    with conn.transaction():
        conn.cursor().executemany(_PRICE, [price_row(item) for item in in_order])
