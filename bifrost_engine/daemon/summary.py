"""What a run came to: what was seen and done, what kept it from trading, the day's result and its parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from attrs import Factory, define, frozen

from bifrost_engine.domain.contract import SecType
from bifrost_engine.domain.fill import FillKind
from bifrost_engine.domain.record import Record
from bifrost_engine.engine.slot import Slot
from bifrost_engine.engine.state import contract_of
from bifrost_engine.journal.attribution import Moves, day_samples, moves, sample, slippage
from bifrost_engine.journal.proven import Proven
from bifrost_engine.journal.reader import JournalReader
from bifrost_engine.journal.story import spans

if TYPE_CHECKING:
    from bifrost_engine.daemon.host import Daemon
    from bifrost_engine.engine.core import Core


@frozen(kw_only=True)
class DayParts:
    """A strategy's result of the trading day, quote currency; None while a mark is missing.

    total       after commissions; options + stock - commission
    stock       of its own book, as filled
    slippage    how much of ``stock`` went to fills away from the mids, positive is a cost
    moves       what explains ``options``
    """

    strategy_id: str
    symbol: str
    total: float | None
    options: float | None
    stock: float | None
    commission: float
    slippage: float
    moves: Moves

    @property
    def unexplained(self) -> float | None:
        """The options' result beyond ``moves``: implied volatility, marks, higher orders."""
        return None if self.options is None else self.options - self.moves.total


@define
class Tally:
    """What the journal says of the last run.

    commissions  by execution; a later report takes the place of an earlier one
    codes        reason → decisions that it kept from becoming an order
    """

    start_ns: int = 0
    end_ns: int = 0
    decisions: int = 0
    hedges: int = 0
    fills: int = 0
    shares: Decimal = Decimal(0)
    commissions: dict[str, Decimal] = Factory(dict)
    codes: Counter[str] = Factory(Counter)
    days: list[str] = Factory(list)

    @property
    def commission(self) -> Decimal:
        """What the run's executions cost, quote currency."""
        return sum(self.commissions.values(), Decimal(0))


@frozen(kw_only=True)
class RunSummary:
    """A run that has ended.

    rejected  reason → quotes that were refused
    """

    tally: Tally
    quotes: int
    rejected: Mapping[str, int]
    days: list[DayParts]
    reason: str


def summarize(daemon: Daemon) -> RunSummary:
    """Return the summary of a run that has ended. Raises JournalError if its journal can't be read."""
    with JournalReader(daemon.journal.path) as reader:
        records = list(Proven(reader).records())
    core = daemon.engine.core
    return RunSummary(
        tally=tally(records),
        quotes=daemon.quotes_read,
        rejected=dict(core.quotes.rejected),
        days=[day_parts(core, slot, records) for slot in core.slots.values()],
        reason=daemon.stop_reason,
    )


def tally(records: list[Record]) -> Tally:
    """Count what the last run did; a run begins with its ``start`` operation."""
    begins = [
        index
        for index, record in enumerate(records)
        if record.kind == "operation" and record.payload["type"] == "start"
    ]
    own = records[begins[-1] :] if begins else records
    result = Tally(start_ns=own[0].ts_ns, end_ns=own[-1].ts_ns) if own else Tally()
    for record in own:
        _count(result, record)
    for span in spans(own):
        result.decisions += span.count
        result.codes.update(dict.fromkeys(span.codes, span.count))
    return result


def _count(result: Tally, record: Record) -> None:
    payload = record.payload
    if record.kind == "order_event" and payload["event"] == "SUBMIT":
        result.hedges += payload["order"]["purpose"] == "HEDGE"
    elif record.kind == "fill" and payload["kind"] == FillKind.TRADE and record.client_order_id:
        result.fills += 1
        result.shares += Decimal(payload["quantity"])
        result.commissions[payload["base_id"]] = Decimal(payload["commission"] or 0)
    elif record.kind == "operation" and payload["type"] == "day_end":
        result.days.append(f"{record.strategy_id} {payload['state_reason']}")
    elif record.kind == "commission":
        result.commissions[payload["base_id"]] = Decimal(payload["commission"])


def day_parts(core: Core, slot: Slot, records: Iterable[Record]) -> DayParts:
    """Return the day's result of one strategy and what explains it."""
    records = list(records)
    gross: dict[bool, float | None] = {True: 0.0, False: 0.0}
    paid = 0.0
    for line in slot.result.lines(core):
        mark = slot.result.mark(core, line.contract_key) if line.units else 0.0
        commission = _commission_today(core, line.owner, line.contract_key)
        paid += commission
        is_stock = contract_of(core.state, line.contract_key).sec_type is SecType.STOCK
        so_far = gross[is_stock]
        value = None if mark is None else line.units * mark + line.fixed + commission
        gross[is_stock] = None if so_far is None or value is None else so_far + value
    last = sample(core.now_ns, slot_facts(slot))
    samples = day_samples(records, slot.id) + ([] if last is None else [last])
    return DayParts(
        strategy_id=slot.id,
        symbol=slot.config.symbol,
        total=slot.view.day_pnl,
        options=gross[False],
        stock=gross[True],
        commission=paid,
        slippage=slippage(records, slot.id),
        moves=moves(samples),
    )


def slot_facts(slot: Slot) -> Mapping[str, object]:
    """Return what the strategy says of its last decision."""
    return {} if slot.last_decision is None else slot.last_decision.explain()


def _commission_today(core: Core, owner: str, contract_key: str) -> float:
    fills = core.state.portfolio.books[owner].fills()
    today = core.state.trading_day
    own = (fill for fill in fills if fill.contract.key == contract_key and fill.trading_day == today)
    return float(sum((fill.commission or Decimal(0) for fill in own), Decimal(0)))
