"""Handshake, versions, client ids, the message rate, and clients that mean no good."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys

import pytest
from bifrost_ib.simgateway import SimGateway
from bifrost_ib.simgateway.framing import PREFIX, frame
from bifrost_ib.simgateway.limiter import SlidingWindow
from bifrost_ib.simgateway.sessions import choose_version

VERSIONS = [
    (b"v157..176", 178, 176),
    (b"v157..178", 178, 178),
    (b"v100..157", 178, 157),
    (b"v157..178", 163, 163),
    (b"v157..178 +PACEAPI", 178, 178),
    (b"v170", 178, 170),
    (b"v100..156", 178, None),
    (b"v177..178", 176, None),
    (b"", 178, None),
    (b"v157..178\xff", 178, None),
]


@pytest.mark.parametrize(("hello", "own", "chosen"), VERSIONS)
def test_the_version_is_the_highest_that_both_know(hello, own, chosen):
    assert choose_version(hello, own) == chosen


def test_a_client_gets_account_next_id_and_farm_notices_once_it_starts(play):
    async def act(stage):
        client = await stage.client()
        assert client.names() == ["managedAccounts", "nextValidId", "error", "error", "error"]
        assert client.said[0][1]["accounts"] == "DU1,DU2"
        assert [error["code"] for error in client.heard("error")] == [2104, 2106, 2158]

    play(act, accounts=("DU1", "DU2"))


def test_a_request_before_the_start_is_ignored(play, dial):
    async def act(stage):
        client = await dial(stage.gateway)
        client.ask("reqPositions")
        await client.start()
        assert client.names()[0] == "managedAccounts"
        client.close()

    play(act)


def test_an_account_that_could_be_real_is_refused():
    with pytest.raises(ValueError, match="starts with D"):
        SimGateway(accounts=["U1234567"])


def test_a_client_id_in_use_draws_326_and_a_closed_socket(play, dial):
    async def act(stage):
        await stage.client(7)
        second = await dial(stage.gateway)
        second.ask("startApi", clientId=7)
        assert await second.ended()
        assert [error["code"] for error in second.heard("error")] == [326]
        assert stage.gateway.clients() == [7]

    play(act)


def test_a_lingering_id_stays_taken_after_its_client_is_gone(play, dial, manual_clock):
    async def act(stage):
        first = await stage.client(7)
        first.close()
        while stage.gateway.clients():
            await asyncio.sleep(0.01)
        second = await dial(stage.gateway)
        second.ask("startApi", clientId=7)
        assert await second.ended()
        await manual_clock.advance(31)
        await stage.client(7)
        assert stage.gateway.clients() == [7]

    play(act, linger=30, clock=manual_clock)


def test_the_fifty_first_message_in_a_second_is_one_too_many():
    now = [0.0]
    window = SlidingWindow(lambda: now[0])
    assert all(window.allows() for _ in range(50))
    assert not window.allows()
    now[0] = 1.0
    assert not window.allows()  # the first fifty are not yet more than a second old
    now[0] = 1.01
    assert window.allows()
    assert window.violations == 2


def test_too_many_messages_draw_error_100_and_at_last_a_closed_socket(play):
    async def act(stage):
        client = await stage.client()
        for _ in range(49):  # startApi was the first of the fifty
            client.ask("reqCurrentTime")
        await client.until("currentTime")
        for _ in range(3):
            client.ask("reqCurrentTime")
        assert await client.ended()
        assert [error["code"] for error in client.heard("error")][3:] == [100, 100, 100]

    play(act)


GARBAGE = {
    "no greeting": b"GET / HTTP/1.1\r\n\r\n",
    "a huge hello": b"API\0" + PREFIX.pack(1 << 30),
    "an empty hello": b"API\0" + PREFIX.pack(0),
    "half a hello": b"API\0" + PREFIX.pack(20) + b"v157",
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_instead_of_a_handshake_ends_that_connection_alone(play, name):
    async def act(stage):
        reader, writer = await asyncio.open_connection("127.0.0.1", stage.gateway.port)
        writer.write(GARBAGE[name])
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        await stage.client()  # the others are served

    play(act)


BROKEN = [
    [],
    [""],
    ["x"],
    ["-1"],
    ["99999999999999999999"],
    ["3"],
    ["3", "one"],
    ["3", "9" * 5_000],
    ["1", "11", "1", "NaN"],
    ["7", "3"],
    ["62", "1", "1"],
    ["71", "2", "5"],
    ["6", "2", "1", "\0"],
]


def test_broken_messages_are_answered_or_ignored_and_the_session_goes_on(play):
    async def act(stage):
        client = await stage.client()
        for fields in BROKEN:
            client.writer.write(frame(fields))
        client.writer.write(PREFIX.pack(3) + b"\xff\xfe\xfd")
        client.ask("reqCurrentTime")
        await client.until("currentTime")
        assert {error["code"] for error in client.heard("error")[3:]} <= {320, 321}

    play(act)


def test_an_endless_frame_ends_the_connection(play):
    async def act(stage):
        client = await stage.client()
        client.writer.write(PREFIX.pack(1 << 31))
        assert await client.ended()
        await stage.client(2)

    play(act)


@pytest.mark.parametrize("seed", range(3))
def test_orders_with_mutilated_fields_never_take_the_gateway_down(play, seed):
    chance = random.Random(seed)
    odd = (
        "",
        "0",
        "-1",
        "NaN",
        "Infinity",
        "1e999",
        "1e-400",
        "x" * 100,
        "\\",
        "é",
        "1.7976931348623157E308",
    )

    async def act(stage):
        client = await stage.client()
        client.place(1)
        for number in range(40):
            fields = client.order_fields(number + 2)
            for _ in range(chance.randrange(1, 4)):
                fields[chance.randrange(1, len(fields))] = chance.choice(odd)
            client.writer.write(frame(fields[: chance.randrange(20, len(fields) + 1)]))
        client.ask("reqCurrentTime")
        await client.until("currentTime")
        assert not [error for error in client.heard("error") if error["code"] == 322]

    play(act)


def test_the_protocol_needs_the_standard_library_alone():
    code = (
        "import sys, bifrost_ib.simgateway.sessions\n"
        "roots = {name.partition('.')[0] for name in sys.modules}\n"
        "print(sorted(roots - set(sys.stdlib_module_names) - {'bifrost_ib', '__main__'}))"
    )
    # -S: no site-packages hooks of editable installs, which import what they like
    path = [entry for entry in sys.path if entry]
    found = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:] = {path!r}\n{code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == "[]"


def test_a_client_that_never_reads_is_hung_up_on_and_keeps_nothing_open(play):
    async def act(stage):
        client = await stage.client()
        client.reader._transport.pause_reading()
        for number in range(40):
            client.ask("reqContractDetails", reqId=number, symbol="NVDA", secType="OPT")
        async with asyncio.timeout(20):
            while stage.gateway.clients():
                await asyncio.sleep(0.01)
        await stage.client(2)

    play(act)
