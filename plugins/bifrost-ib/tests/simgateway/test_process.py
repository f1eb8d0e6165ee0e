"""The gateway as a process: its command line, its control port, its record after a kill."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest


class Process:
    """One gateway process, and a line to its control port."""

    async def start(self, *options: str) -> Process:
        command = [
            sys.executable,
            "-m",
            "bifrost_ib.simgateway",
            "--port",
            "0",
            "--control-port",
            "0",
            *options,
        ]
        self.process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
        self.said = []
        self.port = await self._port("listening on")
        self.control = await asyncio.open_connection("127.0.0.1", await self._port("control on"))
        return self

    async def _port(self, words: str) -> int:
        async with asyncio.timeout(90):
            while line := (await self.process.stdout.readline()).decode():
                self.said.append(line)
                if line.startswith(words):
                    return int(line.rpartition(":")[2])
        raise AssertionError(self.said)

    async def ask(self, **asked):
        reader, writer = self.control
        writer.write(json.dumps(asked).encode() + b"\n")
        return json.loads(await asyncio.wait_for(reader.readline(), 10))

    async def end(self, how: int) -> int:
        self.control[1].close()
        self.process.send_signal(how)
        return await asyncio.wait_for(self.process.wait(), 10)


def run(act):
    async def bounded():
        async with asyncio.timeout(200):
            await act()

    asyncio.run(bounded())


def test_a_killed_gateway_comes_back_with_orders_positions_and_higher_ids(tmp_path, dial):
    async def act():
        options = ("--state", str(tmp_path / "gateway.db"), "--symbol", "NVDA=130")
        first = await Process().start(*options)
        assert "simulation" in first.said[0]
        await first.ask(do="price", contract="NVDA", bid=130.0, ask=130.02)
        client = await dial(SimpleNamespace(port=first.port))
        await client.start()
        client.place(1, orderRef="filled")
        client.place(2, orderRef="rests", orderType="LMT", lmtPrice=1)
        await client.until("orderStatus", lambda v: v["orderId"] == 2 and v["status"] == "Submitted")
        before = await first.ask(get="orders")
        assert await first.end(signal.SIGKILL) == -signal.SIGKILL

        second = await Process().start(*options)
        assert (await second.ask(get="orders"))["value"] == before["value"]
        assert (await second.ask(get="positions"))["value"] == {"DU1234567": {"NVDA|STK|||": "100"}}
        again = await dial(SimpleNamespace(port=second.port))
        assert await again.start() == 3
        again.ask("reqExecutions", reqId=1)
        execution = await again.until("execDetails")
        assert (execution["orderRef"], execution["permId"]) == ("filled", before["value"][0]["perm_id"])
        await second.ask(
            do="price", contract="NVDA", bid=0.5, ask=0.9
        )  # the order that rests is in the market
        await again.until("orderStatus", lambda v: v["orderId"] == 2 and v["status"] == "Filled")
        assert (await second.ask(get="received"))["value"][0]["name"] == "startApi"
        assert await second.end(signal.SIGTERM) == 0

    run(act)


def test_the_control_port_waits_acts_and_says_what_is_wrong(dial):
    async def act():
        gateway = await Process().start("--symbol", "NVDA=130")
        client = await dial(SimpleNamespace(port=gateway.port))
        await client.start()
        waiting = asyncio.create_task(gateway.ask(wait_for_order=1))
        client.place(1, orderRef="a")
        assert (await waiting)["value"]["order_ref"] == "a"
        for odd in (
            {"do": "fly"},
            {"get": "rich"},
            {"get": ["orders"]},
            {"do": "steps", "order": 9},
            {"do": "steps", "order": 0},
            {"x": 1},
            {"wait_for_order": 9, "timeout": 0.01},
        ):
            answer = await gateway.ask(**odd)
            assert (answer["ok"], bool(answer["error"])) == (False, True)
        assert "expected one of port, orders" in (await gateway.ask(get="rich"))["error"]
        assert "no order 9, there are 1" in (await gateway.ask(do="steps", order=9))["error"]
        assert (await gateway.ask(get="clients"))["value"] == [1]
        assert (await gateway.ask(do="disconnect"))["ok"]
        assert await client.ended()
        assert await gateway.end(signal.SIGTERM) == 0

    run(act)


FAULTS = {
    "starts with D": ("--accounts", "U1234567"),
    "expected sim or replay:PATH": ("--feed", "real"),
    "isn't known": ("--script",),
}


@pytest.mark.parametrize("words", FAULTS)
def test_a_wrong_option_ends_it_with_one_line(words, tmp_path):
    script = tmp_path / "script.yaml"
    script.write_text("tricks: []\n")
    options = [*FAULTS[words], *([str(script)] if words == "isn't known" else [])]
    found = subprocess.run(
        [sys.executable, "-m", "bifrost_ib.simgateway", "--port", "0", *options],
        capture_output=True,
        text=True,
    )
    assert found.returncode == 1
    assert words in found.stderr
    assert "Traceback" not in found.stderr
