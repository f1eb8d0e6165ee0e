"""A real daemon that trades through the simulated gateway: what it records of what happens there."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from decimal import Decimal
from importlib import import_module
from urllib.request import urlopen

import mischief
import pytest
from attrs import evolve
from bifrost_ib.session import State
from bifrost_ib.simgateway import SimGateway
from daemon_under_test import Home, eager, sink_of, until
from structlog.testing import capture_logs

KEY = "NVDA|STK|||"
BUY_TEN = {"target": 10}
QUICK_PROOF = {"proof_gap": 0.5, "min_age": 0.5}


class Floor:
    """A daemon and its gateway."""

    def __init__(self, daemon, home, gw):
        self.daemon, self.home, self.gw = daemon, home, gw

    @property
    def session(self):
        return self.daemon.parts.plugins.plugin("brokers", "ib").session

    @property
    def engine(self):
        return self.daemon.engine.core

    @property
    def orders(self):
        """Our orders as the engine knows them, in order."""
        return list(self.engine.state.orders.values())

    @property
    def sent(self):
        """The orders that reached the gateway, by client order id."""
        return [asked.values["orderRef"] for asked in self.gw.received if asked.name == "placeOrder"]

    @property
    def cancels(self):
        """How many cancels reached the gateway."""
        return [asked.name for asked in self.gw.received].count("cancelOrder")

    @property
    def trades(self):
        """Quantities of the fills that the journal has and the gateway reported."""
        return [r.payload["quantity"] for r in self.home.records("fill") if r.payload["kind"] == "TRADE"]

    @property
    def costs(self):
        """Commissions of the fills in the books, None where none was told."""
        books = self.engine.state.portfolio.books.values()
        return [fill.commission for book in books for fill in book.fills()]

    @property
    def held(self):
        return self.engine.state.portfolio.account_quantities().get(KEY, Decimal(0))

    async def until(self, holds):
        await until(holds)

    async def order_is(self, state, number=1):
        await self.until(lambda: len(self.orders) >= number and self.orders[number - 1].state == state)
        return self.orders[number - 1]

    async def reconnected(self):
        """Wait until the link that is there next is ready and the books were compared."""
        await self.until(lambda: self.session.state is State.READY and self.engine.reconciled)

    async def over_midnight(self, happens):
        """Let something happen while the link is away, and the gateway's day end before it is back."""
        await self.gw.do("refuse")
        await self.gw.do("disconnect")
        await self.until(lambda: not self.engine.connected)
        await happens()
        await self.gw.do("midnight")
        await self.gw.do("refuse", seconds=0.1)

    def rules(self):
        """Rules of the findings that comparisons with the gateway had, in order."""
        return [r.payload["rule"] for r in self.home.records("recon_item")]

    def events(self, number=1):
        """Kinds of what the journal has of an order, in order."""
        coid = self.orders[number - 1].client_order_id
        return [r.payload["event"] for r in self.home.records("order_event") if r.client_order_id == coid]


@pytest.fixture
def floor(tmp_path, monkeypatch, library, market_is_known):
    """Return what gives a floor; ``script`` is the gateway's, the rest are settings of the daemon."""
    monkeypatch.syspath_prepend(str(mischief.install(tmp_path)))

    @asynccontextmanager
    async def open_floor(script=None, gateway=None, **changed):
        async with SimGateway(accounts=("DU1",), script=script or {}, **(gateway or {})) as gw:
            gw.market.pin(KEY, 99.99, 100.01)
            home = home_of(gw, **changed)
            async with home.running() as daemon:
                yield Floor(daemon, home, gw)

    def home_of(gw, strategy=BUY_TEN, order=None, ib=None, **changed):
        given = {
            "broker": "ib",
            "feed": "pushed",
            "pushed": {"step_ms": 50, "swing": 0.0},
            "strategies": [eager(**strategy, **({"order": order} if order else {}))],
            "recon": QUICK_PROOF,
            "ib": {
                "port": gw.port,
                "account": "DU1",
                "library": library,
                "retry_ib": {"first": 0.1, "max": 0.2},
                **(ib or {}),
            },
        }
        return Home(tmp_path, **{**given, **changed})

    open_floor.home_of = home_of
    return open_floor


def run(work):
    asyncio.run(asyncio.wait_for(work(), 80.0))


def test_a_hedge_is_sent_acknowledged_and_filled_in_that_order(floor):
    async def work():
        async with floor() as f:
            await f.order_is("FILLED")
            await f.until(lambda: f.held == 10)
            (order,) = f.orders
            assert f.sent == [order.client_order_id]
            events = f.events()
            assert events == ["SUBMIT", "PLACED", "ACK", "FILL_FULL"]
            (fill,) = [r.payload for r in f.home.records("fill") if r.payload["kind"] == "TRADE"]
            assert (fill["quantity"], fill["price"]) == ("10", "100.01")
            (execution,) = f.gw.executions
            assert execution.order_ref == order.client_order_id
            await f.until(lambda: f.costs == [execution.commission])

    run(work)


def test_a_rejection_is_told_once_with_its_reason(floor):
    script = {
        "orders": [{"n": 1, "steps": [{"reject": {"code": 201, "text": "margin"}}]}, {"steps": ["hold"]}]
    }

    async def work():
        async with floor(script) as f:
            order = await f.order_is("REJECTED")
            assert (order.reason_code, order.reason_text) == ("201", "margin")
            assert f.events().count("REJECT") == 1
            assert f.held == 0

    run(work)


@pytest.mark.parametrize(
    "steps",
    [
        [{"error": {"code": 10349, "text": "Order TIF was set to DAY"}}, "ack", {"fill": "rest"}],
        [{"error": {"code": 399, "text": "Warning: held until the open"}}, "ack", {"fill": "rest"}],
        ["ack", {"error": {"code": 2109, "text": "outside rth is ignored"}}, {"fill": "rest"}],
        ["ack", {"fill": "rest"}, "dup_exec", "dup_status", "dup_exec"],
        ["ack", {"reorder": ["commission", "exec", "status", "open", "position"]}, {"fill": "rest"}],
        ["ack", {"reorder": ["status", "position", "exec"]}, {"fill": "rest"}],
        [{"fill": "rest"}],
        ["ack", {"fill": {"qty": "rest", "commission": "never"}}],
    ],
)
def test_whatever_is_said_around_it_a_fill_is_booked_once_and_ends_the_order(floor, steps):
    async def work():
        async with floor({"orders": [{"n": 1, "steps": steps}]}) as f:
            await f.order_is("FILLED")
            await f.until(lambda: f.held == 10)
            assert not {"CANCEL_OK", "REJECT", "EXPIRE"} & set(f.events())
            await f.session.link.read("positions", 5.0)  # after all that was said
            (execution,) = f.gw.executions
            await f.until(lambda: f.costs == [None if "never" in str(steps) else execution.commission])
            fills = [r.payload for r in f.home.records("fill") if r.payload["kind"] == "TRADE"]
            assert len(fills) == 1
            assert len(f.sent) == 1

    run(work)


def test_a_correction_replaces_the_execution_it_corrects(floor):
    steps = ["ack", {"fill": "rest"}, {"wait": 0.2}, {"correct": {"price": "100.05"}}]

    async def work():
        async with floor({"orders": [{"n": 1, "steps": steps}]}) as f:
            order = await f.order_is("FILLED")
            await f.until(lambda: f.orders[0].average_price == Decimal("100.05"))
            assert f.held == 10
            assert len(f.orders[0].executions) == 1
            assert order.cum_quantity == 10

    run(work)


LIMIT = {"target": 10, "limit": True}
SHORT_WORK = {"working_timeout_seconds": 1}


def test_a_partial_fill_and_a_cancel_leave_what_was_filled(floor):
    async def work():
        script = {"orders": [{"n": 1, "steps": ["ack", {"fill": 4}]}, {"steps": ["hold"]}]}
        async with floor(script, strategy=LIMIT, order=SHORT_WORK) as f:
            order = await f.order_is("CANCELED")
            assert (order.cum_quantity, f.held) == (4, 4)
            assert [asked.name for asked in f.gw.received].count("cancelOrder") == 1

    run(work)


def test_a_fill_that_overtakes_the_cancel_ends_the_order_filled(floor):
    done = {"code": 10148, "text": "OrderId 1 that needs to be cancelled cannot be cancelled, state: Filled."}

    async def work():
        script = {
            "orders": [{"n": 1, "steps": ["ack"]}],
            "cancels": [{"steps": [{"fill": "rest"}, {"error": done}]}],
        }
        async with floor(script, strategy=LIMIT, order=SHORT_WORK) as f:
            order = await f.order_is("FILLED")
            await f.reconnected()
            assert (order.cum_quantity, f.held) == (10, 10)
            assert "CANCEL_OK" not in f.events()

    run(work)


CANCEL_SOON = {"working_timeout_seconds": 1, "max_reprices": 0}
UNANSWERED = {"orders": [{"n": 1, "steps": ["ack"]}, {"steps": ["hold"]}], "cancels": [{"do": "ignore"}]}


def test_a_cancel_that_is_never_answered_is_not_repeated_and_a_fill_after_it_is_booked(floor):
    async def work():
        async with floor(UNANSWERED, strategy=LIMIT, order=CANCEL_SOON) as f:
            await f.order_is("CANCEL_REQUESTED")
            await f.until(lambda: f.cancels == 1)
            ticks = f.daemon.quotes_read
            await f.until(lambda: f.daemon.quotes_read > ticks + 20)
            assert (f.orders[0].state, f.cancels, len(f.sent)) == ("CANCEL_REQUESTED", 1, 1)
            await f.gw.do("steps", order=1, steps=[{"fill": "rest"}])
            order = await f.order_is("FILLED")
            await f.until(lambda: f.held == 10)
            assert (order.cum_quantity, f.trades) == (10, ["10"])
            assert "CANCEL_OK" not in f.events()

    run(work)


def test_a_cancel_that_is_asked_for_again_after_the_shortest_time_out_is_sent_again(floor):
    async def work():
        async with floor(UNANSWERED, strategy=LIMIT, order=CANCEL_SOON, oms={"cancel_timeout": 2}) as f:
            await f.until(lambda: f.cancels == 2)
            assert f.rules().count("R22") == 1  # it asked once, and that went out
            assert (len(f.sent), f.orders[0].is_open) == (1, True)

    run(work)


@pytest.mark.parametrize("version", [157, 163, 164, 166, 169, 170, 176, 178])
def test_at_each_version_of_the_protocol_a_fill_and_a_cancel_are_understood(floor, library, version):
    if library == "ib_insync" and version > 176:
        pytest.skip("ib_insync offers 176 at most")

    async def work():
        script = {"orders": [{"n": 1, "steps": ["ack", {"fill": 4}]}, {"steps": ["hold"]}]}
        spoken = {"server_version": version}
        async with floor(script, spoken, strategy=LIMIT, order=CANCEL_SOON) as f:
            order = await f.order_is("CANCELED")
            assert f.session.link.ib.client.serverVersion() == version
            assert (order.cum_quantity, f.held, f.trades) == (4, 4, ["4"])
            assert not f.session.failures  # of the library's decoder, and of what listens to it

    run(work)


# --- when the link breaks ------------------------------------------------------------------


def test_an_order_that_works_while_the_link_is_away_is_found_again(floor):
    async def work():
        async with floor({"orders": [{"steps": ["ack"]}]}, strategy=LIMIT) as f:
            before = await f.order_is("ACCEPTED")
            await f.gw.do("disconnect")
            await f.until(lambda: not f.engine.connected)
            assert f.engine.lifecycle == "WAITING_IB"
            await f.reconnected()
            await f.until(lambda: not f.orders[0].stale)
            (after,) = f.orders
            assert (after.state, after.perm_id) == ("ACCEPTED", before.perm_id)
            assert len(f.sent) == 1

    run(work)


def test_a_fill_while_the_link_is_away_is_booked_once(floor):
    async def work():
        async with floor({"orders": [{"steps": ["ack"]}]}, strategy=LIMIT) as f:
            await f.order_is("ACCEPTED")
            await f.gw.do("disconnect", refuse=0.3)
            await f.gw.do("steps", order=1, steps=[{"fill": "rest"}])
            await f.order_is("FILLED")
            await f.reconnected()
            assert f.held == 10
            fills = [r.payload for r in f.home.records("fill") if r.payload["kind"] == "TRADE"]
            assert len(fills) == 1
            assert len(f.sent) == 1

    run(work)


def test_an_order_whose_acknowledgement_was_lost_is_adopted(floor):
    async def work():
        async with floor({"orders": [{"n": 1, "steps": [{"drop": 0.2}, "ack"]}]}, strategy=LIMIT) as f:
            order = await f.order_is("ACCEPTED")
            await f.reconnected()
            assert order.perm_id == str(f.gw.orders[0].perm_id)
            assert len(f.sent) == 1

    run(work)


def test_a_cancel_that_may_be_lost_with_the_link_is_repeated_over_the_next_one(floor):
    async def work():
        async with floor(UNANSWERED, strategy=LIMIT, order=CANCEL_SOON, oms={"cancel_timeout": 60}) as f:
            await f.order_is("CANCEL_REQUESTED")
            await f.until(lambda: f.cancels == 1)
            await f.gw.do("disconnect")
            await f.until(lambda: f.cancels == 2)
            await f.reconnected()
            await f.gw.do("steps", order=1, steps=[{"fill": "rest"}])
            order = await f.order_is("FILLED")
            await f.until(lambda: f.held == 10)
            assert (order.cum_quantity, f.trades, len(f.sent), f.cancels) == (10, ["10"], 1, 2)
            assert "R22" in f.rules()

    run(work)


def test_ids_stay_above_all_earlier_ones_over_a_restart_of_the_gateway(floor):
    async def work():
        async with floor(strategy={}) as f:
            await f.order_is("FILLED")
            await f.gw.do("restart", down=0.3, silent=0.1)
            await f.until(lambda: not f.engine.connected)
            before = len(f.sent)
            await f.reconnected()
            await f.until(lambda: len(f.sent) > before + 1)
            numbers = [asked.values["orderId"] for asked in f.gw.received if asked.name == "placeOrder"]
            assert numbers == sorted(set(numbers))

    run(work)


def test_while_the_gateway_has_no_servers_no_order_leaves(floor):
    async def work():
        async with floor(strategy={}) as f:
            await f.order_is("FILLED")
            await f.gw.do("lost")
            await f.until(lambda: not f.engine.connected)
            before = len(f.sent)
            ticks = f.daemon.quotes_read
            await f.until(lambda: f.daemon.quotes_read > ticks + 5)
            assert len(f.sent) == before
            await f.gw.do("restored")
            await f.until(lambda: len(f.sent) > before)
            assert f.session.state is State.READY

    run(work)


def test_somebody_elses_trade_counts_in_the_account_and_not_in_the_strategy(floor):
    async def work():
        async with floor() as f:
            await f.order_is("FILLED")
            await f.gw.do("trade", contract="NVDA", quantity=5)
            await f.until(lambda: f.held == 15)
            await f.reconnected()
            assert len(f.sent) == 1

    run(work)


def test_another_clients_order_is_left_alone_and_its_fill_counts_in_the_account(floor, library):
    async def work():
        async with floor() as f:
            await f.order_is("FILLED")
            module = import_module(library)
            other = module.IB()
            await other.connectAsync("127.0.0.1", f.gw.port, clientId=2, timeout=30)
            try:
                stock = module.Stock("NVDA", "SMART", "USD")
                other.placeOrder(stock, module.MarketOrder("BUY", 5, orderRef="by hand", tif="DAY"))
                await f.until(lambda: f.held == 15)
                other.placeOrder(stock, module.LimitOrder("BUY", 7, 50, orderRef="waits", tif="DAY"))
                await f.until(lambda: len(f.gw.orders) == 3)
                ticks = f.daemon.quotes_read
                await f.until(lambda: f.daemon.quotes_read > ticks + 10)
            finally:
                other.disconnect()
            assert f.sent == [f.orders[0].client_order_id, "by hand", "waits"]
            assert (f.orders[0].cum_quantity, f.cancels) == (10, 0)

    run(work)


def test_a_command_connects_at_once_however_long_the_wait_for_the_next_attempt_is(floor):
    async def work():
        async with floor(ib={"retry_ib": {"first": 300, "max": 300}}) as f:
            await f.order_is("FILLED")
            await f.gw.do("refuse")
            await f.gw.do("disconnect")
            await f.until(lambda: not f.engine.connected and f.daemon.connections.next_retry_ns)
            await f.gw.do("refuse", seconds=0.0)
            begun_s = asyncio.get_running_loop().time()
            f.home.command("retry_ib")
            await f.until(lambda: f.session.state is State.READY)
            # Commands are looked for each second; connecting takes less than half of one.
            assert asyncio.get_running_loop().time() - begun_s < 2.5
            await f.reconnected()
            assert len(f.sent) == 1

    run(work)


def test_what_the_plugin_counts_is_served_with_the_daemons_figures(floor):
    def served(url):
        with urlopen(url, timeout=10) as answer:
            return answer.read().decode().splitlines()

    async def work():
        with capture_logs() as lines:
            async with floor(daemon={"shutdown_grace_seconds": 1, "metrics_port": 0}) as f:
                await f.order_is("FILLED")
                (url,) = [line["url"] for line in lines if line["event"] == "figures are served"]
                await f.gw.do("msg", code=100, text="max rate of messages exceeded")
                wanted = 'bifrost_plugin_events_total{event="rate_exceeded",plugin="ib"} 1.0'
                async with asyncio.timeout(20):
                    while wanted not in await asyncio.to_thread(served, url):
                        pass

    run(work)


WHOLE_DAY = ["00:00-12:00 UTC", "12:00-00:00 UTC"]


@pytest.mark.parametrize(("windows", "planned"), [(WHOLE_DAY, True), ([], False)])
def test_a_loss_in_the_gateways_maintenance_reaches_the_newest_state_and_ends_in_trading(
    floor, windows, planned
):
    async def work():
        async with floor(ib={"maintenance": windows}) as f:
            await f.order_is("FILLED")
            assert f.daemon.engine.snapshots()[0]["maintenance_until"] is None
            await f.gw.do("refuse")
            await f.gw.do("disconnect")
            await f.until(lambda: f.engine.lifecycle == "WAITING_IB")
            (row,) = f.daemon.engine.snapshots()
            assert (row["maintenance_until"] is not None) == planned
            assert ("maintenance" in row["block_reasons"]) == planned
            if planned:
                assert 890.0 < row["maintenance_until"] - row["ts"] <= 900.0
            await f.gw.do("refuse", seconds=0.0)
            await f.reconnected()
            await f.until(lambda: f.engine.lifecycle == "RUNNING")
            assert "maintenance" not in f.daemon.engine.snapshots()[0]["block_reasons"]

    run(work)


async def be_silent(reader, writer):
    await reader.read()


async def hang_up(reader, writer):
    writer.close()


async def talk_nonsense(reader, writer):
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 10)
    await reader.read()


async def be_too_old(reader, writer):
    payload = b"100\0" + b"20240102 09:30:00 EST\0"
    writer.write(len(payload).to_bytes(4) + payload)
    await reader.read()


KINDS = {
    "closed": hang_up,
    "connect_timeout": be_silent,
    "not_a_gateway": talk_nonsense,
    "version_too_low": be_too_old,
}


def test_twenty_failed_attempts_of_each_kind_leave_a_daemon_that_beats_and_connects_in_the_end(floor, kit):
    async def work():
        async with kit.gateway() as gw:
            section = {
                "retry_ib": {"first": 0.02, "factor": 1, "max": 0.02},
                "connect_timeout": 0.05,
            }
            changed = {
                "status": {"sink": ["plain"]},
                "daemon": {"heartbeat_interval": 5, "shutdown_grace_seconds": 1},
            }
            home = floor.home_of(gw, ib=section, **changed)
            gw.on_connect = hang_up
            async with home.running() as daemon:
                f = Floor(daemon, home, gw)
                links, beats = daemon.connections, sink_of(daemon, "plain").heartbeats

                async def refused(times):
                    planned = set()
                    await gw.stop()
                    while len(planned) < times:
                        planned.add(links.next_retry_ns)
                        await asyncio.sleep(0.002)
                    await gw.start(gw.port)

                async def tried(times):
                    before = gw.connections
                    await f.until(lambda: gw.connections >= before + times)

                await refused(20)
                assert f.session.why_not.endswith(": refused")
                for reason, behaviour in KINDS.items():
                    gw.on_connect = behaviour
                    await tried(20)
                    assert f.session.why_not.endswith(f": {reason}")
                    assert (f.engine.lifecycle, f.engine.connected) == ("WAITING_IB", False)
                await f.until(lambda: len(beats) >= 2)
                assert {row["daemon_state"] for row in beats[1:]} == {"WAITING_IB"}
                assert not any(row["broker_connected"] for row in beats)
                gw.on_connect = gw._speak
                f.session.config = evolve(f.session.config, connect_timeout=8.0)
                await f.until(lambda: f.session.state is State.READY)
                assert "3" not in [fields[0] for fields in gw.received]

    run(work)


def test_an_account_of_real_money_is_waited_for_and_never_traded_by_a_rehearsal(floor, kit):
    async def work():
        async with kit.gateway(accounts="U123") as gw:
            section = {"account": "", "retry_ib": {"first": 0.02, "max": 0.02}}
            home = floor.home_of(gw, ib=section)
            async with home.running() as daemon:
                f = Floor(daemon, home, gw)
                await f.until(lambda: gw.greets >= 5)
                assert f.session.why_not.endswith(": account_mismatch")
                assert f.engine.lifecycle == "WAITING_IB"
                assert {fields[0] for fields in gw.received} == {"71"}

    run(work)


def test_an_order_that_never_arrived_is_given_up_after_proof_and_never_sent_again(floor):
    """The gateway hangs up as soon as the order is written, and has never heard of it."""

    async def work():
        async with floor(strategy={"target": 0}) as f:
            await f.reconnected()
            request = f.daemon.parts.plugins.plugin("strategies", "eager")
            await f.gw.do("hang")
            request.config = evolve(request.config, target=Decimal(10))
            await f.until(lambda: f.orders and f.orders[0].state in ("SUBMITTED", "UNKNOWN"))
            await f.gw.do("disconnect")
            await f.gw.do("resume")
            request.config = evolve(request.config, target=Decimal(0))
            order = await f.order_is("REJECTED")
            assert f.gw.orders == []
            assert f.sent == []
            assert order.cum_quantity == 0

    run(work)


# --- over midnight, when the gateway forgets its executions --------------------------------


def test_a_fill_that_midnight_hides_is_inferred_from_the_position(floor):
    async def work():
        async with floor({"orders": [{"steps": ["ack"]}]}, strategy=LIMIT) as f:
            limit = (await f.order_is("ACCEPTED")).limit_price
            await f.over_midnight(lambda: f.gw.do("steps", order=1, steps=[{"fill": "rest"}]))
            order = await f.order_is("FILLED")
            await f.reconnected()
            assert (f.held, order.average_price, len(f.sent)) == (10, limit, 1)
            (fill,) = [r.payload for r in f.home.records("fill")]
            assert (fill["kind"], fill["quantity"]) == ("INFERRED", "10")
            assert "R11" in f.rules()
            assert not f.engine.state.open_items

    run(work)


def test_a_position_that_midnight_leaves_unexplained_stops_trading_until_it_is_accepted(floor):
    async def work():
        async with floor(strategy={"target": 0}) as f:
            await f.reconnected()
            strategy = f.daemon.parts.plugins.plugin("strategies", "eager")
            await f.over_midnight(lambda: f.gw.do("trade", contract="NVDA", quantity=5))
            await f.until(lambda: f.engine.state.open_items)
            (item,) = f.engine.state.open_items.values()
            assert (item.rule, f.held) == ("R14", 5)
            strategy.config = evolve(strategy.config, target=Decimal(10))
            ticks = strategy.ticks
            await f.until(lambda: strategy.ticks > ticks + 20)
            assert f.sent == []
            f.home.command(f"reconcile --accept {item.jseq} --note 'bought by phone'")
            order = await f.order_is("FILLED")
            await f.until(lambda: f.held == 15)
            assert (order.quantity, f.sent) == (10, [order.client_order_id])

    run(work)


def test_while_a_gateway_is_slow_to_list_orders_it_trades_and_a_kill_is_obeyed_at_once(floor):
    async def work():
        async with floor(strategy={"shares": 10}) as f:
            await f.order_is("FILLED")
            asked = [r.name for r in f.gw.received].count("reqAllOpenOrders")
            await f.gw.do("slow", message="reqAllOpenOrders", delay=8.0)
            f.home.command("refresh_accounts")
            await f.until(lambda: [r.name for r in f.gw.received].count("reqAllOpenOrders") > asked)
            sent = len(f.sent)
            await f.until(lambda: len(f.sent) > sent + 2)
            f.home.command("kill")
            await until(lambda: f.engine.is_killed("eager"), 5.0)
            made, seen = len(f.orders), f.daemon.quotes_read
            await f.until(lambda: f.daemon.quotes_read > seen + 10)
            assert len(f.orders) == made
            assert f.daemon.pipeline.errands.is_busy
            # What it lists at last is older than all of that, and contradicts nothing.
            await f.gw.do("slow", message="reqAllOpenOrders", delay=0)
            passes = len(f.home.records("recon_end"))
            await f.until(
                lambda: [r.payload["result"] for r in f.home.records("recon_end")][passes:][-1:] == ["CLEAN"]
            )
            assert set(f.rules()) <= {"R04"}
            assert f.engine.state.instrument_holds == {}

    run(work)
