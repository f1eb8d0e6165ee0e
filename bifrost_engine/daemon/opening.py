"""What a run finds before it begins: saved settings, its journal, the broker's record and abilities."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bifrost_engine.config.loader import missing_live_limits
from bifrost_engine.config.schema import Config
from bifrost_engine.daemon.assemble import Assembly, set_aside
from bifrost_engine.daemon.connections import Connections
from bifrost_engine.daemon.intake import Intake
from bifrost_engine.daemon.threads import Threads
from bifrost_engine.domain.broker import BrokerCaps
from bifrost_engine.engine.claims import orphans
from bifrost_engine.engine.state import State
from bifrost_engine.errors import ConfigError, LockHeld
from bifrost_engine.journal import Journal
from bifrost_engine.replay.calling import in_thread
from bifrost_engine.replay.parts import caps_of, seed_of
from bifrost_engine.replay.pipeline import Pipeline

if TYPE_CHECKING:
    from bifrost_engine.daemon.metrics import Metrics

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


async def saved_settings(parts: Assembly) -> Mapping[str, Any] | None:
    """Return the settings that a sink has saved, None without; asking also takes a database's lock.

    Raises LockHeld if another daemon works on a sink's database.
    """
    found = None
    for key, load_settings in parts.plugins.implementations("load_settings", "sinks"):
        try:
            saved = await in_thread(load_settings)
            if saved:
                parts.log.info("saved settings go before the file's", plugin=key, settings=dict(saved))
            found = saved or found
        except LockHeld:
            raise
        except Exception as error:  # noqa: BLE001 - without its settings the file's are used
            parts.log.warning("no settings from the sink", plugin=key, error=str(error))
    return found


def open_journal(parts: Assembly, fresh: bool, taken_ids: Collection[str] = ()) -> Journal:
    """Return the account's journal, locked, after setting aside what a fresh run doesn't want.

    taken_ids  engine ids that belong to other journals

    Raises LockHeld or JournalError.
    """

    def opened() -> Journal:
        return Journal.open(
            parts.folder,
            parts.account,
            new_engine_id=lambda: new_engine_id(parts, taken_ids),
            instance=parts.config.daemon.instance,
        )

    journal = opened()
    if fresh and (journal.last_jseq or has_record(parts)):
        # Opened first, so that a running daemon's files are never moved.
        journal.close()
        moved = set_aside(parts.folder, parts.account)
        parts.log.info("earlier state set aside", files=len(moved))
        journal = opened()
    return journal


def new_engine_id(parts: Assembly, taken_ids: Collection[str]) -> str:
    """Return four characters for a new journal; in a rehearsal they come from the seed.

    A broker that is a process of its own may know the orders of other journals, too.
    """
    if parts.config.broker == "paper" and not getattr(parts.broker_config, "connect", None):
        return f"p{seed_of(parts.config) % 1000:03d}"
    while (made := "".join(secrets.choice(DIGITS) for _ in range(4))) in taken_ids:
        pass
    return made


def has_record(parts: Assembly) -> bool | None:
    """Return whether the broker's plugin has a record of its own from before; None if it keeps none."""
    plugin = parts.plugins.plugin("brokers", parts.config.broker)
    return getattr(plugin, "record_exists", None)


def check_pair(folder: Path, recorded: bool | None, journal: Journal, opened: bool) -> None:
    """Refuse to go on with a journal without the broker's record, or the other way round.

    recorded  whether the broker's plugin has a record of its own; None if it keeps none
    opened    whether the journal has seen the account

    Raises ConfigError.
    """
    if recorded is False and opened:
        there, away = "the journal", "the broker's record"
    elif recorded and not journal.last_jseq:
        there, away = "the broker's record", "the journal"
    else:
        return
    raise ConfigError(
        f"{folder}: {there} is there without {away}; restore it, "
        "or begin anew with 'bifrost run --fresh', which sets both aside"
    )


def broker_caps(parts: Assembly) -> BrokerCaps:
    """Return what the broker says it can do. Raises PluginError if it doesn't say it properly."""
    return caps_of(parts.plugins, parts.config.broker, parts.account)


def open_metrics(
    parts: Assembly,
    pipeline: Pipeline,
    intake: Intake,
    ticks: Callable[[], int],
    connections: Connections,
    threads: Threads,
    journal: Journal,
) -> Metrics | None:
    """Return the figures that are served now, None if none are wanted.

    Raises ConfigError if the port is taken, or what serves them isn't installed.
    """
    daemon = parts.config.daemon
    if daemon.metrics_port is None:
        return None
    try:
        from bifrost_engine.daemon.metrics import Metrics
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"daemon.metrics_port: {error.name} isn't installed; "
            "pip install 'bifrost-engine[metrics]', or leave the setting out"
        ) from error
    metrics = Metrics(
        pipeline, intake, parts.counts, ticks, connections, threads, journal.path, journal.last_jseq
    )
    port = metrics.open(daemon.metrics_host, daemon.metrics_port)
    parts.log.info("figures are served", url=f"http://{daemon.metrics_host}:{port}/metrics")
    return metrics


def check_orphans(config: Config, state: State, park: bool) -> None:
    """Refuse to leave a removed strategy's book behind, unless it is claimed or to be parked.

    Raises ConfigError that says whose it is and what to do.
    """
    for owner, held in orphans(config, state).items():
        if not park:
            raise ConfigError(
                f"ORPHAN_BOOK: strategy {owner} is gone from the file and holds {held}; name its successor "
                f"(claims: [{owner}]), or leave it there, halted, with 'bifrost run --park-orphans'"
            )


def check_limits(config: Config, caps: BrokerCaps, account: str) -> None:
    """Refuse to trade real money without each of the account's limits.

    Raises ConfigError that names the keys to set.
    """
    missing = missing_live_limits(config)
    if missing and not caps.paper:
        raise ConfigError(
            f"live trading on account {account} needs {', '.join(missing)}: expected a limit each, was none; "
            "a limit that isn't set denies every order"
        )
