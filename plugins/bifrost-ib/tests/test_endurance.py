"""Much traffic: never faster than the gateway takes it, and nothing piles up."""

from __future__ import annotations

import asyncio
import gc
import os
import sys

from bifrost_ib.pacing import Urgency

from bifrost_engine.testing import make_order_request

MESSAGES = 84 * 1_200
BATCH = 1_200


def standing():
    """Tasks, open files and blocks of memory."""
    gc.collect()
    return len(asyncio.all_tasks()), len(os.listdir("/proc/self/fd")), sys.getallocatedblocks()


def run(work):
    asyncio.run(asyncio.wait_for(work, 60.0))


def test_a_burst_of_requests_stays_within_what_the_gateway_takes_and_lets_an_order_pass(
    tmp_path, kit, library
):
    async def work():
        times, kinds = [], []
        async with kit.gateway() as gw, kit.trading(tmp_path, gw.port, library=library) as seen:
            loop = asyncio.get_running_loop()
            gw.on_request = lambda fields: (times.append(loop.time()), kinds.append(fields[0]))
            link = seen.session.link

            async def ask():
                await link.within(link.pacer.turn(Urgency.DATA))
                link.ib.client.reqMarketRule(26)

            asking = [asyncio.create_task(ask()) for _ in range(100)]
            await asyncio.sleep(0)
            await seen.broker.place_order(make_order_request("BF-1", account="DU1"))
            await asyncio.gather(*asking)
            await gw.until(lambda: len(kinds) >= 101)
            assert kinds.index("3") < 20
            for at in range(len(times) - 50):
                assert times[at + 50] - times[at] > 0.9  # a loaded machine delivers late, then in a bunch

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
                await seen.until(lambda: stats().numMsgRecv >= wanted, 50.0)
                seen.advance(2)
                seen.context.events.clear()

            await hear(2 * BATCH)
            tasks, files, blocks = standing()
            await hear(MESSAGES)
            now_tasks, now_files, now_blocks = standing()
            assert (now_tasks, now_files) == (tasks, files)
            assert now_blocks < blocks + MESSAGES / 20

    run(work())
