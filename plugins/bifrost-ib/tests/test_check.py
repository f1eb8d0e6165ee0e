"""The self-check of the way to Interactive Brokers: what it finds, and what it says mends it."""

from __future__ import annotations

import asyncio
import socket

import pytest
from bifrost_ib import compat
from bifrost_ib.check import check
from bifrost_ib.compat import TRADING
from bifrost_ib.config import IBConfig
from bifrost_ib.link import Link
from bifrost_ib.simgateway import SimGateway

from bifrost_engine.domain import Contract
from bifrost_engine.testing import make_config, make_context
from bifrost_engine.testing.build import START_NS

NVDA = Contract.stock("NVDA")
ALL_OK = ["ib library", "ib gateway", "ib api", "ib account", "ib orders", "ib market data NVDA"]


def checked(tmp_path, library, gateway=None, is_watching=False, **section):
    """Return name, result, what was found and what mends it, of each finding; and what the gateway got."""

    async def work():
        async with SimGateway(start_ns=START_NS, **(gateway or {})) as gw:
            config = make_config(IBConfig, **{"port": gw.port, "library": library, **section})
            context = make_context(tmp_path, name="ib")
            found = await check(config, context, [NVDA], is_watching=is_watching)
            return found, {one.name for one in gw.received}

    found, received = asyncio.run(asyncio.wait_for(work(), 50.0))
    return {one.name: (str(one.result), one.found, one.mend) for one in found}, received


def test_a_good_way_is_tried_to_its_end_and_nothing_is_sent_that_trades(tmp_path, library):
    found, received = checked(tmp_path, library)
    assert list(found) == ALL_OK
    assert {result for result, _, _ in found.values()} == {"ok"}
    assert library in found["ib library"][1]
    assert "eventkit from" in found["ib library"][1]
    assert "DU1234567, a paper account" in found["ib account"][1]
    assert not received & set(TRADING.values())


def test_nobody_listening_names_the_setting_of_tws_and_ends_there(tmp_path, library):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        found, _ = checked(tmp_path, library, port=taken.getsockname()[1])
    assert list(found) == ["ib library", "ib gateway"]
    result, what, mend = found["ib gateway"]
    assert result == "failed"
    assert "nobody listens" in what
    assert "Configure > API > Settings" in mend
    assert "Enable ActiveX and Socket Clients" in mend


def test_a_gateway_that_says_nothing_names_login_dialog_and_trusted_ips(tmp_path, library, monkeypatch):
    from bifrost_ib import check as checking

    monkeypatch.setattr(checking, "GREET_S", 0.5)

    async def say_nothing(reader, writer):
        await reader.read()
        writer.close()

    async def work():
        silent = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
        port = silent.sockets[0].getsockname()[1]
        config = make_config(IBConfig, port=port, library=library)
        found = await check(config, make_context(tmp_path, name="ib"), [NVDA])
        silent.close()
        return found

    found = asyncio.run(work())
    assert [(one.name, str(one.result)) for one in found][-1] == ("ib api", "failed")
    assert "Trusted IPs" in found[-1].mend
    assert "finish the login" in found[-1].mend


def test_a_client_id_in_use_is_said_to_be(tmp_path, library):
    async def work():
        async with SimGateway(start_ns=START_NS) as gw:
            config = make_config(IBConfig, port=gw.port, library=library, client_id=7)
            other = Link(compat.load(library), config, lambda message: None, lambda name, error: None)
            await other.open()
            found = await check(config, make_context(tmp_path, name="ib"), [NVDA])
            other.close()
            return found

    found = asyncio.run(asyncio.wait_for(work(), 40.0))
    assert (found[-1].name, str(found[-1].result)) == ("ib api", "failed")
    assert "client id 7 is in use" in found[-1].found
    assert "ib.client_id" in found[-1].mend


def test_a_read_only_interface_names_the_box_to_untick(tmp_path, library, kit):
    async def refuse(gw):
        await gw.until(lambda: any(fields[0] == "5" for fields in gw.received))
        gw.error(321, "Error validating request: The API interface is currently in Read-Only mode.")

    async def work():
        async with kit.gateway(mute=("5",)) as gw:
            config = make_config(IBConfig, port=gw.port, library=library)
            refusing = asyncio.create_task(refuse(gw))
            found = await check(config, make_context(tmp_path, name="ib"), [])
            await refusing
            return found

    found = asyncio.run(asyncio.wait_for(work(), 30.0))
    assert (found[-1].name, str(found[-1].result)) == ("ib orders", "failed")
    assert "untick 'Read-Only API'" in found[-1].mend


@pytest.mark.parametrize(
    ("gateway", "section", "words"),
    [
        ({"accounts": ("DU1", "DU2")}, {}, "the login has DU1, DU2"),
        ({}, {"account": "DU9"}, "ib.account is DU9"),
        ({}, {"live": True}, "DU1234567 is a paper account, and ib.live is true"),
    ],
)
def test_an_account_that_cannot_be_meant_is_a_failure(tmp_path, library, gateway, section, words):
    found, _ = checked(tmp_path, library, gateway=gateway, **section)
    result, what, _ = found["ib account"]
    assert result == "failed"
    assert words in what


def test_for_a_rehearsal_any_account_will_do_and_orders_are_no_matter(tmp_path, library):
    found, _ = checked(tmp_path, library, is_watching=True, live=True)
    assert list(found) == [name for name in ALL_OK if name != "ib orders"]
    assert found["ib account"][0] == "ok"


def test_a_missing_subscription_says_where_to_get_one(tmp_path, library):
    found, _ = checked(tmp_path, library, gateway={"script": {"market": {"not_subscribed": ["NVDA"]}}})
    result, what, _ = found["ib market data NVDA"]
    assert result == "failed"
    assert "Market Data Subscriptions" in what


def test_a_gateway_elsewhere_is_a_yellow_line(tmp_path, library):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing; tells which address this machine would use
        own = probe.getsockname()[0]
    if own.startswith("127."):
        pytest.skip("this machine has no address but loopback")
    found, _ = checked(tmp_path, library, gateway={"host": "0.0.0.0"}, host=own)
    result, what, mend = found["ib transport"]
    assert result == "warning"
    assert "insecure_transport" in what
    assert "SSH or WireGuard" in mend
    assert found["ib api"][0] == "ok"
