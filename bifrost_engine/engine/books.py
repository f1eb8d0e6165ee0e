"""Executions into the books: fills, what they cost, and what can't be booked."""

from __future__ import annotations

from decimal import Decimal

from attrs import evolve

from bifrost_engine.domain.broker import Execution
from bifrost_engine.domain.fill import Fill, FillKind, FillSource
from bifrost_engine.domain.money import round_amount
from bifrost_engine.domain.order import BookedExecution
from bifrost_engine.engine.core import Core
from bifrost_engine.engine.valuing import Valuing
from bifrost_engine.errors import InvariantViolated
from bifrost_engine.portfolio.portfolio import transfer_fills

NOT_BOOKED = "fill_not_booked"


class Books:
    """Records fills and commissions, from which the portfolio is folded, and what follows from them."""

    def __init__(self, core: Core, valuing: Valuing) -> None:
        self._core = core
        self._valuing = valuing

    def book_execution(
        self,
        execution: Execution,
        owner: str,
        client_order_id: str | None,
        kind: FillKind,
        source: FillSource,
        late: bool = False,
    ) -> None:
        """Record an execution for a book; one that is booked already is left as it is."""
        core = self._core
        known = core.state.portfolio.fill(execution.base_id)
        if known is not None and known.revision >= execution.revision:
            core.counters["fill_known"] += 1
            return
        if not self._is_countable(execution):
            execution = evolve(execution, commission=None, commission_currency=core.state.portfolio.currency)
        fill = Fill(
            base_id=execution.base_id,
            revision=execution.revision,
            client_order_id=client_order_id,
            owner=owner,
            account=core.account,
            contract=execution.contract,
            side=execution.side,
            quantity=execution.quantity,
            price=execution.price,
            commission=execution.commission,
            commission_currency=execution.commission_currency,
            kind=kind,
            source=source,
            exec_ts_ns=execution.ts_ns,
            booked_ns=core.now_ns,
            trading_day=core.sessions.trading_day(core.now_ns),
            late_fill=late,
        )
        self._record_fill(fill)

    def move(self, transfer_id: str, source: str, target: str, contract_key: str, quantity: Decimal) -> Fill:
        """Record, as one, that part of a position goes to another book; return the fill that it is there.

        Raises ValueError if the source doesn't hold that much.
        """
        core = self._core
        outgoing, incoming = transfer_fills(
            core.state.portfolio,
            transfer_id=transfer_id,
            source=source,
            target=target,
            contract_key=contract_key,
            quantity=quantity,
            ts_ns=core.now_ns,
            trading_day=core.sessions.trading_day(core.now_ns),
        )
        waiting = set(core.state.needs_baseline)
        payload = {"out": outgoing.to_payload(), "in": incoming.to_payload()}
        core.record("transfer", payload, target)
        self._keep_baselines(outgoing, incoming, waiting)
        for fill in (outgoing, incoming):
            self._valuing.booked(fill.base_id)
        return incoming

    def _keep_baselines(self, outgoing: Fill, incoming: Fill, waiting: set[tuple[str, str]]) -> None:
        """Let no book's day gain or lose by a move; without a mark both days count from the next one."""
        core, key = self._core, incoming.contract.key
        mark = self._valuing.mark(key)
        if mark is None:
            return
        units = incoming.quantity * incoming.side.sign * incoming.contract.multiplier
        gain = round_amount(units * (mark.price - incoming.price))
        for owner, change in ((outgoing.owner, -gain), (incoming.owner, gain)):
            if (owner, key) not in waiting:
                net = core.state.baselines.get((owner, key), Decimal(0)) + change
                modelled = (owner, key) in core.state.modelled
                payload = {"owner": owner, "contract_key": key, "net": net, "modelled": modelled}
                core.record("baseline", payload)

    def revise(self, base_id: str, booked: BookedExecution, by: str) -> None:
        """Record that a later execution took an inferred one's place, or part of it."""
        fill = self._core.state.portfolio.fill(base_id)
        if fill is not None:
            self._record_fill(
                evolve(
                    fill,
                    revision=booked.revision,
                    quantity=booked.quantity,
                    superseded_by=by,
                    booked_ns=self._core.now_ns,
                )
            )

    def reprice(self, base_id: str, price: Decimal) -> None:
        """Record at which price an adjustment is booked, now that there is a mark."""
        fill = self._core.state.portfolio.fill(base_id)
        assert fill is not None
        booked_ns = self._core.now_ns
        self._record_fill(evolve(fill, revision=fill.revision + 1, price=price, booked_ns=booked_ns))

    def learn_commission(self, execution: Execution) -> None:
        """Take what an execution cost, if it is told of, in place of what was known."""
        if execution.commission is None or not self._is_countable(execution):
            return
        if self._core.state.portfolio.fill(execution.base_id) is None:
            self._core.counters["commission_of_unknown_execution"] += 1
            return
        self._core.record(
            "commission",
            {
                "base_id": execution.base_id,
                "commission": execution.commission,
                "currency": execution.commission_currency,
            },
            None,
            self._core.state.order_of_execution.get(execution.base_id),
        )
        self._valuing.booked(execution.base_id)

    def _record_fill(self, fill: Fill) -> None:
        """Record a fill; one that the books can't take is told of, and halts who may have traded it."""
        core = self._core
        try:
            core.record("fill", fill.to_payload(), fill.owner, fill.client_order_id)
        except (ValueError, InvariantViolated) as error:
            core.counters["fill_not_booked"] += 1
            core.notice("error", "fill not booked", error=str(error))
            core.operation("incident", fill.owner, reason=str(error), client_order_id=fill.client_order_id)
            for slot in core.slots.values():
                if slot.id == fill.owner or slot.wants(fill.contract.key):
                    core.halt(slot.id, NOT_BOOKED, str(error))
            return
        self._valuing.booked(fill.base_id)

    def _is_countable(self, execution: Execution) -> bool:
        """Return whether a commission is an amount in the account's currency; one that isn't is told of."""
        currency = self._core.state.portfolio.currency
        amount, told = execution.commission, execution.commission_currency
        if amount is None or (amount.is_finite() and told == currency):
            return True
        problem = "commission_of_other_currency" if amount.is_finite() else "commission_not_a_number"
        self._core.counters[problem] += 1
        self._core.notice(
            "error",
            "commission not counted",
            execution=execution.base_id,
            error=f"expected an amount in {currency}, was {amount} {told}",
        )
        return False
