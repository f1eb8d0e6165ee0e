"""What a day's result of the options was made of: delta, gamma, theta, and what is left over.

Between two recorded decisions the options' value moved by about
δ·ΔS + ½·Γ·ΔS² + Θ·Δt, with δ as it was at the first and Γ, Θ as averages of both.
What the marks moved beyond that is named as such, not spread over the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from attrs import frozen

from bifrost_engine.domain.record import Record

NS_PER_YEAR = 365 * 86_400 * 1_000_000_000


class Sample(NamedTuple):
    """The situation at one time; delta and gamma of the options in shares and shares per USD."""

    ts_ns: int
    spot: float
    delta: float
    gamma: float
    theta: float


@frozen
class Moves:
    """Parts of the options' result, quote currency.

    delta  what the options' delta earned on the moves, before any stock against it
    """

    delta: float = 0.0
    gamma: float = 0.0
    theta: float = 0.0

    @property
    def total(self) -> float:
        """Their sum."""
        return self.delta + self.gamma + self.theta


def sample(ts_ns: int, facts: Mapping[str, Any]) -> Sample | None:
    """Return the sample in a decision's facts, or in a snapshot; None while greeks or spot are missing."""
    names = ("spot", "net_delta", "gamma", "theta")
    if any(facts.get(name) is None for name in names):
        return None
    spot, net_delta, gamma, theta = (float(facts[name]) for name in names)
    shares = float(facts["stock_position"]) + float(facts.get("outside_shares") or 0)
    return Sample(ts_ns, spot, net_delta - shares, gamma, theta)


def day_samples(records: Iterable[Record], strategy_id: str) -> list[Sample]:
    """Return the samples of a strategy since the last trading day began, oldest first."""
    found: list[Sample] = []
    for record in records:
        if record.kind == "day":
            found = []
        elif record.kind == "signal" and record.strategy_id == strategy_id and "facts" in record.payload:
            made = sample(record.ts_ns, record.payload["facts"])
            if made is not None:
                found.append(made)
    return found


def moves(samples: Iterable[Sample]) -> Moves:
    """Return what the samples explain of the options' result."""
    delta = gamma = theta = 0.0
    before: Sample | None = None
    for now in samples:
        if before is not None:
            move, years = now.spot - before.spot, (now.ts_ns - before.ts_ns) / NS_PER_YEAR
            delta += before.delta * move
            gamma += 0.5 * 0.5 * (before.gamma + now.gamma) * move * move
            theta += 0.5 * (before.theta + now.theta) * years
        before = now
    return Moves(delta, gamma, theta)


def order_field(payload: Mapping[str, Any], name: str) -> Any:
    """Return a field of the order in an ``order_event``, be it an engine's record or a journal's."""
    order = payload["order"]
    return order[name] if isinstance(order, Mapping) else getattr(order, name)


class Slippage:
    """Follows orders from the mid that they were decided at to their fills, record by record."""

    KINDS = ("decision", "order_event", "fill")

    def __init__(self) -> None:
        self._decided: dict[int, float] = {}
        self._mids: dict[str, float] = {}
        self._lost: dict[str, float] = {}

    def mid(self, client_order_id: str) -> float | None:
        """Return the mid that an order was decided at, None if none was recorded."""
        return self._mids.get(client_order_id)

    def take(self, record: Record) -> float:
        """Return what a record's fill lost to the mid, quote currency; 0 for anything else.

        Positive is a cost: the spread, and what the market moved meanwhile. Of a correction or a
        bust it is the change.
        """
        payload, coid = record.payload, record.client_order_id
        if record.kind == "decision" and payload["ref_price"] is not None:
            self._decided[record.jseq] = float(payload["ref_price"])
        elif record.kind == "order_event" and payload["event"] == "SUBMIT" and coid:
            mid = self._decided.pop(order_field(payload, "decision_jseq"), None)
            if mid is not None:
                self._mids[coid] = mid
        elif record.kind == "fill" and coid in self._mids:
            sign = 1.0 if payload["side"] == "BUY" else -1.0
            away = float(payload["price"]) - self._mids[coid]
            base_id, before = payload["base_id"], self._lost.get(payload["base_id"], 0.0)
            self._lost[base_id] = sign * away * float(payload["quantity"]) * float(payload["multiplier"])
            return self._lost[base_id] - before
        return 0.0


def slippage(records: Iterable[Record], strategy_id: str) -> float:
    """Return what a strategy's fills of the last trading day lost to the mids they were decided at.

    Quote currency, positive is a cost.
    """
    followed, cost = Slippage(), 0.0
    for record in records:
        if record.kind == "day":
            cost = 0.0
        elif record.kind in Slippage.KINDS:
            lost = followed.take(record)
            cost += lost if record.strategy_id == strategy_id else 0.0
    return cost
