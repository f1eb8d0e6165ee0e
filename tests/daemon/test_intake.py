"""What plugins report: what fits goes on; what doesn't is told of and dropped."""

from __future__ import annotations

from decimal import Decimal
from math import nan
from typing import Any

import pytest
import structlog
from attrs import evolve
from structlog.testing import capture_logs

from bifrost_engine.clock import EventClock
from bifrost_engine.daemon.intake import Intake
from bifrost_engine.domain import BrokerEvent, BrokerEventKind, BrokerGreeks, LastPrice, Quote
from bifrost_engine.testing import make_execution, make_fill, make_quote
from bifrost_engine.testing.build import START_NS

SECOND = 1_000_000_000


class Taking:
    def __init__(self) -> None:
        self.taken: list[Any] = []
        self.intake = Intake(EventClock(START_NS), structlog.get_logger(), self.taken.append)

    def take(self, report: Any) -> list[Any]:
        self.intake.take("mine", report)
        return self.taken


def test_a_quote_from_the_future_is_dropped_for_it_would_make_all_later_ones_old():
    assert Taking().take(make_quote(at_ns=START_NS + 61 * SECOND)) == []
    assert len(Taking().take(make_quote(at_ns=START_NS + 59 * SECOND))) == 1


def test_a_report_of_the_future_is_one_of_now():
    down = BrokerEvent(kind=BrokerEventKind.LINK_DOWN, ts_ns=START_NS + 10**18)
    assert Taking().take(down) == [evolve(down, ts_ns=START_NS)]


def test_a_brokers_greeks_go_on_and_their_time_is_not_of_the_future():
    greeks = evolve(GREEKS, ts_ns=START_NS + SECOND)
    (taken,) = Taking().take(greeks)
    assert (taken.contract_key, taken.delta, taken.ts_ns) == (greeks.contract_key, 0.5, START_NS)


def test_a_last_price_is_kept_the_newest_of_each_contract_and_goes_no_further():
    taking = Taking()
    for price in (99.5, 99.6):
        last = LastPrice(contract_key="NVDA|STK|||", price=price, ts_ns=START_NS + SECOND)
        assert taking.take(last) == []
    assert taking.intake.last == {"NVDA|STK|||": evolve(last, price=99.6, ts_ns=START_NS)}
    taking.take(LastPrice(contract_key="NVDA|STK|||", price="99.7", ts_ns=START_NS))  # type: ignore[arg-type]
    assert taking.intake.last["NVDA|STK|||"].price == 99.6
    assert taking.intake.refused == {"mine": 1}


def test_the_link_of_a_feed_of_another_name_is_a_notice_and_the_brokers_is_the_link():
    taken: list[Any] = []
    intake = Intake(EventClock(START_NS), structlog.get_logger(), taken.append, "paper")
    down = BrokerEvent(kind=BrokerEventKind.LINK_DOWN, ts_ns=START_NS, text="refused")
    up = BrokerEvent(kind=BrokerEventKind.LINK_UP, ts_ns=START_NS, client_id=3)
    for plugin in ("ib", "paper"):
        intake.take(plugin, down)
        intake.take(plugin, up)
    told = [(event.kind, event.code, event.text, event.values.get("standing")) for event in taken[:2]]
    assert told == [
        (BrokerEventKind.INFO, "feed_connection", "ib: refused", True),
        (BrokerEventKind.INFO, "feed_connection", "ib is connected", False),
    ]
    assert taken[2:] == [down, up]


FILL = make_fill()
GREEKS = BrokerGreeks(
    contract_key="NVDA|OPT|20250328|100|C",
    ts_ns=START_NS,
    delta=0.5,
    gamma=0.02,
    vega=nan,
    theta=nan,
    volatility=0.4,
    underlying=100.0,
)
NONSENSE = {
    "text": "LINK_UP",
    "nothing": None,
    "a class": BrokerEvent,
    "kind as text": evolve(FILL, kind="ORDER_FILL"),
    "time as text": evolve(FILL, ts_ns="now"),
    "number as order": evolve(FILL, client_order_id=7),
    "float amount": evolve(FILL, execution=evolve(make_execution(), quantity=10.0)),
    "float price": evolve(FILL, execution=evolve(make_execution(), price=100.0)),
    "amount as text": evolve(FILL, execution=evolve(make_execution(), quantity="10")),
    "endless limit": evolve(FILL, limit_price=Decimal("Infinity")),
    "side as text": evolve(FILL, execution=evolve(make_execution(), side="BOUGHT")),
    "contract as text": evolve(FILL, execution=evolve(make_execution(), contract="SPY")),
    "values as text": evolve(FILL, values="net_liquidation"),
    "quote without a bid": Quote("SPY|STK|||", None, 1.0, 1.0, 1.0, START_NS),  # type: ignore[arg-type]
    "quote with a float time": Quote("SPY|STK|||", 1.0, 1.0, 1.0, 1.0, float(START_NS)),  # type: ignore[arg-type]
    "greeks as text": evolve(GREEKS, delta="0.5"),
    "tuple": ("SPY|STK|||", 1.0, 1.0, 1.0, 1.0, START_NS, 0),
}


@pytest.mark.parametrize("nonsense", NONSENSE.values(), ids=NONSENSE.keys())
def test_what_doesnt_fit_is_dropped_and_counted_by_plugin(nonsense):
    taking = Taking()
    with capture_logs() as lines:
        assert taking.take(nonsense) == []
    assert taking.intake.refused == {"mine": 1}
    assert [line["plugin"] for line in lines] == ["mine"]


def test_a_flood_of_nonsense_isnt_a_flood_of_lines():
    taking = Taking()
    with capture_logs() as lines:
        for _ in range(2500):
            taking.take("nonsense")
    assert [line["so_far"] for line in lines] == [1, 1001, 2001]


def test_what_fits_goes_on_as_it_is():
    assert Taking().take(FILL) == [FILL]
    quote = make_quote()
    assert Taking().take(quote) == [quote]


UNUSABLE = {
    "no amount": {"quantity": Decimal("NaN")},
    "nothing filled": {"quantity": Decimal(0)},
    "less than nothing": {"quantity": Decimal(-1)},
    "no price": {"price": None},
    "endless price": {"price": Decimal("Infinity")},
    "no commission": {"commission": Decimal("NaN")},
    "bust": {"quantity": Decimal(0), "revision": 2},
}


@pytest.mark.parametrize("numbers", UNUSABLE.values(), ids=UNUSABLE.keys())
def test_an_execution_with_odd_numbers_goes_on_since_the_engine_keeps_it_as_an_incident(numbers):
    odd = evolve(FILL, execution=evolve(make_execution(), **numbers))
    taken = Taking().take(odd)
    assert len(taken) == 1
    assert taken[0] is odd
