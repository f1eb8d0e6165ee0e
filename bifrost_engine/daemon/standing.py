"""How a daemon stands, and what it did: from its database where that answers, else from its journal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import Factory, define

from bifrost_engine.daemon.instance import Instance
from bifrost_engine.journal import JournalReader
from bifrost_engine.journal.checkpoint import newest_state
from bifrost_engine.journal.proven import Proven
from bifrost_engine.journal.story import newest, operations

Row = dict[str, Any]
LEAST_PATIENCE_S = 30.0
ACCOUNT = ("net_liquidation", "total_cash", "ts", "day_pnl", "day_pnl_ts")


@define(kw_only=True)
class Standing:
    """The newest state that could be had.

    source      where it comes from, in words
    why         why not from the database, empty if it does
    damage      what of the journal couldn't be read, empty if all could
    strategies  a row each: the fields of a snapshot as far as they are known, ``ts`` in epoch seconds
    daemon      ``alive`` (None: not known), ``text``, and what is known beyond
    account     ``net_liquidation``, ``total_cash`` and ``day_pnl`` of the account, quote currency, and of
                when they are: ``ts`` of the former two, ``day_pnl_ts``, epoch seconds; None: not known
    suspended, killed  the flags of all strategies
    """

    source: str
    why: str = ""
    damage: str = ""
    strategies: list[Row] = Factory(list)
    daemon: Row = Factory(dict)
    account: Row = Factory(dict)
    suspended: bool = False
    killed: bool = False


def standing(instance: Instance) -> Standing:
    """Return how the instance stands. Raises JournalError if there is neither database nor journal."""
    with instance.database() as (reader, why):
        if reader is not None:
            return by_database(reader.status(), f"database {reader.address}", instance.is_gone)
    return _by_journal(instance, why)


def runs(instance: Instance) -> bool:
    """Return whether a daemon works on the instance: on this host, or on another by its heartbeat."""
    if instance.daemon() is not None:
        return True
    with instance.database() as (reader, _why):
        return reader is not None and by_database(reader.status(), "", instance.is_gone).daemon["alive"]


def by_database(
    status: Mapping[str, Any], source: str, is_gone: Callable[[int, str], bool] = lambda _pid, _host: False
) -> Standing:
    """Return how a daemon stands by what a sink's reader says.

    source   names the database
    is_gone  says of a process by number and host whether it is known to have ended
    """
    flags = status["run_status"] or {}
    return Standing(
        source=source,
        strategies=[{**row, **(row.get("detail") or {}), "detail": None} for row in status["strategies"]],
        daemon=_heart(status["heartbeat"], status["now"], is_gone),
        account=_account(status),
        suspended=bool(flags.get("suspended")),
        killed=bool(flags.get("killed")),
    )


def _account(status: Mapping[str, Any]) -> Row:
    """Return the account that was told of last."""
    accounts = sorted(status.get("accounts") or (), key=lambda row: row["updated_at"])
    newest: Mapping[str, Any] = accounts[-1] if accounts else {}
    day: Mapping[str, Any] = status.get("account_day") or {}
    return {
        "net_liquidation": newest.get("net_liquidation"),
        "total_cash": newest.get("total_cash"),
        "ts": newest["updated_at"].timestamp() if newest else None,
        "day_pnl": None if day.get("day_pnl") is None else float(day["day_pnl"]),
        "day_pnl_ts": day["ts"].timestamp() if day else None,
    }


def _heart(beat: Mapping[str, Any] | None, now: Any, is_gone: Callable[[int, str], bool]) -> Row:
    if beat is None:
        return {"alive": False, "text": "no daemon has written to this database yet"}
    age_s = (now - beat["last_ts"]).total_seconds()
    patience_s = max(LEAST_PATIENCE_S, 3.0 * float(beat.get("interval_s") or 0.0))
    who = f"pid {beat.get('pid')} on {beat.get('hostname')}"
    if beat["graceful_shutdown_at"] is not None:
        text = f"stopped in good order, {age_s:.0f} s ago"
    elif is_gone(beat["pid"], beat["hostname"]):
        text = f"{who} has ended without a stop, last heard of {age_s:.0f} s ago"
    elif age_s > patience_s:
        text = f"{who}, last heard of {age_s:.0f} s ago: it has vanished"
    else:
        text = f"running, {who}, heard of {age_s:.0f} s ago"
    return {**beat, "alive": text.startswith("running"), "text": text}


def _by_journal(instance: Instance, why: str) -> Standing:
    (path,) = instance.journals()
    symbols = {strategy.id: strategy.symbol for strategy in instance.config.strategies}
    with JournalReader(path) as reader:
        proven = Proven(reader)
        found = newest(proven.records(), newest_state(reader, reader.meta["account"]), symbols)
    rows = list(found.strategies.values())
    process = _process(instance, found.ended)
    if not process["alive"]:
        for row in rows:  # the last snapshot is from before the end
            row["daemon_state"] = "STOPPED" if found.ended else None
    return Standing(
        source=f"journal {path}",
        why=why,
        damage=proven.note,
        strategies=rows,
        daemon=process,
        account={name: found.account.get(name) for name in ACCOUNT},
        suspended=bool(rows) and all(row["suspended"] for row in rows),
        killed=bool(rows) and all(row["killed"] for row in rows),
    )


def _process(instance: Instance, ended: bool) -> Row:
    daemon = instance.daemon()
    if daemon is not None:
        return {"alive": True, "pid": daemon.pid, "text": f"running, pid {daemon.pid} since {daemon.since}"}
    text = "stopped in good order" if ended else "not running on this host; its end wasn't recorded"
    return {"alive": False, "text": text}


@define(kw_only=True)
class Done:
    """Operations, newest first, with where they come from and why not from the database."""

    rows: list[Row]
    source: str
    why: str = ""
    damage: str = ""


def done(
    instance: Instance,
    *,
    since: float | None = None,
    until: float | None = None,
    type: str | None = None,
    limit: int = 100,
    every: bool = False,
) -> Done:
    """Return operations, newest first, of the newest journal, with ``every`` of all.

    since, until  epoch seconds, both included; None: no bound

    Raises JournalError if there is neither database nor journal.
    """
    with instance.database() as (reader, why):
        if reader is not None:
            rows = reader.operations(since, until, type, limit)
            if not every:
                rows = [row for row in rows if row["journal_id"] == rows[0]["journal_id"]]
            return Done(rows=rows, source=f"database {reader.address}")
    rows, damage = [], []
    paths = instance.journals(every)
    for path in paths:
        with JournalReader(path) as journal:
            proven = Proven(journal)
            found = operations(proven.records(), since, until, type, limit)
            rows += [{**row, "journal_id": journal.journal_id} for row in found]
            damage += [proven.note] if proven.note else []
    return Done(
        rows=rows[:limit],
        source=f"journal {', '.join(map(str, paths))}",
        why=why,
        damage="; ".join(damage),
    )
