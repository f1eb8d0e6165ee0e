"""The gateway's record on disk, so that what it took and did outlives its process."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from attrs import fields
from cattrs import Converter

from bifrost_ib.simgateway.account import Opening
from bifrost_ib.simgateway.orders import Execution, Order

SCHEMA = """
CREATE TABLE IF NOT EXISTS openings (code TEXT PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS highest_ids (client_id INTEGER PRIMARY KEY, order_id INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS orders (perm_id INTEGER PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS executions (base_id TEXT PRIMARY KEY, number INTEGER NOT NULL, body TEXT NOT NULL);
"""

Row = TypeVar("Row", Order, Execution, Opening)


def _converter() -> Converter:
    converter = Converter()
    converter.register_unstructure_hook(Decimal, str)
    converter.register_structure_hook(Decimal, lambda value, _: Decimal(value))
    return converter


CONVERTER = _converter()


class Record:
    """Openings, orders, executions and the highest order ids, in one SQLite file.

    Each call commits before it returns, so a killed process loses nothing that was told.
    Raises sqlite3.Error.
    """

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(SCHEMA)

    def openings(self, given: Mapping[str, Opening]) -> dict[str, Opening]:
        """Return what the accounts began with; those that are new begin with what is ``given``."""
        rows = [(code, _body(opening)) for code, opening in given.items()]
        self._db.executemany("INSERT OR IGNORE INTO openings VALUES (?, ?)", rows)
        found = dict(self._db.execute("SELECT code, body FROM openings"))
        return {code: _made(found[code], Opening) for code in given}

    def orders(self) -> list[Order]:
        """Return all orders, in order of arrival."""
        return self._all("SELECT body FROM orders ORDER BY perm_id", Order)

    def executions(self) -> list[Execution]:
        """Return all executions as last corrected, in order of time."""
        return self._all("SELECT body FROM executions ORDER BY number", Execution)

    def highest_ids(self) -> dict[int, int]:
        """Return the highest order id by client id."""
        return dict(self._db.execute("SELECT client_id, order_id FROM highest_ids"))

    def keep_highest_id(self, client_id: int, order_id: int) -> None:
        """Remember that a client used an order id."""
        self._db.execute("INSERT OR REPLACE INTO highest_ids VALUES (?, ?)", (client_id, order_id))

    def keep_order(self, order: Order) -> None:
        """Remember what an order is now."""
        self._db.execute("INSERT OR REPLACE INTO orders VALUES (?, ?)", (order.perm_id, _body(order)))

    def keep_fill(self, order: Order, execution: Execution) -> None:
        """Remember an execution, or its correction, and what its order is now."""
        number = int(execution.exec_id.split(".")[1], 16)
        self._db.execute("BEGIN")
        self.keep_order(order)
        self._db.execute(
            "INSERT OR REPLACE INTO executions VALUES (?, ?, ?)",
            (execution.base_id, number, _body(execution)),
        )
        self._db.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _all(self, query: str, kind: type[Row]) -> list[Row]:
        return [_made(body, kind) for (body,) in self._db.execute(query)]


def _body(value: Any) -> str:
    row = CONVERTER.unstructure(value)
    if isinstance(value, Order):
        row["echo"] = {name: _echoed(item) for name, item in value.echo.items()}
    return json.dumps(row)


def _echoed(item: Any) -> Any:
    return str(item) if isinstance(item, Decimal) else item


def _made(body: str, kind: type[Row]) -> Row:
    known = {attribute.name for attribute in fields(kind)}
    row = {name: value for name, value in json.loads(body).items() if name in known}
    made: Row = CONVERTER.structure(row, kind)
    return made
