"""What holds a strategy back or waits for a person, as plain values for snapshots and for people."""

from __future__ import annotations

from typing import Any

from bifrost_engine.engine.state import EVERYBODY, OpenItem, State


def waiting(state: State, strategy_id: str, symbol: str) -> dict[str, Any]:
    """Return what stands in a strategy's way, by the journal alone.

    halts        reason → level and text of what holds it, its account or an instrument on its symbol
    open_orders  client order id → state of each order that isn't done
    open_items   the account's findings that wait to be accepted, oldest first
    """
    return {
        "halts": _halts(state, strategy_id, symbol),
        "open_orders": {
            coid: str(state.orders[coid].state) for coid in state.strategy(strategy_id).open_orders
        },
        "open_items": [
            {"number": item.jseq, "rule": item.rule, "of": _of(item), "action": item.action}
            for item in state.open_items.values()
        ],
    }


def _of(item: OpenItem) -> str:
    return ", ".join(filter(None, (item.client_order_id, item.contract_key)))


def _halts(state: State, strategy_id: str, symbol: str) -> dict[str, str]:
    found = {**state.strategy(strategy_id).halts, **state.strategy(EVERYBODY).halts}
    for key, holds in state.instrument_holds.items():
        if key.partition("|")[0] == symbol:
            found |= {f"{key} {reason}": one for reason, one in holds.items()}
    return {reason: f"{one.level}: {one.text}" for reason, one in found.items()}
