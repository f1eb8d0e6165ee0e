"""What was traded and what kept it from being: counted from the records of a run as they come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from attrs import Factory, define

from bifrost_engine.domain.contract import SecType, parse_contract_key
from bifrost_engine.domain.fill import FillKind
from bifrost_engine.domain.record import Record
from bifrost_engine.journal.attribution import Slippage, order_field
from bifrost_engine.journal.story import SHRUNK, VETOED, Span

NS = 1_000_000_000


@define
class GateCount:
    """What a gate did.

    blocked_ns  how long decisions stood that it vetoed
    """

    vetoes: int = 0
    shrinks: int = 0
    blocked_ns: int = 0


@define
class ReasonCount:
    """What a reason kept from becoming an order, and for how long it did."""

    decisions: int = 0
    blocked_ns: int = 0


@define
class Trading:
    """One strategy's orders and decisions.

    slippage_usd, slippage_bps  of each fill against the mid that its order was decided at; positive
                                is a cost; kept as sum, worst and count
    states                      trading state → nanoseconds
    """

    decisions: int = 0
    orders: int = 0
    hedges: int = 0
    fills: int = 0
    shares: float = 0.0
    slipped: int = 0
    slippage_usd: float = 0.0
    slippage_bps: float = 0.0
    worst_usd: float | None = None
    worst_bps: float | None = None
    states: Counter[str] = Factory(Counter)
    gates: dict[str, GateCount] = Factory(dict)
    reasons: dict[str, ReasonCount] = Factory(dict)
    _slippage: Slippage = Factory(Slippage)
    _purposes: dict[str, str] = Factory(dict)

    def take(self, record: Record) -> None:
        """Count a record of the strategy, one of ``Slippage.KINDS``."""
        payload, lost = record.payload, self._slippage.take(record)
        if record.kind == "order_event" and payload["event"] == "SUBMIT":
            self.orders += 1
            purpose = str(order_field(payload, "purpose"))
            self.hedges += purpose == "HEDGE"
            self._purposes[record.client_order_id or ""] = purpose
        elif record.kind == "fill" and payload["kind"] == FillKind.TRADE and record.client_order_id:
            self._fill(record.client_order_id, payload, lost)

    def order(self, client_order_id: str) -> tuple[str, float | None] | None:
        """Return what an order was for, and the mid that it was decided at; None if it wasn't sent."""
        purpose = self._purposes.get(client_order_id)
        return None if purpose is None else (purpose, self._slippage.mid(client_order_id))

    def _fill(self, client_order_id: str, payload: Mapping[str, Any], lost: float) -> None:
        quantity = float(payload["quantity"])
        self.fills += 1
        if parse_contract_key(payload["contract_key"]).sec_type is SecType.STOCK:
            self.shares += quantity
        mid = self._slippage.mid(client_order_id)
        if not mid or not quantity:
            return
        bps = 1e4 * lost / (quantity * float(payload["multiplier"]) * mid)
        self.slipped += 1
        self.slippage_usd += lost
        self.slippage_bps += bps
        self.worst_usd = lost if self.worst_usd is None else max(self.worst_usd, lost)
        self.worst_bps = bps if self.worst_bps is None else max(self.worst_bps, bps)

    def take_span(self, span: Span, until_ns: int) -> None:
        """Count a run of equal decisions that stood until a time."""
        length_ns = until_ns - span.first_ns
        self.decisions += span.count
        state = span.signal["facts"].get("trading_state")
        if state is not None:
            self.states[str(state)] += length_ns
        for gate, verdict, *_ in span.gates(VETOED, SHRUNK):
            count = self.gates.setdefault(gate, GateCount())
            if verdict == VETOED:
                count.vetoes += span.count
                count.blocked_ns += length_ns
            else:
                count.shrinks += span.count
        if span.order is None:
            for code in dict.fromkeys(span.codes):
                reason = self.reasons.setdefault(code, ReasonCount())
                reason.decisions += span.count
                reason.blocked_ns += length_ns
