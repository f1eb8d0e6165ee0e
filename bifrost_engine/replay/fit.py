"""Whether a recording fits a configuration: its clock, its symbols, its contracts.

Looked at before a run. What can't come to anything is refused; what may be meant is told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from attrs import Factory, define, frozen

from bifrost_engine.calendar import ExchangeSessions
from bifrost_engine.config.schema import Config
from bifrost_engine.config.strategy import StrategyConfig
from bifrost_engine.domain.contract import Contract, SecType, parse_contract_key, stock_key
from bifrost_engine.errors import ConfigError
from bifrost_engine.replay.census import SIDE_FAULTS, side_faults
from bifrost_engine.replay.columns import Columns
from bifrost_engine.replay.dataset import DataSet
from bifrost_engine.replay.late import Late
from bifrost_engine.replay.parts import sessions_of
from bifrost_engine.replay.sessiontable import EARLIEST_NS, LATEST_NS, NO_DAY, SessionTable
from bifrost_engine.strategies.gamma.legs import NO_QUOTE, outside

if TYPE_CHECKING:
    from bifrost_engine.replay.columns import Floats, Integers

HEAD = 20_000
"""Quotes that are looked at in any case; further ones only while a symbol is still missing."""
SECOND_NS = 1_000_000_000
NAMED = 6
BEYOND = (
    "ts_ms is beyond what milliseconds since 1970 can mean: if it is in micro- or nanoseconds, "
    "`bifrost data import --time-unit us` (or `ns`) converts it"
)


@frozen(kw_only=True)
class Fit:
    """A recording that fits.

    first_ns  time of its first quote
    late      whether it has rows that go back in time, as far as it was looked at
    warnings  what should be looked at, one sentence each
    """

    first_ns: int
    late: bool
    warnings: tuple[str, ...]


@define
class _Head:
    """What the beginning of a recording holds."""

    first_ns: int = 0
    quotes: int = 0
    keys: set[str] = Factory(set)
    rows: dict[str, list[Columns]] = Factory(dict)
    late: Late = Factory(Late)

    def see(self, rows: Columns) -> None:
        self.first_ns = self.first_ns or rows.ts_ns.item(0)
        self.quotes += len(rows)
        self.keys |= _quoted(rows)
        for index, key in enumerate(rows.keys):
            self.rows.setdefault(key, []).append(rows.where(rows.contract == index))

    def times_of(self, key: str) -> Integers:
        import numpy as np

        return np.concatenate([np.zeros(0, np.int64), *(rows.ts_ns for rows in self.rows.get(key, []))])

    def spots_of(self, key: str) -> tuple[Integers, Floats]:
        """Return the times and mids of a contract's quotes, NaN where one withdraws those before it."""
        import numpy as np

        times, mids = [np.zeros(0, np.int64)], [np.zeros(0)]
        for rows in self.rows.get(key, []):
            faults = side_faults(rows)
            kept = faults != SIDE_FAULTS.index("crossed")
            times.append(rows.ts_ns[kept])
            mids.append(np.where(faults == 0, rows.mid, np.nan)[kept])
        return np.concatenate(times), np.concatenate(mids)

    def gap_ns(self, key: str) -> float:
        """Return the median time between two quotes of a contract; 0.0 with fewer."""
        import numpy as np

        times = self.times_of(key)
        return float(np.median(np.diff(times))) if len(times) > 1 else 0.0


def check_fit(data: DataSet, config: Config, positions: Iterable[str]) -> Fit:
    """Return what a run of ``config`` on ``data`` begins with.

    positions  contract keys that the account begins with

    Raises ConfigError if it can come to nothing, DataError as ``read_quotes``.
    """
    skipped: Counter[str] = Counter()
    held = [parse_contract_key(key) for key in positions]
    head = _look(data, config, held, skipped)
    if not head.quotes:
        raise ConfigError(f"{data.path}: expected quotes{_window(data)}, found none{left_out(skipped)}")
    _check_clock(data, head.first_ns)
    _check_symbols(data, config, head)
    day = datetime.fromtimestamp(head.first_ns // SECOND_NS, UTC).date()
    _check_expiries(data, held, day)
    sessions = sessions_of(config)
    warnings = [text for strategy in config.strategies for text in _concerns(strategy, held, head, sessions)]
    backward = head.late.warning("the first")
    if backward is not None:
        warnings.append(backward)
    return Fit(
        first_ns=head.first_ns,
        late=backward is not None,
        warnings=(*_untraded(config, held), *warnings, *_closed(config, head)),
    )


def left_out(skipped: Counter[str]) -> str:
    """Return the rows that aren't quotes, by reason, as what follows "found none"; empty without any."""
    why = ", ".join(f"{why} {count}" for why, count in skipped.items() if count)
    return (f"; rows left out: {why}" if why else "") + (f"; {BEYOND}" if skipped["time"] else "")


def _look(data: DataSet, config: Config, held: list[Contract], skipped: Counter[str]) -> _Head:
    head = _Head()
    wanted = {stock_key(strategy.symbol) for strategy in config.strategies}
    taken = {strategy.symbol for strategy in config.strategies} | {contract.symbol for contract in held}
    for block in data.blocks(skipped):
        head.late.see(_rows_of(block, taken))
        if head.quotes < HEAD:
            head.see(block.where(slice(0, HEAD - head.quotes)))
        if not wanted <= head.keys:
            head.keys |= wanted & _quoted(block)
        if head.quotes >= HEAD and wanted <= head.keys:
            break
    return head


def _rows_of(rows: Columns, symbols: set[str]) -> Columns:
    """Return the rows of some symbols, as a run takes no others."""
    import numpy as np

    wanted = np.array([key.partition("|")[0] in symbols for key in rows.keys])
    return rows if wanted.all() else rows.where(wanted[rows.contract])


def _quoted(rows: Columns) -> set[str]:
    return {rows.keys[index] for index in set(rows.contract.tolist())}


def _window(data: DataSet) -> str:
    return f" from {_told(data.start_ns)} on" if data.start_ns else ""


def _told(ts_ns: int) -> str:
    return datetime.fromtimestamp(ts_ns // SECOND_NS, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _check_clock(data: DataSet, first_ns: int) -> None:
    fault = clock_fault(first_ns)
    if fault is not None:
        raise ConfigError(f"{data.path}: {fault}")
    if data.end_ns is not None and data.end_ns <= first_ns:
        raise ConfigError(
            f"{data.path}: begins at {_told(first_ns)}: the end that was asked for, {_told(data.end_ns)}, "
            "isn't after it"
        )


def clock_fault(first_ns: int) -> str | None:
    """Return why the time of a first quote isn't in milliseconds since 1970, None if it may well be."""
    if EARLIEST_NS <= first_ns <= LATEST_NS:
        return None
    fitting = [
        unit
        for unit, per_ns in (("seconds", 1e3), ("microseconds", 1e-3), ("nanoseconds", 1e-6))
        if EARLIEST_NS <= first_ns * per_ns <= LATEST_NS
    ]
    guess = f"; it would make sense in {fitting[0]}" if fitting else ""
    return (
        f"ts_ms of the first quote is {first_ns // 1_000_000}: expected milliseconds since 1970, UTC{guess}"
    )


def _check_symbols(data: DataSet, config: Config, head: _Head) -> None:
    for strategy in config.strategies:
        if stock_key(strategy.symbol) not in head.keys:
            symbols = sorted({key.partition("|")[0] for key in head.keys})
            more = f" and {len(symbols) - NAMED} more" if len(symbols) > NAMED else ""
            raise ConfigError(
                f"{data.path}: expected quotes of {stock_key(strategy.symbol)}, which strategy "
                f"{strategy.id} trades; found contracts of {', '.join(symbols[:NAMED])}{more}"
            )


def _check_expiries(data: DataSet, held: list[Contract], day: date) -> None:
    for contract in held:
        if contract.expiry is not None and contract.expiry < day:
            raise ConfigError(
                f"{data.path}: {contract.key}, a position to begin with, expired before the first quote, "
                f"which is of {day}"
            )


def _untraded(config: Config, held: list[Contract]) -> Iterator[str]:
    """Yield the positions that no strategy looks after."""
    traded = {strategy.symbol for strategy in config.strategies}
    for contract in held:
        if contract.symbol not in traded:
            yield f"position {contract.key}: no strategy trades {contract.symbol}; it isn't hedged"


def _closed(config: Config, head: _Head) -> Iterator[str]:
    """Yield the strategies whose stock has quotes, but none while they may hedge."""
    table = SessionTable(sessions_of(config))
    for strategy in config.strategies:
        times = head.times_of(stock_key(strategy.symbol))
        if not strategy.gates.strategy.trading_hours_only or not len(times):
            continue
        if (table.session_days(times) == NO_DAY).all():
            yield (
                f"{strategy.id}: no quote of {strategy.symbol} among the first {head.quotes:,} is within a "
                f"session, the first is of {_told(times.item(0))}: gates.strategy.trading_hours_only allows "
                "no hedge outside"
            )


def _concerns(
    strategy: StrategyConfig, held: list[Contract], head: _Head, sessions: ExchangeSessions
) -> Iterator[str]:
    """Yield what may keep a strategy from doing anything."""
    own = [c for c in held if c.symbol == strategy.symbol and c.sec_type is SecType.OPTION]
    if strategy.use == "gamma":
        if not own:
            yield f"{strategy.id}: the account holds no option on {strategy.symbol}: nothing to hedge"
        left = _unmanaged(strategy, own, head, sessions)
        if left:
            yield (
                f"{strategy.id}: gates.strategy.structure leaves out at the first quote that it judges by: "
                f"{'; '.join(left[:NAMED])}" + (f"; and {len(left) - NAMED} more" if left[NAMED:] else "")
            )
    unquoted = [contract.key for contract in own if contract.key not in head.keys]
    if unquoted:
        yield (
            f"{strategy.id}: no quote of {', '.join(unquoted[:NAMED])} among the first {head.quotes:,}: "
            "without one an option is marked by the model"
        )
    gap_ns = head.gap_ns(stock_key(strategy.symbol))
    limit_ms = strategy.gates.state.market.stale_ts_threshold_ms
    if gap_ns / 1e6 > limit_ms:
        yield (
            f"{strategy.id}: quotes of {strategy.symbol} come every {gap_ns / 1e9:g} s; "
            f"gates.state.market.stale_ts_threshold_ms calls them stale after {limit_ms / 1e3:g} s"
        )


def _unmanaged(
    strategy: StrategyConfig, own: list[Contract], head: _Head, sessions: ExchangeSessions
) -> list[str]:
    """Return the options that the strategy won't manage as it begins, each with the reason."""
    structure = strategy.gates.strategy.structure
    looks = [(sessions.trading_day(ts_ns), spot) for ts_ns, spot in _looks(strategy, head, sessions)]
    left = []
    for contract in own:
        reasons = [outside(contract, day, spot, structure) for day, spot in looks]
        if None not in reasons and reasons[0] != NO_QUOTE:
            left.append(f"{contract.key}: {reasons[0]}")
    return left


def _looks(
    strategy: StrategyConfig, head: _Head, sessions: ExchangeSessions
) -> list[tuple[int, float | None]]:
    """Return the times, with the spot then, at which the strategy first chooses what it manages.

    It does by the first good quote of its stock in a session; ``live`` by every one. Where it may
    hedge at all hours, by its very first, and as a session opens by the newest one, if it is good.
    Without a quote to choose by, it is the time of the first row.
    """
    import numpy as np

    gates = strategy.gates.strategy
    ts_ns, spots = head.spots_of(stock_key(strategy.symbol))
    inside = SessionTable(sessions).session_days(ts_ns) != NO_DAY
    opening = ~inside & np.r_[inside[1:], False][: len(inside)] & (not gates.trading_hours_only)
    good = ~np.isnan(spots)
    in_session = np.flatnonzero(good & (inside | opening))
    may = in_session if gates.trading_hours_only else np.flatnonzero(good)
    if gates.structure.selection != "live":
        may = np.union1d(may[:1], in_session[:1])
    at_ns = np.where(opening, np.r_[ts_ns[1:], 0][: len(ts_ns)], ts_ns)
    return list(zip(at_ns[may].tolist(), spots[may].tolist(), strict=True)) or [(head.first_ns, None)]
