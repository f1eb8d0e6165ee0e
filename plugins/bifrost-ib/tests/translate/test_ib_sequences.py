"""Whole sequences of messages, as a gateway sends them, and what the engine must hear of each."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from attrs import evolve
from bifrost_ib.messages import (
    Commission,
    ExecutionDetails,
    GatewayError,
    OpenOrder,
    OrderStatus,
    WireContract,
)
from bifrost_ib.translate.register import Register

from bifrost_engine.domain import (
    BrokerEvent,
    BrokerEventKind,
    Contract,
    OrderRequest,
    OrderType,
    Purpose,
    Side,
    TimeInForce,
)
from bifrost_engine.domain.order import Terms

K = BrokerEventKind
NOW = 1_700_000_000_000_000_000
COID = "BF-7k2m-gamma-1k"
SPY = WireContract(con_id=756733, symbol="SPY", sec_type="STK", exchange="SMART", currency="USD")


def request(**changes: Any) -> OrderRequest:
    made = OrderRequest(
        client_order_id=COID,
        account="DU1",
        contract=Contract.stock("SPY"),
        side=Side.BUY,
        quantity=Decimal(100),
        order_type=OrderType.LIMIT,
        limit_price=Decimal("500.25"),
        time_in_force=TimeInForce.DAY,
        purpose=Purpose.HEDGE,
    )
    return evolve(made, **changes)


def shown(status: str, **changes: Any) -> OpenOrder:
    made = OpenOrder(
        order_id=7,
        perm_id=900,
        client_id=1,
        order_ref=COID,
        contract=SPY,
        account="DU1",
        action="BUY",
        quantity=100.0,
        order_type="LMT",
        limit_price=500.25,
        time_in_force="DAY",
        status=status,
    )
    return evolve(made, **changes)


def status(word: str, filled: float = 0.0, **changes: Any) -> OrderStatus:
    made = OrderStatus(
        order_id=7,
        status=word,
        filled=filled,
        remaining=100.0 - filled,
        average_price=500.25 if filled else 0.0,
        perm_id=900,
        client_id=1,
    )
    return evolve(made, **changes)


def details(shares: float, exec_id: str = "0001f4e8.65a1b2c3.01.01", **changes: Any) -> ExecutionDetails:
    made = ExecutionDetails(
        request_id=-1,
        order_id=7,
        contract=SPY,
        exec_id=exec_id,
        time="20231114 17:13:20 US/Eastern",
        account="DU1",
        side="BOT",
        shares=shares,
        price=500.2,
        perm_id=900,
        client_id=1,
        order_ref=COID,
    )
    return evolve(made, **changes)


def error(code: int, text: str = "", order_id: int = 7) -> GatewayError:
    return GatewayError(request_id=order_id, code=code, text=text)


def cost(amount: float, exec_id: str = "0001f4e8.65a1b2c3.01.01", currency: str = "USD") -> Commission:
    return Commission(exec_id=exec_id, amount=amount, currency=currency, realized=1.7976931348623157e308)


class Heard:
    """A register with one order sent, and what was heard of it so far."""

    def __init__(self, **changes: Any) -> None:
        self.counted: list[str] = []
        self.register = Register("DU1", 1, zone="US/Eastern", count=self.counted.append)
        self.register.sent(request(**changes), 7)
        self.events: list[BrokerEvent] = []

    def after(self, *messages: Any) -> Heard:
        for message in messages:
            self.events += self.register.take(message, NOW)
        return self

    @property
    def kinds(self) -> list[BrokerEventKind]:
        return [event.kind for event in self.events]

    def of(self, kind: BrokerEventKind) -> list[BrokerEvent]:
        return [event for event in self.events if event.kind is kind]


@pytest.fixture
def heard() -> Heard:
    return Heard()


def test_a_hedge_that_fills_is_acknowledged_once_and_booked_once(heard):
    heard.after(shown("PreSubmitted"), status("PreSubmitted"), shown("Submitted"), status("Submitted"))
    heard.after(details(100), shown("Filled"), status("Filled", 100), status("Filled", 100), cost(1.05))
    assert heard.kinds == [K.ORDER_ACK, K.ORDER_FILL, K.COMMISSION]
    fill = heard.events[1]
    assert (fill.client_order_id, fill.perm_id, fill.broker_order_id, fill.client_id) == (COID, "900", "7", 1)
    execution = fill.execution
    assert (execution.base_id, execution.revision) == ("0001f4e8.65a1b2c3.01", 1)
    assert (execution.side, execution.quantity, execution.price) == (
        Side.BUY,
        Decimal(100),
        Decimal("500.2"),
    )
    assert execution.ts_ns == NOW
    assert heard.events[2].execution.commission == Decimal("1.05")


def test_a_cancel_after_a_part_leaves_the_part(heard):
    heard.after(shown("Submitted"), status("Submitted"), details(40), status("Submitted", 40), cost(1.0))
    heard.register.cancel_sent(7)
    heard.after(status("Cancelled", 40), error(202, "Order Canceled - reason:"))
    assert heard.kinds == [K.ORDER_ACK, K.ORDER_FILL, K.COMMISSION, K.ORDER_CANCELED]


def test_an_order_that_fills_while_it_is_cancelled_is_never_cancelled(heard):
    heard.after(status("Submitted"))
    heard.register.cancel_sent(7)
    heard.after(details(100), status("Filled", 100), error(10148, "cannot be cancelled, state: Filled."))
    assert K.ORDER_CANCELED not in heard.kinds
    assert heard.kinds.count(K.ORDER_FILL) == 1


def test_a_cancel_refused_because_it_filled_asks_the_broker(heard):
    heard.after(status("Submitted"))
    heard.register.cancel_sent(7)
    heard.after(error(10148, "OrderId 7 cannot be cancelled, state: Filled."))
    assert heard.kinds == [K.ORDER_ACK, K.ORDER_DOUBT]


def test_a_second_cancel_of_an_order_being_cancelled_says_nothing(heard):
    heard.after(status("Submitted"))
    heard.register.cancel_sent(7)
    heard.after(error(10148, "OrderId 7 cannot be cancelled, state: PendingCancel."), status("Cancelled"))
    assert heard.kinds == [K.ORDER_ACK, K.ORDER_CANCELED]


def test_a_rejection_is_told_once_with_its_text(heard):
    heard.after(error(201, "Order rejected - reason: margin"), shown("Inactive"), status("Inactive"))
    assert heard.kinds == [K.ORDER_REJECTED]
    assert (heard.events[0].code, heard.events[0].text) == ("201", "Order rejected - reason: margin")


def test_a_notice_that_the_library_takes_for_an_end_is_none(heard):
    heard.after(error(10349, "Order TIF was set to DAY based on order preset."))
    heard.after(shown("Submitted"), status("Submitted"), details(100), status("Filled", 100))
    assert heard.kinds == [K.INFO, K.ORDER_ACK, K.ORDER_FILL]


def test_an_order_held_until_the_open_is_told_of_and_neither_acknowledged_nor_refused(heard):
    heard.after(error(399, "Your order will not be placed at the exchange until 09:30"))
    assert heard.kinds == [K.INFO]
    heard.after(status("PreSubmitted"), status("Submitted"), details(100))
    assert heard.kinds == [K.INFO, K.ORDER_ACK, K.ORDER_FILL]


def test_an_order_that_vanished_from_the_gateway_is_doubted_not_cancelled(heard):
    heard.after(status("Submitted"))
    heard.register.cancel_sent(7)
    heard.after(error(10147, "OrderId 7 that needs to be cancelled is not found."))
    assert heard.kinds == [K.ORDER_ACK, K.ORDER_DOUBT]


def test_an_order_that_fills_at_once_may_have_no_status_at_all(heard):
    heard.after(details(100))
    assert heard.kinds == [K.ORDER_FILL]


def test_a_status_with_more_filled_than_was_executed_makes_the_engine_look(heard):
    heard.after(status("Submitted"), details(30), status("Submitted", 30), status("Submitted", 70))
    assert heard.kinds == [K.ORDER_ACK, K.ORDER_FILL, K.ORDER_STATUS]
    assert heard.events[-1].quantity == 70
    heard.after(status("Submitted", 70))
    assert len(heard.events) == 3


def test_a_status_books_nothing(heard):
    heard.after(status("Filled", 100))
    assert heard.kinds == [K.ORDER_STATUS]


def test_a_cancel_by_somebody_else_is_pending_and_then_done(heard):
    heard.after(status("Submitted"), status("PendingCancel"), status("PendingCancel"), status("Cancelled"))
    assert heard.kinds == [K.ORDER_ACK, K.ORDER_CANCEL_PENDING, K.ORDER_CANCELED]


def test_our_own_cancel_pending_is_no_news(heard):
    heard.after(status("Submitted"))
    heard.register.cancel_sent(7)
    heard.after(status("PendingCancel"))
    assert heard.kinds == [K.ORDER_ACK]


def test_a_day_order_that_ends_unasked_after_its_session_has_expired():
    heard = Heard()
    heard.register = Register("DU1", 1)
    heard.register.sent(request(), 7, ends_ns=NOW)
    heard.after(status("Submitted"), status("Cancelled"))
    assert heard.kinds == [K.ORDER_ACK, K.ORDER_EXPIRED]


@pytest.mark.parametrize(
    ("changes", "ends_ns", "cancels"),
    [
        ({}, NOW + 1, False),
        ({}, None, False),
        ({}, NOW, True),
        ({"time_in_force": TimeInForce.GTC}, NOW, False),
    ],
)
def test_any_other_end_is_a_cancel(changes, ends_ns, cancels):
    heard = Heard()
    heard.register = Register("DU1", 1)
    heard.register.sent(request(**changes), 7, ends_ns=ends_ns)
    heard.after(status("Submitted"))
    if cancels:
        heard.register.cancel_sent(7)
    heard.after(status("Cancelled"))
    assert heard.kinds == [K.ORDER_ACK, K.ORDER_CANCELED]


def test_an_order_refused_and_then_cancelled_was_rejected(heard):
    heard.after(error(201, "no"), status("Cancelled"))
    assert heard.kinds == [K.ORDER_REJECTED]


def test_a_refusal_that_comes_while_a_cancel_is_out_rejects_with_the_status(heard):
    heard.register.cancel_sent(7)
    heard.after(error(110, "off the grid"), status("Cancelled"))
    assert heard.kinds == [K.INFO, K.ORDER_REJECTED]
    assert heard.events[-1].code == "110"


def test_inactive_without_a_reason_is_a_doubt_once(heard):
    heard.after(status("PreSubmitted"), shown("Inactive"), status("Inactive"), status("Inactive"))
    assert heard.kinds == [K.ORDER_ACK, K.ORDER_DOUBT]


def test_an_inactive_order_may_come_back(heard):
    heard.after(status("PreSubmitted"), status("Inactive"), status("Submitted"))
    assert heard.kinds == [K.ORDER_ACK, K.ORDER_DOUBT, K.ORDER_ACK]


def test_an_order_refused_after_it_was_held_is_judged_by_its_status(heard):
    heard.after(status("PreSubmitted"), error(201, "margin"), status("Inactive"))
    assert heard.kinds == [K.ORDER_ACK, K.ORDER_DOUBT, K.ORDER_REJECTED]


def test_an_order_that_worked_is_never_rejected(heard):
    heard.after(status("Submitted"), error(201, "odd"), status("Inactive"))
    assert K.ORDER_REJECTED not in heard.kinds


def test_an_acknowledgement_after_the_end_is_told(heard):
    heard.after(status("Submitted"), status("Cancelled"), status("Submitted"))
    assert heard.kinds == [K.ORDER_ACK, K.ORDER_CANCELED, K.ORDER_ACK]


def test_a_word_that_was_overtaken_by_the_fill_says_nothing(heard):
    heard.after(details(100), status("Filled", 100), status("Submitted", 40), shown("PreSubmitted"))
    assert heard.kinds == [K.ORDER_FILL]


def test_cancelled_after_filled_is_doubted(heard):
    heard.after(status("Filled", 100), status("Cancelled", 0))
    assert heard.kinds == [K.ORDER_STATUS, K.ORDER_DOUBT]


NEW_TERMS = Terms(quantity=Decimal(120), limit_price=Decimal("500.5"))


def test_a_change_is_done_when_its_terms_are_shown(heard):
    heard.after(shown("Submitted"))
    heard.register.replace_sent(7, NEW_TERMS)
    heard.after(shown("Submitted"), shown("PendingSubmit", quantity=120.0, limit_price=500.5))
    assert heard.kinds == [K.ORDER_ACK]
    heard.after(
        shown("Submitted", quantity=120.0, limit_price=500.5),
        shown("Submitted", quantity=120.0, limit_price=500.5),
    )
    assert heard.kinds == [K.ORDER_ACK, K.ORDER_REPLACED]
    assert (heard.events[-1].quantity, heard.events[-1].limit_price) == (120, Decimal("500.5"))


def test_a_refused_change_leaves_the_order(heard):
    heard.after(shown("Submitted"))
    heard.register.replace_sent(7, NEW_TERMS)
    heard.after(error(321, "cannot modify"), shown("Submitted"))
    assert heard.kinds == [K.ORDER_ACK, K.REPLACE_REJECTED]


def test_a_rejected_change_is_told_and_the_order_doubted(heard):
    heard.after(shown("Submitted"))
    heard.register.replace_sent(7, NEW_TERMS)
    heard.after(error(201, "margin"))
    assert heard.kinds == [K.ORDER_ACK, K.REPLACE_REJECTED, K.ORDER_DOUBT]
    heard.after(status("Submitted"))
    assert heard.kinds[-1] is K.ORDER_ACK


def test_terms_changed_by_somebody_else_are_taken(heard):
    heard.after(shown("Submitted"), shown("Submitted", limit_price=501.0))
    assert heard.kinds == [K.ORDER_ACK, K.ORDER_REPLACED]
    assert heard.events[-1].limit_price == 501


def test_old_terms_after_a_change_make_the_engine_look(heard):
    heard.after(shown("Submitted"))
    heard.register.replace_sent(7, NEW_TERMS)
    heard.after(shown("Submitted", quantity=120.0, limit_price=500.5), shown("Submitted"))
    assert heard.kinds == [K.ORDER_ACK, K.ORDER_REPLACED, K.ORDER_DOUBT, K.ORDER_ACK]


def test_a_live_order_whose_time_in_force_was_changed_keeps_its_terms(heard):
    heard.after(shown("Submitted"), error(10349, "set to DAY"))
    assert heard.kinds == [K.ORDER_ACK, K.ORDER_REPLACED]
    assert (heard.events[-1].quantity, heard.events[-1].limit_price) == (100, Decimal("500.25"))


def test_an_order_held_for_shares_is_acknowledged(heard):
    heard.after(error(404, "shares are being located"), status("Submitted"))
    assert heard.kinds == [K.ORDER_ACK]


def test_a_read_only_interface_is_explained(heard):
    heard.after(error(321, "Error validating request: the API interface is in Read-Only mode."))
    assert heard.kinds == [K.ORDER_REJECTED]
    assert "Read-Only API" in heard.events[0].text


def test_a_correction_is_the_next_revision(heard):
    heard.after(details(100), details(90, "0001f4e8.65a1b2c3.01.02"), details(90, "0001f4e8.65a1b2c3.01.02"))
    assert [(e.execution.base_id, e.execution.revision) for e in heard.events] == [
        ("0001f4e8.65a1b2c3.01", 1),
        ("0001f4e8.65a1b2c3.01", 2),
    ]


def test_the_same_execution_with_other_facts_is_told(heard):
    heard.after(details(100), details(100, price=1.0))
    assert heard.kinds == [K.ORDER_FILL, K.ORDER_FILL]


def test_an_execution_of_a_list_is_told_if_it_was_missed(heard):
    heard.after(details(60), details(60, request_id=31), details(40, "0001.02.03.01", request_id=31))
    assert [e.execution.quantity for e in heard.events] == [60, 40]


def test_a_cost_that_comes_first_goes_with_its_execution(heard):
    heard.after(cost(0.35), details(100), cost(0.35))
    assert heard.kinds == [K.ORDER_FILL]
    assert heard.events[0].execution.commission == Decimal("0.35")


def test_a_cost_that_changes_is_told_again(heard):
    heard.after(details(100), cost(0.35), cost(-0.02))
    assert [e.execution.commission for e in heard.of(K.COMMISSION)] == [Decimal("0.35"), Decimal("-0.02")]


@pytest.mark.parametrize(
    "placeholder", [cost(0.0, currency=""), cost(1.7976931348623157e308), cost(float("nan"))]
)
def test_a_placeholder_is_no_cost(heard, placeholder):
    heard.after(details(100), placeholder)
    assert heard.kinds == [K.ORDER_FILL]
    assert heard.events[0].execution.commission is None


def test_a_liquidation_is_told_beside_its_execution(heard):
    heard.after(details(100, liquidation=1, order_ref="", order_id=0, perm_id=77, client_id=0))
    assert heard.kinds == [K.ORDER_FILL, K.INFO]
    assert heard.events[0].client_order_id is None
    assert heard.events[1].code == "LIQUIDATION"


def test_a_combination_is_booked_by_its_legs(heard):
    bag = evolve(SPY, sec_type="BAG")
    heard.after(details(1, "a.b.c.01", contract=bag), details(100, "a.b.d.01"))
    assert [e.execution.base_id for e in heard.events] == ["a.b.d"]


def test_an_order_made_by_hand_is_known_by_its_lasting_number(heard):
    by_hand = {"order_id": -4, "perm_id": 55, "client_id": 0}
    heard.after(
        shown("Submitted", order_ref="", **by_hand),
        status("Submitted", **by_hand),
        status("Cancelled", **by_hand),
    )
    assert heard.kinds == [K.ORDER_ACK, K.ORDER_CANCELED]
    assert {(e.client_order_id, e.broker_order_id, e.perm_id) for e in heard.events} == {(None, None, "55")}


def test_orders_of_other_clients_with_our_number_are_others(heard):
    heard.after(status("Submitted", perm_id=800, client_id=2), shown("Submitted"))
    assert [(e.client_order_id, e.perm_id) for e in heard.events] == [(None, "800"), (COID, "900")]


def test_what_a_list_shows_first_is_left_to_the_list(heard):
    listed = shown("Submitted", order_id=3, perm_id=44, client_id=2, order_ref="theirs", is_listed=True)
    heard.after(listed, status("Submitted", order_id=3, perm_id=44, client_id=2), listed)
    assert heard.events == []
    heard.after(status("Cancelled", order_id=3, perm_id=44, client_id=2))
    assert [(e.kind, e.client_order_id) for e in heard.events] == [(K.ORDER_CANCELED, "theirs")]


def test_a_list_acknowledges_an_order_of_ours(heard):
    heard.after(shown("Submitted", is_listed=True))
    assert heard.kinds == [K.ORDER_ACK]


def test_numbers_of_an_earlier_session_name_nothing(heard):
    heard.after(status("Submitted"))
    heard.register.new_session()
    heard.after(error(201, "of another order"))
    assert heard.kinds == [K.ORDER_ACK]
    heard.after(status("Cancelled"))
    assert heard.kinds == [K.ORDER_ACK, K.ORDER_CANCELED]


def test_an_error_of_another_request_is_none_of_an_order(heard):
    assert heard.register.by_number(8) is None
    assert heard.after(error(200, "no security definition", order_id=8)).events == []


def test_what_if_orders_and_other_accounts_are_left_out(heard):
    heard.after(shown("Submitted", what_if=True), details(5, "x.y.z.01", account="DU2"))
    theirs = {"perm_id": 33, "client_id": 2, "order_id": 1}
    heard.after(shown("Submitted", account="DU2", **theirs), status("Cancelled", **theirs))
    assert heard.events == []
    assert heard.counted == ["other_account"] * 3


def test_what_is_odd_about_a_message_is_counted_by_a_word(heard):
    heard.after(
        status("Dreaming"),
        details(5, "x.y.z.01", price=float("nan")),
        evolve(cost(1.0), currency="", amount=float("nan")),
        status("Submitted", perm_id=0, client_id=0, order_id=0),
    )
    assert heard.counted == [
        "unknown_status",
        "execution_unreadable",
        "commission_unreadable",
        "without_identity",
    ]
