"""The broker's record on disk: an account's orders, executions, positions, cash and next numbers.

One sqlite3 file per account, beside the journal. ``save`` is one transaction and returns
once it is on disk; so what was reported is never lost with the process. Rows are kept
for good; ``load`` returns the orders that work and those that ended lately.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

from attrs import Factory, define, evolve

from bifrost_engine.domain import (
    Contract,
    Execution,
    OrderRequest,
    OrderType,
    Purpose,
    Side,
    TimeInForce,
    parse_contract_key,
)
from bifrost_engine.errors import BrokerError
from bifrost_paper.account import Holding
from bifrost_paper.orders import PaperOrder, Status

SCHEMA_VERSION = 2
SCHEMA = """
CREATE TABLE numbers (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE contracts (
  contract_key TEXT PRIMARY KEY, multiplier TEXT NOT NULL, currency TEXT NOT NULL,
  exchange TEXT NOT NULL, tick_size TEXT NOT NULL);
CREATE TABLE orders (
  number INTEGER PRIMARY KEY, client_order_id TEXT NOT NULL UNIQUE,
  contract_key TEXT NOT NULL REFERENCES contracts, side TEXT NOT NULL, order_type TEXT NOT NULL,
  time_in_force TEXT NOT NULL, purpose TEXT NOT NULL, placed_ns INTEGER NOT NULL,
  quantity TEXT NOT NULL, limit_price TEXT, status TEXT NOT NULL, filled TEXT NOT NULL,
  value TEXT NOT NULL, commission TEXT NOT NULL, text TEXT NOT NULL, ends_ns INTEGER, closed_ns INTEGER);
CREATE INDEX orders_closed ON orders (closed_ns);
CREATE TABLE executions (
  base_id TEXT PRIMARY KEY, contract_key TEXT NOT NULL REFERENCES contracts, side TEXT NOT NULL,
  quantity TEXT NOT NULL, price TEXT NOT NULL, ts_ns INTEGER NOT NULL, commission TEXT,
  client_order_id TEXT, perm_id TEXT, busted INTEGER NOT NULL DEFAULT 0,
  revision INTEGER NOT NULL DEFAULT 1);
CREATE INDEX executions_ts ON executions (ts_ns);
CREATE TABLE holdings (
  contract_key TEXT PRIMARY KEY REFERENCES contracts, quantity TEXT NOT NULL, cost TEXT);
"""

LATEST = """
SELECT max(ns) FROM (
  SELECT max(placed_ns) AS ns FROM orders UNION ALL
  SELECT max(closed_ns) FROM orders UNION ALL
  SELECT max(ts_ns) FROM executions)
"""


@define(kw_only=True)
class Changes:
    """What one step changed, to be written together.

    executions  new or revised, by base id
    holdings  contract keys whose position changed
    busted    base ids of executions that were taken back
    """

    orders: dict[int, PaperOrder] = Factory(dict)
    executions: dict[str, Execution] = Factory(dict)
    busted: list[str] = Factory(list)
    holdings: dict[str, Contract] = Factory(dict)


@define(kw_only=True)
class Saved:
    """What a record held.

    numbers  ``cash``, ``next_order``, ``next_execution``, ``sessions``
    known    every client order id ever taken
    """

    numbers: dict[str, str]
    holdings: dict[str, Holding]
    orders: list[PaperOrder]
    executions: list[Execution]
    known: set[str]


class Record:
    """The file of one account; raises BrokerError if it is another account's or another version's."""

    def __init__(self, path: Path, account: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._account = account
        self._contracts: set[str] = set()
        _for_the_owner_only(path)
        # Autocommit: transactions begin and end below, where they are meant to.
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._check_version()

    def _check_version(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version == 1:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("ALTER TABLE executions ADD COLUMN revision INTEGER NOT NULL DEFAULT 1")
            self._db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
            self._db.execute("COMMIT")
            return
        if version not in (0, SCHEMA_VERSION):
            self._db.close()
            raise BrokerError(
                f"{self._path}: expected version {SCHEMA_VERSION} of the record, found {version}"
            )

    def load(self, since_ns: int) -> Saved | None:
        """Return what the record holds, or None if it is new.

        since_ns  orders and executions that ended before are left where they are
        """
        if self._db.execute("PRAGMA user_version").fetchone() == (0,):
            return None
        numbers = dict(self._db.execute("SELECT name, value FROM numbers").fetchall())
        if numbers["account"] != self._account:
            self._db.close()
            raise BrokerError(f"{self._path}: expected account {self._account}, found {numbers['account']}")
        contracts = self._load_contracts()
        return Saved(
            numbers=numbers,
            holdings={
                row["contract_key"]: Holding(
                    contract=contracts[row["contract_key"]],
                    quantity=Decimal(row["quantity"]),
                    cost=_amount(row["cost"]),
                )
                for row in self._rows("SELECT * FROM holdings ORDER BY rowid")
            },
            orders=[
                _order(row, contracts, self._account)
                for row in self._rows(
                    "SELECT * FROM orders WHERE closed_ns IS NULL OR closed_ns >= ? ORDER BY number", since_ns
                )
            ],
            executions=[
                _execution(row, contracts)
                for row in self._rows(
                    "SELECT * FROM executions WHERE ts_ns >= ? AND NOT busted ORDER BY rowid", since_ns
                )
            ],
            known={row["client_order_id"] for row in self._rows("SELECT client_order_id FROM orders")},
        )

    def _rows(self, query: str, *parameters: Any) -> list[dict[str, Any]]:
        with closing(self._db.execute(query, parameters)) as cursor:
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]

    def _load_contracts(self) -> dict[str, Contract]:
        contracts = {
            row["contract_key"]: evolve(
                parse_contract_key(row["contract_key"], Decimal(row["multiplier"])),
                currency=row["currency"],
                exchange=row["exchange"],
                tick_size=Decimal(row["tick_size"]),
            )
            for row in self._rows("SELECT * FROM contracts")
        }
        self._contracts = set(contracts)
        return contracts

    def create(self, numbers: Mapping[str, str], holdings: Iterable[Holding]) -> None:
        """Begin a new record, all or nothing."""
        statements = [s for s in SCHEMA.split(";") if s.strip()]
        self._db.execute("BEGIN IMMEDIATE")
        for statement in statements:
            self._db.execute(statement)
        self._write_numbers({**numbers, "account": self._account})
        for holding in holdings:
            self._write_holding(holding.contract, holding)
        self._db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        self._db.execute("COMMIT")

    def save(self, numbers: Mapping[str, str], changes: Changes, holdings: Mapping[str, Holding]) -> None:
        """Write what changed; returns once it is on disk. Raises sqlite3.Error, nothing being written."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._write_numbers(numbers)
            for order in changes.orders.values():
                self._write_order(order)
            for execution in changes.executions.values():
                self._write_execution(execution)
            for base_id in changes.busted:
                self._db.execute("UPDATE executions SET busted = 1 WHERE base_id = ?", (base_id,))
            for contract in changes.holdings.values():
                self._write_holding(contract, holdings.get(contract.key))
            self._db.execute("COMMIT")
        except sqlite3.Error:
            self._db.execute("ROLLBACK")
            self._contracts.clear()  # those just written are gone again
            raise

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _write_numbers(self, numbers: Mapping[str, str]) -> None:
        self._db.executemany(
            "INSERT INTO numbers VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            numbers.items(),
        )

    def _write_contract(self, contract: Contract) -> str:
        if contract.key not in self._contracts:
            self._db.execute(
                "INSERT OR IGNORE INTO contracts VALUES (?, ?, ?, ?, ?)",
                (
                    contract.key,
                    str(contract.multiplier),
                    contract.currency,
                    contract.exchange,
                    str(contract.tick_size),
                ),
            )
            self._contracts.add(contract.key)
        return contract.key

    def _write_order(self, order: PaperOrder) -> None:
        request = order.request
        self._db.execute(
            "INSERT OR REPLACE INTO orders VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(order.number, request.client_order_id, self._write_contract(request.contract)),
                *(request.side, request.order_type, request.time_in_force, request.purpose),
                *(order.placed_ns, str(order.quantity), _text(order.limit_price), order.status),
                *(str(order.filled), str(order.value), str(order.commission), order.text),
                *(order.ends_ns, order.closed_ns),
            ),
        )

    def _write_execution(self, execution: Execution) -> None:
        self._db.execute(
            "INSERT INTO executions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?) ON CONFLICT (base_id) DO UPDATE"
            " SET quantity = excluded.quantity, price = excluded.price, revision = excluded.revision",
            (
                *(execution.base_id, self._write_contract(execution.contract), execution.side),
                *(str(execution.quantity), str(execution.price), execution.ts_ns),
                *(_text(execution.commission), execution.client_order_id, execution.perm_id),
                execution.revision,
            ),
        )

    def _write_holding(self, contract: Contract, holding: Holding | None) -> None:
        if holding is None:
            self._db.execute("DELETE FROM holdings WHERE contract_key = ?", (contract.key,))
            return
        self._db.execute(
            "INSERT OR REPLACE INTO holdings VALUES (?, ?, ?)",
            (self._write_contract(contract), str(holding.quantity), _text(holding.cost)),
        )


def _for_the_owner_only(path: Path) -> None:
    """Make the file unless it is there, readable by nobody else; sqlite's side files take its mode."""
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    for side in ("", "-wal", "-shm"):
        one = path.with_name(path.name + side)
        if one.exists():
            one.chmod(0o600)


def latest_ns(path: Path) -> int | None:
    """Return the time of the last thing in a record, nanoseconds UTC; None if there is none.

    Raises BrokerError for a file that isn't a record.
    """
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(path)) as db:
            if db.execute("PRAGMA user_version").fetchone() == (0,):
                return None
            (latest,) = db.execute(LATEST).fetchone()
            return None if latest is None else int(latest)
    except sqlite3.Error as error:
        raise BrokerError(f"{path}: expected a paper broker's record: {error}") from error


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else str(amount)


def _amount(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _order(row: Mapping[str, Any], contracts: Mapping[str, Contract], account: str) -> PaperOrder:
    request = OrderRequest(
        client_order_id=row["client_order_id"],
        account=account,
        contract=contracts[row["contract_key"]],
        side=Side(row["side"]),
        quantity=Decimal(row["quantity"]),
        order_type=OrderType(row["order_type"]),
        limit_price=_amount(row["limit_price"]),
        time_in_force=TimeInForce(row["time_in_force"]),
        purpose=Purpose(row["purpose"]),
    )
    return PaperOrder(
        number=row["number"],
        request=request,
        placed_ns=row["placed_ns"],
        quantity=request.quantity,
        limit_price=request.limit_price,
        status=Status(row["status"]),
        filled=Decimal(row["filled"]),
        value=Decimal(row["value"]),
        commission=Decimal(row["commission"]),
        text=row["text"],
        ends_ns=row["ends_ns"],
        closed_ns=row["closed_ns"],
    )


def _execution(row: Mapping[str, Any], contracts: Mapping[str, Contract]) -> Execution:
    return Execution(
        base_id=row["base_id"],
        contract=contracts[row["contract_key"]],
        side=Side(row["side"]),
        quantity=Decimal(row["quantity"]),
        price=Decimal(row["price"]),
        ts_ns=row["ts_ns"],
        commission=_amount(row["commission"]),
        client_order_id=row["client_order_id"],
        perm_id=row["perm_id"],
        revision=row["revision"],
    )
