"""How everything stands: rows of the database put together as one answer. Pure; no clock, no connection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from math import isfinite
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from bifrost_monitor import lamp
from bifrost_monitor.answers import (
    CauseAnswer,
    CommandAnswer,
    Heartbeat,
    IbSettings,
    Operation,
    Status,
    StrategyState,
)
from bifrost_monitor.holdings import accounts_of, epoch, fetched_at
from bifrost_monitor.limits import band_of, limits_of

Row = Mapping[str, Any]
STANDBY = "standby"


def standing(found: Row, zone: ZoneInfo) -> Status:
    """Return the state that ``queries.newest_state`` found."""
    now: datetime = found["now"]
    strategies = [_strategy(row, found["runs"]) for row in found["strategies"]]
    daemons = [heartbeat(row, now) for row in found["daemons"]]
    active = next((beat for beat in daemons if beat.role != STANDBY), None)
    flags = found["run_status"] or {}
    sight = lamp.Sight(
        daemon_state=(strategies[0].daemon_state or "") if strategies else "",
        beat=None if active is None else _beat(active),
        standby=any(beat.alive for beat in daemons if beat.role == STANDBY),
        suspended=bool(flags.get("suspended")),
        killed=bool(flags.get("killed")),
        retry_s=_retry_s(active, now),
        planned=any(state.detail.get("maintenance_until") for state in strategies),
        strategies=[_sight(state) for state in strategies],
    )
    accounts = accounts_of(found["accounts"], found["prices"], _today(strategies, now, zone))
    return _status(
        sight,
        now=now.timestamp(),
        strategies=strategies,
        accounts=accounts,
        accounts_fetched_at=fetched_at(accounts),
        daemon_heartbeat=active or NO_HEARTBEAT,
        daemons=daemons,
        ib_settings=_settings(found["settings"]),
        last_command=command_answer(found["last_command"]),
        last_operation_id=found["last_operation_id"],
    )


def unreadable(reason: str, now: float) -> Status:
    """Return the state while the database can't be read."""
    return _status(
        lamp.Sight(unreadable=reason),
        now=now,
        strategies=[],
        accounts=[],
        accounts_fetched_at=None,
        daemon_heartbeat=NO_HEARTBEAT,
        daemons=[],
        ib_settings=None,
        last_command=None,
        last_operation_id=None,
    )


def _status(sight: lamp.Sight, strategies: list[StrategyState], **fields: Any) -> Status:
    found = lamp.causes(sight)
    colour = lamp.worst(found)
    return Status(
        status=strategies[0] if strategies else None,
        strategies=strategies,
        self_check=lamp.CHECK[colour],
        block_reasons=[str(cause) for cause in found],
        causes=[
            CauseAnswer(
                code=cause.code,
                colour=cause.colour,
                title=cause.title,
                text=cause.text,
                strategy_id=cause.strategy_id,
            )
            for cause in found
        ],
        status_lamp=colour,
        daemon_lamp=lamp.daemon_lamp(found),
        trading_suspended=sight.suspended or sight.daemon_state == "RUNNING_SUSPENDED",
        killed=sight.killed,
        **fields,
    )


def _today(strategies: Iterable[StrategyState], now: datetime, zone: ZoneInfo) -> Any:
    # A rehearsal lives in another year than the database's clock; its state says in which.
    ts = next((state.ts for state in strategies if state.ts is not None), None)
    at = now if ts is None else datetime.fromtimestamp(ts, zone)
    return at.astimezone(zone).date()


# --- rows ----------------------------------------------------------------------------------


def _strategy(row: Row, runs: Row) -> StrategyState:
    run: Row = runs.get(str(row.get("strategy_id"))) or {}
    settings: Row = run.get("config_json") or {}
    state = {name: _finite(row.get(name)) for name in StrategyState.__struct_fields__}
    state["detail"] = dict(row.get("detail") or {})
    own = {"mode": run.get("mode"), "band": band_of(settings), "limits": limits_of(state, settings)}
    return StrategyState(**(state | own))


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not isfinite(value) else value


def _sight(state: StrategyState) -> lamp.StrategySight:
    detail = state.detail
    return lamp.StrategySight(
        strategy_id=state.strategy_id or "",
        trading_state=state.trading_state or "",
        safe_cause=str(detail.get("safe_cause") or ""),
        suspended=bool(detail.get("suspended")),
        killed=bool(detail.get("killed")),
        halts=detail.get("halts") or {},
        orders=detail.get("open_orders") or {},
        codes={name: str(value).split(" ")[0] for name, value in (detail.get("dimensions") or {}).items()},
    )


NO_HEARTBEAT = Heartbeat(
    last_ts=None,
    age_s=None,
    alive=False,
    hedge_running=False,
    ib_connected=False,
    ib_client_id=None,
    next_retry_ts=None,
    seconds_until_retry=None,
    graceful_shutdown_at=None,
    interval_s=None,
    hostname=None,
    pid=None,
    version=None,
    role=None,
)


def heartbeat(row: Row, now: datetime) -> Heartbeat:
    """Return a daemon's heartbeat, as of ``now``."""
    beat = Heartbeat(
        last_ts=epoch(row["last_ts"]),
        age_s=max(0.0, (now - row["last_ts"]).total_seconds()),
        alive=False,
        hedge_running=bool(row.get("hedge_running")),
        ib_connected=bool(row.get("ib_connected")),
        ib_client_id=row.get("ib_client_id"),
        next_retry_ts=epoch(row.get("next_retry_ts")),
        seconds_until_retry=row.get("seconds_until_retry"),
        graceful_shutdown_at=epoch(row.get("graceful_shutdown_at")),
        interval_s=_finite(row.get("interval_s")),
        hostname=row.get("hostname"),
        pid=row.get("pid"),
        version=row.get("version"),
        role=row.get("role"),
    )
    return msgspec.structs.replace(beat, alive=_beat(beat).alive)


def _beat(beat: Heartbeat) -> lamp.Beat:
    where = f"pid {beat.pid} on {beat.hostname}" if beat.hostname else "the daemon"
    return lamp.Beat(
        age_s=beat.age_s or 0.0,
        interval_s=beat.interval_s,
        stopped=beat.graceful_shutdown_at is not None,
        who=where,
    )


def _retry_s(beat: Heartbeat | None, now: datetime) -> float | None:
    if beat is None or beat.next_retry_ts is None:
        return None
    return beat.next_retry_ts - now.timestamp()


def _settings(row: Row | None) -> IbSettings | None:
    if row is None:
        return None
    return IbSettings(
        ib_host=row["ib_host"], ib_port_type=row["ib_port_type"], updated_at=epoch(row.get("updated_at"))
    )


REFUSED = "refused"


def command_answer(row: Row | None) -> CommandAnswer | None:
    """Return a command and what became of it."""
    if row is None:
        return None
    return CommandAnswer(
        id=row["id"],
        command=row["command"],
        strategy_id=row.get("strategy_id"),
        requested_by=row.get("requested_by"),
        created_at=epoch(row.get("created_at")),
        consumed_at=epoch(row.get("consumed_at")),
        outcome=row.get("outcome"),
        state=_fate(row),
    )


def _fate(row: Row) -> Any:
    outcome = row.get("outcome")
    if outcome is None:
        return "waiting" if row.get("consumed_at") is None else "taken"
    if outcome.startswith("expired"):
        return "expired"
    return "refused" if outcome.startswith(REFUSED) else "done"


def operation_answer(row: Row) -> Operation:
    """Return an operation."""
    return Operation(**{name: _finite(row.get(name)) for name in Operation.__struct_fields__})
