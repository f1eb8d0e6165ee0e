"""When something was executed, in every way of writing it; one that can't be read costs no execution."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from attrs import evolve
from other_floor import open_floor, run

from bifrost_engine.domain import BrokerEventKind, BrokerStateRequest
from bifrost_engine.testing import make_order_request
from bifrost_engine.testing.build import START_NS

SAID = datetime(2013, 10, 7, 13, 59, 30, tzinfo=UTC)
HERE = datetime(2013, 10, 7, 9, 59, 30).astimezone()
TIMES = {
    "20131007 09:59:30 US/Eastern": SAID,
    "20131007 09:59:30 America/New_York": SAID,
    "20131007 09:59:30 EDT": SAID,
    "20131007 08:59:30 EST5EDT": SAID.replace(hour=12),
    "20131007-13:59:30": SAID,
    "20131007 13:59:30 UTC": SAID,
    "20131007  09:59:30": HERE,
    "20131007 09:59:30": HERE,
    "20131007 15:59:30 CEST": SAID,
    "20131007 09:59:30 Eastern Daylight Time": None,
    "20131007 15:59:30 (Mitteleuropäische Zeit)": None,
    "20131007 09:59:30.123 US/Eastern": None,
    "20131007": None,
    "1381154370": None,
    "": None,
    "tomorrow": None,
    "99999999 99:99:99 US/Eastern": None,
    "99999999  99:99:99": None,
    "20990101 00:00:00 US/Eastern": None,
}
"""What each says; None: nothing, so the arrival stands for it."""


@pytest.mark.parametrize("zone", [None, "US/Eastern"])
def test_an_execution_has_its_time_or_that_of_its_arrival(tmp_path, library, zone):
    async def work():
        steps = ["perm", "open Submitted", "exec rest 100.02", "fee"]
        async with open_floor(tmp_path, library, [steps], section={"gateway_timezone": zone}) as floor:
            for number, said in enumerate(TIMES):
                floor.gw.habits = evolve(floor.gw.habits, time=said)
                await floor.broker.place_order(make_order_request(f"BF-{number}", account="DU1"))
                await floor.gw.until(lambda number=number: len(floor.gw.placed) == number + 1)
                await floor.settled()
            events = [e for e in floor.context.broker_events if e.kind is BrokerEventKind.ORDER_FILL]
            here = SAID if zone else HERE
            expected = [at if at is not HERE else here for at in TIMES.values()]
            for said, at, event in zip(TIMES, expected, events, strict=True):
                wanted = event.ts_ns if at is None else int(at.timestamp()) * 10**9
                assert (said, event.execution.ts_ns) == (said, wanted)
                assert event.execution.commission is None
            state = await floor.broker.fetch_broker_state(BrokerStateRequest(account="DU1"))
            assert not state.incomplete
            assert {e.commission for e in state.executions} == {Decimal("0.35")}
            assert len(state.executions) == len(TIMES)

    assert SAID.timestamp() + 30 == START_NS // 10**9
    run(work())
