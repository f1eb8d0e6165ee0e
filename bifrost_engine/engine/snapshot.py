"""The newest state of a strategy, as sinks and the status display get it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from bifrost_engine.domain.rows import SNAPSHOT_DETAIL, SNAPSHOT_FIELDS
from bifrost_engine.engine.answer import told
from bifrost_engine.engine.core import RAISED, SECOND_NS, Core
from bifrost_engine.engine.slot import Slot
from bifrost_engine.engine.waiting import waiting

_UNTOLD = dict.fromkeys((*SNAPSHOT_FIELDS, *SNAPSHOT_DETAIL))


def snapshot(core: Core, slot: Slot) -> Callable[[], dict[str, Any]]:
    """Look at a strategy now; what is returned gives every field of ``SNAPSHOT_FIELDS``, and beyond."""
    quote = core.quotes.latest.get(slot.stock_key)
    fields = {
        "daemon_state": core.lifecycle,
        "symbol": slot.config.symbol,
        "spot": None if quote is None else quote.mid,
        "bid": None if quote is None else quote.bid,
        "ask": None if quote is None else quote.ask,
        "stock_position": int(core.state.portfolio.quantities(slot.id).get(slot.stock_key, 0)),
        "option_legs_count": len(slot.view.legs),
        "daily_hedge_count": slot.view.day_hedges,
        "daily_pnl": slot.view.day_pnl,
        "config_summary": slot.config_summary,
        "ts": core.now_ns / SECOND_NS,
        "strategy_id": slot.id,
        "hedge_state": slot.hedge_state,
        "last_veto": slot.last_veto,
        "suspended": slot.view.suspended,
        "killed": slot.view.killed,
        "notices": notices(core, slot),
        "maintenance_until": core.maintenance_until_s,
        **waiting(core.state, slot.id, slot.config.symbol),
    }
    if RAISED in slot.view.halts:
        fields["trading_state"] = "SAFE"  # whatever it says itself, if it still can
    return partial(_told, _teller(slot), fields, standing_reasons(core, slot))


def _teller(slot: Slot) -> Callable[[], Mapping[str, Any]]:
    """Return what tells of the strategy: its own look at now, or else its last decision."""
    describe = getattr(slot.plugin, "describe", None)
    if describe is not None:
        try:
            teller: Callable[[], Mapping[str, Any]] = describe(slot.view)
            return teller
        except Exception as error:  # noqa: BLE001 - a strategy's code; the snapshot itself tells of it
            return partial(dict, reasons=[f"describe raised {type(error).__name__}: {error}"])
    return dict if slot.last_decision is None else slot.last_decision.explain


def _told(
    tell: Callable[[], Mapping[str, Any]], fields: dict[str, Any], standing: list[str]
) -> dict[str, Any]:
    facts = told(tell)
    reasons = [*facts.pop("reasons"), *standing]
    return {**_UNTOLD, **facts, **fields, "block_reasons": reasons}


def standing_reasons(core: Core, slot: Slot) -> list[str]:
    """Return what keeps the strategy from trading beside its own reasons."""
    facts = (
        ("kill_switch", slot.view.killed),
        ("suspended", slot.view.suspended),
        ("not_reconciled", core.connected and not core.is_compared(slot.stock_key)),
        ("stopping", core.stopping),
        ("maintenance", not core.connected and core.maintenance_until_s is not None),
    )
    order = next(iter(core.state.open_orders(slot.id)), None)
    waiting = [] if order is None else [f"one_in_flight {order.client_order_id} {order.state}"]
    return [name for name, holds in facts if holds] + list(slot.view.halts) + waiting


def notices(core: Core, slot: Slot) -> list[str]:
    """Return what broker and feed said that still stands and concerns the strategy."""
    return [
        f"{code}: {text}" if code else text
        for (code, about), text in core.notices.items()
        if not about or slot.wants(about)
    ]
