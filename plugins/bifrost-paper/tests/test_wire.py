"""Messages between plugin and broker process: what goes in comes out."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from bifrost_paper.wire import error_of, from_line, host_and_port, is_path, structured, to_line

from bifrost_engine.domain import (
    BrokerCaps,
    BrokerEvent,
    BrokerEventKind,
    BrokerOrder,
    BrokerPosition,
    BrokerState,
    BrokerStateRequest,
    CancelRequest,
    Contract,
    OrderRequest,
    PlaceAck,
    ReplaceRequest,
    Right,
    Side,
)
from bifrost_engine.errors import BrokerError, DuplicateRequest
from bifrost_engine.testing import make_execution, make_fill, make_order_request

CALL = Contract.option("SPY", date(2025, 3, 28), Decimal("72.50"), Right.CALL, Decimal(10))
EXECUTION = make_execution(contract=CALL, price="1.2500", commission=None, revision=2)
VALUES = [
    (OrderRequest, make_order_request(contract=CALL, quantity="0.30", limit_price="1.10")),
    (PlaceAck, PlaceAck(broker_order_id="7", perm_id=None, client_id=3)),
    (CancelRequest, CancelRequest(client_order_id="é", broker_order_id=None, perm_id="P7", reason="a\nb")),
    (
        ReplaceRequest,
        ReplaceRequest(
            client_order_id="A",
            broker_order_id=None,
            perm_id=None,
            quantity=Decimal(7),
            limit_price=None,
        ),
    ),
    (BrokerStateRequest, BrokerStateRequest(account="D", client_order_ids=("A", "B"))),
    (
        BrokerState,
        BrokerState(
            account="D",
            as_of_start_ns=1,
            as_of_end_ns=1_741_012_200_000_000_001,
            positions=(BrokerPosition(contract=CALL, quantity=Decimal("-1.5")),),
            open_orders=(
                BrokerOrder(
                    client_order_id=None,
                    broker_order_id="1",
                    perm_id="P1",
                    contract=CALL,
                    side=Side.SELL,
                    quantity=Decimal(3),
                    filled=Decimal(1),
                    status="OPEN",
                    average_price=Decimal("0.1"),
                ),
            ),
            executions=(EXECUTION,),
            incomplete=frozenset({"positions"}),
            caps=BrokerCaps(executions_window="days:7", paper=True),
            summary={"total_cash": Decimal("1.10")},
        ),
    ),
    (BrokerEvent, make_fill(contract=CALL, quantity="0.10")),
    (
        BrokerEvent,
        BrokerEvent(
            kind=BrokerEventKind.POSITION,
            ts_ns=5,
            values={"contract_key": CALL.key, "cash": Decimal("1.00"), "day": date(2025, 3, 28), "n": 1},
        ),
    ),
]


@pytest.mark.parametrize(("kind", "value"), VALUES, ids=lambda v: v.__name__ if isinstance(v, type) else "")
def test_a_value_comes_back_as_it_went(kind, value):
    line = to_line(number=1, answer=value)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    back = structured(kind, from_line(line)["answer"])
    assert back == value
    assert repr(back) == repr(value)  # Decimal("1.10") isn't Decimal("1.1")


def test_a_line_that_is_no_object_is_refused():
    for line in (b"[1]", b"{", b"1"):
        with pytest.raises(ValueError, match=r"expect|Expect"):
            from_line(line)


def test_only_errors_of_the_contract_keep_their_class():
    assert type(error_of("DuplicateRequest", "once")) is DuplicateRequest
    unknown = error_of("RuntimeError", "broken")
    assert type(unknown) is BrokerError
    assert str(unknown) == "RuntimeError: broken"


def test_an_address_is_a_path_or_a_host_with_a_port():
    assert is_path("./sock")
    assert not is_path("localhost:7000")
    assert host_and_port("127.0.0.1:7000") == ("127.0.0.1", 7000)
    assert host_and_port("[::1]:7000") == ("::1", 7000)
    for wrong in ("localhost", ":7000", "localhost:http"):
        with pytest.raises(ValueError, match="expected HOST:PORT"):
            host_and_port(wrong)
