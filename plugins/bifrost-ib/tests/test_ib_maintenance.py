"""A link that is lost in the gateway's nightly maintenance is announced as planned, and at no other time."""

from __future__ import annotations

import asyncio
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from bifrost_ib.config import IBConfig
from bifrost_ib.maintenance import NIGHTLY, is_planned, window_of
from bifrost_ib.session import State

from bifrost_engine.domain import BrokerEventKind
from bifrost_engine.errors import ConfigError
from bifrost_engine.testing import make_config

WINDOWS = [window_of(text) for text in NIGHTLY]
HOUR_S = 3600.0


def ns(text: str, zone: str = "America/New_York") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * 10**9


def run(work):
    asyncio.run(asyncio.wait_for(work, 9.0))


# --- windows ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "planned"),
    [
        ("2025-03-03T23:44:59", False),  # a Monday
        ("2025-03-03T23:45:00", True),
        ("2025-03-04T00:44:59", True),
        ("2025-03-04T00:45:00", False),
        ("2025-03-04T12:00:00", False),
        ("2025-03-06T23:00:00", False),
        ("2025-03-07T22:59:59", False),
        ("2025-03-07T23:00:00", True),  # a Friday
        ("2025-03-08T02:59:59", True),
        ("2025-03-08T03:00:00", False),
        ("2025-03-08T23:00:00", False),
        ("2025-03-09T02:30:00", False),
        ("2025-03-09T23:50:00", True),  # the clocks went forward that night
        ("2025-11-02T00:10:00", True),  # and back in this one
    ],
)
def test_the_nights_and_the_weekend_go_by_new_yorks_clock(at, planned):
    assert is_planned("closed", WINDOWS, ns(at)) is planned


def test_a_window_of_a_gateways_own_restart_may_lie_within_a_day_and_another_zone():
    windows = [window_of("Sun 06:00-06:10 Europe/Berlin")]
    assert is_planned("refused", windows, ns("2025-03-09T06:05", "Europe/Berlin"))
    assert not is_planned("refused", windows, ns("2025-03-10T06:05", "Europe/Berlin"))
    assert not is_planned("refused", windows, ns("2025-03-09T06:10", "Europe/Berlin"))


@pytest.mark.parametrize("reason", ["client_id_in_use", "account_mismatch", "read_only_api", "order_ids"])
def test_what_somebody_has_to_look_at_is_never_planned(reason):
    assert not is_planned(reason, WINDOWS, ns("2025-03-04T00:00"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("midnight", "expected a time of the day such as Fri 23:00-03:00"),
        ("Fry 23:00-03:00", "expected a time of the day"),
        ("24:00-25:00", "expected a time of the day"),
        ("23:00-03:00 America/Nowhere", "expected a zone such as America/New_York, was 'America/Nowhere'"),
        ("23:00-23:00", "expected two times of the day, was 23:00 twice"),
    ],
)
def test_a_window_that_is_none_is_refused_by_its_place(text, said):
    with pytest.raises(ConfigError, match=rf"maintenance\[1\]: {said}"):
        make_config(IBConfig, maintenance=["Sat 01:00-02:00", text])


def test_without_windows_nothing_is_planned():
    assert make_config(IBConfig, maintenance=[]).maintenance == ()
    assert not is_planned("closed", [], ns("2025-03-04T00:00"))


# --- the session ---------------------------------------------------------------------------


def downs(seen) -> list[tuple[str, bool]]:
    events = [e for e in seen.context.broker_events if e.kind is BrokerEventKind.LINK_DOWN]
    return [(event.values["reason"], event.values["maintenance"]) for event in events]


async def lost(gw, seen, at: str) -> None:
    """Have the link lost at a time: first IB's servers, then the gateway itself."""
    await seen.session.connect()
    await seen.ready()
    seen.context.clock.advance_to(ns(at))
    gw.error(1100, "connectivity lost")
    await seen.until(lambda: seen.session.state is State.DEGRADED)
    gw.hang_up()
    await seen.until(lambda: len(downs(seen)) == 2)


@pytest.mark.parametrize(("at", "planned"), [("2025-03-03T23:50", True), ("2025-03-03T15:00", False)])
def test_a_loss_is_announced_by_the_time_of_day(tmp_path, kit, library, at, planned):
    async def work():
        async with kit.gateway() as gw, kit.watched(tmp_path, gw.port, library=library) as seen:
            await lost(gw, seen, at)
            assert downs(seen) == [("cut_off", planned), ("closed", planned)]

    run(work())


def test_what_was_lost_as_planned_stays_so_beyond_the_window_and_the_next_loss_does_not(
    tmp_path, kit, library
):
    async def work():
        async with kit.gateway() as gw, kit.watched(tmp_path, gw.port, library=library) as seen:
            await lost(gw, seen, "2025-03-03T23:50")
            gw.at_start = lambda gw: gw.error(326, "client id is already in use")
            seen.context.clock.advance_to(ns("2025-03-04T02:00"))
            await seen.until(lambda: len(downs(seen)) == 3)
            gw.at_start = lambda gw: gw.hang_up()
            seen.advance(60)
            await seen.until(lambda: len(downs(seen)) == 4)
            gw.at_start = kit.Gateway.welcome
            seen.advance(60)
            await seen.ready()
            gw.hang_up()
            await seen.until(lambda: len(downs(seen)) == 5)
            assert downs(seen)[2:] == [
                ("client_id_in_use", False),
                ("closed", True),
                ("closed", False),
            ]

    run(work())


def test_what_was_lost_before_the_window_does_not_become_planned_in_it(tmp_path, kit, library):
    async def work():
        async with kit.gateway() as gw, kit.watched(tmp_path, gw.port, library=library) as seen:
            await seen.session.connect()
            await seen.ready()
            seen.context.clock.advance_to(ns("2025-03-03T23:40"))
            gw.error(1100, "connectivity lost")
            await seen.until(lambda: seen.session.state is State.DEGRADED)
            seen.context.clock.advance_to(ns("2025-03-03T23:46"))
            gw.hang_up()
            await seen.until(lambda: len(downs(seen)) == 2)
            assert downs(seen) == [("cut_off", False), ("closed", False)]

    run(work())
