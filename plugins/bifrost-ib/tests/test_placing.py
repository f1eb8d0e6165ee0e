"""How an order leaves: once, under a new number, with everything said, or provably not at all."""

from __future__ import annotations

import asyncio
import json
from datetime import date
from decimal import Decimal

import pytest
from bifrost_ib.broker import IBBroker
from bifrost_ib.config import IBConfig
from bifrost_ib.session import State

from bifrost_engine.domain import CancelRequest, Contract, ReplaceRequest, Right
from bifrost_engine.errors import DuplicateRequest, GatewayLost, NotSent
from bifrost_engine.testing import make_config, make_context, make_order_request

FIELDS = (
    *("message", "orderId", "conId", "symbol", "secType", "expiry", "strike", "right", "multiplier"),
    *("exchange", "primaryExchange", "currency", "localSymbol", "tradingClass", "secIdType", "secId"),
    *("action", "totalQuantity", "orderType", "lmtPrice", "auxPrice", "tif", "ocaGroup", "account"),
    *("openClose", "origin", "orderRef", "transmit", "parentId", "blockOrder", "sweepToFill"),
    *("displaySize", "triggerMethod", "outsideRth", "hidden"),
)


def run(work):
    asyncio.run(asyncio.wait_for(work, 9.0))


def order(client_order_id="BF-1", **fields):
    return make_order_request(client_order_id, account="DU1", **fields)


def cancel(client_order_id="BF-1", **fields):
    named = {"broker_order_id": None, "perm_id": None, **fields}
    return CancelRequest(client_order_id=client_order_id, reason="test", **named)


def placed(gw):
    """Return the orders that reached the gateway, by field."""
    return [dict(zip(FIELDS, fields, strict=False)) for fields in gw.received if fields[0] == "3"]


def cancelled(gw):
    return [fields[2] for fields in gw.received if fields[0] == "4"]


async def settled(seen):
    """Wait until the gateway has taken what was sent before."""
    await seen.session.link.read("positions", 5.0)


def test_an_order_says_everything_that_presets_could_change(tmp_path, kit, library):
    async def work():
        async with kit.gateway() as gw, kit.trading(tmp_path, gw.port, library=library) as seen:
            ack = await seen.broker.place_order(order(side="SELL", quantity=300, limit_price="50.25"))
            await gw.until(lambda: placed(gw))
            (sent,) = placed(gw)
            assert (ack.broker_order_id, ack.client_id, ack.perm_id) == (sent["orderId"], 1, None)
            assert (sent["action"], sent["totalQuantity"]) == ("SELL", "300")
            assert (sent["orderType"], sent["lmtPrice"]) == ("LMT", "50.25")
            assert (sent["orderRef"], sent["account"], sent["tif"]) == ("BF-1", "DU1", "DAY")
            assert (sent["transmit"], sent["outsideRth"]) == ("1", "0")
            assert (sent["symbol"], sent["secType"], sent["exchange"]) == ("SPY", "STK", "SMART")

    run(work())


def test_an_option_is_named_by_all_that_tells_it_from_others(tmp_path, kit, library):
    option = Contract.option("NVDA", date(2025, 3, 21), Decimal("72.5"), Right.CALL)

    async def work():
        async with kit.gateway() as gw, kit.trading(tmp_path, gw.port, library=library) as seen:
            await seen.broker.place_order(order(contract=option, quantity=2, limit_price="1.50"))
            await gw.until(lambda: placed(gw))
            (sent,) = placed(gw)
            named = [sent[name] for name in ("secType", "expiry", "strike", "right", "multiplier")]
            assert named == ["OPT", "20250321", "72.5", "C", "100"]

    run(work())


def test_an_id_is_sent_once_in_a_session(tmp_path, kit, library):
    async def work():
        async with kit.gateway() as gw, kit.trading(tmp_path, gw.port, library=library) as seen:
            await seen.broker.place_order(order())
            with pytest.raises(DuplicateRequest):
                await seen.broker.place_order(order())
            await settled(seen)
            assert len(placed(gw)) == 1

    run(work())


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"limit_price": "50.255"}, "expected a multiple of 0.01"),
        ({"quantity": "1.5"}, "expected a whole number"),
        ({"client_order_id": "BF 1"}, "expected 1 to 40 letters"),
        ({"client_order_id": "B" * 41}, "expected 1 to 40 letters"),
    ],
)
def test_what_the_gateway_would_not_take_is_not_sent(tmp_path, kit, library, fields, why):
    async def work():
        async with kit.gateway() as gw, kit.trading(tmp_path, gw.port, library=library) as seen:
            with pytest.raises(NotSent, match=why):
                await seen.broker.place_order(order(**fields))
            await settled(seen)
            assert not placed(gw)

    run(work())


def test_nothing_is_sent_before_the_session_is_ready_or_after_it_ended(tmp_path, kit, library):
    async def work():
        async with kit.gateway() as gw, kit.trading(tmp_path, gw.port, library=library) as seen:
            gw.error(1100, "lost")
            await seen.until(lambda: seen.session.why_not)
            with pytest.raises(NotSent, match="DEGRADED"):
                await seen.broker.place_order(order())
            gw.mute.add("61")
            gw.error(1102, "restored")
            await gw.until(lambda: gw.received[-1][0] == "61")
            with pytest.raises(NotSent, match="SYNCING"):
                await seen.broker.place_order(order())
            gw.hang_up()
            await seen.until(lambda: len(seen.told) == 3)
            with pytest.raises(NotSent):
                await seen.broker.place_order(order())
            with pytest.raises(GatewayLost):
                await seen.broker.cancel_order(cancel())
            await seen.broker.disconnect()
            with pytest.raises(NotSent):
                await seen.broker.place_order(order())
            assert not placed(gw)

    run(work())


@pytest.mark.parametrize("mute", ["61", "62", "5", "16", "7"])
def test_nothing_is_sent_while_a_list_is_missing_or_after_it_was_waited_for_in_vain(
    tmp_path, kit, library, mute
):
    async def work():
        context = make_context(tmp_path, name="ib")
        async with kit.gateway(mute=(mute,)) as gw:
            config = make_config(IBConfig, port=gw.port, library=library, sync_timeout=0.4)
            broker = IBBroker(config, context)
            connecting = asyncio.create_task(broker.connect())
            try:
                await gw.until(lambda: any(fields[0] == mute for fields in gw.received))
                with pytest.raises(NotSent, match="SYNCING"):
                    await broker.place_order(order())
                async with asyncio.timeout(5):
                    while broker.session.state is not State.DOWN:
                        await asyncio.sleep(0.002)
                with pytest.raises(NotSent, match="timeout"):
                    await broker.place_order(order())
                assert not [event for event in context.broker_events if event.kind == "LINK_UP"]
                assert not placed(gw)
            finally:
                await connecting
                await broker.disconnect()

    run(work())


def test_read_only_sends_neither_order_nor_cancel(tmp_path, kit, library):
    async def work():
        section = {"library": library, "read_only": True}
        async with kit.gateway() as gw, kit.trading(tmp_path, gw.port, **section) as seen:
            with pytest.raises(NotSent, match="read_only"):
                await seen.broker.place_order(order())
            with pytest.raises(NotSent, match="read_only"):
                await seen.broker.cancel_order(cancel())
            await settled(seen)
            assert not placed(gw)
            assert not cancelled(gw)

    run(work())


def test_an_order_that_has_no_turn_in_time_is_taken_back(tmp_path, kit, library):
    async def work():
        section = {"library": library, "pacing": {"rate": 1, "burst": 7}}
        async with kit.gateway() as gw, kit.trading(tmp_path, gw.port, **section) as seen:
            seen.broker.patience_s = 0.05
            pacer = seen.session.link.pacer
            while pacer._tokens >= 1:
                await pacer.turn(0)
            with pytest.raises(NotSent, match="no turn within"):
                await seen.broker.place_order(order())
            await settled(seen)
            assert not placed(gw)

    run(work())


# --- numbers -------------------------------------------------------------------------------


def test_no_number_is_used_again_by_a_later_run(tmp_path, kit, library):
    async def work():
        async with kit.gateway() as gw:
            for number in range(3):
                # The gateway begins at 1 again each time, as after a reset of its order ids.
                async with kit.trading(tmp_path, gw.port, library=library) as seen:
                    await seen.broker.place_order(order(f"BF-{number}"))
                    await settled(seen)
            numbers = [int(sent["orderId"]) for sent in placed(gw)]
            assert numbers == sorted(set(numbers))
            assert len(numbers) == 3

    run(work())


def test_a_number_that_the_gateway_knows_already_makes_the_next_ones_much_higher(tmp_path, kit, library):
    async def work():
        async with kit.gateway() as gw, kit.trading(tmp_path, gw.port, library=library) as seen:
            first = await seen.broker.place_order(order("BF-1"))
            gw.error(103, "duplicate order id", int(first.broker_order_id))
            await seen.until(lambda: seen.reports("BF-1"))
            assert seen.reports("BF-1") == [("ORDER_DOUBT", "103")]
            second = await seen.broker.place_order(order("BF-2"))
            assert int(second.broker_order_id) > int(first.broker_order_id) + 1000

    run(work())


def test_with_order_ids_that_cannot_be_read_it_does_not_connect(tmp_path, kit, library):
    (tmp_path / "ib-order-ids.json").write_text("garbage")

    async def work():
        async with kit.gateway() as gw, kit.watched(tmp_path, gw.port, library=library) as seen:
            await seen.session.connect()
            await seen.until(lambda: seen.told)
            assert seen.told == [("LINK_DOWN", "order_ids")]

    run(work())


def test_an_order_whose_number_cannot_be_put_on_disk_is_not_sent(tmp_path, kit, library):
    async def work():
        async with kit.gateway() as gw, kit.trading(tmp_path, gw.port, library=library) as seen:
            (tmp_path / "ib-order-ids.new").mkdir()
            with pytest.raises(NotSent, match="on disk"):
                await seen.broker.place_order(order())
            await settled(seen)
            assert not placed(gw)

    run(work())


def test_the_highest_number_is_on_disk_when_the_order_reaches_the_gateway(tmp_path, kit, library):
    async def work():
        async with kit.gateway() as gw, kit.trading(tmp_path, gw.port, library=library) as seen:
            ack = await seen.broker.place_order(order())
            kept = json.loads((tmp_path / "ib-order-ids.json").read_text())
            assert kept["1"] >= int(ack.broker_order_id)

    run(work())


# --- cancels and changes -------------------------------------------------------------------


def test_a_cancel_goes_out_once_however_often_it_is_asked_for(tmp_path, kit, library):
    async def work():
        async with kit.gateway() as gw, kit.trading(tmp_path, gw.port, library=library) as seen:
            ack = await seen.broker.place_order(order(limit_price="50.00"))
            for _ in range(3):
                await seen.broker.cancel_order(cancel())
            await settled(seen)
            assert cancelled(gw) == [ack.broker_order_id]
            seen.advance(0.9)
            await seen.broker.cancel_order(cancel())
            await settled(seen)
            assert len(cancelled(gw)) == 1
            seen.advance(0.1)
            await seen.broker.cancel_order(cancel())
            await settled(seen)
            assert len(cancelled(gw)) == 2

    run(work())


@pytest.mark.parametrize(
    ("code", "text", "told"),
    [
        (161, "Cancel attempted when order is not in a cancellable state.", "CANCEL_REJECTED"),
        (10147, "OrderId 1 that needs to be cancelled is not found.", "ORDER_DOUBT"),
    ],
)
def test_a_cancel_that_was_answered_goes_out_again_as_soon_as_it_is_asked_for(
    tmp_path, kit, library, code, text, told
):
    async def work():
        async with kit.gateway() as gw, kit.trading(tmp_path, gw.port, library=library) as seen:
            ack = await seen.broker.place_order(order(limit_price="50.00"))
            await seen.broker.cancel_order(cancel())
            gw.error(code, text, int(ack.broker_order_id))
            await seen.until(lambda: (told, str(code)) in seen.reports("BF-1"))
            await seen.broker.cancel_order(cancel())
            await settled(seen)
            assert len(cancelled(gw)) == 2

    run(work())


def test_a_cancel_of_an_order_that_nobody_knows_casts_doubt(tmp_path, kit, library):
    async def work():
        async with kit.gateway() as gw, kit.trading(tmp_path, gw.port, library=library) as seen:
            await seen.broker.cancel_order(cancel("BF-9"))
            assert seen.reports("BF-9") == [("ORDER_DOUBT", "NOT_FOUND")]
            await settled(seen)
            assert not cancelled(gw)

    run(work())


def test_a_change_repeats_the_order_under_its_number(tmp_path, kit, library):
    async def work():
        async with kit.gateway() as gw, kit.trading(tmp_path, gw.port, library=library) as seen:
            ack = await seen.broker.place_order(order(quantity=10, limit_price="50.00"))
            change = ReplaceRequest(
                client_order_id="BF-1",
                broker_order_id=ack.broker_order_id,
                perm_id=None,
                quantity=Decimal(7),
                limit_price=Decimal("51.00"),
            )
            await seen.broker.replace_order(change)
            await settled(seen)
            first, second = placed(gw)
            changed = {name for name in FIELDS if first.get(name) != second.get(name)}
            assert changed == {"totalQuantity", "lmtPrice"}
            assert (second["totalQuantity"], second["lmtPrice"]) == ("7", "51.0")

    run(work())


def test_a_change_of_an_order_that_nobody_knows_is_not_sent(tmp_path, kit, library):
    async def work():
        async with kit.gateway() as gw, kit.trading(tmp_path, gw.port, library=library) as seen:
            change = ReplaceRequest(
                client_order_id="BF-9",
                broker_order_id="9",
                perm_id=None,
                quantity=Decimal(7),
                limit_price=None,
            )
            with pytest.raises(NotSent, match="no such order"):
                await seen.broker.replace_order(change)

    run(work())
