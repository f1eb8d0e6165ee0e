"""What one strategy's books are worth at a time, and from which marks on that counts.

Looking changes nothing but what the result is said to be made of. Results count from
each position's first mark of the run, options at their marks, stock at its mid,
commissions apart. What they are made of counts from the same marks: the engine tells
when it sets one, so that the market of that time is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from attrs import frozen

from bifrost_engine.domain.contract import Contract, Right, SecType
from bifrost_engine.domain.fill import EXTERNAL, FillKind
from bifrost_engine.domain.record import Record
from bifrost_engine.engine.core import Core
from bifrost_engine.engine.slot import Slot
from bifrost_engine.engine.state import contract_of
from bifrost_engine.portfolio.position import ZERO, Position
from bifrost_engine.replay.attribution import Attribution, Key, Line, Option

MINUTE_NS = 60_000_000_000
START, MINUTE, FILL, END = "start", "minute", "fill", "end"
DAY = "day"


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


class _Held(NamedTuple):
    """One position without its mark: result = units × mark + fixed.

    option  None for what isn't an option on the strategy's symbol
    """

    position: Position
    units: float
    fixed: float
    commission: float
    option: Option | None


class Books:
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
        self._modelled: dict[Key, float] = {}
        self._fixed: set[Key] = set()
        self._day: object = None
        self._held: dict[Key, _Held] = {}
        self._seen: tuple[object, ...] = ()
        self._since_ns = 0
        self._exercised: dict[str, float] = {}
        self.is_begun = False

    # --- the beginning ---------------------------------------------------------------------

    def open(self) -> None:
        """Note what each position's result counts from: the engine's baseline of its first day."""
        self._turn_day()
        state = self._core.state
        self._managed.update(state.strategy(self._slot.id).legs)
        for key in self._keys():
            if key not in self._fixed and key not in state.needs_baseline:
                self._opening[key] = float(state.baselines.get(key, ZERO))

    def _turn_day(self) -> None:
        if self._core.state.trading_day != self._day:
            self._day = self._core.state.trading_day
            self._fixed |= self._opening.keys()

    def booked(self, record: Record) -> None:
        """Take a fill, or the openings that the engine has just set, of options not managed yet, too."""
        payload = record.payload
        if record.kind == FILL:
            self._take_fill((payload["owner"], payload["contract_key"]), payload["kind"])
            return
        self._turn_day()
        told = payload["baselines"] if record.kind == DAY else [(payload["owner"], payload["contract_key"])]
        for owner, contract_key, *_ in told:
            key = owner, contract_key
            if key in self._core.state.baselines and key not in self._fixed and self._may_count(key):
                self._take_opening(key)

    def _take_fill(self, key: Key, kind: str) -> None:
        """Look at a position as it changes: no order need be behind it, as where an option ends."""
        line = self._line(key) if key in self._opening else None
        if line is None:
            return
        before = self.attribution.spread
        self._attribute([line])
        owner, contract_key = key
        if kind == FillKind.ASSIGNMENT and owner != self._slot.id:
            worth = before - self.attribution.spread
            self._exercised[contract_key] = self._exercised.get(contract_key, 0.0) + worth

    def warnings(self) -> Iterator[str]:
        """Yield what the result lacks: shares for an option of another book are in that book, too."""
        for contract_key, worth in self._exercised.items():
            yield (
                f"{self._slot.id}: {contract_key} was exercised, and its shares are in the book {EXTERNAL}: "
                f"what it was worth then, {worth:+,.2f}, is theirs and lacks in this result"
            )

    def _take_opening(self, key: Key) -> None:
        state = self._core.state
        net, held, before = float(state.baselines[key]), self._hold(key), self._modelled.pop(key, None)
        if key in state.modelled:
            self._modelled[key] = net
        elif before is not None and held.units:
            # An opening by the model moves to the first quote; that the mark does, too, is no gain.
            self.attribution.shift(key, (net - before) / held.units)
            return
        if key not in self._opening:
            booked = held.fixed - net
            mark = -booked / held.units if held.units else None
            line = Line(key, held.units, booked, mark, held.option)
            self.attribution.begin(self._core.now_ns, self._spot(), line)

    def _may_count(self, key: Key) -> bool:
        owner, contract_key = key
        return owner == self._slot.id or (self._slot.wants(contract_key) and self._is_option(contract_key))

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
        lines: list[Line] = []
        for key in self._keys():
            contract_key = key[1]
            held = self._hold(key)
            commission += held.commission
            if key == (slot.id, slot.stock_key):
                shares = held.units
            if key not in self._opening:
                continue
            line, is_option = self._line(key), self._is_option(contract_key)
            so_far = sums[is_option]
            if line is None or so_far is None:
                sums[is_option] = None
            else:
                sums[is_option] = so_far + line.units * (line.mark or 0.0) + line.booked
            if line is not None:
                lines.append(line)
        if kind != MINUTE or self._counts(core.now_ns):
            # Outside the hours spreads are too wide for a mid to say by what a price moved.
            self._attribute(lines)
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

    def _line(self, key: Key) -> Line | None:
        """Return a position that counts as it is now, None while its mark is missing."""
        held, mark = self._hold(key), None
        if held.units or self.attribution.holds(key):
            mark = self._slot.result.mark(self._core, key[1])
        if held.units and mark is None:
            return None
        return Line(key, held.units, held.fixed - self._opening[key], mark, held.option)

    def _hold(self, key: Key) -> _Held:
        owner, contract_key = key
        position = self._core.state.portfolio.books[owner].positions[contract_key]
        known = self._held.get(key)
        if known is not None and known.position is position:
            return known
        contract = contract_of(self._core.state, contract_key)
        held = self._held[key] = _Held(
            position,
            float(position.quantity * contract.multiplier),
            float(position.realized - position.cost),
            float(sum(position.commission.values(), Decimal(0))),
            self._option(contract),
        )
        return held

    def _option(self, contract: Contract) -> Option | None:
        if contract.sec_type is not SecType.OPTION or not self._slot.wants(contract.key):
            return None
        assert contract.strike is not None
        expiry_ns = self._slot.view.expiry_close_ns(contract.key)
        return Option(1 if contract.right is Right.CALL else -1, float(contract.strike), expiry_ns)

    def _attribute(self, lines: list[Line]) -> None:
        spot = self._spot()
        if spot is not None:
            self.attribution.look(self._core.now_ns, spot, lines)

    def _spot(self) -> float | None:
        return self._slot.result.mark(self._core, self._slot.stock_key)

    def _told(self) -> dict[str, float | None]:
        describe = getattr(self._slot.plugin, "describe", None)
        facts: Mapping[str, Any] = {} if describe is None else describe(self._slot.view)()
        told = {name: facts.get(name) for name in ("net_delta", "gamma", "theta", "vega")}
        return {"spot": self._spot(), **told}
