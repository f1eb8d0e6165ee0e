"""A real daemon on the quotes of a gateway: trading on them, and rehearsing on them without an order."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from decimal import Decimal

import mischief
import pytest
from bifrost_ib.compat import TRADING
from bifrost_ib.simgateway import SimGateway
from daemon_under_test import Home, eager, sink_of, until

from bifrost_engine.config.loader import Override

NVDA, CALL = "NVDA|STK|||", "NVDA|OPT|20301220|130|C"
HELD = {
    "account": {
        "positions": {
            NVDA: {"quantity": 120, "average_cost": "101.5"},
            CALL: {"quantity": -3, "average_cost": "250.25"},
        }
    }
}
NO_TRADER = [{"id": "calm", "symbol": "SPY"}]
DURABLE = {"latency_ms": 0, "latency_jitter_ms": 0}


@pytest.fixture
def desk(tmp_path, monkeypatch, library, market_is_known):
    """Return what gives a daemon at a simulated gateway."""
    monkeypatch.syspath_prepend(str(mischief.install(tmp_path)))

    @asynccontextmanager
    async def opened(*, gateway=None, home=None, ib=None, **changed):
        async with SimGateway(**{"script": HELD, **(gateway or {})}) as gw:
            gw.market.pin(NVDA, 99.99, 100.01)
            gw.market.pin(CALL, 5.0, 5.1)
            section = {
                "port": gw.port,
                "library": library,
                "retry_ib": {"first": 0.1, "max": 0.2},
                **(ib or {}),
            }
            given = {"feed": "ib", "ib": section, "paper": DURABLE, **changed}
            here = Home(tmp_path, **given) if home is None else home
            if home is not None:
                here.write(**given)
            async with here.running() as daemon:
                yield gw, daemon, here

    return opened


def run(work):
    asyncio.run(asyncio.wait_for(work(), 180.0))


def received(gw):
    return {one.name for one in gw.received}


def paper(daemon):
    return daemon.parts.plugins.plugin("brokers", "paper")


async def compared(daemon):
    await until(lambda: daemon.engine.core.reconciled)


async def traded(gw, daemon, home):
    """Wait for a fill. The strategy looks at quotes alone, and the first may come before the comparison."""
    await compared(daemon)
    gw.market.pin(NVDA, 99.99, 100.01, size=7)
    await until(lambda: home.operations("fill"))


def test_a_rehearsal_on_live_quotes_trades_on_paper_and_nothing_reaches_the_wire(desk):
    async def work():
        async with desk(broker="paper", strategies=[eager(target=130)]) as (gw, daemon, home):
            await traded(gw, daemon, home)
            # Its own book bought all that it wanted; the copy's 120 shares are nobody's.
            assert home.operations("fill")[0]["side"] == "BUY"
            assert Decimal(home.operations("fill")[0]["price"]) == Decimal("100.01")
            client = daemon.parts.plugins.plugin("feeds", "ib").session.link.ib.client
            with pytest.raises(Exception, match="without orders"):
                client.reqGlobalCancel()
            assert "reqMktData" in received(gw)
            assert not received(gw) & set(TRADING.values())
            assert gw.orders == []

    run(work)


def test_the_paper_account_is_a_copy_of_the_positions_with_their_costs_and_stays_one(desk):
    async def work():
        async with desk(broker="paper", strategies=NO_TRADER) as (_, daemon, home):
            await compared(daemon)
            held = paper(daemon)._venue.ledger.account.holdings
            assert {key: (one.quantity, one.shown().average_cost) for key, one in held.items()} == {
                NVDA: (120, Decimal("101.5")),
                CALL: (-3, Decimal("250.25")),
            }
            state = daemon.engine.core.state.portfolio.account_quantities()
            assert (state[NVDA], state[CALL]) == (120, -3)
        home_again = home
        async with desk(broker="paper", home=home_again, strategies=NO_TRADER) as (gw, daemon, _):
            await gw.do("trade", contract=NVDA, quantity=50)
            await compared(daemon)
            assert paper(daemon)._venue.ledger.account.quantity(NVDA) == 120

    run(work)


def test_a_rehearsal_waits_for_the_gateway_before_its_account_is_opened(desk):
    async def work():
        refuse = {"ib": {"port": 1}}
        changed = {"daemon": {"shutdown_grace_seconds": 1, "ib_retry_interval": 1}}
        async with desk(broker="paper", strategies=NO_TRADER, **refuse, **changed) as (_, daemon, _home):
            await until(lambda: daemon.engine.core.lifecycle == "WAITING_IB", 20.0)
            assert not paper(daemon).record_path.exists()
            notices = daemon.engine.snapshots()[0]["notices"]
            assert any(notice.startswith("feed_connection: ib: refused") for notice in notices)

    run(work)


def test_prices_of_the_tables_have_the_last_trade_of_stock_and_option(desk):
    async def work():
        settings = {"status": {"sink": ["plain"]}, "daemon": {"heartbeat_interval": 5}}
        async with desk(broker="paper", strategies=[eager()], **settings) as (_, daemon, _home):
            sink = sink_of(daemon, "plain")

            def shown():
                rows = sink.prices[-1] if sink.prices else ()
                return {row["contract_key"]: (row["bid"], row["ask"], row["last"]) for row in rows}

            await until(lambda: shown().keys() >= {NVDA, CALL}, 30.0)
            assert shown() == {NVDA: (99.99, 100.01, 100.0), CALL: (5.0, 5.1, 5.05)}

    run(work)


def test_a_gateway_that_is_slow_holds_up_nothing_of_a_rehearsal(desk):
    async def keep_waiting(reader, writer):
        await reader.read()
        writer.close()

    async def work():
        silent = await asyncio.start_server(keep_waiting, "127.0.0.1", 0)
        slow = {"ib": {"port": silent.sockets[0].getsockname()[1]}}
        async with silent, desk(broker="paper", strategies=NO_TRADER, **slow) as (_, daemon, home):
            assert not daemon.engine.core.connected
            home.command("suspend")
            await until(lambda: home.operations("suspend"), 4.0)
            assert not paper(daemon).record_path.exists()

    run(work)


def test_a_missing_subscription_is_told_in_the_status(desk):
    async def work():
        script = {**HELD, "market": {"not_subscribed": ["NVDA"]}}
        async with desk(broker="paper", strategies=[eager(target=10)], gateway={"script": script}) as (
            _,
            daemon,
            home,
        ):
            await until(lambda: daemon.engine.snapshots()[0]["notices"])
            (notice, *_) = daemon.engine.snapshots()[0]["notices"]
            assert notice.startswith(f"not_subscribed: {NVDA}: this login has no live market data")
            assert home.operations("order_sent") == []

    run(work)


def test_broker_and_feed_share_one_connection_and_trade_on_its_quotes(desk):
    async def work():
        one = {"strategies": [eager(target=10)], "status": {"sink": ["plain"]}}
        async with desk(broker="ib", **one) as (gw, daemon, home):
            await traded(gw, daemon, home)
            assert gw.clients() == [1]
            assert len(gw.orders) == 1
            await until(lambda: daemon.connections.client_id == 1)

    run(work)


def test_every_account_of_the_login_is_shown_with_its_positions(desk):
    async def work():
        two = {"accounts": ("DU1", "DU2")}
        changed = {"strategies": NO_TRADER, "status": {"sink": ["plain"]}}
        async with desk(broker="ib", gateway=two, ib={"account": "DU1"}, **changed) as (_gw, daemon, _):
            sink = daemon.parts.plugins.plugin("sinks", "plain")
            await until(lambda: sink.accounts)
            shown = {one["account_id"]: one for one in sink.accounts[-1]}
            assert set(shown) == {"DU1", "DU2"}
            held = {one["contract_key"]: one["avg_cost"] for one in shown["DU1"]["positions"]}
            assert held == {NVDA: Decimal("101.5"), CALL: Decimal("250.25")}
            assert shown["DU2"]["positions"] == []
            assert shown["DU2"]["complete"]
            assert all(one["summary"]["net_liquidation"] > 0 for one in shown.values())

    run(work)


def test_greeks_of_the_gateway_move_the_strategy_where_it_wants_them(desk):
    gates = {
        "strategy": {
            "trading_hours_only": False,
            "structure": {"min_dte": 0, "max_dte": 3650, "atm_band_pct": 0.9},
        }
    }
    gamma = {"id": "gamma", "symbol": "NVDA", "gates": gates, "greeks": {"use_broker_greeks": True}}

    async def work():
        async with desk(broker="paper", strategies=[gamma]) as (_, daemon, _home):
            await until(lambda: daemon.engine.snapshots()[0]["net_delta"] is not None)
            told = daemon.engine.core.greeks[CALL]
            shot = daemon.engine.snapshots()[0]
            stock = 120 if shot["stock_position"] == 0 else shot["stock_position"]
            assert shot["net_delta"] == pytest.approx(-300 * told.delta + stock, abs=40)

    run(work)


def test_a_gateway_elsewhere_is_warned_of_and_stays_in_the_status(desk):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing; tells which address this machine would use
        own = probe.getsockname()[0]
    if own.startswith("127."):
        pytest.skip("this machine has no address but loopback")

    async def work():
        elsewhere = {"gateway": {"host": "0.0.0.0"}, "ib": {"host": own}}
        async with desk(broker="ib", strategies=NO_TRADER, **elsewhere) as (_, daemon, _home):
            await compared(daemon)
            (notice,) = daemon.engine.snapshots()[0]["notices"]
            assert notice.startswith(f"insecure_transport: {own}:")
            assert "tunnel" in notice

    run(work)


def test_a_gateway_on_this_machine_is_no_matter(desk):
    async def work():
        async with desk(broker="ib", strategies=NO_TRADER) as (_, daemon, _home):
            await compared(daemon)
            assert daemon.engine.snapshots()[0]["notices"] == []

    run(work)


def test_settings_saved_in_a_sink_are_over_the_file_and_under_the_command_line(desk):
    async def work():
        async with SimGateway() as gw:
            saved = {"sink": ["plain"], "plain": {"saved": {"ib": {"host": "127.0.0.1", "port": gw.port}}}}
            wrong = {"ib": {"port": 1, "client_id": 9}, "status": saved}
            async with desk(broker="ib", strategies=NO_TRADER, **wrong) as (_, daemon, home):
                await compared(daemon)
                assert gw.clients() == [9]
            override = (Override("ib.port", 2),)
            loaded = home.daemon(overrides=override)
            async with home.running(overrides=override) as daemon:
                assert daemon.config.sections["ib"]["port"] == 2
                assert daemon.config.sections["ib"]["host"] == "127.0.0.1"
                assert loaded.config.sections["ib"]["port"] == 2
                assert gw.clients() == []

    run(work)
