"""An operator's commands, each with what it does and the operation row that says so."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from bifrost_engine.domain.control import OPERATOR_COMMANDS, Command
from bifrost_engine.domain.decision import Intent
from bifrost_engine.domain.effects import ConnectBroker, StopHost
from bifrost_engine.domain.events import FlagsPolled
from bifrost_engine.domain.order import Origin, Purpose, Side
from bifrost_engine.engine.core import AUDIT_SINK, DATABASE_LOCK, DISK_FULL, SECOND_NS, Core
from bifrost_engine.engine.desk import Desk
from bifrost_engine.engine.losses import Losses
from bifrost_engine.engine.operator import ASKED, Operator
from bifrost_engine.engine.reconciler import Reconciler
from bifrost_engine.engine.repair import SINK_AHEAD
from bifrost_engine.engine.slot import Slot
from bifrost_engine.engine.state import EVERYBODY, FAR
from bifrost_engine.oms.event import EventSource
from bifrost_engine.risk.restraint import ACCOUNT_LOSS, BREAKER, RAISED

Flatten = Callable[[Slot, Intent, Origin], bool]
FLATTEN_PATIENCE_NS = 10 * SECOND_NS
FLATTENING = "flattening; new hedges are suspended until resume"
ENDS_WITH = {
    SINK_AHEAD: "bifrost journal repair",
    DISK_FULL: "make room on the journal's disk",
    AUDIT_SINK: "a sink has to keep the audit trail again",
    DATABASE_LOCK: "the database has to answer, or a take-over's wait to end",
}
"""What holds the account whatever a person says, with what ends it."""
TOLD = -1
"""In place of the time since when a flatten waits: a person knows."""


class Control:
    """Carries out commands; ``propose`` sends an intent through the gates and, if it passes, out."""

    def __init__(
        self,
        core: Core,
        desk: Desk,
        reconciler: Reconciler,
        losses: Losses,
        operator: Operator,
        propose: Flatten,
    ) -> None:
        self._core = core
        self._desk = desk
        self._reconciler = reconciler
        self._losses = losses
        self._propose = propose
        self._waits_since_ns: dict[str, int] = {}
        self._commands: dict[str, Callable[[Command], str]] = {
            "stop": self._stop,
            "flatten": self._flatten,
            "suspend": self._suspend,
            "resume": self._resume,
            "kill": self._kill,
            "clear_kill": self._clear_kill,
            "manual_resume": self._manual_resume,
            "retry_ib": self._retry,
            "refresh_accounts": self._refresh,
            **dict.fromkeys(OPERATOR_COMMANDS, operator.execute),
        }

    def command(self, command: Command) -> None:
        """Execute a command, unless it came too late, and record what was done or why not."""
        outcome = self._outcome(command)
        self._core.operation(
            command.operation,
            command.strategy_id,
            reason=outcome if command.operation == command.name else f"{command.name}: {outcome}",
            outcome=outcome,
            command_id=command.command_id,
            source=command.source,
            requested_by=command.requested_by,
        )
        if outcome == FLATTENING:
            self._cancel_working(self._targets(command.strategy_id), "flatten")
            self.drive_flatten()

    def _outcome(self, command: Command) -> str:
        if command.expired:
            return "expired: older than 60 s, not executed"
        act = self._commands.get(command.operation)
        if act is None:
            return f"refused: no command {command.name!r}; known: {', '.join(sorted(self._commands))}"
        if command.strategy_id is not None and command.strategy_id not in self._core.slots:
            return f"refused: no strategy {command.strategy_id!r}; running: {', '.join(self._core.slots)}"
        if self._core.stopping and command.name != "stop":
            return "refused: the daemon is stopping"
        return act(command)

    def flags(self, event: FlagsPolled) -> None:
        """Take the flags of a control source; they hold until it shows others."""
        known = self._core.state.polled_flags
        before, now = known.get(event.source, (None, None)), (event.suspended, event.killed)
        if now == before:
            return
        source = {"source": event.source, "suspended": event.suspended, "killed": event.killed}
        self._core.record("polled_flags", source)
        if not any(before) and not any(now):
            return
        if event.killed and not before[1]:
            self._end_flatten(None)
            self._cancel_working(self._targets(None), "kill")
        text = f"{event.source}: suspended {event.suspended}, killed {event.killed}"
        self._core.operation("flags", reason=text)

    def _targets(self, strategy_id: str | None) -> list[Slot]:
        slots = self._core.slots
        return list(slots.values()) if strategy_id is None else [slots[strategy_id]]

    def _stop(self, command: Command) -> str:
        self.stop(command.requested_by or command.source)
        return "stopping"

    def stop(self, why: str) -> None:
        """Let no new order out from now on, and cancel the working hedges."""
        if self._core.stopping:
            return
        self._core.stopping = True
        if self._core.config.oms.stop_cancel_open != "none":
            self._cancel_working(self._targets(None), "stop")
        self._core.effects.append(StopHost(why))

    def _cancel_working(self, slots: list[Slot], reason: str) -> int:
        working = [(slot, order) for slot in slots for order in self._core.state.open_orders(slot.id)]
        if reason == "stop" and self._core.config.oms.stop_cancel_open == "hedges":
            working = [(slot, order) for slot, order in working if order.purpose is Purpose.HEDGE]
        for slot, order in working:
            self._desk.cancel(slot, order, EventSource.OPERATOR, reason)
        return len(working)

    def _set_flag(self, flag: str, on: bool, strategy_id: str | None) -> None:
        self._core.record("flag", {"flag": flag, "on": on}, strategy_id)

    def _lift_flag(self, flag: str, strategy_id: str | None) -> None:
        """End a flag; what held for all goes on for the others if it ends for one."""
        state = self._core.state
        flagged = state.suspended if flag == "suspended" else state.killed
        if strategy_id is not None and EVERYBODY in flagged:
            self._set_flag(flag, False, None)
            for other in self._core.slots:
                self._set_flag(flag, True, other)
        self._set_flag(flag, False, strategy_id)

    def _sources_with(self, flag: int) -> str:
        flags = self._core.state.polled_flags
        return ", ".join(sorted(source for source, shown in flags.items() if shown[flag]))

    def _suspend(self, command: Command) -> str:
        self._set_flag("suspended", True, command.strategy_id)
        return "suspended; a working order may finish"

    def _resume(self, command: Command) -> str:
        self._end_flatten(command.strategy_id)
        self._lift_flag("suspended", command.strategy_id)
        if sources := self._sources_with(0):
            return f"resumed, but still suspended by the flag of {sources}"
        if any(self._core.is_killed(slot.id) for slot in self._targets(command.strategy_id)):
            return "resumed, but the kill switch is on: resume --clear-kill ends it"
        return "resumed"

    def _kill(self, command: Command) -> str:
        self._end_flatten(command.strategy_id)
        self._set_flag("killed", True, command.strategy_id)
        count = self._cancel_working(self._targets(command.strategy_id), "kill")
        return f"killed; {count} working orders to be cancelled"

    def _clear_kill(self, command: Command) -> str:
        self._lift_flag("killed", command.strategy_id)
        if sources := self._sources_with(1):
            return f"cleared, but still killed by the flag of {sources}"
        return "kill switch cleared"

    def _manual_resume(self, command: Command) -> str:
        told = [self._resume_account()] if command.strategy_id is None else self._kept(command.strategy_id)
        resumed = [self._resume_one(slot, command) for slot in self._targets(command.strategy_id)]
        return "; ".join([*filter(None, told), *resumed])

    def _resume_account(self) -> str:
        """Lift what holds the account or an instrument; return what can't be lifted."""
        core, refused = self._core, []
        for reason in list(core.state.strategy(EVERYBODY).halts):
            if reason == ACCOUNT_LOSS and self._losses.is_still_lost(None):
                refused.append(
                    "account refused: the day's loss reached max_account_loss_usd; raise the limit first"
                )
            elif self._lasts(reason):
                refused.append(f"account stays held by {reason}: {ENDS_WITH[reason]}")
            else:
                core.lift(None, reason)
        for key in list(core.state.instrument_holds):
            for reason in core.holds_of(key):
                if not core.state.items_that_keep(key, reason):
                    core.lift_instrument(key, reason)
        return "; ".join((*refused, *self._kept()))

    def _lasts(self, reason: str) -> bool:
        """Return whether what holds the account is still so: no person's word makes up for it."""
        if reason != SINK_AHEAD:
            return reason in ENDS_WITH
        found = any(item.rule == "R02" for item in self._core.state.open_items.values())
        return found or self._reconciler.sink_ahead is not None

    def _kept(self, strategy_id: str | None = None) -> list[str]:
        """Return what only the acceptance of a finding ends, for one strategy or for all."""
        held = None if strategy_id is None else self._core.halts(strategy_id)
        return [
            f"{kept.whose} stays held by {kept.reason} until finding {item.jseq} is accepted:"
            f" bifrost reconcile --accept {item.jseq} --note TEXT"
            for item in self._core.state.open_items.values()
            for kept in item.kept
            if held is None or (kept.reason in held and kept.strategy_id in (None, strategy_id))
        ]

    def _resume_one(self, slot: Slot, command: Command) -> str:
        core = self._core
        halts = list(core.state.strategy(slot.id).halts)
        if BREAKER in halts and self._losses.is_still_lost(slot.id):
            return f"{slot.id} refused: the day's loss reached max_daily_loss_usd; raise the limit first"
        halts = [reason for reason in halts if not core.state.items_that_keep(slot.id, reason)]
        for reason in halts:
            core.lift(slot.id, reason)
        slot.repeats = 0
        core.resumes[slot.id] += 1
        left = core.halts(slot.id)
        kept = {kept.reason for item in core.state.open_items.values() for kept in item.kept}
        wider = command.strategy_id and set(left) - kept
        further = f"; still held by {', '.join(left)}" if left else ""
        further += ": resume all strategies to lift it" if wider else ""
        return f"{slot.id} resumed; lifted: {', '.join(halts) or 'nothing'}{further}"

    def _retry(self, command: Command) -> str:
        if self._core.connected:
            return "already connected"
        self._core.effects.append(ConnectBroker())
        return "trying to connect"

    def _refresh(self, command: Command) -> str:
        if not self._core.connected:
            return "refused: the broker is not connected; retry-ib tries at once"
        self._reconciler.compare_for(command)
        return ASKED

    # --- flatten -----------------------------------------------------------------------------

    def _flatten(self, command: Command) -> str:
        for slot in self._targets(command.strategy_id):
            self._waits_since_ns.pop(slot.id, None)
            self._set_flag("suspended", True, slot.id)
            self._core.record("flatten", {"on": True}, slot.id)
        return FLATTENING

    def _end_flatten(self, strategy_id: str | None) -> None:
        for slot in self._targets(strategy_id):
            if slot.id in self._core.state.flattening:
                self._core.record("flatten", {"on": False}, slot.id)

    def drive_flatten(self) -> None:
        """Send the next slice of each strategy that is being flattened."""
        for slot in self._core.slots.values():
            if slot.id not in self._core.state.flattening or self._core.stopping:
                continue
            if self._core.state.strategy(slot.id).open_orders:
                self._wait_for_orders(slot)
                continue
            self._waits_since_ns.pop(slot.id, None)
            left = self._to_flatten(slot)
            if left is None:
                slot.last_veto = "flatten waits for greeks"
            elif left:
                side = Side.BUY if left > 0 else Side.SELL
                intent = Intent(
                    contract_key=slot.stock_key,
                    side=side,
                    quantity=abs(left),
                    purpose=Purpose.FLATTEN,
                    reason="FLATTEN",
                )
                self._propose(slot, intent, Origin.OPERATOR)
            else:
                self._core.record("flatten", {"on": False}, slot.id)
                self._core.operation("flattened", slot.id, reason=f"{slot.config.flatten.to}; suspended")

    @property
    def patience_ns(self) -> int:
        """When a person is told that a flatten still waits, far away while none does."""
        waits = [since_ns for since_ns in self._waits_since_ns.values() if since_ns != TOLD]
        return min(waits) + FLATTEN_PATIENCE_NS if waits else FAR

    def _wait_for_orders(self, slot: Slot) -> None:
        """Never overtake an order that may still fill; tell a person, once, when that takes long."""
        core = self._core
        since_ns = self._waits_since_ns.get(slot.id)
        if since_ns is None:
            self._waits_since_ns[slot.id] = core.now_ns
        elif since_ns != TOLD and core.now_ns - since_ns >= FLATTEN_PATIENCE_NS:
            self._waits_since_ns[slot.id] = TOLD
            for order in core.state.open_orders(slot.id):
                text = f"flatten waits for {order.client_order_id}, {order.state}: its end isn't known"
                core.notice("error", "flatten waits", order=order.client_order_id, state=order.state)
                core.operation("incident", slot.id, reason=text, client_order_id=order.client_order_id)

    def _to_flatten(self, slot: Slot) -> Decimal | None:
        """Return the shares to trade, below 0 to sell; None while a strategy can't say."""
        wanted = getattr(slot.plugin, "shares_wanted", None)
        if slot.config.flatten.to == "zero" or wanted is None:
            return -self._core.state.portfolio.quantities(slot.id).get(slot.stock_key, Decimal(0))
        try:
            shares: Decimal | None = wanted(slot.view)
        except Exception as error:  # noqa: BLE001 - a strategy's code; the engine isolates it
            self._core.hold(slot.id, RAISED, f"{type(error).__name__}: {error}")
            return None
        return shares
