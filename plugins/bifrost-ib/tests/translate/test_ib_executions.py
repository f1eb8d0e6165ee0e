"""Ids, times and numbers of executions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from attrs import evolve
from bifrost_ib.messages import ExecutionDetails, WireContract
from bifrost_ib.translate.executions import execution_of, split_exec_id, time_ns, zone_of

NOW = 1_700_492_400_000_000_000  # 2023-11-20 15:00:00 UTC
SECOND = 10**9
DETAILS = ExecutionDetails(
    request_id=-1,
    order_id=7,
    contract=WireContract(con_id=1, symbol="SPY", sec_type="STK", currency="USD"),
    exec_id="0000e0d5.713fb301.01.01",
    time="20231120 10:00:00 US/Eastern",
    account="DU1",
    side="SLD",
    shares=100.0,
    price=501.1,
    perm_id=9,
    client_id=1,
    order_ref="BF-a-b-1",
)


@pytest.mark.parametrize(
    ("exec_id", "base", "revision"),
    [
        ("0000e0d5.713fb301.01.01", "0000e0d5.713fb301.01", 1),
        ("0000e0d5.713fb301.01.02", "0000e0d5.713fb301.01", 2),
        ("a.b.c.d.12", "a.b.c.d", 12),
        ("0000e0d5.713fb301.01", "0000e0d5.713fb301.01", 1),
        ("0000e0d5.713fb301.01.0x", "0000e0d5.713fb301.01.0x", 1),
        ("0000e0d5.713fb301.01.", "0000e0d5.713fb301.01.", 1),
        ("a.b.c.１", "a.b.c.１", 1),
        ("a.b.c.99999999999999", "a.b.c.99999999999999", 1),
        ("", "", 1),
    ],
)
def test_an_id_is_split_where_it_has_three_full_stops_and_a_number_at_its_end(exec_id, base, revision):
    assert split_exec_id(exec_id) == (base, revision)


@pytest.mark.parametrize(
    ("said", "zone"),
    [
        ("20231120 10:00:00 US/Eastern", None),
        ("20231120 10:00:00 America/New_York", "Asia/Tokyo"),
        ("20231120 10:00:00 EST5EDT", None),
        ("20231120 10:00:00 EST", None),
        ("20231120 11:00:00 EDT", None),
        ("20231120  10:00:00", "US/Eastern"),
        ("20231120 09:00:00", "US/Central"),
        ("20231120-15:00:00", "US/Eastern"),
        ("20231120-15:00:00", None),
        (" 20231120 23:00:00 Hongkong ", None),
        (datetime(2023, 11, 20, 15, tzinfo=UTC), "US/Eastern"),
        (datetime(2023, 11, 20, 10, tzinfo=ZoneInfo("US/Eastern")), None),
        (datetime(2023, 11, 20, 10), "US/Eastern"),
        (datetime(2023, 11, 20, 10, tzinfo=timezone(timedelta(hours=-5))), None),
    ],
)
def test_a_time_is_read_in_any_of_its_forms(said, zone):
    assert time_ns(said, NOW, zone) == NOW


def test_a_time_in_summer_is_summer_time():
    july = datetime(2023, 7, 3, 14, tzinfo=UTC).timestamp()
    assert time_ns("20230703 10:00:00 US/Eastern", NOW) == july * SECOND
    assert time_ns("20230703  10:00:00", NOW, "US/Eastern") == july * SECOND


@pytest.mark.parametrize(
    "said",
    [
        "20231120  10:00:00",
        "20231120 10:00:00 Nowhere/Atall",
        "20231120 10:00:00 ../../etc/passwd",
        "20231320 10:00:00 UTC",
        "20231120 25:00:00 UTC",
        "20231120",
        "",
        "tomorrow",
        None,
        17.5,
        datetime(2023, 11, 20, 10),
        "19691120-15:00:00",
        "20991120-15:00:00",
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-12))),
    ],
)
def test_a_time_that_cannot_be_read_is_the_arrivals(said):
    assert time_ns(said, NOW) is None
    told = execution_of(evolve(DETAILS, time=said), NOW)
    assert told.execution.ts_ns == NOW
    assert not told.has_time


def test_names_of_zones_are_known_or_not():
    assert zone_of("US/Eastern") == ZoneInfo("US/Eastern")
    assert zone_of("est").utcoffset(None) == timedelta(hours=-5)
    assert zone_of("nonsense") is None


def test_numbers_are_exact():
    told = execution_of(evolve(DETAILS, shares=0.1 + 0.2, price=0.1), NOW).execution
    assert (str(told.quantity), str(told.price)) == ("0.30000000000000004", "0.1")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"shares": 0.0}, "quantity"),
        ({"shares": -5.0}, "quantity"),
        ({"shares": float("nan")}, "quantity"),
        ({"shares": 1.7976931348623157e308}, "quantity"),
        ({"price": float("nan")}, "price"),
        ({"price": -1.0}, "price"),
        ({"price": 1.7976931348623157e308}, "price"),
        ({"price": None}, "price"),
        ({"side": ""}, "side"),
        ({"exec_id": ""}, "id"),
        ({"contract": evolve(DETAILS.contract, symbol="")}, "contract"),
        ({"contract": evolve(DETAILS.contract, sec_type="BAG")}, "combination"),
        ({"contract": evolve(DETAILS.contract, sec_type="FUT")}, "instrument"),
    ],
)
def test_what_cannot_be_booked_says_why(changes: dict[str, Any], why: str):
    told = execution_of(evolve(DETAILS, **changes), NOW)
    assert (told.execution, told.why_not) == (None, why)


def test_a_price_of_zero_is_a_price():
    assert execution_of(evolve(DETAILS, price=0.0), NOW).execution.price == 0
