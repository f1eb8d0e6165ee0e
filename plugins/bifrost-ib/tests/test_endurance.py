"""Much traffic: never faster than the gateway takes it, and nothing piles up."""

from __future__ import annotations

import asyncio
import gc
import os
import sys

from bifrost_ib.messages import GatewayError
from bifrost_ib.pacing import Urgency
from bifrost_ib.session import Listener
from bifrost_ib.simgateway import SimGateway

from bifrost_engine.testing import make_order_request

MESSAGES = 84 * 1_200
BATCH = 1_200


def standing():
    """Tasks, open files and blocks of memory."""
    gc.collect()
    return len(asyncio.all_tasks()), len(os.listdir("/proc/self/fd")), sys.getallocatedblocks()


def run(work):
    asyncio.run(asyncio.wait_for(work, 240.0))


class Complaints(Listener):
    """Counts what the gateway finds wrong with the rate."""

    def __init__(self):
        self.count = 0

    def on_message(self, message):
        self.count += isinstance(message, GatewayError) and message.code == 100


def test_a_burst_stays_within_what_a_gateway_takes_in_any_second_and_lets_orders_pass(
    tmp_path, kit, library, market_is_known
):
    """The gateway counts: a message too many in the last second isn't taken, and draws an error 100."""

    async def work():
        async with SimGateway() as gw, kit.trading(tmp_path, gw.port, library=library) as seen:
            complaints = Complaints()
            seen.session.add(complaints)
            link = seen.session.link

            async def ask():
                await link.within(link.pacer.turn(Urgency.DATA))
                link.ib.client.reqMarketRule(26)

            asking = [asyncio.create_task(ask()) for _ in range(200)]
            await asyncio.sleep(0)
            orders = [make_order_request(f"BF-{n}", account="", limit_price="1.00") for n in range(3)]
            await asyncio.gather(*map(seen.broker.place_order, orders))
            await asyncio.gather(*asking)
            await link.read("positions", 5.0)  # by then the gateway has taken all that was sent before
            taken = [asked.name for asked in gw.received]
            assert taken.count("reqMarketRule") == 200
            assert complaints.count == 0
            rules_before = taken[: len(taken) - taken[::-1].index("placeOrder")].count("reqMarketRule")
            assert taken.count("placeOrder") == 3
            assert rules_before <= 10  # what had its turn at once, and none that waited

    run(work())


POSITION = ("61", "3", "DU1", "9", "SPY", "STK", "", "0", "", "", "NASDAQ", "USD", "SPY", "SPY")
SAID = (
    *(("3", "7", "Submitted", filled, "5", "1.0", "99", "0", "0", "1", "", "0") for filled in ("1", "2")),
    *(("4", "2", "-1", code, "farm", "") for code in ("2103", "2104")),
    *((*POSITION, quantity, "1.5") for quantity in ("5", "6")),
)


def test_a_hundred_thousand_messages_leave_nothing_behind(tmp_path, kit, library):
    async def work():
        async with kit.gateway() as gw, kit.trading(tmp_path, gw.port, library=library) as seen:
            stats = seen.session.link.ib.client.connectionStats

            async def hear(count):
                wanted = stats().numMsgRecv + count
                for _ in range(count // BATCH):
                    gw.say_all(SAID * (BATCH // len(SAID)))
                    await gw.drain()
                await seen.until(lambda: stats().numMsgRecv >= wanted, 200.0)
                seen.advance(2)
                seen.context.events.clear()

            await hear(2 * BATCH)
            tasks, files, blocks = standing()
            await hear(MESSAGES)
            now_tasks, now_files, now_blocks = standing()
            assert (now_tasks, now_files) == (tasks, files)
            assert now_blocks < blocks + MESSAGES / 20

    run(work())
