"""What a daemon writes into its database, for tests of who reads it."""

from __future__ import annotations

import time
from typing import Any

NVDA = "NVDA|STK|||"
CALL = "NVDA|OPT|20250328|120|C"
PUT = "NVDA|OPT|20250328|120|P"
GATES = {
    "guard": {
        "risk": {"max_daily_hedge_count": 50, "max_position_shares": 2000, "max_daily_loss_usd": "5000"}
    },
    "state": {"delta": {"epsilon_band": "10", "threshold_hedge_shares": "25", "max_delta_limit": "500"}},
}

ACCOUNT = {
    "account_id": "DU1",
    "summary": {"net_liquidation": 250411.7, "currency": "USD"},
    "complete": True,
    "positions": [
        {"contract_key": CALL, "symbol": "NVDA", "sec_type": "OPT", "position": 5, "avg_cost": 812.4}
        | {"expiry": "20250328", "strike": 120, "option_right": "C", "multiplier": 100},
        {"contract_key": PUT, "symbol": "NVDA", "sec_type": "OPT", "position": -2, "avg_cost": None}
        | {"expiry": "20250328", "strike": 120, "option_right": "P", "multiplier": 100},
        {"contract_key": NVDA, "symbol": "NVDA", "sec_type": "STK", "position": -81, "avg_cost": 121.0},
    ],
}


def snapshot(**changed: Any) -> dict[str, Any]:
    """Return a strategy's state in which all is well."""
    return {
        "daemon_state": "RUNNING",
        "trading_state": "MONITOR",
        "symbol": "NVDA",
        "spot": 120.0,
        "bid": 119.99,
        "ask": 120.01,
        "net_delta": 16.6,
        "stock_position": -81,
        "option_legs_count": 2,
        "daily_hedge_count": 14,
        "daily_pnl": 211.7,
        "data_lag_ms": 180.0,
        "config_summary": "abc",
        "ts": 1741014240.0,
        "strategy_id": "gamma",
        "dimensions": {
            "O": "O1 LONG_GAMMA",
            "D": "D1 MINOR",
            "M": "M1 NORMAL",
            "L": "L0 NORMAL",
            "E": "E0 IDLE",
            "S": "S0 OK",
        },
        "gamma": 21.8,
        "theta": -44530.0,
        "vega": 19600.0,
        "hedge_state": "EXEC_IDLE",
        "safe_cause": "",
        "suspended": False,
        "killed": False,
        "halts": {},
        "open_orders": {},
        "block_reasons": ["D1 MINOR net delta 16.6 within ±25"],
        **changed,
    }


def heartbeat(**changed: Any) -> dict[str, Any]:
    """Return a heartbeat of now."""
    return {
        "last_ts_ns": time.time_ns(),
        "hedge_running": True,
        "broker_connected": True,
        "interval_s": 10.0,
        "hostname": "desk-a",
        "pid": 4121,
        "version": "0.1.0",
        "role": "active",
        **changed,
    }
