"""While the broker is asked about an instrument no new order in it leaves; others aren't kept waiting."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from attrs import define

from bifrost_engine.config.strategy import StrategyConfig
from bifrost_engine.domain import (
    BrokerEventKind,
    Contract,
    Decision,
    Execution,
    Intent,
    OrderState,
    Purpose,
    Side,
)
from bifrost_engine.domain.contract import stock_key
from bifrost_engine.domain.events import Placed
from bifrost_engine.engine.slot import Slot
from bifrost_engine.testing.engine import STOCK, EngineUnderTest, make_slot

K = BrokerEventKind
SPY = Contract.stock("SPY")


@define(slots=False)
class Wanting:
    """A strategy that buys 100 of its stock at each quote of it, while it is told to."""

    wants: bool = False

    def on_tick(self, quote: Any, view: Any) -> Decision:
        key = stock_key(view.symbol)
        if not self.wants or quote.contract_key != key:
            return Decision(key=("nothing",), explain=lambda: {"reasons": ["content"]})
        intent = Intent(contract_key=key, side=Side.BUY, quantity=Decimal(100), purpose=Purpose.OTHER)
        return Decision(intent=intent, key=("wants",))


def slot(name: str, symbol: str) -> Slot:
    return make_slot(StrategyConfig(id=name, symbol=symbol), Wanting())


class Desk:
    """Three strategies: ``first`` has an order at work, ``second`` trades its stock, ``third`` another."""

    def __init__(self) -> None:
        slots = [slot("first", "NVDA"), slot("second", "NVDA"), slot("third", "SPY")]
        self.run = EngineUnderTest(
            strategies=slots, positions=(), account_settings={"account.duplicate_window_seconds": 0.0}
        )
        self.run.mid(100.0)
        self.run.quote(contract=SPY)
        assert self.sent_by("first") == 1
        self.coid = self.run.last_order.client_order_id
        self.run.hand_over()
        self.run.ack()

    def sent_by(self, name: str) -> int:
        """Let a strategy want to trade; return how many orders left."""
        before, plugin = len(self.run.placed), self.run.engine.core.slots[name].plugin
        plugin.wants = True
        if name == "third":
            self.run.quote(contract=SPY)
        else:
            self.run.mid(100.0)
        plugin.wants = False
        return len(self.run.placed) - before

    def tell(self, kind: K, **fields: Any) -> None:
        self.run.broker(kind, client_order_id=self.coid, **fields)

    @property
    def asked(self) -> list[str]:
        return [trigger for _, trigger in self.run.fetches]


def doubt(desk: Desk) -> None:
    desk.tell(K.ORDER_DOUBT)
    assert desk.run.engine.core.state.orders[desk.coid].state is OrderState.UNKNOWN


def over_fill(desk: Desk) -> None:
    desk.run.fill(request=desk.run.last_order)
    desk.run.fill(5, request=desk.run.last_order)
    assert desk.run.engine.core.state.orders[desk.coid].state is OrderState.FILLED


def rejection_after_a_fill(desk: Desk) -> None:
    desk.run.fill(40, request=desk.run.last_order)
    desk.tell(K.ORDER_REJECTED)
    assert desk.run.engine.core.state.orders[desk.coid].state is OrderState.CANCELED


def fills_that_werent_told(desk: Desk) -> None:
    desk.tell(K.ORDER_STATUS, quantity=Decimal(40))
    desk.run.wait(3.1)


def execution_of_nobody(desk: Desk) -> None:
    execution = Execution(
        base_id="other",
        contract=STOCK,
        side=Side.BUY,
        quantity=Decimal(7),
        price=Decimal(100),
        ts_ns=desk.run.now_ns,
    )
    desk.run.broker(K.ORDER_FILL, execution=execution, client_order_id="somebody's")
    desk.run.wait(2.1)


@pytest.mark.parametrize(
    "what", [doubt, over_fill, rejection_after_a_fill, fills_that_werent_told, execution_of_nobody]
)
def test_until_the_broker_has_answered_nobody_trades_the_instrument_in_doubt(
    what: Callable[[Desk], None],
) -> None:
    desk = Desk()
    what(desk)
    assert desk.asked[-1] == "TARGETED"
    assert desk.sent_by("second") == 0
    assert "not_reconciled" in desk.run.engine.core.slots["second"].last_veto
    assert "not_reconciled" in desk.run.engine.snapshots()[1]["block_reasons"]
    assert desk.sent_by("third") == 1
    desk.run.placed.pop()
    open_order = desk.run.engine.core.state.orders[desk.coid]
    desk.run.advance(1).reconcile(open_orders=(desk.run.at_broker(open_order),) if open_order.is_open else ())
    assert desk.sent_by("second") == 1


def test_a_snapshot_that_was_begun_before_the_doubt_doesnt_end_it() -> None:
    desk = Desk()
    begun = desk.run.now_ns
    desk.run.advance(1)
    over_fill(desk)
    desk.run.reconcile(as_of_start_ns=begun)
    assert desk.sent_by("second") == 0
    desk.run.advance(1).reconcile()
    assert desk.sent_by("second") == 1


def test_a_snapshot_that_isnt_whole_doesnt_end_a_doubt() -> None:
    desk = Desk()
    over_fill(desk)
    desk.run.advance(1).reconcile(incomplete=frozenset({"executions"}))
    assert desk.sent_by("second") == 0
    desk.run.advance(1).reconcile()
    assert desk.sent_by("second") == 1


def test_a_flatten_doesnt_wait_for_another_strategys_doubt() -> None:
    desk = Desk()
    assert desk.sent_by("second") == 1
    desk.run.fill(request=desk.run.last_order)
    desk.tell(K.ORDER_DOUBT)
    before = len(desk.run.placed)
    desk.run.command("flatten", strategy_id="second")
    assert len(desk.run.placed) == before + 1
    assert desk.run.last_order.side is Side.SELL


def test_one_question_is_enough_for_all_that_an_event_puts_in_doubt() -> None:
    desk = Desk()
    over_fill(desk)
    count = len(desk.asked)
    desk.run.fill(5, request=desk.run.last_order, heard=False)
    before = len(desk.run.fetches)
    desk.tell(K.ORDER_REPLACED, quantity=Decimal(300))  # a filled order that goes on: doubt and contradiction
    assert desk.run.engine.core.state.orders[desk.coid].state is OrderState.UNKNOWN
    assert len(desk.run.fetches) == before + 1 == count + 1


def test_an_order_whose_hand_over_failed_keeps_others_from_the_instrument_too() -> None:
    desk = Desk()
    assert desk.sent_by("second") == 1
    failed = desk.run.last_order.client_order_id
    desk.run.handle(Placed(ts_ns=desk.run.now_ns, client_order_id=failed, error="ConnectionError"))
    desk.run.fill(request=desk.run.placed[0].request)
    assert desk.sent_by("first") == 0
    desk.run.advance(1).reconcile()
    assert desk.sent_by("first") == 1
