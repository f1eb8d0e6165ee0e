"""Orders: one event through the state machine, and a broker's reports through the engine.

    python benchmarks/oms.py

An order lives through its sending, an ack and ten executions. The state machine is ``fsm.apply``
alone; the engine books the executions and makes the records, too, without a journal.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from decimal import Decimal

from attrs import evolve
from book import OPEN_NS, quantile, straddles
from tick import OPEN_CONTROLS, OPEN_GATES

from bifrost_engine.domain import BrokerEvent, BrokerEventKind, Execution, OrderRequest, Quote
from bifrost_engine.domain.effects import PlaceOrder
from bifrost_engine.oms.event import EventSource, OrderEvent, OrderEventKind, fill_event
from bifrost_engine.oms.fsm import apply
from bifrost_engine.testing.engine import STOCK, EngineUnderTest

ORDERS = 1500
PARTS = 10


def fills(request: OrderRequest, number: int, ts_ns: int) -> list[Execution]:
    """Return ten executions that fill an order."""
    first = Execution(
        base_id="",
        contract=STOCK,
        side=request.side,
        quantity=request.quantity / PARTS,
        price=Decimal(100),
        commission=Decimal("0.35"),
        ts_ns=ts_ns,
        client_order_id=request.client_order_id,
    )
    return [evolve(first, base_id=f"{number}.{part}") for part in range(PARTS)]


def reports(request: OrderRequest, number: int, ts_ns: int) -> list[BrokerEvent]:
    """Return all that a broker says of an order that fills in ten parts."""
    ack = BrokerEvent(kind=BrokerEventKind.ORDER_ACK, ts_ns=ts_ns, client_order_id=request.client_order_id)
    filled = [
        evolve(ack, kind=BrokerEventKind.ORDER_FILL, execution=fill, source_event_id=fill.base_id)
        for fill in fills(request, number, ts_ns)
    ]
    return [ack, *filled]


def orders(under_test: EngineUnderTest) -> Iterator[OrderRequest]:
    """Yield each order just after it was sent; the caller fills it before the next."""
    for number in range(ORDERS):
        under_test.advance(2)
        mid = 100.3 if number % 2 else 99.7
        quote = Quote(STOCK.key, mid - 0.01, mid + 0.01, 500.0, 500.0, under_test.now_ns)
        for effect in under_test.engine.handle(quote):
            if isinstance(effect, PlaceOrder):
                yield effect.request


def started() -> EngineUnderTest:
    """Return an engine whose straddle wants a hedge at each turn of the market."""
    return EngineUnderTest(
        positions=straddles(2), settings=OPEN_GATES, account_settings=OPEN_CONTROLS, at_ns=OPEN_NS
    )


def through_the_engine() -> list[float]:
    """Return the microseconds of each report's ``Engine.handle``."""
    under_test, taken = started(), []
    handle = under_test.engine.handle
    for number, request in enumerate(orders(under_test)):
        for report in reports(request, number, under_test.now_ns):
            start = time.process_time_ns()
            handle(report)
            taken.append((time.process_time_ns() - start) / 1e3)
        assert under_test.engine.is_quiet
    return taken


def through_the_machine() -> list[float]:
    """Return the microseconds of ``fsm.apply``, averaged over each order's life."""
    under_test, taken = started(), []
    state = under_test.engine.core.state
    for number, request in enumerate(orders(under_test)):
        sent, now = state.orders[request.client_order_id], under_test.now_ns
        ack = OrderEvent(kind=OrderEventKind.ACK, ts_ns=now, source=EventSource.BROKER)
        life = [ack, *(fill_event(fill, now) for fill in fills(request, number, now))]
        order = sent
        start = time.process_time_ns()
        for event in life:
            order = apply(order, event).order
        taken.append((time.process_time_ns() - start) / 1e3 / len(life))
        assert not order.is_open
        for report in reports(request, number, now):
            under_test.engine.handle(report)
    return taken


def main() -> None:
    """Print a row for each figure."""
    gc.disable()
    machine, engine = through_the_machine(), through_the_engine()
    print(f"{'':32}{'median µs':>12}{'p99 µs':>12}")
    print(f"{'fsm.apply':32}{quantile(machine, 0.5):12.1f}{quantile(machine, 0.99):12.1f}")
    print(f"{'report into the books':32}{quantile(engine, 0.5):12.1f}{quantile(engine, 0.99):12.1f}")
    print(f"reports a second: {1e6 * len(engine) / sum(engine):,.0f} of {len(engine):,}")


if __name__ == "__main__":
    main()
