"""Positions to begin with, from a file or a database: quantities, and costs where they are known."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import yaml

from bifrost_engine.domain.contract import parse_contract_key
from bifrost_engine.errors import ConfigError

COLUMNS = ("contract_key", "quantity", "average_cost", "multiplier")


def read_positions(path: Path) -> dict[str, Any]:
    """Return contract key → quantity and what else the file says of it.

    A ``.csv`` has the columns ``contract_key`` and ``quantity``, and may have ``average_cost`` and
    ``multiplier``; any other file is YAML or JSON: contract key → quantity, or a mapping of the latter three.

    Raises ConfigError, naming what is wrong.
    """
    try:
        text = path.read_text("utf-8-sig")
        rows = _of_csv(path, text) if path.suffix == ".csv" else _of_yaml(path, text)
    except (OSError, UnicodeError, yaml.YAMLError, csv.Error) as error:
        raise ConfigError(f"{path}: positions can't be read: {' '.join(str(error).split())}") from error
    found: dict[str, Any] = {}
    for key, values in rows:
        try:
            contract_key = parse_contract_key(key).key
            position = {name: Decimal(str(value)) for name, value in values.items()}
        except (ValueError, InvalidOperation) as error:
            raise ConfigError(f"{path}: position {key!r}: {error or 'expected numbers'}") from error
        if contract_key in found or "quantity" not in position or position.keys() - {*COLUMNS}:
            raise ConfigError(
                f"{path}: position {key!r}: expected each contract once, with its quantity and at most "
                f"{', '.join(COLUMNS[2:])}"
            )
        found[contract_key] = position
    return found


def positions_of(accounts: Sequence[Mapping[str, Any]], account: str | None) -> dict[str, Any]:
    """Return what an account held when a database was told of it last.

    accounts  rows with ``account_id`` and their ``positions``
    account   which; None if there is just one

    Raises ConfigError, naming those that there are.
    """
    found = [row for row in accounts if account in (None, row["account_id"])]
    if len(found) != 1:
        names = ", ".join(row["account_id"] for row in accounts) or "none"
        raise ConfigError(f"positions: expected one account of the database, which has {names}; give one")
    held = {}
    for row in found[0]["positions"]:
        if row["position"]:
            cost = {} if not row["avg_cost"] else {"average_cost": Decimal(str(row["avg_cost"]))}
            held[row["contract_key"]] = {"quantity": Decimal(str(row["position"])), **cost}
    return held


def positions_at(fills: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what executions come to, rows of the audit trail's ``fills`` in order; no costs are known."""
    newest = {
        (row["account"], row["exec_base_id"]): row for row in fills
    }  # a revision replaces the one before
    held: dict[str, Decimal] = {}
    for row in newest.values():
        quantity = row["qty"] if row["side"] == "BUY" else -row["qty"]
        held[row["inst_id"]] = held.get(row["inst_id"], Decimal(0)) + quantity
    return {key: {"quantity": quantity} for key, quantity in held.items() if quantity}


def _of_csv(path: Path, text: str) -> list[tuple[str, dict[str, Any]]]:
    reader = csv.DictReader(text.splitlines(), restkey="", restval="")
    if not {"contract_key", "quantity"} <= set(reader.fieldnames or ()):
        raise ConfigError(
            f"{path}:1: expected the columns contract_key,quantity, found {text.split(chr(10))[0]}"
        )
    return [
        (row["contract_key"], {name: row[name] for name in COLUMNS[1:] if row.get(name)}) for row in reader
    ]


def _of_yaml(path: Path, text: str) -> list[tuple[str, dict[str, Any]]]:
    values = yaml.safe_load(text) or {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected contract keys with their quantities")
    return [
        (str(key), value if isinstance(value, dict) else {"quantity": value}) for key, value in values.items()
    ]
