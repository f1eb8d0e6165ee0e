"""Builders of the values that tests need, with an ordinary stock quote at 10 o'clock as the rest.

Amounts may be given as text or whole numbers; they become Decimals here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import structlog
from attrs import Factory, field, frozen

from bifrost_engine.clock import EventClock
from bifrost_engine.config.structure import structure_section
from bifrost_engine.domain import (
    BrokerEvent,
    BrokerEventKind,
    BrokerGreeks,
    Contract,
    Execution,
    LastPrice,
    OrderRequest,
    OrderType,
    Purpose,
    Quote,
    Side,
    TimeInForce,
    parse_contract_key,
)
from bifrost_engine.domain.rows import (
    OPERATION_DETAIL,
    OPERATION_FIELDS,
    SNAPSHOT_DETAIL,
    SNAPSHOT_FIELDS,
)
from bifrost_engine.domain.session import Session
from bifrost_engine.domain.view import LastHedge
from bifrost_engine.hookspecs import PluginContext

STOCK = Contract.stock("SPY")
START_NS = 1_381_154_400_000_000_000
"""2013-10-07 10:00 in New York, a Monday on which its exchange was open."""
HOUR_NS = 3_600_000_000_000
SESSION = Session(date(2013, 10, 7), START_NS - HOUR_NS // 2, START_NS + 6 * HOUR_NS)
"""That Monday's regular hours, 9:30 to 16:00."""

Amount = Decimal | int | str
T = TypeVar("T")


@frozen(kw_only=True)
class RecordingContext(PluginContext):
    """A plugin's context that keeps what is emitted, in order, in ``events``, and what is counted."""

    clock: EventClock
    events: list[Quote | LastPrice | BrokerGreeks | BrokerEvent] = Factory(list)
    counted: dict[str, float] = Factory(lambda: defaultdict(float))
    emit: Any = field(init=False)
    count: Any = field(init=False)

    @emit.default
    def _record(self) -> Any:
        return self.events.append

    @count.default
    def _tally(self) -> Any:
        def tally(event: str, amount: float = 1) -> None:
            self.counted[event] += amount

        return tally

    @property
    def broker_events(self) -> list[BrokerEvent]:
        """What was emitted, quotes, last prices and greeks apart."""
        return [event for event in self.events if isinstance(event, BrokerEvent)]

    @property
    def quotes(self) -> list[Quote]:
        """The quotes that were emitted."""
        return [event for event in self.events if isinstance(event, Quote)]


def make_context(
    state_dir: Path, clock: EventClock | None = None, *, name: str = "test", seed: int = 0
) -> RecordingContext:
    """Return a context on ``state_dir`` with a clock that stands at 10 o'clock unless one is given."""
    return RecordingContext(
        name=name,
        log=structlog.get_logger().bind(plugin=name),
        clock=clock or EventClock(START_NS),
        state_dir=state_dir,
        seed=seed,
    )


def make_config(config: type[T], **section: Any) -> T:
    """Return a plugin's section as its ``Config`` class, checked as the daemon does.

    Raises ConfigError with every problem.
    """
    return structure_section(config, section)


def make_quote(
    contract_key: str = STOCK.key,
    *,
    bid: float = 100.00,
    ask: float = 100.02,
    size: float = 1_000.0,
    at_ns: int = START_NS,
) -> Quote:
    """Return a quote with the same size on both sides."""
    return Quote(contract_key, bid, ask, size, size, at_ns)


def make_order_request(
    client_order_id: str = "BF.test.1",
    *,
    account: str = "DU000001",
    contract: Contract = STOCK,
    side: Side | str = Side.BUY,
    quantity: Amount = 10,
    limit_price: Amount | None = None,
    time_in_force: TimeInForce | str = TimeInForce.DAY,
    purpose: Purpose | str = Purpose.HEDGE,
) -> OrderRequest:
    """Return a market order, or a limit order if ``limit_price`` is given."""
    return OrderRequest(
        client_order_id=client_order_id,
        account=account,
        contract=contract,
        side=Side(side),
        quantity=Decimal(quantity),
        order_type=OrderType.MARKET if limit_price is None else OrderType.LIMIT,
        limit_price=None if limit_price is None else Decimal(limit_price),
        time_in_force=TimeInForce(time_in_force),
        purpose=Purpose(purpose),
    )


def make_execution(
    base_id: str = "E1",
    *,
    client_order_id: str | None = "BF.test.1",
    contract: Contract = STOCK,
    side: Side | str = Side.BUY,
    quantity: Amount = 10,
    price: Amount = "100.02",
    commission: Amount | None = "0.35",
    at_ns: int = START_NS,
    revision: int = 1,
) -> Execution:
    """Return one execution."""
    return Execution(
        base_id=base_id,
        client_order_id=client_order_id,
        contract=contract,
        side=Side(side),
        quantity=Decimal(quantity),
        price=Decimal(price),
        commission=None if commission is None else Decimal(commission),
        ts_ns=at_ns,
        revision=revision,
    )


def make_fill(base_id: str = "E1", *, account: str = "DU000001", **execution: Any) -> BrokerEvent:
    """Return the ORDER_FILL that reports ``make_execution(base_id, **execution)``."""
    made = make_execution(base_id, **execution)
    return BrokerEvent(
        kind=BrokerEventKind.ORDER_FILL,
        ts_ns=made.ts_ns,
        account=account,
        client_order_id=made.client_order_id,
        execution=made,
    )


def make_snapshot(**fields: Any) -> dict[str, Any]:
    """Return a snapshot with every field that a sink must take; ``fields`` replace some."""
    values = (
        *("RUNNING", "IDLE", "SPY", 100.01, 100.00, 100.02, -12.5, -137, 2, 3, 41.25, 120.0),
        *("paper, SPY", START_NS / 1e9),
        *("main", {"delta": "D0"}, 4.2, -31.0, 55.5, ("X1 EXAMPLE",), "EXEC_IDLE"),
    )
    return dict(zip((*SNAPSHOT_FIELDS, *SNAPSHOT_DETAIL), values, strict=True)) | fields


def make_operation(jseq: int = 1, **fields: Any) -> dict[str, Any]:
    """Return an operation with every field that a sink must take; ``fields`` replace some."""
    values = (
        *(START_NS / 1e9, "fill", "SELL", 10, 100.00, "X1 EXAMPLE"),
        *("main", f"BF.test.{jseq}", "trace-1", "journal-a", jseq),
    )
    return dict(zip((*OPERATION_FIELDS, *OPERATION_DETAIL), values, strict=True)) | fields


@frozen(kw_only=True)
class StaticView:
    """A strategy's view that says what it was made with; implements ``StrategyView``.

    quotes           the last good quotes by contract key
    previous_quotes  those before them
    greeks           the broker's, by contract key
    positions        this strategy's book, signed quantity by contract key
    outside          what the account holds outside all strategies
    version          what ``positions_version`` answers
    """

    now_ns: int = START_NS
    strategy_id: str = "main"
    symbol: str = "SPY"
    quotes: Mapping[str, Quote] = Factory(dict)
    previous_quotes: Mapping[str, Quote] = Factory(dict)
    greeks: Mapping[str, BrokerGreeks] = Factory(dict)
    positions: Mapping[str, Decimal] = Factory(dict)
    outside: Mapping[str, Decimal] = Factory(dict)
    hedge_state: str = "EXEC_IDLE"
    connected: bool = True
    reconciled: bool = True
    halts: tuple[str, ...] = ()
    suspended: bool = False
    killed: bool = False
    stopping: bool = False
    started_ns: int = START_NS
    tick_ns: int = START_NS
    legs_changed: bool = False
    sole_strategy: bool = True
    limit_exhausted: bool = False
    resumes: int = 0
    day_hedges: int = 0
    day_pnl: float | None = 0.0
    last_hedge: LastHedge | None = None
    legs: tuple[str, ...] = ()
    version: int = 0

    def quote(self, contract_key: str) -> Quote | None:
        """Return the quote it was made with, or None."""
        return self.quotes.get(contract_key)

    def previous_quote(self, contract_key: str) -> Quote | None:
        """Return the quote before it, or None."""
        return self.previous_quotes.get(contract_key)

    def broker_greeks(self) -> Mapping[str, BrokerGreeks]:
        """Return ``greeks``."""
        return self.greeks

    def session(self) -> Session | None:
        """Return the one session that it knows, while it is open."""
        return SESSION if SESSION.open_ns <= self.now_ns < SESSION.close_ns else None

    def next_boundary_ns(self) -> int:
        """Return the close of that session, or 17½ hours later the open of the next day's."""
        opening_ns = SESSION.close_ns + 17 * HOUR_NS + HOUR_NS // 2
        return SESSION.close_ns if self.session() else opening_ns

    def trading_day(self) -> date:
        """Return that session's day."""
        return SESSION.day

    def expiry_close_ns(self, contract_key: str) -> int:
        """Return 16:00 on the option's expiry date, as if summer time never ended."""
        expiry = self.contract(contract_key).expiry or SESSION.day
        return SESSION.close_ns + (expiry - SESSION.day).days * 24 * HOUR_NS

    def positions_version(self) -> int:
        """Return the version it was made with."""
        return self.version

    def options_version(self) -> int:
        """Return the version it was made with."""
        return self.version

    def contract(self, contract_key: str) -> Contract:
        """Return the contract that the key names, with its type's usual multiplier."""
        return parse_contract_key(contract_key)

    def own_positions(self) -> Mapping[str, Decimal]:
        """Return the strategy's book."""
        return self.positions

    def account_positions(self) -> Mapping[str, Decimal]:
        """Return the same: no other strategy is there."""
        return self.positions

    def outside_positions(self) -> Mapping[str, Decimal]:
        """Return what it was made with."""
        return self.outside

    def claimed_elsewhere(self, contract_key: str) -> bool:
        """Return False: no other strategy is there."""
        return False
