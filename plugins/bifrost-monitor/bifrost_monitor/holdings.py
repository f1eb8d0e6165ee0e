"""Accounts with their positions, each with its price, value, unrealized result and moneyness.

Pure: rows in, answers out. What can't be said without a price or a cost isn't said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from bifrost_monitor.answers import Account, Position

Row = Mapping[str, Any]
SUMMARY = ("net_liquidation", "total_cash", "buying_power")
DEFAULT_MULTIPLIER = {"OPT": 100.0}


def accounts_of(accounts: Iterable[Row], prices: Iterable[Row], today: date) -> list[Account]:
    """Return the accounts, put together with the prices."""
    by_key = {row["contract_key"]: row for row in prices}
    return [_account(row, by_key, today) for row in accounts]


def fetched_at(accounts: Sequence[Account]) -> float | None:
    """Return when the account that was fetched longest ago was; None if that isn't known of one."""
    times = [account.fetched_at for account in accounts]
    return None if not times or None in times else min(time for time in times if time is not None)


def _account(row: Row, prices: Mapping[str, Row], today: date) -> Account:
    positions = [_position(item, prices, today) for item in row["positions"]]
    results = [position.unrealized_pnl for position in positions]
    known = [result for result in results if result is not None]
    return Account(
        account_id=row["account_id"],
        fetched_at=epoch(row.get("updated_at")),
        summary={name: row.get(name) for name in SUMMARY} | dict(row.get("summary_extra") or {}),
        unrealized_pnl=sum(known) if len(known) == len(results) else None,
        positions=positions,
    )


def _position(row: Row, prices: Mapping[str, Row], today: date) -> Position:
    quantity = float(row["position"] or 0.0)
    kind = row.get("sec_type") or ""
    multiplier = float(row.get("multiplier") or DEFAULT_MULTIPLIER.get(kind, 1.0))
    quoted: Row = prices.get(row["contract_key"]) or {}
    price, cost = quoted.get("mid"), row.get("avg_cost")
    value = None if price is None else quantity * price * multiplier
    return Position(
        contract_key=row["contract_key"],
        symbol=row.get("symbol"),
        sec_type=row.get("sec_type"),
        expiry=row.get("expiry"),
        strike=row.get("strike"),
        option_right=row.get("option_right"),
        currency=row.get("currency"),
        multiplier=multiplier,
        position=quantity,
        avg_cost=cost,
        price=price,
        price_at=epoch(quoted.get("updated_at")),
        value=value,
        unrealized_pnl=None if value is None or cost is None else value - quantity * cost,
        moneyness=moneyness(row, prices),
        days_to_expiry=_days(row.get("expiry"), today),
    )


def moneyness(row: Row, prices: Mapping[str, Row]) -> float | None:
    """Return by how many percent of its strike an option is in the money, below 0 out of it.

    None for what isn't an option, or while its underlying has no price.
    """
    strike, right = row.get("strike"), row.get("option_right")
    spot = (prices.get(f"{row.get('symbol')}|STK|||") or {}).get("mid")
    if not strike or right not in ("C", "P") or spot is None:
        return None
    return float((spot / strike - 1.0) * 100.0 * (1 if right == "C" else -1))


def _days(expiry: str | None, today: date) -> int | None:
    if not expiry or len(expiry) != 8 or not expiry.isdecimal():
        return None
    try:
        return (datetime.strptime(expiry, "%Y%m%d").date() - today).days
    except ValueError:
        return None


def epoch(at: datetime | None) -> float | None:
    """Return a time in epoch seconds."""
    return None if at is None else at.timestamp()
