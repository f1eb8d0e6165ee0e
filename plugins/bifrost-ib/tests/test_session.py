"""The session: what it takes to be READY, what ends it, and that it is tried again for ever."""

from __future__ import annotations

import asyncio

import pytest
from bifrost_ib.session import State

UP = ("LINK_UP", "")


def run(work):
    asyncio.run(asyncio.wait_for(work, 9.0))


def test_it_is_ready_once_everything_was_read(tmp_path, kit, library):
    async def work():
        async with kit.gateway() as gw, kit.watched(tmp_path, gw.port, library=library) as seen:
            await seen.session.connect()
            await seen.ready()
            assert seen.told == [UP]
            assert seen.session.account == "DU1"
            assert [fields[0] for fields in gw.received] == ["71", "61", "62", "5", "16", "7"]
            assert seen.session.why_not == ""

    run(work())


@pytest.mark.parametrize(
    ("mute", "reason"),
    [
        ("61", "sync_positions_timeout"),
        ("62", "sync_account_summary_timeout"),
        ("16", "sync_open_orders_timeout"),
        ("7", "sync_executions_timeout"),
    ],
)
def test_a_gateway_that_leaves_a_list_unanswered_is_not_ready(tmp_path, kit, library, mute, reason):
    async def work():
        async with (
            kit.gateway(mute=(mute,)) as gw,
            kit.watched(tmp_path, gw.port, library=library, sync_timeout=0.1) as seen,
        ):
            await seen.session.connect()
            await seen.until(lambda: seen.told)
            assert seen.told == [("LINK_DOWN", reason)]
            assert seen.session.state is State.DOWN
            assert seen.session.why_not

    run(work())


def test_a_client_id_in_use_fails_at_once_and_the_same_one_is_tried_again(tmp_path, kit, library):
    async def work():
        async with kit.gateway() as gw, kit.watched(tmp_path, gw.port, library=library) as seen:
            gw.at_start = lambda gw: gw.error(326, "client id is already in use")
            before_s = asyncio.get_running_loop().time()
            await seen.session.connect()
            await seen.until(lambda: seen.told)
            assert asyncio.get_running_loop().time() - before_s < 1.0
            assert seen.told == [("LINK_DOWN", "client_id_in_use")]
            gw.at_start = kit.Gateway.welcome
            seen.advance(3)
            await seen.ready()
            assert seen.told == [("LINK_DOWN", "client_id_in_use"), UP]
            assert {fields[2] for fields in gw.received if fields[0] == "71"} == {"1"}

    run(work())
