"""The self-check: what a run would need, tried one by one without touching a running daemon's state.

Plugins are made in a temporary folder; the broker's link is tried only while no daemon
holds the instance. Each finding says what was done, and for a failure what mends it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import structlog
from attrs import frozen

from bifrost_engine.calendar import AroundTheClock
from bifrost_engine.clock import EventClock
from bifrost_engine.config.schema import Config
from bifrost_engine.daemon.assemble import feed_name, make_slot, section_value
from bifrost_engine.daemon.instance import Instance
from bifrost_engine.domain.broker import BrokerEventKind
from bifrost_engine.domain.record import Record
from bifrost_engine.domain.rows import OPERATION_FIELDS, SNAPSHOT_FIELDS
from bifrost_engine.engine import Engine
from bifrost_engine.errors import BifrostError, SinkError
from bifrost_engine.hookspecs import PluginContext
from bifrost_engine.journal import JournalReader
from bifrost_engine.journal.inspection import inspect as inspect_journal
from bifrost_engine.plugins import PluginSet, find, inspect

OK, FAILED, SKIPPED = "ok", "failed", "skipped"
LINK_PATIENCE_S = 15.0
START_PATIENCE_S, STOP_PATIENCE_S = 30.0, 10.0


@frozen
class Finding:
    """One thing that was checked.

    result  ok, failed or skipped
    found   what was found, or why it was skipped
    mend    what to do about a failure
    """

    name: str
    result: str
    found: str
    mend: str = ""


def selfcheck(
    instance: Instance,
    config_path: Path | None,
    *,
    skip_broker: bool = False,
    skip_database: bool = False,
    signal_test: bool = False,
) -> Iterator[Finding]:
    """Yield each finding as it is made; never raises for what a set-up may have wrong."""
    config = instance.config
    yield configuration(config)
    yield from plugins(config)
    yield _guarded(
        "plugin interface", lambda: interface(config), "a defect of the strategy's plugin; report it"
    )
    if skip_database:
        yield Finding("database", SKIPPED, "by --skip-db")
    else:
        yield from database(instance)
    if skip_broker:
        yield Finding("broker", SKIPPED, "by --skip-ib")
    else:
        yield broker(instance)
    yield journal(instance)
    if signal_test:
        yield _guarded("signal test", lambda: signals(config_path), "report it with the daemon's output")
    else:
        yield Finding("signal test", SKIPPED, "give --signal-test to start a rehearsal and stop it")


def _guarded(name: str, check: Callable[[], str], mend: str) -> Finding:
    try:
        return Finding(name, OK, check())
    except Exception as error:  # noqa: BLE001 - whatever is wrong is the finding
        return Finding(name, FAILED, f"{type(error).__name__}: {error}", mend)


def configuration(config: Config) -> Finding:
    """Say what would be run; that it loads was found out before."""
    names = ", ".join(f"{strategy.id} on {strategy.symbol}" for strategy in config.strategies)
    sinks = ", ".join(config.sinks) or "none"
    return Finding(
        "configuration", OK, f"{names}; broker {config.broker}, feed {config.feed_name}, sinks {sinks}"
    )


def plugins(config: Config) -> Iterator[Finding]:
    """Import each selected plugin and check it against the hooks."""
    wanted = {("brokers", config.broker), ("feeds", feed_name(config))}
    wanted |= {("sinks", sink) for sink in config.sinks} | {("strategies", s.use) for s in config.strategies}
    for kind, name in sorted(wanted):
        title = f"plugin {kind}:{name}"
        try:
            report = inspect(find(kind, name))
        except BifrostError as error:
            yield Finding(title, FAILED, str(error), "see: bifrost plugins")
            continue
        hooks = ", ".join(report.hooks) or "no hooks of its own"
        found = f"{report.info.origin}: {report.error or hooks}"
        yield Finding(
            title, FAILED if report.error else OK, found, "see: bifrost plugins" if report.error else ""
        )


def interface(config: Config) -> str:
    """Make the strategies and an engine, and compare their rows with what every sink expects."""
    with TemporaryDirectory(prefix="bifrost-check-") as folder:
        made = PluginSet()
        context = _context("check", Path(folder), lambda _event: None)
        slots = [make_slot(strategy, made, context) for strategy in config.strategies]
        engine = Engine(config, AroundTheClock(), "chck", slots)
    for snapshot in engine.snapshots():
        _complete("snapshot", snapshot, (*SNAPSHOT_FIELDS, "strategy_id", "block_reasons", "hedge_state"))
    engine.core.operation("check")
    (record,) = (effect for effect in engine.core.effects if isinstance(effect, Record))
    _complete("operation", record.payload, OPERATION_FIELDS)
    return (
        f"a snapshot has its {len(SNAPSHOT_FIELDS)} keys and more, an operation its {len(OPERATION_FIELDS)}"
    )


def _complete(what: str, row: Mapping[str, Any], names: tuple[str, ...]) -> None:
    missing = [name for name in names if name not in row]
    if missing:
        raise KeyError(f"{what} lacks {', '.join(missing)}")


def _context(name: str, folder: Path, emit: Callable[[Any], None]) -> PluginContext:
    log = structlog.get_logger()
    return PluginContext(name=name, log=log, clock=EventClock(), state_dir=folder, emit=emit)


def database(instance: Instance) -> Iterator[Finding]:
    """Reach the database and compare its tables, if a sink has one."""
    if not instance.config.sinks:
        yield Finding("database", SKIPPED, "no sink is configured; status and ops read the journal")
        return
    instance.folder.mkdir(parents=True, exist_ok=True)
    with instance.reader() as reader:
        if reader is None:
            yield Finding("database", SKIPPED, "no sink that can be read is configured")
            return
        try:
            yield Finding("database", OK, f"reachable: psql '{reader.address}'")
            yield _tables(reader)
        except SinkError as error:
            yield Finding(
                "database", FAILED, str(error), "mend the sink's section under status, or --skip-db"
            )


def _tables(reader: Any) -> Finding:
    if not hasattr(reader, "check"):
        return Finding("tables", SKIPPED, "this sink doesn't check its tables")
    problems = reader.check()
    if not problems:
        return Finding("tables", OK, "tables, columns and types as expected")
    more = f"; {len(problems) - 1} more" if len(problems) > 1 else ""
    return Finding("tables", FAILED, f"{problems[0]}{more}", "bifrost db refresh")


def broker(instance: Instance) -> Finding:
    """Make the broker's plugin and connect, unless a daemon may be connected."""
    config = instance.config
    name = f"broker {config.broker}"
    if instance.daemon() is not None:
        return Finding(name, SKIPPED, "a daemon runs and has the connection; see: bifrost status")
    with TemporaryDirectory(prefix="bifrost-check-") as folder:
        try:
            return asyncio.run(_linked(config, name, Path(folder)))
        except BifrostError as error:
            return Finding(
                name, FAILED, str(error), "mend the section or name another broker; --skip-ib goes on"
            )
        except Exception as error:  # noqa: BLE001 - a plugin's failure is the finding
            return Finding(
                name, FAILED, f"{type(error).__name__}: {error}", "report it to the plugin's author"
            )


async def _linked(config: Config, name: str, folder: Path) -> Finding:
    up = asyncio.Event()
    loop = asyncio.get_running_loop()
    texts = []

    def emit(event: Any) -> None:
        texts.append(getattr(event, "text", ""))
        if getattr(event, "kind", None) is BrokerEventKind.LINK_UP:
            loop.call_soon_threadsafe(up.set)

    made = PluginSet()
    section = section_value("brokers", config.broker, config.sections.get(config.broker))
    made.start("brokers", config.broker, section, _context(config.broker, folder, emit))
    connect = made.implementation("brokers", config.broker, "connect")
    leave = made.implementation("brokers", config.broker, "disconnect")
    if connect is None:
        return Finding(name, OK, "made; it needs no connection")
    try:
        async with asyncio.timeout(LINK_PATIENCE_S):
            await connect()
            await up.wait()
    except TimeoutError:
        last = f": {texts[-1]}" if texts else ""
        return Finding(
            name, FAILED, f"no link within {LINK_PATIENCE_S:g} s{last}", "is it running and reachable?"
        )
    finally:
        if leave is not None:
            await leave()
    return Finding(name, OK, "linked, and left again")


def journal(instance: Instance) -> Finding:
    """Read the journal through, with its chain of hashes."""
    try:
        paths = instance.journals()
    except BifrostError:
        return Finding("journal", OK, f"none yet; a run will write it in {instance.folder}")
    try:
        found = inspect_journal(paths[0])
    except BifrostError as error:
        return Finding("journal", FAILED, str(error), "restore a copy, or begin with --fresh")
    if not found.problem:
        count = found.last_good - found.first + 1 if found.first else 0
        return Finding("journal", OK, f"{paths[0]}: {count:,} records, chain intact")
    return Finding("journal", FAILED, found.problem, f"bifrost journal repair --to {found.repair_to}")


def signals(config_path: Path | None) -> str:
    """Start a rehearsal in a folder of its own, stop it by SIGTERM, and look that nothing followed."""
    with TemporaryDirectory(prefix="bifrost-check-") as folder:
        environ = {**os.environ, "BIFROST_STATE_DIR": folder}
        options = ["--broker", "paper", "--feed", "sim", "--sink", "none", "--speed", "60", "--fresh"]
        options += ["--set", f"daemon.state_dir={folder}"]
        if config_path is not None:
            options += ["--config", str(config_path.absolute())]
        process = subprocess.Popen(
            [sys.executable, "-m", "bifrost_engine.cli", "run", *options],
            env=environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            return _stopped(process, Path(folder))
        finally:
            process.kill()
            process.wait()


def _stopped(process: subprocess.Popen[str], folder: Path) -> str:
    deadline_s = time.monotonic() + START_PATIENCE_S
    while not _started(folder) and process.poll() is None and time.monotonic() < deadline_s:
        time.sleep(0.1)
    if process.poll() is not None or not _started(folder):
        raise RuntimeError(f"the rehearsal didn't start: {_last_line(process)}")
    asked_s = time.monotonic()
    process.send_signal(signal.SIGTERM)
    try:
        process.communicate(timeout=STOP_PATIENCE_S)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"still running {STOP_PATIENCE_S:g} s after SIGTERM") from None
    took_s = time.monotonic() - asked_s
    if process.returncode != 0:
        raise RuntimeError(f"exit code {process.returncode} after SIGTERM, expected 0")
    late = _orders_after_stop(folder)
    if late:
        raise RuntimeError(f"{late} orders after the stop")
    return f"SIGTERM ended a rehearsal in {took_s:.1f} s, exit code 0, no order after it"


def _last_line(process: subprocess.Popen[str]) -> str:
    process.kill()
    _, text = process.communicate()
    return (text.strip().splitlines() or ["it said nothing"])[-1]


def _records(folder: Path) -> list[Record]:
    paths = list(folder.glob("*/journal-*.db"))
    if not paths:
        return []
    try:
        with JournalReader(paths[0]) as reader:
            return list(reader.records())
    except BifrostError:  # being made
        return []


def _started(folder: Path) -> bool:
    return any(record.kind == "recon_end" for record in _records(folder))


def _orders_after_stop(folder: Path) -> int:
    stopped = False
    late = 0
    for record in _records(folder):
        if record.kind == "operation" and record.payload["type"] == "stop":
            stopped = True
        late += stopped and record.kind == "order_event" and record.payload["event"] == "SUBMIT"
    return late
