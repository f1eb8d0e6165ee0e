"""A real engine that trades through the broker under test, and a comparison of their books afterwards.

The host is left out: what the plugin reports is handed to the engine, and what the engine
wants is asked of the plugin, as the pipeline does it, with no journal behind. A simple
strategy turns its position over and over; some of its orders rest and are cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from decimal import Decimal
from typing import Any

from attrs import define

from bifrost_engine.calendar import AroundTheClock
from bifrost_engine.config.strategy import StrategyConfig
from bifrost_engine.domain import (
    BrokerEvent,
    BrokerState,
    BrokerStateRequest,
    Contract,
    Decision,
    Intent,
    OrderType,
    Side,
)
from bifrost_engine.domain.effects import (
    CancelOrder,
    ConnectBroker,
    FetchBrokerState,
    PlaceOrder,
    ReplaceOrder,
    WakeAt,
)
from bifrost_engine.domain.events import BrokerStateReceived, Connecting, Placed, ReplaceFailed, Timer
from bifrost_engine.domain.order import OrderState
from bifrost_engine.errors import NotSent, NotSupported
from bifrost_engine.testing.build import make_quote
from bifrost_engine.testing.conformance import Subject
from bifrost_engine.testing.engine import EngineUnderTest, change, make_slot

DEADLINE_S = 5.0
STEPS_PER_TURN = 4
QUIET_STEPS = 120
"""Steps of about two seconds after the last order: enough for every retry of a snapshot."""
STEPS_PER_LOOK = 10
INFERRED = "inf:"
"""How the ids of executions begin that the engine inferred from positions."""
FAR_TICKS = -150
OPEN_GATES = {
    "gates.strategy.trading_hours_only": False,
    "gates.intent.hedge.cooldown_seconds": 0.0,
    "gates.intent.hedge.min_price_move_pct": 0.0,
    "gates.intent.hedge.max_hedge_shares_per_order": 1_000_000,
    "gates.guard.risk.max_daily_hedge_count": 1_000_000,
    "gates.guard.risk.max_daily_loss_usd": Decimal(10**9),
    "gates.guard.risk.max_position_shares": Decimal(10**6),
}
OPEN_ACCOUNT = {"account.max_orders_per_minute": 10**6, "account.max_orders_per_day": 10**6}


@define
class Turner:
    """A strategy that does once what it is told to want."""

    wanted: Intent | None = None
    asked: int = 0

    def on_tick(self, _quote: Any, _view: Any) -> Decision:
        """Return what is wanted, and want nothing more."""
        intent, self.wanted = self.wanted, None
        self.asked += intent is not None
        return Decision(intent=intent, key=(self.asked,))


class Trading:
    """One engine at one broker.

    advance  lets a moment pass at the broker and shows it a quote
    engine   the engine; ``engine.placed`` are the orders that left it
    """

    def __init__(
        self,
        subject: Subject,
        account: str,
        contract: Contract,
        quantity: Decimal,
        advance: Callable[[], Awaitable[None]],
    ) -> None:
        self._subject = subject
        self._contract = contract
        self._quantity = quantity
        self._advance = advance
        self._account = account
        self._read = 0
        self._wake_ns: int | None = None
        self._turner = Turner()
        config = StrategyConfig(symbol=contract.symbol, id="turner")
        for path, value in OPEN_GATES.items():
            config = change(config, path, value)
        at_account = type("EngineAtAccount", (EngineUnderTest,), {"account": account})
        self.engine: EngineUnderTest = at_account(
            strategies=[make_slot(config, self._turner)],
            account_settings=OPEN_ACCOUNT,
            positions=(),
            sessions=AroundTheClock(),
            at_ns=subject.context.clock.now_ns(),
            caps=subject.call("broker_caps", account),
            connect=False,
        )

    # --- trading -----------------------------------------------------------------------

    async def connect(self) -> None:
        """Hear of the link, and compare the account with the books for the first time."""
        await self._hand_in(Connecting(ts_ns=self.engine.now_ns))
        await self._step()

    async def trade(self, turns: int) -> None:
        """Turn the position ``turns`` times; each third order rests and is cancelled."""
        for turn in range(turns):
            rests = turn % 3 == 2
            self._turner.wanted = self._intent(rests)
            for _ in range(STEPS_PER_TURN):
                await self._step()
            if rests:
                await self._command("kill")
                await self._step()
                await self._command("clear_kill")
            await self._command("manual_resume")

    async def come_to_rest(self, steps: int = QUIET_STEPS) -> None:
        """Cancel what still works, and let time pass, ``steps`` moments, for the books to be put right."""
        self._turner.wanted = None
        await self._command("kill")
        for step in range(steps):
            await self._step()
            if step % STEPS_PER_LOOK == 0:
                await self._command("refresh_accounts")

    def _intent(self, rests: bool) -> Intent:
        state = self.engine.engine.core.state
        held = state.portfolio.quantities("turner").get(self._contract.key, Decimal(0))
        return Intent(
            contract_key=self._contract.key,
            side=Side.SELL if held > 0 else Side.BUY,
            quantity=self._quantity,
            order_type=OrderType.LIMIT if rests else OrderType.MARKET,
            limit_offset_ticks=FAR_TICKS if rests else 0,
        )

    # --- the host's part ---------------------------------------------------------------

    async def _step(self) -> None:
        await self._advance()
        await self._take_reports()
        now_ns = self._subject.context.clock.now_ns()
        await self._make_due_calls(now_ns)
        await self._hand_in(make_quote(self._contract.key, at_ns=now_ns))
        self.engine.now_ns = now_ns
        self.engine.beat()
        await self._carry_out()
        await self._take_reports()

    async def _take_reports(self) -> None:
        events = self._subject.context.events
        while self._read < len(events):
            event = events[self._read]
            self._read += 1
            if isinstance(event, BrokerEvent):
                await self._make_due_calls(event.ts_ns)
                await self._hand_in(event)

    async def _make_due_calls(self, now_ns: int) -> None:
        while self._wake_ns is not None and self._wake_ns <= now_ns:
            due_ns, self._wake_ns = self._wake_ns, None
            await self._hand_in(Timer(ts_ns=due_ns))

    async def _command(self, name: str) -> None:
        self.engine.command(name)
        await self._carry_out()

    async def _hand_in(self, event: Any) -> None:
        self.engine.now_ns = max(self.engine.now_ns, event.ts_ns)
        self.engine.handle(event)
        await self._carry_out()

    async def _carry_out(self) -> None:
        effects, self.engine.effects = self.engine.effects, ()
        for effect in effects:
            if isinstance(effect, WakeAt):
                self._wake_ns = effect.at_ns
            elif type(effect) in CARRIERS:
                await CARRIERS[type(effect)](self, effect)

    async def _ask(self, hook: str, request: Any) -> Any:
        async with asyncio.timeout(DEADLINE_S):
            return await self._subject.call(hook, request)

    async def _place(self, effect: PlaceOrder) -> None:
        coid = effect.request.client_order_id
        outcome: dict[str, Any]
        try:
            outcome = {"ack": await self._ask("place_order", effect.request)}
        except NotSent as error:
            outcome = {"error": str(error), "not_sent": True}
        except Exception as error:  # noqa: BLE001 - as in the pipeline: outcome unknown
            outcome = {"error": f"{type(error).__name__}: {error}"}
        await self._hand_in(Placed(ts_ns=self.engine.now_ns, client_order_id=coid, **outcome))

    async def _cancel(self, effect: CancelOrder) -> None:
        with suppress(Exception):  # as in the pipeline: the cancel's timer asks again
            await self._ask("cancel_order", effect.request)

    async def _replace(self, effect: ReplaceOrder) -> None:
        coid = effect.request.client_order_id
        try:
            await self._ask("replace_order", effect.request)
        except (NotSent, NotSupported) as error:
            await self._hand_in(
                ReplaceFailed(ts_ns=self.engine.now_ns, client_order_id=coid, error=str(error))
            )
        except Exception:  # noqa: BLE001 - as in the pipeline: the replace's timer decides
            pass

    async def _fetch(self, effect: FetchBrokerState) -> None:
        state, problem = None, ""
        try:
            state = await self.state(effect.since_ns)
        except Exception as error:  # noqa: BLE001 - as in the pipeline: it is tried again
            problem = f"{type(error).__name__}: {error}"
        await self._hand_in(
            BrokerStateReceived(
                ts_ns=self.engine.now_ns,
                trigger=effect.trigger,
                state=state,
                error=problem,
                link=effect.link,
            )
        )

    async def _connect(self, _effect: ConnectBroker) -> None:
        await self._subject.call("connect")

    async def state(self, since_ns: int | None = None) -> BrokerState:
        """Return the account as the broker shows it, or only what is open and what is new since a time."""
        request = BrokerStateRequest(account=self._account, since_ns=since_ns)
        state: BrokerState = await self._ask("fetch_broker_state", request)
        return state

    # --- comparing ---------------------------------------------------------------------

    def differences(self, state: BrokerState) -> list[str]:
        """Return in what the engine's orders, executions and positions differ from the broker's."""
        assert not state.incomplete, f"the broker's own record is incomplete: {state.incomplete}"
        return [*self._orders(state), *self._executions(state), *self._positions(state)]

    def _orders(self, state: BrokerState) -> Iterator[str]:
        theirs = {o.client_order_id: o for o in (*state.open_orders, *state.completed_orders)}
        ours = self.engine.engine.core.state.orders
        for coid, order in ours.items():
            there = theirs.get(coid)
            if there is None:
                if order.is_open:
                    yield f"order {coid}: {order.state} here, unknown to the broker"
                continue
            status, filled = there.status, there.filled
            executed = sum((e.quantity for e in state.executions if e.client_order_id == coid), Decimal(0))
            if status == "FILLED" and executed < order.quantity:
                # Busts and corrections took some of it back: no more will come, and it isn't full.
                status, filled = "CANCELED", executed
            if (_word(order.state), order.cum_quantity) != (status, filled):
                here = f"{order.state} {order.cum_quantity}"
                yield f"order {coid}: {here} here, {status} {filled} at the broker"
        yield from (f"order {coid}: unknown here" for coid in theirs if coid and coid not in ours)

    def _executions(self, state: BrokerState) -> Iterator[str]:
        theirs = {e.base_id: (e.side.sign * e.quantity, e.price) for e in state.executions}
        books = self.engine.engine.core.state.portfolio
        for base_id, told in theirs.items():
            fill = books.fill(base_id)
            booked = None if fill is None else (fill.signed_quantity, fill.price)
            if booked != told:
                yield f"execution {base_id}: {booked} here, {told} at the broker"
        for order in self.engine.engine.core.state.orders.values():
            for base_id, ours in order.executions.items():
                if ours.quantity and base_id not in theirs and not base_id.startswith(INFERRED):
                    yield f"execution {base_id}: {ours.quantity} here, unknown to the broker"

    def _positions(self, state: BrokerState) -> Iterator[str]:
        theirs = {p.contract.key: p.quantity for p in state.positions if p.quantity}
        ours = {k: q for k, q in self.engine.engine.core.state.portfolio.account_quantities().items() if q}
        for key in sorted(theirs.keys() | ours.keys()):
            if theirs.get(key, 0) != ours.get(key, 0):
                yield f"position {key}: {ours.get(key, 0)} here, {theirs.get(key, 0)} at the broker"


def _word(state: OrderState) -> str:
    return str(state) if state.is_terminal else "OPEN"


CARRIERS: dict[type, Callable[[Trading, Any], Awaitable[None]]] = {
    PlaceOrder: Trading._place,
    CancelOrder: Trading._cancel,
    ReplaceOrder: Trading._replace,
    FetchBrokerState: Trading._fetch,
    ConnectBroker: Trading._connect,
}
