"""How a gateway may greet, refuse and leave, in other ways than ours: it is ready once, or says why not."""

from __future__ import annotations

from decimal import Decimal

import pytest
from attrs import evolve
from bifrost_ib.broker import IBBroker
from bifrost_ib.feed import IBFeed
from bifrost_ib.session import State
from other_floor import connecting, run
from other_gateway import SPY

from bifrost_engine.domain import BrokerEventKind, BrokerStateRequest
from bifrost_engine.errors import NotSent
from bifrost_engine.testing import make_order_request

REFUSED = {
    "in use, and left open": ({"hello": ("in use",)}, "client_id_in_use"),
    "in use, and closed": ({"hello": ("in use", "close")}, "client_id_in_use"),
    "in use, without details": ({"hello": ("in use",), "has_json": False}, "client_id_in_use"),
    "in use, after the greeting": ({"hello": ("accounts", "in use", "next_id")}, "client_id_in_use"),
    "closed": ({"hello": ("close",)}, "closed"),
    "reset": ({"hello": ("next_id", "reset")}, "closed"),
    "too old, it says": ({"hello": ("too old",)}, "not_connected"),
    "another account": ({"accounts": "DU7,DU8,"}, "account_mismatch"),
    "too new": ({"version": 187}, "version_too_high"),
    "too old": ({"version": 150}, "version_too_low"),
    "no orders listed": ({"mute": frozenset({"16"})}, "sync_open_orders_timeout"),
    "no executions listed": ({"mute": frozenset({"7"})}, "sync_executions_timeout"),
    "no account": ({"hello": ("none", "next_id"), "section": {"connect_timeout": 2.0}}, "connect_timeout"),
    "no id": ({"hello": ("accounts",), "section": {"connect_timeout": 2.0}}, "connect_timeout"),
    "read-only at once": ({"hello": ("read-only", "accounts", "next_id")}, "read_only_api"),
    "read-only when ready": ({"hello": ("accounts", "next_id", "read-only")}, "read_only_api"),
}


@pytest.mark.parametrize("way", REFUSED)
def test_a_refusal_has_a_reason_and_sends_nothing(tmp_path, library, way):
    habits, reason = REFUSED[way]

    async def work():
        async with connecting(IBBroker, tmp_path, library, **habits) as seen:
            await seen.until(lambda: seen.reasons)
            assert seen.reasons == [reason]
            with pytest.raises(NotSent):
                await seen.plugin.place_order(make_order_request("BF-1", account="DU1"))
            assert not seen.gw.placed
            # The next one is welcome, if the gateway has come to its senses.
            wise = {"version": 176, "accounts": "DU1", "mute": frozenset(), "hello": ("accounts", "next_id")}
            seen.gw.habits = evolve(seen.gw.habits, **wise)
            await seen.until(lambda: seen.plugin.session.state is State.READY)

    run(work())


GREETINGS = {
    "lost before it is ready": ("lost", "accounts", "next_id"),
    "lost and back": ("lost", "restored", "accounts", "next_id"),
    "back without a loss": ("restored", "accounts", "next_id"),
    "lost twice": ("accounts", "lost", "lost", "next_id"),
}


@pytest.mark.parametrize("way", GREETINGS)
def test_orders_leave_only_while_the_gateway_has_its_servers(tmp_path, library, way):
    async def work():
        async with connecting(IBBroker, tmp_path, library, hello=GREETINGS[way]) as seen:
            await seen.until(lambda: seen.plugin.session.is_announced)
            lost = GREETINGS[way].count("lost") > GREETINGS[way].count("restored")
            if lost:
                assert seen.plugin.session.state is State.DEGRADED
                with pytest.raises(NotSent):
                    await seen.plugin.place_order(make_order_request("BF-1", account="DU1"))
                seen.gw.error(-1, 1102, "restored")
            await seen.until(lambda: seen.plugin.session.state is State.READY)
            await seen.plugin.place_order(make_order_request("BF-1", account="DU1"))
            await seen.gw.until(lambda: seen.gw.placed)
            ups = [e for e in seen.context.broker_events if e.kind is BrokerEventKind.LINK_UP]
            assert len(ups) == 1

    run(work())


def test_a_rehearsal_gets_its_quotes_from_an_interface_that_is_read_only(tmp_path, library):
    async def work():
        habits = {"hello": ("accounts", "next_id", "read-only"), "mute": frozenset({"5", "16", "99", "7"})}
        held = (("DU1", *SPY, "12", "100.5"),)
        async with connecting(IBFeed, tmp_path, library, positions=held, **habits) as seen:
            await seen.until(lambda: seen.plugin.session.state is State.READY)
            state = await seen.plugin.fetch_broker_state(BrokerStateRequest(account="DU1"))
            assert [position.quantity for position in state.positions] == [Decimal(12)]

    run(work())


def test_a_live_account_takes_no_paper_order(tmp_path, library):
    async def work():
        async with connecting(IBBroker, tmp_path, library, {"account": ""}, accounts="U7654321") as seen:
            await seen.until(lambda: seen.reasons)
            assert seen.reasons == ["account_mismatch"]

    run(work())
