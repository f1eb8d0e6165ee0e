"""The trading machine: what the strategy is ready to do.

The first row that fits wins. ``advance`` repeats ticks until the state rests, so
the first good tick after a start can already hedge.
"""

from __future__ import annotations

from typing import NamedTuple

from bifrost_engine.domain.machine import ANY, Machine, Row

BOOT, SYNC, IDLE, ARMED, MONITOR = "BOOT", "SYNC", "IDLE", "ARMED", "MONITOR"
NO_TRADE, PAUSE_COST, PAUSE_LIQ = "NO_TRADE", "PAUSE_COST", "PAUSE_LIQ"
NEED_HEDGE, HEDGING, SAFE = "NEED_HEDGE", "HEDGING", "SAFE"
STATES = (
    BOOT,
    SYNC,
    IDLE,
    ARMED,
    MONITOR,
    NO_TRADE,
    PAUSE_COST,
    PAUSE_LIQ,
    NEED_HEDGE,
    HEDGING,
    SAFE,
)
TICKS = ("tick", "quote", "greeks_update")
RESTING = {"D0": NO_TRADE, "D1": MONITOR}
"""Deviation → state that it leads to whatever else holds, once there is a position."""


class Facts(NamedTuple):
    """What the guards ask, at one instant.

    option, deviation  the dimensions O and D
    delta_ready        the band is known and the greeks are valid
    recovered          the cause of SAFE has been gone long enough
    cause_passes       the cause of SAFE is one that ends by itself
    retry_allowed      the daily count isn't reached and nothing halts
    """

    option: str
    deviation: str
    positions_ok: bool
    data_ok: bool
    enabled: bool
    delta_ready: bool
    liquidity_ok: bool
    cost_ok: bool
    retry_allowed: bool
    broker_up: bool
    recovered: bool
    cause_passes: bool


GUARDS = {
    "no legs": lambda f: f.option == "O0",
    "positions and data ok": lambda f: f.positions_ok and f.data_ok,
    "has gamma, enabled": lambda f: f.option in ("O1", "O2") and f.enabled,
    "delta band ready": lambda f: f.delta_ready,
    "D0": lambda f: f.deviation == "D0",
    "D1": lambda f: f.deviation == "D1",
    "illiquid": lambda f: not f.liquidity_ok,
    "too little moved": lambda f: not f.cost_ok,
    "D2 or D3": lambda f: f.deviation in ("D2", "D3"),
    "retry allowed": lambda f: f.retry_allowed,
    "cause is gone": lambda f: f.cause_passes and f.recovered,
    "broker up, data ok": lambda f: f.broker_up and f.data_ok,
}

_WAITING = (MONITOR, NO_TRADE, PAUSE_COST, PAUSE_LIQ, NEED_HEDGE)

TRADING: Machine[Facts] = Machine(
    "trading",
    STATES,
    (
        Row((ANY,), ("shutdown",), SAFE),
        Row((BOOT,), ("start",), SYNC),
        Row(
            (ANY,),
            ("broker_down", "data_stale", "greeks_bad", "risk_halt", "strategy_raised"),
            SAFE,
            but=(BOOT,),
        ),
        Row((ARMED, *_WAITING), TICKS, IDLE, "no legs"),
        Row((SYNC,), ("synced", *TICKS), IDLE, "positions and data ok"),
        Row((IDLE,), TICKS, ARMED, "has gamma, enabled"),
        Row((ARMED,), TICKS, MONITOR, "delta band ready"),
        Row(_WAITING, TICKS, NO_TRADE, "D0"),
        Row(_WAITING, TICKS, MONITOR, "D1"),
        Row(_WAITING, TICKS, PAUSE_LIQ, "illiquid"),
        Row(_WAITING, TICKS, PAUSE_COST, "too little moved"),
        Row(_WAITING, TICKS, NEED_HEDGE, "D2 or D3"),
        Row((NEED_HEDGE,), ("target_emitted",), HEDGING),
        Row((HEDGING,), ("hedge_done",), MONITOR),
        Row((HEDGING,), ("hedge_failed",), NEED_HEDGE, "retry allowed"),
        Row((HEDGING,), ("hedge_failed",), SAFE),
        Row((SAFE,), ("broker_up", "tick"), SYNC, "cause is gone"),
        Row((SAFE,), ("manual_resume",), SYNC, "broker up, data ok"),
    ),
    GUARDS,
)

CAUSES = {
    "data_stale": 1,
    "greeks_bad": 1,
    "broker_down": 1,
    "hedge_failed": 2,
    "risk_halt": 3,
    "strategy_raised": 3,
    "shutdown": 4,
}
"""Event that led to SAFE → its gravity; 1 ends by itself, the graver one counts."""
HALTS = ("risk_halt", "strategy_raised")
"""Causes that last as long as a halt does."""
