"""The audit trail of decisions: what was seen, what the gates said, what was ordered.

Equal consecutive decisions are folded: the first is a record of its own, the further
ones are counted and told by one more record when something changes. A decision that
leads to an order is never folded.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from bifrost_engine.domain.contract import stock_key
from bifrost_engine.domain.decision import Decision, Intent
from bifrost_engine.engine.answer import told
from bifrost_engine.engine.core import Core
from bifrost_engine.engine.slot import Slot
from bifrost_engine.risk.chain import Judgement

NO_REASON = "the strategy gives no reason"


class Trail:
    """Writes signals, risk decisions and order decisions to the journal."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def decided(self, slot: Slot, decision: Decision, judgement: Judgement | None) -> int | None:
        """Record a decision; return the number of its risk record if it may become an order."""
        intent = decision.intent
        allowed = judgement is not None and bool(judgement.quantity)
        key = (*decision.key, self._core.lifecycle)
        if intent is not None and judgement is not None:
            key = (*key, intent.side, intent.force, judgement.vetoes, judgement.shrinks)
        last = slot.last_key
        if decision.waits and last is not None:
            last = last[: len(key)]
        if key == last and not allowed:
            slot.folded += 1
            slot.last_ts_ns = self._core.now_ns
            if not decision.waits:
                slot.last_decision = decision
            return None
        self.flush(slot)
        slot.last_decision = decision
        slot.last_key = None if allowed else key
        signal = self._signal(slot, decision)
        if judgement is None:
            return None
        risk = self._risk(slot, signal, judgement)
        return risk if allowed else None

    def flush(self, slot: Slot) -> None:
        """Record how often the last decision was repeated, if it was."""
        self.tell_repeats(slot)
        slot.last_key = None

    def tell_repeats(self, slot: Slot) -> None:
        """Record how often the last decision was repeated since that was told; it goes on."""
        if slot.folded and slot.last_key is not None:
            decision = slot.last_decision
            intent = None if decision is None else decision.intent
            self._core.record(
                "signal",
                {
                    "run_id": slot.run_id,
                    "kind": _kind(intent),
                    "filtered": intent is None,
                    "n": slot.folded,
                    "last_ts_ns": slot.last_ts_ns,
                    "of_jseq": slot.signal_jseq,
                    "contract_key": _contract_key(slot.config.symbol, intent),
                },
                slot.id,
            )
        slot.folded = 0
        slot.told_ns = self._core.now_ns

    def order_decision(self, slot: Slot, risk_jseq: int, payload: dict[str, Any]) -> int:
        """Record the order that a passed intent leads to; return the record's number."""
        run_id = slot.run_id
        return self._core.record(
            "decision", lambda: {"run_id": run_id, "risk_jseq": risk_jseq, **payload}, slot.id
        )

    def _signal(self, slot: Slot, decision: Decision) -> int:
        symbol, now_ns = slot.config.symbol, self._core.now_ns
        payload = partial(_signal_payload, slot.run_id, symbol, now_ns, decision, self._core.lifecycle)
        slot.signal_jseq = self._core.record("signal", payload, slot.id)
        return slot.signal_jseq

    def _risk(self, slot: Slot, signal_jseq: int, judgement: Judgement) -> int:
        return self._core.record("risk", partial(_risk_payload, slot.run_id, signal_jseq, judgement), slot.id)


def _kind(intent: Intent | None) -> str:
    return "none" if intent is None else str(intent.purpose).lower()


def _contract_key(symbol: str, intent: Intent | None) -> str:
    return stock_key(symbol) if intent is None else intent.contract_key


def _signal_payload(
    run_id: str, symbol: str, now_ns: int, decision: Decision, daemon_state: str
) -> dict[str, Any]:
    intent = decision.intent
    facts = told(decision.explain)
    return {
        "run_id": run_id,
        "kind": _kind(intent),
        "filtered": intent is None,
        "n": 1,
        "last_ts_ns": now_ns,
        "reasons": facts.pop("reasons") or ([NO_REASON] if intent is None else []),
        "contract_key": _contract_key(symbol, intent),
        "side": None if intent is None else intent.side,
        "quantity": None if intent is None else intent.quantity,
        "force": intent is not None and intent.force,
        "facts": {**facts, "daemon_state": daemon_state},
    }


def _risk_payload(run_id: str, signal_jseq: int, judgement: Judgement) -> dict[str, Any]:
    vetoes, shrinks = judgement.vetoes, judgement.shrinks
    return {
        "run_id": run_id,
        "signal_jseq": signal_jseq,
        "decision": "BLOCK" if vetoes else "REDUCE" if shrinks else "ALLOW",
        "reason": next(iter(vetoes or shrinks), None),
        "quantity": judgement.quantity,
        "gates": [list(verdict) for verdict in judgement.verdicts],
    }
