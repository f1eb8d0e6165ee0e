"""Since when things are as they are, as far as the records tell. Pure.

States are dated by the decisions since the daemon's start, of which there is a record
whenever one of them has changed; what operators and limits did by its operation; a daemon that is gone by its
last sign of life. What nothing dates stays undated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import Factory, frozen

from bifrost_monitor.answers import CauseAnswer, Operation, Status, StrategyState

Row = Mapping[str, Any]
MACHINES = ("daemon_state", "trading_state", "hedge_state")

OF_A_STATE = {
    **dict.fromkeys(("WAITING_IB", "connecting", "not_started"), "daemon_state"),
    **dict.fromkeys(("SAFE", "PAUSE_COST", "PAUSE_LIQ"), "trading_state"),
}
"""Code of a cause → the machine whose state it is."""
OF_AN_OPERATION = {"killed": ("kill",), "suspended": ("suspend", "flatten")}
"""Code of a cause → types of operations that begin it."""
HALTING = ("halt", "hold")
START = "start"
TOLD = (START, "kill", "clear_kill", "suspend", "flatten", *HALTING)
"""Types of operations that are looked at."""
VOID = ("expired", "refused")
"""How the reason of a command begins that did nothing."""


@frozen(kw_only=True)
class Since:
    """Epoch seconds, each in the time of what it is about: the strategy's, or the wall's for a life.

    machines  since when each machine is in its state
    earlier   machines that are in it since before the oldest decision that was looked at
    causes    code and strategy of a cause → since when it holds
    """

    machines: Mapping[str, float] = Factory(dict)
    earlier: frozenset[str] = frozenset()
    causes: Mapping[tuple[str, str | None], float] = Factory(dict)

    def cause(self, cause: CauseAnswer) -> float | None:
        """Return since when a cause holds, None if that isn't known."""
        return self.causes.get((cause.code, cause.strategy_id))


def since(
    status: Status,
    viewed: StrategyState | None,
    decided: Sequence[Row],
    told: Iterable[Operation],
    seen_at: float | None,
    filled_at: float | None = None,
) -> Since:
    """Return since when all is as it is.

    decided  what was decided for the strategy in view, oldest first, each row with the states of then
    told     operations of the types ``TOLD``, newest first
    seen_at  since when the monitor sees the gravest cause; None if it was there from its start
    filled_at  the strategy's newest fill: no state of a hedge outlasts one
    """
    operations = list(told)
    started = next((one.ts or 0.0 for one in operations if one.type == START), None)
    now = {} if viewed is None else _states(viewed)
    machines = {name: _begun(decided, name, state, started) for name, state in now.items()}
    hedged_at, _ = machines.get("hedge_state", (None, False))
    if hedged_at is not None and filled_at is not None and filled_at > hedged_at:
        machines["hedge_state"] = (filled_at, True)
    causes: dict[tuple[str, str | None], float] = {}
    for cause in status.causes:
        at = _cause(cause, status, viewed, machines, operations)
        if at is None and cause is status.causes[0]:
            at = seen_at
        if at is not None:
            causes[cause.code, cause.strategy_id] = at
    return Since(
        machines={name: at for name, (at, _) in machines.items() if at is not None},
        earlier=frozenset(name for name, (_, is_whole) in machines.items() if not is_whole),
        causes=causes,
    )


def _states(state: StrategyState) -> dict[str, str | None]:
    return {
        "daemon_state": state.daemon_state,
        "trading_state": state.trading_state,
        "hedge_state": state.detail.get("hedge_state"),
    }


def _begun(
    decided: Sequence[Row], name: str, state: str | None, started: float | None
) -> tuple[float | None, bool]:
    """Return the time of the first of the newest rows that show a state, and whether it began there.

    It did if another was before, or the daemon started then: its machines begin anew.
    """
    at = None
    for row in reversed(decided):
        if row.get(name) != state or (started is not None and row["ts"] < started):
            return at, True
        at = row["ts"]
    return at, started is not None


def _cause(
    cause: CauseAnswer,
    status: Status,
    viewed: StrategyState | None,
    machines: Mapping[str, tuple[float | None, bool]],
    told: Sequence[Operation],
) -> float | None:
    beat = status.daemon_heartbeat
    if cause.code == "stopped":
        return beat.graceful_shutdown_at
    if cause.code in ("vanished", "standby_only"):
        return beat.last_ts
    own = viewed is not None and cause.strategy_id in (None, viewed.strategy_id)
    if cause.code in OF_A_STATE:
        at, is_whole = machines.get(OF_A_STATE[cause.code], (None, False))
        return at if own and is_whole else None
    begins = OF_AN_OPERATION.get(cause.code)
    return _newest(told, begins or HALTING, cause, by_reason=begins is None)


def _newest(
    told: Iterable[Operation], types: tuple[str, ...], cause: CauseAnswer, by_reason: bool
) -> float | None:
    for one in told:
        reason = one.state_reason or ""
        concerns = cause.strategy_id is None or one.strategy_id in (None, cause.strategy_id)
        is_it = one.type in types and concerns and not reason.startswith(VOID)
        if is_it and (not by_reason or reason.startswith(f"{cause.code}:")):
            return one.ts
    return None
