"""The newest state of a strategy, as sinks and the status display get it."""

from __future__ import annotations

from typing import Any

from bifrost_engine.engine.core import SECOND_NS, Core
from bifrost_engine.engine.slot import Slot


def snapshot(core: Core, slot: Slot) -> dict[str, Any]:
    """Return every field of ``SNAPSHOT_FIELDS``, and beyond them what the strategy explains."""
    decision = slot.last_decision
    facts = {} if decision is None else dict(decision.explain())
    reasons = list(facts.pop("reasons", ()))
    quote = core.quotes.latest.get(slot.stock_key)
    fields: dict[str, Any] = {
        "daemon_state": core.lifecycle,
        "trading_state": facts.pop("trading_state", None),
        "symbol": slot.config.symbol,
        "spot": None if quote is None else quote.mid,
        "bid": None if quote is None else quote.bid,
        "ask": None if quote is None else quote.ask,
        "net_delta": facts.pop("net_delta", None),
        "stock_position": int(core.state.portfolio.quantities(slot.id).get(slot.stock_key, 0)),
        "option_legs_count": len(slot.view.legs),
        "daily_hedge_count": slot.view.day_hedges,
        "daily_pnl": slot.view.day_pnl,
        "data_lag_ms": facts.pop("data_lag_ms", None),
        "config_summary": slot.config_summary,
        "ts": core.now_ns / SECOND_NS,
    }
    beyond = {
        "strategy_id": slot.id,
        "block_reasons": reasons + standing_reasons(core, slot),
        "hedge_state": slot.hedge_state,
        "last_veto": slot.last_veto,
    }
    return {**facts, **fields, **beyond}


def standing_reasons(core: Core, slot: Slot) -> list[str]:
    """Return what keeps the strategy from trading beside its own reasons."""
    facts = {
        "kill_switch": slot.view.killed,
        "suspended": slot.view.suspended,
        "not_reconciled": core.connected and not core.reconciled,
        "stopping": core.stopping,
    }
    order = next(iter(core.state.open_orders(slot.id)), None)
    waiting = [] if order is None else [f"one_in_flight {order.client_order_id} {order.state}"]
    return [name for name, holds in facts.items() if holds] + list(slot.view.halts) + waiting
