"""The engine's lasting state: a fold over the journal's records.

Whatever must survive a crash changes only in ``State.apply``, which is called for
each record as it is made, and for each record of the journal at a start. So a
replayed journal gives the state that was lost.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, ClassVar

from attrs import Factory, define, evolve, fields, frozen

from bifrost_engine.domain.contract import Contract, SecType, parse_contract_key
from bifrost_engine.domain.fill import Fill, FillKind
from bifrost_engine.domain.order import Order, OrderState, Origin, Purpose
from bifrost_engine.domain.record import Record
from bifrost_engine.domain.view import LastHedge
from bifrost_engine.engine.codec import order_from_payload
from bifrost_engine.portfolio.portfolio import Portfolio
from bifrost_engine.risk.restraint import REJECTS, Level, Restraint

FAR = 1 << 63
"""A time, nanoseconds, that never comes."""
MINUTE_NS = 60_000_000_000
SETTLED = ("CLEAN", "REPAIRED", "OPEN_ITEMS")
"""Results of a comparison after which we know where we stand."""
REMEMBERED = 4000
"""Orders that the controls on repetition and rate look back on, at most."""
EVERYBODY = ""
"""Key of a flag that holds for all strategies."""

Fold = Callable[["State", Record, Mapping[str, Any]], None]


@define
class StrategyState:
    """What the journal knows of one strategy.

    halts         what holds or halts it, by reason; each stays until it is lifted
    legs          contract keys that it manages
    day_legs      those that it has managed since the trading day began
    hedge_legs    those at its last hedge
    open_orders   its orders that aren't done, oldest first
    breaker_limit limit of the day's loss when that was reached last
    rejects       orders in a row that the broker rejected
    """

    day_hedges: int = 0
    last_hedge: LastHedge | None = None
    last_hedge_order: str | None = None
    halts: dict[str, Restraint] = Factory(dict)
    legs: tuple[str, ...] = ()
    day_legs: tuple[str, ...] = ()
    hedge_legs: tuple[str, ...] = ()
    open_orders: dict[str, None] = Factory(dict)
    limit_exhausted: bool = False
    breaker_limit: Decimal | None = None
    rejects: int = 0


@frozen(kw_only=True)
class Kept:
    """What a finding of a comparison holds back.

    strategy_id  None: every strategy on the contract's symbol
    reason       of the halt
    """

    strategy_id: str | None
    contract_key: str
    reason: str

    @property
    def whose(self) -> str:
        """The strategy or the contract that is held."""
        return self.strategy_id or self.contract_key


@frozen(kw_only=True)
class OpenItem:
    """A finding of a comparison that waits for a person.

    key   the same in every pass that finds it again
    kept  what stays held back until it is acknowledged
    """

    jseq: int
    ts_ns: int
    key: str
    rule: str
    severity: str
    action: str
    client_order_id: str | None
    contract_key: str | None
    kept: tuple[Kept, ...]


@define(slots=False, eq=False, repr=False)
class State:
    """All that is folded from the journal.

    Each field is part of a checkpoint: its type says how it is stored, so it is complete,
    generic arguments included.

    last_ns           time of the newest record
    flattening        strategies whose book an operator has closed, until it is
    traded_today      value of the trading day's orders when they were sent, quote currency
    instrument_holds  what holds an instrument, by contract key and reason; never empty for a key
    runs              strategy id → its run that has no end yet
    unpriced          adjustment whose price nobody could say → owner and contract key; its book has
                      no result until the first mark is put in as the price
    """

    account: str = ""
    last_jseq: int = 0
    last_ns: int = 0
    portfolio: Portfolio = Factory(lambda self: Portfolio(self.account), takes_self=True)
    orders: dict[str, Order] = Factory(dict)
    strategies: dict[str, StrategyState] = Factory(dict)
    suspended: set[str] = Factory(set)
    killed: set[str] = Factory(set)
    flattening: set[str] = Factory(set)
    instrument_holds: dict[str, dict[str, Restraint]] = Factory(dict)
    trading_day: date | None = None
    baselines: dict[tuple[str, str], Decimal] = Factory(dict)
    needs_baseline: set[tuple[str, str]] = Factory(set)
    modelled: set[tuple[str, str]] = Factory(set)
    baseline_changes: int = 0
    contracts: dict[str, Contract] = Factory(dict)
    seen_events: set[str] = Factory(set)
    orders_by_strategy: Counter[str] = Factory(Counter)
    sent: deque[tuple[int, str]] = Factory(deque)
    orders_today: int = 0
    traded_today: Decimal = Decimal(0)
    polled_flags: dict[str, tuple[bool | None, bool | None]] = Factory(dict)
    order_of_execution: dict[str, str] = Factory(dict)
    order_of_perm_id: dict[str, str] = Factory(dict)
    last_fill_ns: dict[str, int] = Factory(dict)
    positions_version: int = 0
    options_version: int = 0
    opened: bool = False
    earlier_executions: frozenset[str] = frozenset()
    open_items: dict[int, OpenItem] = Factory(dict)
    acknowledged: set[str] = Factory(set)
    last_order_ns: int = 0
    runs: dict[str, str] = Factory(dict)
    unpriced: dict[str, tuple[str, str]] = Factory(dict)

    def restore(self, records: Iterable[Record]) -> None:
        """Fold a journal, oldest first."""
        for record in records:
            self.apply(record)

    def apply(self, record: Record) -> None:
        """Fold one record; kinds that change nothing lasting only count."""
        change = self._folds.get(record.kind)
        if change is not None:
            change(self, record, record.payload)
        self.last_jseq = record.jseq
        self.last_ns = record.ts_ns

    def strategy(self, strategy_id: str) -> StrategyState:
        """Return the state of one strategy, a fresh one if there is none."""
        state = self.strategies.get(strategy_id)
        if state is None:
            state = self.strategies[strategy_id] = StrategyState()
        return state

    def open_orders(self, strategy_id: str) -> list[Order]:
        """Return a strategy's orders that aren't done, oldest first."""
        return [self.orders[coid] for coid in self.strategy(strategy_id).open_orders]

    def all_open_orders(self) -> list[Order]:
        """Return the account's orders that may fill, by strategy, oldest first."""
        return [
            order
            for state in self.strategies.values()
            for order in map(self.orders.__getitem__, state.open_orders)
            if order.state is not OrderState.NEW
        ]

    def items_that_keep(self, whose: str, reason: str) -> list[int]:
        """Return the open findings for which a strategy or a contract is held for a reason."""
        return [
            item.jseq
            for item in self.open_items.values()
            if any((kept.whose, kept.reason) == (whose, reason) for kept in item.kept)
        ]

    def is_suspended(self, strategy_id: str) -> bool:
        """Return whether an operator's suspend holds for a strategy."""
        return EVERYBODY in self.suspended or strategy_id in self.suspended

    def is_killed(self, strategy_id: str) -> bool:
        """Return whether a kill switch holds for a strategy."""
        return EVERYBODY in self.killed or strategy_id in self.killed

    def has_cost(self, owner: str, contract_key: str) -> bool:
        """Return whether it is known what a book paid for a position."""
        return (owner, contract_key) not in self.unpriced.values()

    def orders_last_minute(self, now_ns: int) -> int:
        """Return how many orders were sent in the 60 s before ``now_ns``."""
        return sum(1 for _ in self.sent_after(now_ns - MINUTE_NS))

    def sent_after(self, ts_ns: int) -> Iterator[tuple[int, Order]]:
        """Yield the orders that were sent after a time, with theirs, newest first."""
        for sent_ns, client_order_id in reversed(self.sent):
            if sent_ns <= ts_ns:
                return
            yield sent_ns, self.orders[client_order_id]

    # --- folds, one for each kind of record ---------------------------------------------------

    def _on_run(self, record: Record, payload: Mapping[str, Any]) -> None:
        self.runs[payload["strategy_id"]] = payload["run_id"]

    def _on_run_end(self, record: Record, payload: Mapping[str, Any]) -> None:
        if record.strategy_id is not None and self.runs.get(record.strategy_id) == payload["run_id"]:
            del self.runs[record.strategy_id]

    def _on_order_event(self, record: Record, payload: Mapping[str, Any]) -> None:
        order = payload["order"]
        if not isinstance(order, Order):
            order = order_from_payload(order)
        self.orders[order.client_order_id] = order
        if order.perm_id is not None:
            self.order_of_perm_id[order.perm_id] = order.client_order_id
        self.last_order_ns = record.ts_ns
        if payload["event"] == "FOUND":
            self._on_found(order)
        if payload["source_event_id"]:
            self.seen_events.add(payload["source_event_id"])
        state = self.strategy(order.strategy_id)
        if order.is_open:
            state.open_orders[order.client_order_id] = None
        else:
            state.open_orders.pop(order.client_order_id, None)
        if payload["event"] == "SUBMIT":
            self._on_submit(order, state)
        elif payload["event"] == "REJECT" and order.state is OrderState.REJECTED != payload["from_state"]:
            state.rejects += 1
        elif order.acked:
            state.rejects = 0
        if order.client_order_id == state.last_hedge_order and state.last_hedge is not None:
            average = order.average_price
            state.last_hedge = LastHedge(sent_ns=state.last_hedge.sent_ns, fill_price=average)
            timed_out = payload["event"] == "CANCEL_REQ" and payload["source"] == "TIMER"
            exhausted = state.limit_exhausted or (timed_out and order.limit_price is not None)
            state.limit_exhausted = exhausted and order.state is not OrderState.FILLED

    def _on_decision(self, record: Record, payload: Mapping[str, Any]) -> None:
        price = payload["ref_price"] if payload["price"] is None else payload["price"]
        if payload["decision"] == "PLACE" and price is not None:
            multiplier = contract_of(self, payload["contract_key"]).multiplier
            self.traded_today += Decimal(str(payload["size"])) * Decimal(str(price)) * multiplier

    def _on_found(self, order: Order) -> None:
        """Let no later order get the number of one that a lost journal had made."""
        number = order.client_order_id.rpartition("-")[2]
        if order.origin is Origin.RECOVERED and number.isalnum() and number.isascii():
            sid = order.strategy_id
            self.orders_by_strategy[sid] = max(self.orders_by_strategy[sid], int(number, 36))

    def _on_submit(self, order: Order, state: StrategyState) -> None:
        self.orders_by_strategy[order.strategy_id] += 1
        self.orders_today += 1
        assert order.submitted_ns is not None
        self.sent.append((order.submitted_ns, order.client_order_id))
        if len(self.sent) > REMEMBERED:
            self.sent.popleft()
        if order.purpose is Purpose.HEDGE:
            state.day_hedges += 1
            state.limit_exhausted = False
            state.last_hedge = LastHedge(sent_ns=order.submitted_ns, fill_price=None)
            state.last_hedge_order = order.client_order_id
            state.hedge_legs = state.legs

    def _on_fill(self, record: Record, payload: Mapping[str, Any]) -> None:
        fill = Fill.from_payload(payload)
        self.portfolio.apply(fill)
        self.contracts[fill.contract.key] = fill.contract
        self.positions_version += 1
        if fill.kind is not FillKind.ADJUST:
            self.last_fill_ns[fill.contract.key] = fill.booked_ns
        if fill.contract.sec_type is SecType.OPTION:
            self.options_version += 1
        if fill.client_order_id is not None:
            self.order_of_execution[fill.base_id] = fill.client_order_id
        if fill.kind is FillKind.ADJUST:
            self.needs_baseline.add((fill.owner, fill.contract.key))
        if fill.kind is FillKind.ADJUST and fill.quantity and not fill.price:
            self.unpriced[fill.base_id] = (fill.owner, fill.contract.key)
        else:
            self.unpriced.pop(fill.base_id, None)

    def _on_transfer(self, record: Record, payload: Mapping[str, Any]) -> None:
        for leg in ("out", "in"):
            self._on_fill(record, payload[leg])
            self.needs_baseline.add((payload[leg]["owner"], payload[leg]["contract_key"]))

    def _on_commission(self, record: Record, payload: Mapping[str, Any]) -> None:
        self.portfolio.report_commission(
            payload["base_id"], Decimal(payload["commission"]), payload["currency"]
        )
        self.positions_version += 1

    def _on_portfolio(self, record: Record, payload: Mapping[str, Any]) -> None:
        self.portfolio.clear_restatement(payload["owner"])

    def _on_flag(self, record: Record, payload: Mapping[str, Any]) -> None:
        flags = self.suspended if payload["flag"] == "suspended" else self.killed
        name = record.strategy_id or EVERYBODY
        if payload["on"]:
            flags.add(name)
        elif name == EVERYBODY:
            flags.clear()
        else:
            flags.discard(name)

    def _on_polled_flags(self, record: Record, payload: Mapping[str, Any]) -> None:
        self.polled_flags[payload["source"]] = (payload["suspended"], payload["killed"])

    def _on_halt(self, record: Record, payload: Mapping[str, Any]) -> None:
        key, reason = payload.get("contract_key"), payload["reason"]
        state = self.strategy(record.strategy_id or EVERYBODY)
        halts = state.halts if key is None else self.instrument_holds.setdefault(key, {})
        if payload["on"]:
            halts[reason] = Restraint(
                level=Level(payload.get("level", Level.HALT)),
                text=payload["text"],
                since_ns=record.ts_ns,
                set_by=payload.get("set_by", "engine"),
            )
            if payload.get("limit") is not None:
                state.breaker_limit = Decimal(payload["limit"])
        else:
            halts.pop(reason, None)
            if reason == REJECTS:
                state.rejects = 0
        if key is not None and not halts:
            del self.instrument_holds[key]

    def _on_day(self, record: Record, payload: Mapping[str, Any]) -> None:
        self.trading_day = date.fromisoformat(payload["trading_day"])
        self.baseline_changes += 1
        self.orders_today = 0
        self.traded_today = Decimal(0)
        self.baselines = {
            (owner, key): Decimal(net) for owner, key, net in payload["baselines"] if net is not None
        }
        self.needs_baseline = {(owner, key) for owner, key, net in payload["baselines"] if net is None}
        for state in self.strategies.values():
            state.day_hedges = 0
            state.day_legs = state.legs
            state.last_hedge = state.last_hedge and evolve(state.last_hedge, fill_price=None)
            state.last_hedge_order = None

    def _on_baseline(self, record: Record, payload: Mapping[str, Any]) -> None:
        key = (payload["owner"], payload["contract_key"])
        self.baselines[key] = Decimal(payload["net"])
        self.baseline_changes += 1
        self.needs_baseline.discard(key)
        if payload["modelled"]:
            self.modelled.add(key)
        else:
            self.modelled.discard(key)

    def _on_legs(self, record: Record, payload: Mapping[str, Any]) -> None:
        assert record.strategy_id is not None
        state = self.strategy(record.strategy_id)
        state.legs = tuple(payload["managed"])
        state.day_legs = tuple(dict.fromkeys((*state.day_legs, *state.legs)))

    def _on_flatten(self, record: Record, payload: Mapping[str, Any]) -> None:
        assert record.strategy_id is not None
        (self.flattening.add if payload["on"] else self.flattening.discard)(record.strategy_id)

    def _on_recon_end(self, record: Record, payload: Mapping[str, Any]) -> None:
        if not self.opened and payload["result"] in SETTLED:
            self.opened = True
            self.earlier_executions = frozenset(payload.get("earlier", ()))

    def _on_repair(self, record: Record, payload: Mapping[str, Any]) -> None:
        # The image knows the state, so it can't be imported before the state is there.
        from bifrost_engine.engine.image import state_from_plain

        carried = state_from_plain(payload["state"])
        for attribute in fields(State):
            setattr(self, attribute.name, getattr(carried, attribute.name))

    def _on_recon_item(self, record: Record, payload: Mapping[str, Any]) -> None:
        if payload["status"] == "OPEN":
            self.open_items[record.jseq] = OpenItem(
                jseq=record.jseq,
                ts_ns=record.ts_ns,
                key=payload["key"],
                rule=payload["rule"],
                severity=payload["severity"],
                action=payload["action"],
                client_order_id=payload["client_order_id"],
                contract_key=payload["contract_key"],
                kept=tuple(Kept(**kept) for kept in payload["kept"]),
            )

    def _on_recon_ack(self, record: Record, payload: Mapping[str, Any]) -> None:
        item = self.open_items.pop(payload["item_jseq"], None)
        if item is not None:
            self.acknowledged.add(item.key)

    _folds: ClassVar[dict[str, Fold]] = {
        "decision": _on_decision,
        "order_event": _on_order_event,
        "fill": _on_fill,
        "transfer": _on_transfer,
        "commission": _on_commission,
        "portfolio": _on_portfolio,
        "flag": _on_flag,
        "polled_flags": _on_polled_flags,
        "halt": _on_halt,
        "day": _on_day,
        "baseline": _on_baseline,
        "legs": _on_legs,
        "flatten": _on_flatten,
        "recon_end": _on_recon_end,
        "recon_item": _on_recon_item,
        "recon_ack": _on_recon_ack,
        "run": _on_run,
        "repair": _on_repair,
        "run_end": _on_run_end,
    }


def contract_of(state: State, contract_key: str) -> Contract:
    """Return the contract behind a key: as the broker described it, else by the usual terms."""
    known = state.contracts.get(contract_key)
    if known is None:
        known = state.contracts[contract_key] = parse_contract_key(contract_key)
    return known
