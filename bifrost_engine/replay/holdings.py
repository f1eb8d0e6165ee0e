"""Positions to begin with, from a file or a database: quantities, and costs where they are known."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import yaml

from bifrost_engine.domain.contract import SecType, parse_contract_key
from bifrost_engine.errors import ConfigError

COLUMNS = ("contract_key", "quantity", "average_cost", "multiplier")

Row = tuple[int, str, dict[str, Any]]
"""Line of the file, contract key as it stands there, and what the file says of it."""


def read_positions(path: Path) -> dict[str, Any]:
    """Return contract key → quantity and what else the file says of it.

    A ``.csv`` has the columns ``contract_key`` and ``quantity``, and may have ``average_cost`` and
    ``multiplier``; any other file is YAML or JSON: contract key → quantity, or a mapping of the latter three.
    Of shares there may be parts.

    Raises ConfigError, naming all that is wrong, with its line.
    """
    try:
        text = path.read_text("utf-8-sig")
        rows = _of_csv(path, text) if path.suffix == ".csv" else _of_yaml(path, text)
    except OSError as error:
        raise ConfigError(f"{path}: positions can't be read: {error.strerror}") from error
    except (UnicodeError, yaml.YAMLError, csv.Error) as error:
        raise ConfigError(f"{path}: positions can't be read: {' '.join(str(error).split())}") from error
    found: dict[str, Any] = {}
    problems: list[str] = []
    for line, key, values in rows:
        try:
            contract = parse_contract_key(key)
            if contract.key in found:
                raise ValueError("expected each contract once, was there before")
            found[contract.key] = _position(values, contract.sec_type is SecType.OPTION)
        except ValueError as error:
            problems.append(f"{path}:{line}: position {key!r}: {error}")
    if problems:
        raise ConfigError(*problems)
    return found


def _position(values: Mapping[str, Any], is_option: bool) -> dict[str, Decimal]:
    """Return what a file says of a position. Raises ValueError, naming what was expected."""
    unknown = ", ".join(values.keys() - {*COLUMNS[1:]})
    if unknown:
        raise ValueError(f"expected {', '.join(COLUMNS[1:])}, was {unknown}")
    if "quantity" not in values:
        raise ValueError("expected its quantity, was missing")
    return {name: _number(name, value, is_option) for name, value in values.items()}


def _number(name: str, value: Any, is_option: bool) -> Decimal:
    text = str(value).strip()
    try:
        number = Decimal("NaN" if "_" in text else text)  # of which Decimal takes any, anywhere
    except InvalidOperation:
        number = Decimal("NaN")
    wanted = None
    if not number.is_finite():
        wanted = "a number"
    elif name == "quantity" and is_option and number % 1:
        wanted = "a whole number of contracts, negative for short"
    elif name == "average_cost" and number < 0:
        wanted = "an amount of 0 or more"
    elif name == "multiplier" and number <= 0:
        wanted = "a number above 0"
    if wanted is not None:
        raise ValueError(f"{name}: expected {wanted}, was {value}")
    return number


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


def _of_csv(path: Path, text: str) -> list[Row]:
    reader = csv.reader(text.splitlines())
    header = [name.strip() for name in next(reader, [])]
    if not {"contract_key", "quantity"} <= set(header):
        found = ",".join(header) or "nothing"
        raise ConfigError(f"{path}:1: expected the columns contract_key,quantity, found {found}")
    rows = []
    for fields in filter(None, reader):
        if len(fields) > len(header):  # a thousand's comma, perhaps: a part of a number isn't one
            raise ConfigError(
                f"{path}:{reader.line_num}: expected {len(header)} fields, as the header has, "
                f"found {len(fields)}"
            )
        row = dict(zip(header, fields, strict=False))
        values = {name: row[name] for name in COLUMNS[1:] if row.get(name, "").strip()}
        rows.append((reader.line_num, row.get("contract_key", ""), values))
    return rows


def _of_yaml(path: Path, text: str) -> list[Row]:
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return []
        if not isinstance(node, yaml.MappingNode):
            raise ConfigError(f"{path}: expected contract keys with their quantities")
        loader.flatten_mapping(node)
        rows = []
        for key, child in node.value:
            value = loader.construct_object(child, deep=True)
            values = value if isinstance(value, dict) else {"quantity": value}
            rows.append((key.start_mark.line + 1, str(loader.construct_object(key)), values))
        return rows
    finally:
        loader.dispose()
