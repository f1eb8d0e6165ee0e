"""What only a run's records tell: how long answers took, what was refused, what contradicted.

A fold over the journal beside its writer, so that counting costs the run nothing. Durations
are of the records' time: in a rehearsal the market's, not the wall's.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from bifrost_engine.domain.order import OrderState
from bifrost_engine.domain.record import Record
from bifrost_engine.journal.attribution import Slippage
from bifrost_engine.replay.durations import Durations

KINDS = tuple({*Slippage.KINDS, "portfolio", "signal", "risk"})
BOUNDS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
HEARD_OF = frozenset({"ACK", "FILL_PART", "FILL_FULL"})
REFUSED = {OrderState.REJECTED: "rejected", OrderState.DENIED: "denied"}
CODE = re.compile(r"(?:state )?([A-Z][A-Z0-9_]*)\b")
"""How a reason begins; what follows are values, of which there is no end."""
MOST_REASONS = 200
_OVER = frozenset(state for state in OrderState if state.is_terminal)


class Figures:
    """Figures since the run began; durations and contradictions by strategy.

    ack, cancel, fill  from sending to the first sign of the broker, from wanting a cancel to the
                       order's end, from sending to the whole quantity
    refused            orders by strategy, ``rejected`` or ``denied``, and reason code
    incidents          by kind
    decisions          by strategy, what came of it (``none``: nothing was wanted; ``allow``, ``reduce``,
                       ``block``) and the first reason's code
    unknown_since      when an order became UNKNOWN that still is, by client order id
    results            the newest portfolio record of each owner
    slippage           what fills lost to the mids that they were decided at, quote currency
    drawdown           how far each owner's result is below its highest, quote currency; absent while unknown
    """

    def __init__(self) -> None:
        self.ack: defaultdict[str, Durations] = defaultdict(lambda: Durations(BOUNDS_S))
        self.cancel: defaultdict[str, Durations] = defaultdict(lambda: Durations(BOUNDS_S))
        self.fill: defaultdict[str, Durations] = defaultdict(lambda: Durations(BOUNDS_S))
        self.refused: Counter[tuple[str, str, str]] = Counter()
        self.contradictions: Counter[str] = Counter()
        self.incidents: Counter[str] = Counter()
        self.decisions: Counter[tuple[str, str, str]] = Counter()
        self.unknown_since: dict[str, int] = {}
        self.results: dict[str, Any] = {}
        self.slippage: defaultdict[str, float] = defaultdict(float)
        self.drawdown: dict[str, float] = {}
        self._highest: dict[str, float] = {}
        self._said: dict[str, tuple[str, str]] = {}
        self._followed = Slippage()
        self._sent: dict[str, int] = {}
        self._unheard: dict[str, int] = {}
        self._cancelled: dict[str, int] = {}

    def take(self, record: Record) -> None:
        """Count a record of one of ``KINDS``."""
        if record.kind == "order_event":
            self._on_order_event(record, record.payload)
        elif record.kind == "portfolio":
            self._on_portfolio(record.payload)
        elif record.kind == "signal":
            self._on_signal(record.strategy_id or "", record.payload)
        elif record.kind == "risk":
            payload = record.payload
            self._decided(record.strategy_id or "", payload["decision"].lower(), payload["reason"] or "")
        if record.kind in Slippage.KINDS:
            lost = self._followed.take(record)
            if record.kind == "fill" and record.client_order_id:
                self.slippage[record.strategy_id or ""] += lost

    def _on_signal(self, strategy: str, payload: Any) -> None:
        """Count a decision for nothing, or repeats; one for something counts once it is judged."""
        if "of_jseq" in payload:
            self._decided(strategy, *self._said.get(strategy, ("none", "")), payload["n"])
        elif payload["filtered"]:
            self._decided(strategy, "none", _code(next(iter(payload["reasons"]), "")))

    def _decided(self, strategy: str, outcome: str, reason: str, times: int = 1) -> None:
        self._said[strategy] = outcome, reason
        key = strategy, outcome, reason
        if key not in self.decisions and len(self.decisions) >= MOST_REASONS:
            key = strategy, outcome, "other"
        self.decisions[key] += times

    def _on_portfolio(self, payload: Any) -> None:
        owner, net = payload["owner"], payload["net"]
        self.results[owner] = payload
        self.drawdown.pop(owner, None)
        if net is not None:
            self._highest[owner] = max(float(net), self._highest.get(owner, float(net)))
            self.drawdown[owner] = self._highest[owner] - float(net)

    def _on_order_event(self, record: Record, payload: Any) -> None:
        coid, strategy = record.client_order_id or "", record.strategy_id or ""
        event, to = payload["event"], OrderState(payload["to_state"])
        moved = to != payload["from_state"]
        self.contradictions[strategy] += payload["outcome"] == "CONTRADICTION"
        if payload.get("incident"):
            self.incidents[payload["incident"].partition(":")[0]] += 1
        if event == "SUBMIT":
            self._sent[coid] = self._unheard[coid] = record.ts_ns
        elif event in HEARD_OF:
            self._passed(self.ack, self._unheard, record)
        elif event == "CANCEL_REQ":
            self._cancelled.setdefault(coid, record.ts_ns)
        if moved and to in REFUSED:
            code = payload["order"]["reason_code"] or ""
            self.refused[strategy, REFUSED[to], code] += 1
        if moved and to is OrderState.FILLED:
            self._passed(self.fill, self._sent, record)
        if to in _OVER:
            self._passed(self.cancel, self._cancelled, record)
            for begun in (self._sent, self._unheard, self.unknown_since):
                begun.pop(coid, None)
        elif to is not OrderState.UNKNOWN:
            self.unknown_since.pop(coid, None)
        elif moved:
            self.unknown_since[coid] = record.ts_ns

    def _passed(self, into: Mapping[str, Durations], begun: dict[str, int], record: Record) -> None:
        since_ns = begun.pop(record.client_order_id or "", None)
        if since_ns is not None:
            into[record.strategy_id or ""].add((record.ts_ns - since_ns) / 1e9)


def _code(reason: str) -> str:
    """Return the code that a strategy's reason begins with, empty without one."""
    found = CODE.match(reason)
    return found[1] if found else ""
