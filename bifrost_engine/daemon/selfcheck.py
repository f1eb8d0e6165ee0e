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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from attrs import evolve

from bifrost_engine.calendar import AroundTheClock
from bifrost_engine.clock import EventClock
from bifrost_engine.config.schema import Config
from bifrost_engine.daemon.assemble import RunOptions, feed_name, load_config, make_slot
from bifrost_engine.daemon.instance import Instance
from bifrost_engine.daemon.wallclock import WallClock
from bifrost_engine.domain.broker import BrokerEventKind
from bifrost_engine.domain.check import CheckResult, Verdict
from bifrost_engine.domain.contract import Contract
from bifrost_engine.domain.record import Record
from bifrost_engine.domain.rows import OPERATION_FIELDS, SNAPSHOT_FIELDS
from bifrost_engine.engine import Engine
from bifrost_engine.errors import BifrostError, SinkError
from bifrost_engine.hookspecs import Clock, PluginContext
from bifrost_engine.journal import JournalReader
from bifrost_engine.journal.inspection import inspect as inspect_journal
from bifrost_engine.logs import console_log
from bifrost_engine.plugins import PluginSet, find, inspect
from bifrost_engine.replay.parts import section_value

OK, FAILED, SKIPPED = Verdict.OK, Verdict.FAILED, Verdict.SKIPPED
LINK_PATIENCE_S = 15.0
CHECK_PATIENCE_S = 60.0
START_PATIENCE_S, STOP_PATIENCE_S = 30.0, 10.0


def selfcheck(
    instance: Instance,
    config_path: Path | None,
    *,
    skip_broker: bool = False,
    skip_database: bool = False,
    signal_test: bool = False,
) -> Iterator[CheckResult]:
    """Yield each finding as it is made; never raises for what a set-up may have wrong."""
    config = instance.config
    yield configuration(config)
    yield from plugins(config)
    yield _guarded(
        "plugin interface", lambda: interface(config), "a defect of the strategy's plugin; report it"
    )
    if skip_database:
        yield CheckResult("database", SKIPPED, "by --skip-db")
    else:
        yield from database(instance)
    if skip_broker:
        yield CheckResult("broker", SKIPPED, "by --skip-ib")
    else:
        yield from links(instance if skip_database else _with_saved(instance, config_path))
    yield journal(instance)
    if signal_test:
        yield _guarded("signal test", lambda: signals(config_path), "report it with the daemon's output")
    else:
        yield CheckResult("signal test", SKIPPED, "give --signal-test to start a rehearsal and stop it")


def _guarded(name: str, check: Callable[[], str], mend: str) -> CheckResult:
    try:
        return CheckResult(name, OK, check())
    except Exception as error:  # noqa: BLE001 - whatever is wrong is the finding
        return CheckResult(name, FAILED, f"{type(error).__name__}: {error}", mend)


def configuration(config: Config) -> CheckResult:
    """Say what would be run; that it loads was found out before."""
    names = ", ".join(f"{strategy.id} on {strategy.symbol}" for strategy in config.strategies)
    sinks = ", ".join(config.sinks) or "none"
    return CheckResult(
        "configuration", OK, f"{names}; broker {config.broker}, feed {config.feed_name}, sinks {sinks}"
    )


def plugins(config: Config) -> Iterator[CheckResult]:
    """Import each selected plugin and check it against the hooks."""
    wanted = {("brokers", config.broker), ("feeds", feed_name(config))}
    wanted |= {("sinks", sink) for sink in config.sinks} | {("strategies", s.use) for s in config.strategies}
    for kind, name in sorted(wanted):
        title = f"plugin {kind}:{name}"
        try:
            report = inspect(find(kind, name))
        except BifrostError as error:
            yield CheckResult(title, FAILED, str(error), "see: bifrost plugins")
            continue
        hooks = ", ".join(report.hooks) or "no hooks of its own"
        found = f"{report.info.origin}: {report.error or hooks}"
        yield CheckResult(
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


def _context(
    name: str, folder: Path, emit: Callable[[Any], None], clock: Clock | None = None
) -> PluginContext:
    log = console_log()
    return PluginContext(name=name, log=log, clock=clock or EventClock(), state_dir=folder, emit=emit)


def database(instance: Instance) -> Iterator[CheckResult]:
    """Reach the database and compare its tables, if a sink has one."""
    if not instance.config.sinks:
        yield CheckResult("database", SKIPPED, "no sink is configured; status and ops read the journal")
        return
    instance.folder.mkdir(parents=True, exist_ok=True)
    with instance.reader() as reader:
        if reader is None:
            yield CheckResult("database", SKIPPED, "no sink that can be read is configured")
            return
        try:
            yield CheckResult("database", OK, f"reachable: psql '{reader.address}'")
            yield _tables(reader)
        except SinkError as error:
            yield CheckResult(
                "database", FAILED, str(error), "mend the sink's section under status, or --skip-db"
            )


def _tables(reader: Any) -> CheckResult:
    if not hasattr(reader, "check"):
        return CheckResult("tables", SKIPPED, "this sink doesn't check its tables")
    problems = reader.check()
    if not problems:
        return CheckResult("tables", OK, "tables, columns and types as expected")
    more = f"; {len(problems) - 1} more" if len(problems) > 1 else ""
    return CheckResult("tables", FAILED, f"{problems[0]}{more}", "bifrost db refresh")


def _with_saved(instance: Instance, config_path: Path | None) -> Instance:
    """Return the instance with the settings that an operator saved in a database, as a start has them."""
    with suppress(BifrostError), instance.reader() as reader:
        saved = reader.settings() if hasattr(reader, "settings") else None
        if saved:
            options = RunOptions(config_path=config_path)
            return evolve(instance, config=load_config(options, os.environ, database=saved).config)
    return instance


def links(instance: Instance) -> Iterator[CheckResult]:
    """Make broker and feed and try their links, unless a daemon may be connected."""
    config = instance.config
    if instance.daemon() is not None:
        yield CheckResult(
            f"broker {config.broker}", SKIPPED, "a daemon runs and has the connection; see: bifrost status"
        )
        return
    yield from _link(config, "brokers", config.broker)
    if feed_name(config) != config.broker:
        yield from _link(config, "feeds", feed_name(config))


def _link(config: Config, kind: str, name: str) -> Sequence[CheckResult]:
    title = f"{kind.removesuffix('s')} {name}"
    with TemporaryDirectory(prefix="bifrost-check-") as folder:
        try:
            return asyncio.run(_tried(config, kind, name, title, Path(folder)))
        except BifrostError as error:
            mend = "mend the section or name another one; --skip-ib goes on"
            return [CheckResult(title, FAILED, str(error), mend)]
        except Exception as error:  # noqa: BLE001 - a plugin's failure is the finding
            mend = "report it to the plugin's author"
            return [CheckResult(title, FAILED, f"{type(error).__name__}: {error}", mend)]


async def _tried(config: Config, kind: str, name: str, title: str, folder: Path) -> Sequence[CheckResult]:
    up = asyncio.Event()
    loop = asyncio.get_running_loop()
    texts: list[str] = []

    def emit(event: Any) -> None:
        texts.extend(filter(None, [getattr(event, "text", "")]))
        if getattr(event, "kind", None) is BrokerEventKind.LINK_UP:
            loop.call_soon_threadsafe(up.set)

    made = PluginSet()
    section = section_value(kind, name, config.sections.get(name))
    clock = WallClock(loop, console_log())
    made.start(kind, name, section, _context(name, folder, emit, clock))
    check = made.implementation(kind, name, "self_check")
    if check is not None:
        async with asyncio.timeout(CHECK_PATIENCE_S):
            found: Sequence[CheckResult] = await check(_stocks(config))
            return found
    if kind == "feeds":
        return []
    return [await _linked(made, name, title, up, texts)]


def _stocks(config: Config) -> tuple[Contract, ...]:
    symbols = dict.fromkeys(strategy.symbol for strategy in config.strategies)
    return tuple(map(Contract.stock, symbols))


async def _linked(
    made: PluginSet, broker: str, title: str, up: asyncio.Event, texts: list[str]
) -> CheckResult:
    connect = made.implementation("brokers", broker, "connect")
    leave = made.implementation("brokers", broker, "disconnect")
    if connect is None:
        return CheckResult(title, OK, "made; it needs no connection")
    try:
        async with asyncio.timeout(LINK_PATIENCE_S):
            await connect()
            await up.wait()
    except TimeoutError:
        last = f": {texts[-1]}" if texts else ""
        return CheckResult(
            title, FAILED, f"no link within {LINK_PATIENCE_S:g} s{last}", "is it running and reachable?"
        )
    finally:
        if leave is not None:
            await leave()
    return CheckResult(title, OK, "linked, and left again")


def journal(instance: Instance) -> CheckResult:
    """Read the journal through, with its chain of hashes."""
    try:
        paths = instance.journals()
    except BifrostError:
        return CheckResult("journal", OK, f"none yet; a run will write it in {instance.folder}")
    try:
        found = inspect_journal(paths[0])
    except BifrostError as error:
        return CheckResult("journal", FAILED, str(error), "restore a copy, or begin with --fresh")
    if not found.problem:
        count = found.last_good - found.first + 1 if found.first else 0
        return CheckResult("journal", OK, f"{paths[0]}: {count:,} records, chain intact")
    return CheckResult("journal", FAILED, found.problem, f"bifrost journal repair --to {found.repair_to}")


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
