"""The session: what it takes to be READY, what ends it, and that it is tried again for ever."""

from __future__ import annotations

import asyncio
import socket
from decimal import Decimal

import pytest
from bifrost_ib import compat
from bifrost_ib.link import LinkDown, ListIncomplete
from bifrost_ib.messages import ExecutionDetails
from bifrost_ib.pacing import Urgency
from bifrost_ib.session import Listener, State
from bifrost_ib.simgateway import ManualClock, SimGateway

from bifrost_engine.domain import BrokerStateRequest
from bifrost_engine.errors import GatewayLost
from bifrost_engine.testing import make_order_request

UP = ("LINK_UP", "")
START_NS = 1_740_150_000 * 1_000_000_000
"""2025-02-21 10:00 in New York."""


def run(work):
    asyncio.run(asyncio.wait_for(work, 9.0))


def now_s():
    return asyncio.get_running_loop().time()


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


HELD = {"NVDA|STK|||": 120, "SPY|STK|||": -7, "NVDA|OPT|20301220|130|C": -3}


def test_it_is_ready_once_and_knows_the_account_with_its_positions_and_orders(
    tmp_path, kit, library, market_is_known
):
    async def work():
        opening = {
            "cash": 50_000,
            "positions": {key: {"quantity": held, "average_cost": "10"} for key, held in HELD.items()},
        }
        async with SimGateway(script={"account": opening}) as gw:
            # The first connection leaves an order behind that works.
            async with kit.trading(tmp_path, gw.port, library=library) as before:
                await before.broker.place_order(make_order_request("BF-1", account="", limit_price="1.00"))
                await gw.wait_for_order(1)
            async with kit.trading(tmp_path, gw.port, library=library) as seen:
                state = await seen.broker.fetch_broker_state(BrokerStateRequest(account=""))
                assert seen.told == [UP]
                assert (seen.session.account, state.incomplete) == ("DU1234567", frozenset())
                assert {one.contract.key: one.quantity for one in state.positions} == HELD
                assert [order.client_order_id for order in state.open_orders] == ["BF-1"]
                assert state.summary["total_cash"] == Decimal(50_000)

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
        compat.load(library)  # importing it takes longer than what is measured
        async with kit.gateway() as gw, kit.watched(tmp_path, gw.port, library=library) as seen:
            gw.at_start = lambda gw: gw.error(326, "client id is already in use")
            before_s = now_s()
            await seen.session.connect()
            await seen.until(lambda: seen.told)
            assert now_s() - before_s < 1.0  # of the 60 that connecting may take
            assert seen.told == [("LINK_DOWN", "client_id_in_use")]
            gw.at_start = kit.Gateway.welcome
            seen.advance(3)
            await seen.ready()
            assert seen.told == [("LINK_DOWN", "client_id_in_use"), UP]
            assert {fields[2] for fields in gw.received if fields[0] == "71"} == {"1"}

    run(work())


def test_an_id_that_the_gateway_still_holds_is_had_once_it_lets_go(tmp_path, kit, library, market_is_known):
    async def work():
        clock = ManualClock(START_NS)
        async with SimGateway(linger=30, clock=clock) as gw:
            async with kit.trading(tmp_path, gw.port, library=library, client_id=7):
                assert gw.clients() == [7]
            while gw.clients():
                await asyncio.sleep(0.002)
            async with kit.watched(tmp_path, gw.port, library=library, client_id=7) as seen:
                await seen.session.connect()
                for attempt in range(3):
                    await seen.until(lambda n=attempt: len(seen.pauses) > n)
                    seen.advance(40)
                assert seen.told == [("LINK_DOWN", "client_id_in_use")]
                await seen.until(lambda: len(seen.pauses) == 4)
                await clock.advance(31)
                seen.advance(40)
                await seen.ready()
                assert seen.told == [("LINK_DOWN", "client_id_in_use"), UP]
                assert gw.clients() == [7]

    run(work())


def closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


async def hang_up(reader, writer):
    writer.close()


async def be_silent(reader, writer):
    await reader.read()


async def talk_nonsense(reader, writer):
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 10)
    await reader.read()


async def talk_framed_nonsense(reader, writer):
    writer.write(b"\0\0\0\x0cnot\0numbers\0")
    await reader.read()


async def be_too_old(reader, writer):
    payload = b"100\0" + b"20240102 09:30:00 EST\0"
    writer.write(len(payload).to_bytes(4) + payload)
    await reader.read()


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (None, "refused"),
        (hang_up, "closed"),
        (be_silent, "connect_timeout"),
        (talk_nonsense, "not_a_gateway"),
        (talk_framed_nonsense, "not_a_gateway"),
        (be_too_old, "version_too_low"),
    ],
)
def test_it_tries_again_for_ever_whatever_answers_with_pauses_within_limits(
    tmp_path, kit, library, behaviour, reason
):
    async def work():
        async with kit.gateway() as gw:
            gw.on_connect = behaviour or gw.on_connect
            port = gw.port if behaviour else closed_port()
            limit_s = 0.05 if behaviour is be_silent else 9.0
            settings = {"connect_timeout": limit_s, "retry_ib": {"max": 10}}
            async with kit.watched(tmp_path, port, library=library, **settings) as seen:
                await seen.session.connect()
                for attempt in range(20):
                    await seen.until(lambda n=attempt: len(seen.pauses) > n)
                    seen.advance(12.1)
                assert seen.told == [("LINK_DOWN", reason)]
                nominal = [min(10.0, 2.0 * 2**n) for n in range(20)]
                for pause_s, expected_s in zip(seen.pauses, nominal, strict=False):
                    assert 0.8 * expected_s <= pause_s <= 1.2 * expected_s
                assert len(set(seen.pauses)) > 10

    run(work())


def test_called_again_it_tries_at_once_and_says_what_came_of_it(tmp_path, kit, library):
    async def work():
        async with kit.gateway() as gw:
            gw.on_connect = hang_up
            async with kit.watched(tmp_path, gw.port, library=library, retry_ib={"first": 60}) as seen:
                await seen.session.connect()
                await seen.until(lambda: seen.told)
                await seen.session.connect()
                await seen.until(lambda: len(seen.told) == 2)
                assert seen.told == [("LINK_DOWN", "closed")] * 2
                gw.on_connect = gw._speak
                before_s = now_s()
                await seen.session.connect()
                await seen.ready()
                assert now_s() - before_s < 0.5  # of the 60 that it would have waited
                await seen.session.connect()
                assert seen.told[-1] == UP
                assert gw.greets == 1

    run(work())


@pytest.mark.parametrize(
    ("stops", "mute"),
    [("before the handshake", ()), ("at the login", ("71",)), ("at the last list", ("7",))],
)
def test_connecting_and_reading_share_one_time_limit(tmp_path, kit, library, stops, mute):
    async def work():
        compat.load(library)
        async with (
            kit.gateway(mute=mute) as gw,
            kit.watched(tmp_path, gw.port, library=library, connect_timeout=1.0) as seen,
        ):
            gw.on_connect = gw.on_connect if mute else be_silent
            before_s = now_s()
            await seen.session.connect()
            await seen.until(lambda: seen.told)
            assert seen.told == [("LINK_DOWN", "connect_timeout")]
            assert 0.5 < now_s() - before_s < 1.5

    run(work())


def test_a_closed_socket_is_told_once_and_mended(tmp_path, kit, library):
    async def work():
        async with kit.gateway() as gw, kit.watched(tmp_path, gw.port, library=library) as seen:
            await seen.session.connect()
            await seen.ready()
            gw.hang_up()
            await seen.until(lambda: len(seen.told) == 2)
            seen.advance(3)
            await seen.ready()
            assert seen.told == [UP, ("LINK_DOWN", "closed"), UP]
            assert gw.greets == 2

    run(work())


def test_a_hung_gateway_is_noticed_by_its_silence(tmp_path, kit, library):
    async def work():
        settings = {"heartbeat": 0.3, "probe_timeout": 0.2, "library": library}
        async with kit.gateway() as gw, kit.watched(tmp_path, gw.port, **settings) as seen:
            await seen.session.connect()
            await seen.ready()
            await gw.until(lambda: sum(fields[0] == "49" for fields in gw.received) >= 3)
            assert seen.told == [UP]  # probes that are answered change nothing
            gw.mute.add("49")
            before_s = now_s()
            await seen.until(lambda: len(seen.told) == 2)
            assert seen.told[1] == ("LINK_DOWN", "silent")
            assert now_s() - before_s < 0.3 + 2 * 0.2 + 0.5  # half a second for a machine that is busy

    run(work())


def test_a_line_on_which_nothing_can_be_read_any_more_is_silent_however_much_comes(tmp_path, kit, library):
    async def work():
        settings = {"heartbeat": 0.3, "probe_timeout": 0.2, "library": library}
        async with kit.gateway() as gw, kit.watched(tmp_path, gw.port, **settings) as seen:
            await seen.session.connect()
            await seen.ready()
            gw.say_raw((1 << 30).to_bytes(4))
            await seen.until(lambda: len(seen.told) == 2)
            assert seen.told[1] == ("LINK_DOWN", "silent")
            assert "49" in [fields[0] for fields in gw.received]  # it was asked, and it answered

    run(work())


@pytest.mark.parametrize(
    ("accounts", "section", "said"),
    [
        ("U123", {}, "U123 is a live account, and ib.live is false"),
        ("DU1", {"live": True}, "DU1 is a paper account, and ib.live is true"),
        ("DU1,DU2", {}, "name one as ib.account"),
        ("DU1,DU2", {"account": "DU3"}, "ib.account is DU3, the login has DU1, DU2"),
    ],
)
def test_an_account_that_may_not_be_traded_is_never_ready(tmp_path, kit, library, accounts, section, said):
    async def work():
        async with (
            kit.gateway(accounts=accounts) as gw,
            kit.watched(tmp_path, gw.port, library=library, **section) as seen,
        ):
            await seen.session.connect()
            await seen.until(lambda: seen.told)
            assert seen.told == [("LINK_DOWN", "account_mismatch")]
            assert said in seen.context.broker_events[0].text
            assert "61" not in [fields[0] for fields in gw.received]

    run(work())


def test_of_several_accounts_the_named_one_is_traded(tmp_path, kit, library):
    async def work():
        async with (
            kit.gateway(accounts="DU1,DU2") as gw,
            kit.watched(tmp_path, gw.port, library=library, account="DU2") as seen,
        ):
            await seen.session.connect()
            await seen.ready()
            assert (seen.session.account, seen.session.accounts) == ("DU2", ("DU1", "DU2"))

    run(work())


def test_a_gateway_on_another_host_is_warned_of_at_each_connect_and_one_on_this_is_not(
    tmp_path, kit, library, capsys
):
    async def work():
        async with kit.gateway() as gw:
            for host, times in (("127.0.0.1", 0), ("localhost", 0), ("0.0.0.0", 1)):
                async with kit.watched(tmp_path, gw.port, library=library, host=host) as seen:
                    await seen.session.connect()
                    await seen.ready()
                    assert capsys.readouterr().out.count("is not encrypted") == times
                    up = seen.context.broker_events[0]
                    assert up.values.get("insecure_transport", False) == bool(times)

    run(work())


# --- what the gateway says of its own link ---------------------------------------------------


def test_a_gateway_without_its_servers_takes_no_order_until_all_was_read_again(tmp_path, kit, library):
    async def work():
        async with kit.gateway() as gw, kit.watched(tmp_path, gw.port, library=library) as seen:
            await seen.session.connect()
            await seen.ready()
            gw.error(1100, "connectivity lost")
            await seen.until(lambda: seen.session.state is State.DEGRADED)
            assert seen.told == [UP, ("LINK_DOWN", "cut_off")]
            assert seen.session.why_not == "the session is DEGRADED: cut_off"
            asked = len(gw.received)
            gw.error(1102, "restored, data kept")
            await seen.ready()
            assert seen.told == [UP, ("LINK_DOWN", "cut_off"), UP]
            again = [fields[0] for fields in gw.received[asked:] if fields[0] != "63"]
            assert again == ["61", "62", "5", "16", "7"]
            assert gw.connections == 1

    run(work())


def test_after_ten_minutes_without_its_servers_the_gateway_is_connected_anew(tmp_path, kit, library):
    async def work():
        async with kit.gateway() as gw, kit.watched(tmp_path, gw.port, library=library) as seen:
            await seen.session.connect()
            await seen.ready()
            gw.error(2110, "broken between TWS and server")
            await seen.until(lambda: seen.session.state is State.DEGRADED)
            seen.advance(599)
            assert seen.session.state is State.DEGRADED
            seen.advance(2)
            await seen.until(lambda: seen.session.state is State.DOWN)
            seen.advance(3)
            await seen.ready()
            assert gw.connections == 2

    run(work())


@pytest.mark.parametrize("code", [2103, 2105, 2157, 2104, 2106, 2158, 10197])
def test_a_farm_that_comes_and_goes_leaves_the_connection_alone(tmp_path, kit, library, code):
    async def work():
        async with kit.gateway() as gw, kit.watched(tmp_path, gw.port, library=library) as seen:
            await seen.session.connect()
            await seen.ready()
            gw.error(code, "a farm")
            gw.error(399, "after it")
            await seen.session.link.read("positions", 5.0)
            assert (seen.session.state, seen.told) == (State.READY, [UP])

    run(work())


@pytest.mark.parametrize(("code", "reason"), [(1300, "port_reset"), (504, "not_connected")])
def test_a_code_that_ends_the_connection_makes_a_new_one(tmp_path, kit, library, code, reason):
    async def work():
        async with kit.gateway() as gw, kit.watched(tmp_path, gw.port, library=library) as seen:
            await seen.session.connect()
            await seen.ready()
            gw.error(code, "gone")
            await seen.until(lambda: len(seen.told) == 2)
            assert seen.told[1] == ("LINK_DOWN", reason)

    run(work())


def test_the_third_complaint_about_the_rate_ends_the_connection(tmp_path, kit, library):
    async def work():
        async with kit.gateway() as gw, kit.watched(tmp_path, gw.port, library=library) as seen:
            await seen.session.connect()
            await seen.ready()
            for _ in range(2):
                gw.error(100, "max rate of messages exceeded")
            await seen.session.link.read("positions", 5.0)
            assert seen.told == [UP]
            gw.error(100, "max rate of messages exceeded")
            await seen.until(lambda: len(seen.told) == 2)
            assert seen.told[1] == ("LINK_DOWN", "message_rate")
            assert seen.context.counted == {"rate_exceeded": 3}

    run(work())


def test_a_read_only_interface_is_explained(tmp_path, kit, library):
    async def work():
        async with kit.gateway(mute=("16",)) as gw, kit.watched(tmp_path, gw.port, library=library) as seen:
            await seen.session.connect()
            await gw.until(lambda: gw.received[-1][0] == "16")
            gw.error(321, "The API interface is currently in Read-Only mode.")
            await seen.until(lambda: seen.told)
            assert seen.told == [("LINK_DOWN", "read_only_api")]
            assert "switch off 'Read-Only API'" in seen.context.broker_events[0].text

    run(work())


# --- messages ------------------------------------------------------------------------------


class Sulking(Listener):
    """Fails at the first execution and takes the rest."""

    def __init__(self):
        self.taken = []

    def on_message(self, message):
        if isinstance(message, ExecutionDetails):
            self.taken.append(message)
            if len(self.taken) == 1:
                raise RuntimeError("sulking")


def test_a_listener_that_raises_is_counted_and_loses_no_fill(tmp_path, kit, library, market_is_known):
    async def work():
        script = {"orders": [{"steps": ["ack", {"fill": "rest"}]}]}
        async with SimGateway(script=script) as gw, kit.trading(tmp_path, gw.port, library=library) as seen:
            sulking = Sulking()
            seen.session.add(sulking)
            for name in ("BF-1", "BF-2"):
                await seen.broker.place_order(make_order_request(name, account=""))
            await seen.until(lambda: len(sulking.taken) == 2)
            assert seen.session.failures == {"execDetails": 1}
            told = [event for event in seen.context.broker_events if event.kind == "ORDER_FILL"]
            assert [event.client_order_id for event in told] == ["BF-1", "BF-2"]
            assert [str(e.kind) for e in seen.context.broker_events].count("DATA_RESTORED") == 1

    run(work())


def test_a_message_that_cannot_be_decoded_is_counted_and_makes_its_list_incomplete(tmp_path, kit, library):
    async def work():
        async with kit.gateway() as gw, kit.watched(tmp_path, gw.port, library=library) as seen:
            await seen.session.connect()
            await seen.ready()
            gw.mute.add("61")
            reading = asyncio.create_task(seen.session.link.read("positions", 5.0))
            await gw.until(lambda: gw.received[-1][0] == "61")
            gw.say("61", "3", "DU1", "half a position")
            gw.say("62", "1")
            with pytest.raises(ListIncomplete, match="could not be read"):
                await reading
            assert seen.session.failures == {"decode": 1}
            assert seen.context.counted == {"handler_error": 1}

    run(work())


def test_an_answer_that_comes_late_is_never_taken_for_the_next_ones(tmp_path, kit, library):
    async def work():
        async with kit.gateway(mute=("99",)) as gw, kit.watched(tmp_path, gw.port, library=library) as seen:
            await seen.session.connect()
            await seen.ready()
            link = seen.session.link
            for _ in range(2):
                with pytest.raises(ListIncomplete):
                    await link.read("completed_orders", 0.05)
            assert [fields[0] for fields in gw.received].count("99") == 1
            gw.say("102")
            await link.read("positions", 5.0)
            gw.mute.clear()
            assert await link.read("completed_orders", 5.0) == ()
            assert [fields[0] for fields in gw.received].count("99") == 2

    run(work())


def test_a_read_that_was_given_up_does_not_spoil_the_next_one(tmp_path, kit, library):
    async def work():
        async with kit.gateway(mute=("99",)) as gw, kit.watched(tmp_path, gw.port, library=library) as seen:
            await seen.session.connect()
            await seen.ready()
            link = seen.session.link
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(link.read("completed_orders", 5.0), 0.05)
            with pytest.raises(ListIncomplete, match="still unanswered"):
                await link.read("completed_orders", 5.0)

    run(work())


def test_messages_that_cannot_be_handled_have_the_broker_asked_once_a_minute(tmp_path, kit, library):
    async def work():
        async with kit.gateway() as gw, kit.watched(tmp_path, gw.port, library=library) as seen:
            await seen.session.connect()
            await seen.ready()

            def asked():
                return [str(e.kind) for e in seen.context.broker_events].count("DATA_RESTORED")

            async def asked_after(count):
                for _ in range(3):
                    gw.say("11", "half an execution")
                await seen.until(lambda: seen.session.failures.get("decode") == count)
                return asked()

            assert await asked_after(3) == 1
            assert await asked_after(6) == 1
            seen.advance(61)
            await seen.until(lambda: asked() == 2)  # what came within the minute may have been a fill, too
            assert await asked_after(9) == 2
            seen.advance(30)
            assert asked() == 2
            seen.advance(31)
            assert asked() == 3
            seen.advance(300)
            assert asked() == 3

    run(work())


def test_a_gateway_that_owes_a_vital_list_is_connected_anew(tmp_path, kit, library):
    async def work():
        async with kit.gateway() as gw, kit.watched(tmp_path, gw.port, library=library) as seen:
            await seen.session.connect()
            await seen.ready()
            gw.mute.add("16")
            link = seen.session.link
            for _ in range(2):
                with pytest.raises(ListIncomplete):
                    await link.read("open_orders", 0.05)
            await seen.until(lambda: len(seen.told) == 2)
            assert seen.told[1] == ("LINK_DOWN", "open_orders_unanswered")

    run(work())


def test_nothing_takes_its_turn_over_a_connection_that_has_ended(tmp_path, kit, library):
    async def work():
        async with kit.gateway() as gw, kit.watched(tmp_path, gw.port, library=library) as seen:
            await seen.session.connect()
            await seen.ready()
            link = seen.session.link
            gw.hang_up()
            await seen.until(lambda: link.lost.done())
            with pytest.raises(LinkDown, match="closed"):
                await link.turn(Urgency.ORDER)
            with pytest.raises(LinkDown, match="closed"):
                await link.read("executions", 5.0)

    run(work())


def test_leaving_takes_no_time_and_sends_nothing_more(tmp_path, kit, library):
    async def work():
        async with kit.gateway() as gw, kit.watched(tmp_path, gw.port, library=library) as seen:
            await seen.session.connect()
            await seen.ready()
            before_s = asyncio.get_running_loop().time()
            await seen.session.disconnect()
            assert asyncio.get_running_loop().time() - before_s < 2.0
            with pytest.raises(GatewayLost):
                _ = seen.session.link
            assert seen.session.state is State.DOWN

    run(work())
