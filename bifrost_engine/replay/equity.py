"""What the books are worth as a run goes on: from their first marks on at each minute's end and each fill.

Looked at by the clock's timers and by what the engine tells, never per quote; looking
changes nothing. Results count from each position's first mark of the run, options at
their marks, stock at its mid, commissions apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from attrs import frozen

from bifrost_engine.domain.contract import Right, SecType
from bifrost_engine.engine.core import Core
from bifrost_engine.engine.slot import Slot
from bifrost_engine.engine.state import contract_of
from bifrost_engine.hookspecs import Clock
from bifrost_engine.portfolio.position import ZERO, Position
from bifrost_engine.replay.attribution import Attribution, Leg

MINUTE_NS = 60_000_000_000
SECOND_NS = 1_000_000_000
START, MINUTE, FILL, END = "start", "minute", "fill", "end"

Key = tuple[str, str]
"""Owner of a book, and contract key."""


@frozen(kw_only=True)
class Fill:
    """An execution as it is told.

    quantity  signed
    """

    client_order_id: str
    contract_key: str
    quantity: float
    price: float


@frozen(kw_only=True)
class Sample:
    """A strategy's books at one time; amounts in quote currency, since the run's beginning.

    kind      ``start``, ``minute``, ``fill`` or ``end``
    options   result of the options before commissions; None while a mark is missing
    stock     of the shares and all else in its book, likewise
    values    spot, and net delta and greeks as the strategy tells them, None where it doesn't
    """

    ts_ns: int
    kind: str
    strategy_id: str
    trading_day: str
    shares: float
    options: float | None
    stock: float | None
    commission: float
    values: Mapping[str, float | None]
    fill: Fill | None = None

    @property
    def pnl(self) -> float | None:
        """Result after commissions; None while a mark is missing."""
        if self.options is None or self.stock is None:
            return None
        return self.options + self.stock - self.commission


class _Line(NamedTuple):
    """One position without its mark: result = units × mark + fixed."""

    position: Position
    units: float
    fixed: float
    commission: float


class Equity:
    """Samples every strategy of a run.

    take  gets what was seen at a time, one sample of each strategy that was looked at
    attributions  by strategy
    """

    def __init__(self, core: Core, clock: Clock, take: Callable[[Sequence[Sample]], None]) -> None:
        self._core = core
        self._clock = clock
        self._take = take
        self._books = {slot.id: _Books(core, slot) for slot in core.slots.values()}
        self.attributions = {name: books.attribution for name, books in self._books.items()}

    def begin(self) -> None:
        """Look as soon as there is something to see, and at each minute's end from then on."""
        now_ns = self._clock.now_ns()
        for books in self._books.values():
            self._await(books, (now_ns // SECOND_NS + 1) * SECOND_NS)
        self._look_at((now_ns // MINUTE_NS + 1) * MINUTE_NS)

    def _look_at(self, at_ns: int) -> None:
        self._clock.call_at(at_ns, lambda: self._minute(at_ns))

    def _await(self, books: _Books, at_ns: int) -> None:
        self._clock.call_at(at_ns, lambda: self._start(books, at_ns))

    def _start(self, books: _Books, at_ns: int) -> None:
        books.open()
        if books.is_valued():
            self._take([books.sample(at_ns, START)])
            return
        is_open = self._core.sessions.session_at(at_ns) is not None
        step_ns = SECOND_NS if is_open else MINUTE_NS
        self._await(books, (at_ns // step_ns + 1) * step_ns)

    def _minute(self, at_ns: int) -> None:
        for books in self._books.values():
            books.open()
        begun = [books for books in self._books.values() if books.is_begun]
        if any([books.has_moved() for books in begun]):
            self._take([books.sample(at_ns, MINUTE) for books in begun])
        self._look_at(at_ns + MINUTE_NS)

    def on_operation(self, operation: Mapping[str, Any]) -> None:
        """Look at a strategy's books if the operation is a fill of it."""
        books = self._books.get(operation.get("strategy_id") or "")
        order = self._core.state.orders.get(operation["client_order_id"] or "")
        if operation["type"] != FILL or books is None or order is None:
            return
        sign = 1.0 if operation["side"] == "BUY" else -1.0
        fill = Fill(
            client_order_id=order.client_order_id,
            contract_key=order.contract_key,
            quantity=sign * float(operation["quantity"]),
            price=float(operation["price"]),
        )
        books.open()
        self._take([books.sample(self._core.now_ns, FILL, fill)])

    def end(self) -> None:
        """Look a last time."""
        for books in self._books.values():
            books.open()
        self._take([books.sample(self._core.now_ns, END) for books in self._books.values()])


class _Books:
    """What counts for one strategy: its own book, and the options that it has managed, whosever they are.

    is_begun  a sample was taken
    """

    def __init__(self, core: Core, slot: Slot) -> None:
        self._core = core
        self._slot = slot
        greeks = slot.config.greeks
        self.attribution = Attribution(greeks.risk_free_rate, greeks.dividend_yield)
        self._managed: set[str] = set()
        self._opening: dict[Key, float] = {}
        self._fixed: set[Key] = set()
        self._day: object = None
        self._lines: dict[Key, _Line] = {}
        self._seen: tuple[object, ...] = ()
        self._since_ns = 0
        self.is_begun = False

    # --- the beginning ---------------------------------------------------------------------

    def open(self) -> None:
        """Note what each position's result counts from: the engine's baseline of its first day."""
        state = self._core.state
        if state.trading_day != self._day:
            self._day = state.trading_day
            self._fixed |= self._opening.keys()
        self._managed.update(state.strategy(self._slot.id).legs)
        for key in self._keys():
            if key not in self._fixed and key not in state.needs_baseline:
                opening = float(state.baselines.get(key, ZERO))
                # An opening by the model moves to the first quote; that the mark does, too, is no gain.
                self.attribution.vega -= opening - self._opening.get(key, opening)
                self._opening[key] = opening

    def _keys(self) -> Iterator[Key]:
        for owner, book in self._core.state.portfolio.books.items():
            for contract_key in book.positions:
                if owner == self._slot.id or (
                    contract_key in self._managed and self._is_option(contract_key)
                ):
                    yield owner, contract_key

    def _is_option(self, contract_key: str) -> bool:
        return contract_of(self._core.state, contract_key).sec_type is SecType.OPTION

    def is_valued(self) -> bool:
        """Return whether everything that is held has its opening mark, or has been waited for."""
        core = self._core
        quote = core.quotes.latest.get(self._slot.stock_key)
        if quote is None or not core.reconciled or not self._counts(quote.ts_ns):
            return False  # no leg was chosen yet
        self._since_ns = self._since_ns or core.now_ns
        waited = core.now_ns - self._since_ns >= MINUTE_NS
        return waited or all(key in self._opening for key in self._keys())

    def _counts(self, ts_ns: int) -> bool:
        hours_only = self._slot.config.gates.strategy.trading_hours_only
        return not hours_only or self._core.sessions.session_at(ts_ns) is not None

    def has_moved(self) -> bool:
        """Return whether there was a quote or a booking since the last sample."""
        core = self._core
        quoted = core.quotes.latest
        seen = (
            core.state.positions_version,
            *(
                quote.ts_ns
                for key in (self._slot.stock_key, *sorted(self._managed))
                if (quote := quoted.get(key))
            ),
        )
        moved, self._seen = seen != self._seen, seen
        return moved

    # --- the value ---------------------------------------------------------------------------

    def sample(self, ts_ns: int, kind: str, fill: Fill | None = None) -> Sample:
        """Return what the books are worth now."""
        self.is_begun = True
        core, slot = self._core, self._slot
        sums: dict[bool, float | None] = {True: 0.0, False: 0.0}
        commission, shares = 0.0, 0.0
        legs: list[Leg] = []
        for key in self._keys():
            contract_key = key[1]
            line = self._line(key)
            commission += line.commission
            is_option = self._is_option(contract_key)
            mark = slot.result.mark(core, contract_key) if line.units else 0.0
            if key in self._opening:
                so_far = sums[is_option]
                if mark is None or so_far is None:
                    sums[is_option] = None
                else:
                    sums[is_option] = so_far + line.units * mark + line.fixed - self._opening[key]
            if contract_key == slot.stock_key and key[0] == slot.id:
                shares = line.units
            elif is_option and line.units and mark is not None:
                legs.append(self._leg(contract_key, line.units, mark))
        if kind != MINUTE or self._counts(core.now_ns):
            # Outside the hours spreads are too wide for a mid to say by what a price moved.
            self._attribute(shares, legs, fill)
        return Sample(
            ts_ns=ts_ns,
            kind=kind,
            strategy_id=slot.id,
            trading_day=str(core.state.trading_day),
            shares=shares,
            options=sums[True],
            stock=sums[False],
            commission=commission,
            values=self._told(),
            fill=fill,
        )

    def _line(self, key: Key) -> _Line:
        owner, contract_key = key
        position = self._core.state.portfolio.books[owner].positions[contract_key]
        known = self._lines.get(key)
        if known is not None and known.position is position:
            return known
        multiplier = contract_of(self._core.state, contract_key).multiplier
        line = self._lines[key] = _Line(
            position,
            float(position.quantity * multiplier),
            float(position.realized - position.cost),
            float(sum(position.commission.values(), Decimal(0))),
        )
        return line

    def _leg(self, contract_key: str, units: float, mark: float) -> Leg:
        view = self._slot.view
        contract = view.contract(contract_key)
        assert contract.strike is not None
        sign = 1 if contract.right is Right.CALL else -1
        expiry_ns = view.expiry_close_ns(contract_key)
        return Leg(contract_key, units, mark, sign, float(contract.strike), expiry_ns)

    def _attribute(self, shares: float, legs: list[Leg], fill: Fill | None) -> None:
        spot = self._slot.result.mark(self._core, self._slot.stock_key)
        if spot is None:
            return
        self.attribution.look(self._core.now_ns, spot, shares, legs)
        if fill is not None:
            contract = contract_of(self._core.state, fill.contract_key)
            mark = self._slot.result.mark(self._core, contract.key)
            if mark is not None:
                self.attribution.spread += fill.quantity * float(contract.multiplier) * (mark - fill.price)

    def _told(self) -> dict[str, float | None]:
        describe = getattr(self._slot.plugin, "describe", None)
        facts: Mapping[str, Any] = {} if describe is None else describe(self._slot.view)()
        told = {name: facts.get(name) for name in ("net_delta", "gamma", "theta", "vega")}
        return {"spot": self._slot.result.mark(self._core, self._slot.stock_key), **told}
