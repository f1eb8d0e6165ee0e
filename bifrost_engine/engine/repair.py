"""What a finding asks for, carried out: records, orders told, executions booked, strategies held."""

from __future__ import annotations

from collections import Counter
from typing import Any

from attrs import evolve

from bifrost_engine.domain.fill import FillKind
from bifrost_engine.domain.order import Order
from bifrost_engine.engine.blotter import Blotter
from bifrost_engine.engine.books import Books
from bifrost_engine.engine.core import Core
from bifrost_engine.engine.desk import Desk
from bifrost_engine.engine.marks import price_of
from bifrost_engine.engine.state import OpenItem, contract_of
from bifrost_engine.oms.event import EventSource, OrderEventKind
from bifrost_engine.recon.finding import (
    Book,
    Cancel,
    CancelAgain,
    Charge,
    Disconnect,
    Finding,
    Found,
    Hold,
    Settle,
    Status,
    Step,
    Tell,
)

SINK_AHEAD = "sink_ahead"


class Repair:
    """Takes findings, one after the other.

    resent  how often each cancel was asked for again over this link
    number  of the finding that is being carried out
    """

    def __init__(self, core: Core, blotter: Blotter, desk: Desk, books: Books) -> None:
        self._core = core
        self._blotter = blotter
        self._desk = desk
        self._books = books
        self.resent: Counter[str] = Counter()
        self.number = 0
        self._carriers: dict[type, Any] = {
            Tell: self._tell,
            Found: self._found,
            Book: self._book,
            Charge: self._charge,
            Cancel: self._cancel,
            CancelAgain: self._cancel_again,
            Hold: self._hold,
            Settle: self._settle,
            Disconnect: self._disconnect,
        }

    def take(self, recon_id: int, finding: Finding) -> bool:
        """Record a finding and carry it out; one that waits for a person already isn't taken again."""
        state = self._core.state
        is_open = finding.status is Status.OPEN
        if is_open and (
            finding.key in state.acknowledged
            or any(item.key == finding.key for item in state.open_items.values())
        ):
            return False
        payload = self._payload(recon_id, finding)
        self.number = self._core.record("recon_item", payload, None, finding.client_order_id)
        for step in finding.steps:
            self.carry_out(step)
        if finding.halts:
            self._core.halt(None, SINK_AHEAD, finding.action)
        return True

    def carry_out(self, step: Step) -> None:
        """Carry out one step."""
        self._carriers[step.__class__](step)

    def _payload(self, recon_id: int, finding: Finding) -> dict[str, Any]:
        holds = [step for step in finding.steps if isinstance(step, Hold)]
        return {
            "recon_id": recon_id,
            "rule": finding.rule,
            "severity": finding.severity,
            "client_order_id": finding.client_order_id,
            "perm_id": finding.perm_id,
            "exec_base_id": finding.exec_base_id,
            "contract_key": finding.contract_key,
            "ours": dict(finding.ours),
            "theirs": dict(finding.theirs),
            "action": finding.action,
            "status": finding.status,
            "key": finding.key,
            "kept": [
                {"strategy_id": h.strategy_id, "contract_key": h.contract_key, "reason": h.reason}
                for h in holds
            ],
        }

    # --- orders ----------------------------------------------------------------------------

    def _order(self, client_order_id: str) -> Order:
        return self._core.state.orders[client_order_id]

    def _tell(self, step: Tell) -> None:
        order, event = self._order(step.client_order_id), step.event
        if order.stale and event.kind is OrderEventKind.ACK:
            order = evolve(order, stale=False)
        self._blotter.apply(order, event, event.execution)

    def _found(self, step: Found) -> None:
        order = step.order
        contract_of(self._core.state, order.contract_key)
        self._blotter.record_event(order, "FOUND", EventSource.RECON, "APPLIED", order.state, None, None)

    def _cancel(self, step: Cancel) -> None:
        order = self._order(step.client_order_id)
        if order.pending_cancel:
            self._desk.ask_cancel(order, step.why)
        else:
            self._desk.cancel(None, order, EventSource.RECON, step.why)

    def _cancel_again(self, step: CancelAgain) -> None:
        order = self._order(step.client_order_id)
        self.resent[order.client_order_id] += 1
        self._desk.ask_cancel(order, order.reason_code or "wanted before")

    # --- books -----------------------------------------------------------------------------

    def _book(self, step: Book) -> None:
        state, execution = self._core.state, step.execution
        where = (step.owner, execution.contract.key)
        known = where not in state.needs_baseline
        self._books.book_execution(execution, step.owner, None, step.kind, step.source)
        if step.kind is FillKind.ADJUST and state.opened and known and self._is_marked(step):
            self._keep_baseline(where)

    def _is_marked(self, step: Book) -> bool:
        key = step.execution.contract.key
        return bool(self._core.slots_of(key)) and price_of(self._core, key) is not None

    def _keep_baseline(self, where: tuple[str, str]) -> None:
        """Let the day's result go on: what is booked at its mark earns and loses nothing."""
        state = self._core.state
        payload = {
            "owner": where[0],
            "contract_key": where[1],
            "net": state.baselines.get(where, 0),
            "modelled": where in state.modelled,
        }
        self._core.record("baseline", payload)

    def _charge(self, step: Charge) -> None:
        self._books.learn_commission(step.execution)

    # --- holding back ----------------------------------------------------------------------

    def _hold(self, step: Hold) -> None:
        text = f"{step.text}; check, then: bifrost reconcile --accept {self.number} --note TEXT"
        if step.strategy_id is None:
            self._core.hold_instrument(step.contract_key, step.reason, text)
        else:
            self._core.hold(step.strategy_id, step.reason, text)

    def _settle(self, step: Settle) -> None:
        for item in list(self._core.state.open_items.values()):
            if item.key == step.key:
                self.acknowledge(item, "reconciliation", step.note)

    def acknowledge(self, item: OpenItem, by: str, note: str) -> list[str]:
        """Close a finding and end the holds that only it kept; return what they were of."""
        core = self._core
        core.record("recon_ack", {"item_jseq": item.jseq, "by": by, "note": note})
        ended = [kept for kept in item.kept if not core.state.items_that_keep(kept.whose, kept.reason)]
        for kept in ended:
            if kept.strategy_id is None:
                core.lift_instrument(kept.contract_key, kept.reason, "acknowledged")
            else:
                core.lift(kept.strategy_id, kept.reason, "acknowledged")
        return [kept.whose for kept in ended]

    def _disconnect(self, step: Disconnect) -> None:
        self._core.connected = False
