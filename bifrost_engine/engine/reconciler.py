"""Reconciliation: when the broker is asked, what a pass leaves on record, and what follows from it.

The rules are in ``recon``; here a snapshot that can be relied on is waited for, each
finding is recorded and carried out before the next is looked for, and the gate for new
orders opens or stays closed.
"""

from __future__ import annotations

from bifrost_engine.domain.broker import BrokerState
from bifrost_engine.domain.control import Command
from bifrost_engine.domain.events import BrokerStateReceived
from bifrost_engine.domain.order import Order, OrderState
from bifrost_engine.engine.answers import Answers
from bifrost_engine.engine.blotter import WORKING, Blotter
from bifrost_engine.engine.core import SECOND_NS, Core
from bifrost_engine.engine.question import ask, bounded
from bifrost_engine.engine.repair import Repair
from bifrost_engine.engine.shown import LastLook, shown
from bifrost_engine.engine.sight import Sight
from bifrost_engine.engine.state import FAR, SETTLED
from bifrost_engine.oms.event import Severity
from bifrost_engine.recon import reconcile
from bifrost_engine.recon.evidence import Evidence
from bifrost_engine.recon.finding import Finding
from bifrost_engine.recon.look import Limits, Look

ATTEMPTS = 3
"""How often a snapshot during which something moved is asked for again, a second apart."""
RETRY_S = (1, 2, 5, 10, 30)
"""After these times a snapshot that wasn't whole is asked for again; the last one stays."""
NEW_LINK = ("STARTUP", "RECONNECT")
OPERATOR = "OPERATOR"
IN_FLIGHT = (
    OrderState.SUBMITTED,
    OrderState.CANCEL_REQUESTED,
    OrderState.REPLACE_REQUESTED,
    OrderState.UNKNOWN,
)
_BAD = (Severity.ERROR, Severity.CRITICAL)


class Reconciler:
    """Compares at each link, each doubt and from time to time.

    last_look   which orders the snapshot before showed; set from the journal where no daemon runs
    sink_ahead  what is wrong where a sink has records that the journal hasn't
    due_ns      when something is to be asked next, while the broker is there
    """

    def __init__(self, core: Core, blotter: Blotter, answers: Answers, repair: Repair) -> None:
        self._core = core
        self._blotter = blotter
        self._answers = answers
        self._repair = repair
        self._sight = Sight(core, blotter)
        self._evidence = Evidence()
        self._link_up_ns = 0
        self._passed_ns = 0
        self._attempt = 1
        self._incomplete = 0
        self._retry: tuple[int, str] = (FAR, "")
        self._look_ns = FAR
        self._left_out: set[str] = set()
        self._asked: list[Command] = []
        self._told: tuple[str, list[str]] = ("", [])
        self._last_state: BrokerState | None = None
        self.last_look: LastLook | None = None
        self.sink_ahead: str | None = None

    # --- when ------------------------------------------------------------------------------

    @property
    def due_ns(self) -> int:
        """Nanoseconds on the host's clock, far away while an answer is out."""
        return min(self._retry[0], self._look_ns)

    @property
    def retry_ns(self) -> int:
        """When the broker is to be asked again, far away while nothing was left open."""
        return self._retry[0]

    def link_up(self) -> None:
        """Begin a session: what a broker showed over an earlier link proves nothing."""
        self._core.link += 1
        self._core.compared_ns = None
        self._evidence.clear()
        self._repair.resent.clear()
        self._link_up_ns = self._core.now_ns
        self._attempt, self._incomplete = 1, 0
        self.request("RECONNECT" if self._core.state.opened else "STARTUP")

    def request(self, trigger: str) -> None:
        """Ask the host for a snapshot; one in the place of an operator's is the operator's."""
        if self._retry[1] == OPERATOR and trigger not in NEW_LINK:
            trigger = OPERATOR
        self._retry = (FAR, "")
        self._look_ns = FAR
        ask(self._core, trigger)

    def compare_for(self, command: Command) -> None:
        """Ask for a snapshot, and tell the command's source what the comparison came to."""
        self._asked.append(command)
        self.request(OPERATOR)

    def keep_time(self) -> None:
        """Ask for what has come due."""
        now, recon = self._core.now_ns, self._core.config.recon
        if now >= self._retry[0]:
            self.request(self._retry[1])
        elif now >= self._look_ns:
            late_ns = self._passed_ns + int(recon.periodic * SECOND_NS)
            if now >= late_ns or any(o.state in IN_FLIGHT for o in self._blotter.open_orders()):
                self.request("PERIODIC")
            else:
                self._look_ns = min(late_ns, now + int(recon.periodic_in_flight * SECOND_NS))

    def _again(self, after_s: float, trigger: str) -> None:
        self._retry = (self._core.now_ns + int(after_s * SECOND_NS), trigger)

    # --- a pass ----------------------------------------------------------------------------

    def on_state(self, event: BrokerStateReceived) -> None:
        """Run a pass over a snapshot, or wait for one in which nothing moves."""
        core, state = self._core, event.state
        if not core.connected:
            return
        if state is None:
            self._unreadable(event)
            return
        stable = state.stable and core.state.last_order_ns <= state.as_of_start_ns
        if not stable and self._attempt < ATTEMPTS:
            self._attempt += 1
            self._again(1, event.trigger)
            return
        self._pass(event.trigger, state, stable)

    def _unreadable(self, event: BrokerStateReceived) -> None:
        recon_id = self._begin(event.trigger, None, stable=False)
        action = f"broker state not readable: {event.error}"
        self._repair.take(recon_id, Finding(rule="R01", severity=Severity.WARNING, action=action))
        self._end(recon_id, event.trigger, "INCOMPLETE", [action])

    def _pass(self, trigger: str, state: BrokerState, stable: bool) -> None:
        core = self._core
        state = bounded(state, core.compared_ns)
        self._last_state = state
        if not stable:
            self._evidence.clear()
        ours = self._sight.ours(state.since_ns)
        look = Look(ours, state, core.now_ns, self._evidence, self._limits(), stable)
        recon_id = self._begin(trigger, state, stable=stable)
        earlier = () if core.state.opened else self._earlier(look)
        taken = [finding for finding in reconcile(look) if self._repair.take(recon_id, finding)]
        self._evidence.end_of_look()
        self._tell_left_out(state)
        if core.connected:
            for order, _ in look.pairs():
                if order.state in WORKING:
                    self._answers.still_working(order)
        incomplete = bool(state.incomplete - {"completed_orders"}) or look.unsettled or not stable
        result = self._result(taken, incomplete or not core.connected)
        told = [f"{finding.rule}: {finding.action}" for finding in taken]
        self._end(recon_id, trigger, result, told, earlier)
        if result != "INCOMPLETE":
            core.end_doubts(state.as_of_start_ns)
        if result in SETTLED and not look.look_again and not state.incomplete:
            core.compared_ns = state.as_of_start_ns
        if look.look_again and self._retry[0] == FAR and core.connected:
            self._again(core.config.recon.proof_gap, "TARGETED")

    def _result(self, taken: list[Finding], incomplete: bool) -> str:
        if any(finding.halts for finding in taken):
            return "HALT"
        if incomplete:
            return "INCOMPLETE"
        if any(item.severity in _BAD for item in self._core.state.open_items.values()):
            return "OPEN_ITEMS"
        return "REPAIRED" if any(finding.steps for finding in taken) else "CLEAN"

    def _begin(self, trigger: str, state: BrokerState | None, *, stable: bool) -> int:
        core, attempts = self._core, self._attempt
        recon_id = core.state.last_jseq + 1
        started_ns = core.now_ns if state is None else state.as_of_start_ns
        self._attempt = 1
        return core.record(
            "recon",
            lambda: {
                "recon_id": recon_id,
                "account": core.account,
                "trigger": trigger,
                "started_ns": started_ns,
                "attempts": attempts,
                "complete": state is not None and not state.incomplete,
                "stable": stable,
                "broker_state": {} if state is None else shown(state),
            },
        )

    def _end(
        self, recon_id: int, trigger: str, result: str, told: list[str], earlier: tuple[str, ...] = ()
    ) -> None:
        core = self._core
        payload = {"recon_id": recon_id, "result": result, "ended_ns": core.now_ns}
        core.record("recon_end", {**payload, "earlier": list(earlier)} if earlier else payload)
        self._passed_ns = core.now_ns
        recon = core.config.recon
        self._look_ns = core.now_ns + int(min(recon.periodic, recon.periodic_in_flight) * SECOND_NS)
        if result == "INCOMPLETE":
            core.reconciled = core.reconciled and trigger not in NEW_LINK
            wait = RETRY_S[min(self._incomplete, len(RETRY_S) - 1)]
            self._incomplete += 1
            if core.connected:
                self._again(wait, "PERIODIC" if core.reconciled else self._link_trigger())
        else:
            core.reconciled = core.reconciled or result != "HALT"
            self._incomplete = 0
        if trigger == OPERATOR or trigger in NEW_LINK:
            self._answer(f"{result}: {'; '.join(told) or self._nothing_found()}")
        before, self._told = self._told, (result, told)
        if told and self._told != before:  # what stays as it was is told once
            bad = result in ("INCOMPLETE", "OPEN_ITEMS", "HALT")
            core.notice(
                "warning" if bad else "info", "reconciliation", trigger=trigger, result=result, items=told
            )

    def _nothing_found(self) -> str:
        waiting = ", ".join(map(str, self._core.state.open_items))
        return f"nothing new; findings that wait to be accepted: {waiting}" if waiting else "nothing differs"

    def _answer(self, outcome: str) -> None:
        for command in self._asked:
            self._core.operation(
                command.operation,
                reason=f"{command.name}: {outcome}",
                outcome=outcome,
                command_id=command.command_id,
                source=command.source,
                requested_by=command.requested_by,
            )
        self._asked.clear()

    def _link_trigger(self) -> str:
        return "RECONNECT" if self._core.state.opened else "STARTUP"

    def _earlier(self, look: Look) -> tuple[str, ...]:
        """Return the executions that are in the account's first positions already."""
        return tuple(e.base_id for e in look.news if look.match_execution(e) is None)

    def _tell_left_out(self, state: BrokerState) -> None:
        currency = self._core.state.portfolio.currency
        for position in state.positions:
            contract = position.contract
            self._core.state.contracts.setdefault(contract.key, contract)
            if contract.currency != currency and contract.key not in self._left_out:
                self._left_out.add(contract.key)
                self._core.notice(
                    "warning", "contract left out", contract=contract.key, currency=contract.currency
                )
        for _, key in self._core.state.unpriced.values():
            if key not in self._left_out and not self._core.slots_of(key):  # a strategy's gets its mark
                self._left_out.add(key)
                self._core.notice("warning", "counts as nothing in the limits on values", contract=key)

    # --- what is known of the last look ----------------------------------------------------

    def _limits(self) -> Limits:
        config = self._core.config
        return Limits(
            proof_gap_ns=int(config.recon.proof_gap * SECOND_NS),
            min_age_ns=int(config.recon.min_age * SECOND_NS),
            cancel_timeout_ns=int(config.oms.cancel_timeout * SECOND_NS),
            link_up_ns=self._link_up_ns,
            resent=self._repair.resent,
            sink_ahead=self.sink_ahead,
            completed_orders=self._core.caps.completed_orders,
        )

    def lacks(self, order: Order) -> bool | None:
        """Return whether the last snapshot shows an order nowhere; None if it can't tell."""
        if self._last_state is not None:
            self.last_look = LastLook.of(shown(self._last_state))
            self._last_state = None
        look, sent_ns = self.last_look, order.submitted_ns or order.created_ns
        if look is None or not look.is_whole or not look.since_ns <= sent_ns < look.begun_ns:
            return None
        return order.client_order_id not in look.references and order.perm_id not in look.perm_ids
