"""The rows of current state that the daemon itself writes: its heartbeat, prices, accounts."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from math import isfinite
from typing import Any

from bifrost_engine import __version__
from bifrost_engine.domain.broker import AccountStatement, BrokerPosition, BrokerState
from bifrost_engine.domain.contract import Contract
from bifrost_engine.domain.last_price import LastPrice
from bifrost_engine.domain.quote import Quote
from bifrost_engine.engine import Engine

Row = dict[str, Any]


def heartbeat_row(
    engine: Engine,
    *,
    interval_s: float,
    next_retry_ns: int | None,
    stopped_ns: int | None,
    client_id: int | None = None,
) -> Row:
    """Return that the daemon lives; every time in it is the wall's.

    next_retry_ns  when the broker is tried again
    stopped_ns     when the daemon stopped in good order, None while it runs
    client_id      number of the broker's connection, None where it has none
    """
    core = engine.core
    return {
        "last_ts_ns": time.time_ns(),
        "daemon_state": core.lifecycle,
        "hedge_running": core.lifecycle == "RUNNING",
        "broker_connected": core.connected,
        "ib_client_id": client_id if core.connected else None,
        "next_retry_ns": None if core.connected else next_retry_ns,
        "graceful_shutdown_ns": stopped_ns,
        "interval_s": interval_s,
        "hostname": socket.gethostname(),
        "pid": os.getpid(),
        "version": __version__,
        "role": "active",
    }


def price_rows(engine: Engine, last: Mapping[str, LastPrice]) -> list[Row]:
    """Return the latest quote and the last trade's price of each wanted contract that has either."""
    quotes = engine.core.quotes.latest
    return [
        _price_row(contract, quotes.get(contract.key), last.get(contract.key))
        for contract in engine.wanted_contracts()
        if contract.key in quotes or contract.key in last
    ]


def _price_row(contract: Contract, quote: Quote | None, last: LastPrice | None) -> Row:
    return {
        "contract_key": contract.key,
        "symbol": contract.symbol,
        "sec_type": str(contract.sec_type),
        "bid": None if quote is None else quote.bid,
        "ask": None if quote is None else quote.ask,
        "last": last.price if last is not None and isfinite(last.price) else None,
        "updated_ns": max(told.ts_ns for told in (quote, last) if told is not None),
    }


def account_rows(state: BrokerState) -> list[Row]:
    """Return the accounts that a broker's snapshot shows, with their positions."""
    own = AccountStatement(
        account=state.account,
        positions=state.positions,
        summary=state.summary,
        complete="positions" not in state.incomplete,
    )
    return [
        {
            "account_id": shown.account,
            "summary": dict(shown.summary),
            "complete": shown.complete,
            "positions": [_position_row(position) for position in shown.positions],
        }
        for shown in state.accounts or (own,)
    ]


def _position_row(position: BrokerPosition) -> Row:
    contract = position.contract
    return {
        "contract_key": contract.key,
        "symbol": contract.symbol,
        "sec_type": str(contract.sec_type),
        "exchange": contract.exchange,
        "currency": contract.currency,
        "position": position.quantity,
        "avg_cost": position.average_cost,
        "expiry": None if contract.expiry is None else f"{contract.expiry:%Y%m%d}",
        "strike": contract.strike,
        "option_right": None if contract.right is None else str(contract.right),
        "multiplier": contract.multiplier,
    }
