"""Repair: a new journal that begins with what a damaged one still proves, up to a row.

The old file is kept whole. The new one has ids of its own, so that numbers of orders and
records that were lost never come again; it begins with the state as of that row, its
orders, one adjustment per position, and the baselines that keep the day's result.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from bifrost_engine.domain.fill import Fill, FillKind, FillSource
from bifrost_engine.domain.money import EXACT, round_amount
from bifrost_engine.domain.order import Order, OrderState, Origin, Side
from bifrost_engine.domain.record import Record
from bifrost_engine.engine.image import state_to_plain
from bifrost_engine.engine.repair import SINK_AHEAD
from bifrost_engine.engine.state import OpenItem, State, StrategyState
from bifrost_engine.errors import JournalCorrupt
from bifrost_engine.journal.checkpoint import newest_state
from bifrost_engine.journal.lock import FileLock
from bifrost_engine.journal.reader import JournalReader
from bifrost_engine.journal.writer import REPAIRED, Journal, finish_repair, lock_path, new_journal_id
from bifrost_engine.portfolio.book import Book, fold
from bifrost_engine.portfolio.portfolio import Portfolio
from bifrost_engine.portfolio.valuation import position_payload

DAY_NS = 86_400 * 1_000_000_000
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
ZERO = Decimal(0)


@frozen(kw_only=True)
class Cut:
    """What a repair keeps and what it gives up.

    to      the last row that is kept
    lost    kind → rows after it that can still be read
    orders  client order ids that only those rows name
    state   as of ``to``
    """

    path: Path
    to: int
    lost: dict[str, int]
    orders: tuple[str, ...]
    state: State
    last_hash: bytes
    journal_id: str
    engine_id: str
    account: str
    former: dict[str, list[str]]


def cut_at(path: Path, to: int) -> Cut:
    """Return what a repair to row ``to`` would keep and lose; changes nothing.

    Raises JournalError if the file can't be read at all, JournalCorrupt if the rows don't
    verify that far.
    """
    with JournalReader(path) as reader:
        account = reader.meta["account"]
        state = newest_state(reader, account, at_most=to)
        _fold(reader, state, to)
        last_hash = reader.hash_at(state.last_jseq)
        assert last_hash is not None
        lost: Counter[str] = Counter()
        orders: dict[str, None] = {}
        for kind, coid in reader.unverified_after(to):
            lost[str(kind)] += 1
            if coid is not None and coid not in state.orders:
                orders[str(coid)] = None
        return Cut(
            path=path,
            to=to,
            lost=dict(lost),
            orders=tuple(orders),
            state=state,
            last_hash=last_hash,
            journal_id=reader.journal_id,
            engine_id=reader.meta["engine_id"],
            account=account,
            former=former_ids(reader.meta),
        )


def _fold(reader: JournalReader, state: State, to: int) -> None:
    if state.last_jseq < to:
        for record in reader.records(state.last_jseq):
            state.apply(record)
            if record.jseq == to:
                return
    if state.last_jseq != to:
        raise JournalCorrupt(f"journal has no row {to}: it ends at {state.last_jseq}", state.last_jseq)


def former_ids(meta: dict[str, str]) -> dict[str, list[str]]:
    """Return the ids that a journal's forerunners had, oldest first: of journals and of engines."""
    return {name: json.loads(meta.get(name, "[]")) for name in ("former_journal_ids", "former_engine_ids")}


def repair(cut: Cut, instance: str = "default") -> Path:
    """Put a new journal in the old one's place; return the folder that keeps the old one.

    Raises LockHeld while a daemon runs, JournalError or OSError if the new one can't be
    written; the old one is where it was then.
    """
    lock = FileLock(lock_path(cut.path), instance)
    try:
        _write_new(cut)
        kept = _keep_old(cut.path)
        finish_repair(cut.path, old_is_kept=True)
    finally:
        lock.release()
    return kept


def _write_new(cut: Cut) -> None:
    folder = cut.path.parent / "repair"
    shutil.rmtree(folder, ignore_errors=True)
    former = {
        "former_journal_ids": json.dumps([*cut.former["former_journal_ids"], cut.journal_id]),
        "former_engine_ids": json.dumps([*cut.former["former_engine_ids"], cut.engine_id]),
    }
    taken = {cut.engine_id, *cut.former["former_engine_ids"]}
    journal = Journal.open(
        folder,
        cut.account,
        new_engine_id=next(made for made in iter(_engine_id, None) if made not in taken),
        new_journal_id=new_journal_id,
        further_meta=former,
    )
    try:
        journal.append(list(first_records(cut)), None)
        journal.commit()
    finally:
        journal.close()  # the last connection: what the side file holds is in the file then
    os.replace(journal.path, cut.path.with_name(cut.path.name + REPAIRED))
    shutil.rmtree(folder)


def _engine_id() -> str:
    return "".join(secrets.choice(DIGITS) for _ in range(4))


def _keep_old(path: Path) -> Path:
    number = 1 + sum(1 for _ in path.parent.glob("before-*"))
    target = path.parent / f"before-{number}"
    target.mkdir()
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        if path.with_name(name).exists():
            shutil.copy2(path.with_name(name), target / name)
    os.sync()  # the copies and the new journal are on disk before the old one goes
    return target


# --- the first records ----------------------------------------------------------------------


def first_records(cut: Cut) -> Iterator[Record]:
    """Yield the records with which the new journal begins, at the time of the last row kept."""
    made = _Records(cut.state.last_ns)
    orders = _carried(cut.state)
    facts = {
        "former_journal_id": cut.journal_id,
        "former_engine_id": cut.engine_id,
        "to": cut.to,
        "last_hash": cut.last_hash.hex(),
        "lost": cut.lost,
        "state": _image(cut.state, orders),
    }
    yield made.record("repair", facts)
    for order in orders.values():
        yield made.record("order_event", _order_event(order), order.strategy_id, order.client_order_id)
    for book in cut.state.portfolio.books.values():
        for key in book.positions:
            adjustment = _adjustment(cut, book, key)
            yield made.record("fill", adjustment.to_payload(), book.owner)
            yield made.record("position", _position(adjustment), book.owner)
            if (book.owner, key) not in cut.state.needs_baseline:
                yield made.record("baseline", _baseline(cut.state, book, key))


class _Records:
    def __init__(self, ts_ns: int) -> None:
        self._ts_ns = ts_ns
        self._jseq = 0

    def record(
        self, kind: str, payload: dict[str, Any], strategy_id: str | None = None, coid: str | None = None
    ) -> Record:
        self._jseq += 1
        return Record(self._jseq, self._ts_ns, kind, strategy_id, coid, payload)


def _carried(state: State) -> dict[str, Order]:
    """Return the orders that are open, and those of the last day: of them something may still be heard."""
    since_ns = state.last_ns - DAY_NS
    booked = _booked(state) | state.earlier_executions
    return {
        coid: evolve(_as_booked(order, booked), origin=Origin.RECOVERED, decision_jseq=None)
        for coid, order in state.orders.items()
        if order.is_open or (order.closed_ns or 0) >= since_ns
    }


def _booked(state: State) -> frozenset[str]:
    return frozenset(fill.base_id for book in state.portfolio.books.values() for fill in book.fills())


def _as_booked(order: Order, booked: frozenset[str]) -> Order:
    """Return an order with the executions that the books have; the broker tells the others again.

    A row that is cut off may be the fill of the last one that is kept.
    """
    kept = {base_id: one for base_id, one in order.executions.items() if base_id in booked}
    if len(kept) == len(order.executions):
        return order
    return evolve(order, executions=kept, state=OrderState.UNKNOWN, closed_ns=None)


def _image(state: State, orders: dict[str, Order]) -> dict[str, Any]:
    """Return all of a state but its books, which follow as adjustments."""
    carried = State(state.account)
    for name in vars(state):
        setattr(carried, name, getattr(state, name))
    carried.portfolio = Portfolio(state.account, state.portfolio.currency)
    carried.orders = orders
    carried.strategies, carried.open_items = _without_sink_ahead(state)
    carried.sent = type(state.sent)(entry for entry in state.sent if entry[1] in orders)
    # What was executed before is in the adjustments: heard of once more, it is not booked again.
    carried.earlier_executions = state.earlier_executions | _booked(state)
    return state_to_plain(carried)


def _without_sink_ahead(state: State) -> tuple[dict[str, StrategyState], dict[int, OpenItem]]:
    """Return what holds and what waits, but for a sink that was ahead: of the new journal none can be."""
    strategies = {
        owner: evolve(own, halts={why: held for why, held in own.halts.items() if why != SINK_AHEAD})
        for owner, own in state.strategies.items()
    }
    return strategies, {jseq: item for jseq, item in state.open_items.items() if item.rule != "R02"}


def _order_event(order: Order) -> dict[str, Any]:
    return {
        "event": "RECOVERED",
        "source": "RECOVERY",
        "outcome": "APPLIED",
        "from_state": order.state,
        "to_state": order.state,
        "incident": None,
        "source_event_id": None,
        "order": order,
    }


def _adjustment(cut: Cut, book: Book, key: str) -> Fill:
    """Return the execution that stands for a position, of quantity 0 for one that is closed."""
    position, contract = book.positions[key], book.contract(key)
    average = position.average_price(contract.multiplier) or ZERO
    state = cut.state
    return Fill(
        base_id=f"repair:{cut.journal_id}:{book.owner}:{key}",
        owner=book.owner,
        account=state.account,
        contract=contract,
        side=Side.SELL if position.quantity < 0 else Side.BUY,
        quantity=abs(position.quantity),
        price=round_amount(average),
        commission=ZERO,
        commission_currency=state.portfolio.currency,
        kind=FillKind.ADJUST,
        source=FillSource.OPERATOR,
        exec_ts_ns=state.last_ns,
        booked_ns=state.last_ns,
        trading_day=state.trading_day or datetime.fromtimestamp(state.last_ns / 1e9, UTC).date(),
    )


def _position(adjustment: Fill) -> dict[str, Any]:
    """Return the position that an adjustment makes, before anybody knows a mark."""
    return position_payload(
        fold([adjustment]),
        adjustment.contract,
        account=adjustment.account,
        owner=adjustment.owner,
        currency=adjustment.commission_currency,
    )


def _baseline(state: State, book: Book, key: str) -> dict[str, Any]:
    """Return the baseline from which the day's result stays what it was: the adjustment realized nothing."""
    position = book.positions[key]
    with localcontext(EXACT):
        realized = position.realized - sum(position.commission.values(), ZERO)
        net = state.baselines.get((book.owner, key), ZERO) - realized
    return {
        "owner": book.owner,
        "contract_key": key,
        "net": net,
        "modelled": (book.owner, key) in state.modelled,
    }
