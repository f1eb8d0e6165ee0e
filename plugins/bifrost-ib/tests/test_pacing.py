"""Our own limit on messages: never too many in any second, and the urgent go first."""

from __future__ import annotations

import asyncio

import pytest
from bifrost_ib.pacing import Pacer, Urgency


class LoopOnItsOwnTime(asyncio.SelectorEventLoop):
    """An event loop on which waiting takes no time: its clock jumps to the next timer."""

    def __init__(self):
        super().__init__()
        self.now_s = 0.0

    def time(self):
        return self.now_s

    def _run_once(self):
        if not self._ready and self._scheduled:
            self.now_s = max(self.now_s, self._scheduled[0]._when)
        super()._run_once()


def run(work):
    with asyncio.Runner(loop_factory=LoopOnItsOwnTime) as runner:
        return runner.run(work())


def busiest_second(times):
    return max(sum(1 for t in times if start <= t < start + 1.0) for start in times)


@pytest.mark.parametrize(("rate", "burst"), [(35, 10), (20, 29), (1, 1)])
def test_no_second_has_more_than_rate_and_burst_together(rate, burst):
    async def work():
        loop = asyncio.get_running_loop()
        pacer = Pacer(rate, burst, loop.time)
        times = []

        async def send():
            await pacer.turn(Urgency.DATA)
            times.append(loop.time())

        await asyncio.gather(*(send() for _ in range(200)))
        assert len(times) == pacer.sent == 200
        assert busiest_second(times) <= rate + burst
        assert times[-1] == pytest.approx((200 - burst) / rate, rel=0.1)

    run(work)


def test_cancels_and_orders_overtake_what_waits_already():
    async def work():
        pacer = Pacer(10, 1, asyncio.get_running_loop().time)
        went = []

        async def send(urgency):
            await pacer.turn(urgency)
            went.append(urgency)

        await send(Urgency.DATA)
        waiting = [Urgency.DATA, Urgency.STATE, Urgency.DATA, Urgency.ORDER, Urgency.CANCEL]
        await asyncio.gather(*(send(urgency) for urgency in waiting))
        assert went[1:] == sorted(waiting)

    run(work)


def test_who_gives_up_waiting_takes_no_turn():
    async def work():
        pacer = Pacer(10, 1, asyncio.get_running_loop().time)
        await pacer.turn(Urgency.ORDER)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(pacer.turn(Urgency.ORDER), 0.05)
        await pacer.turn(Urgency.ORDER)
        assert pacer.sent == 2
        assert asyncio.get_running_loop().time() == pytest.approx(0.1, abs=0.01)

    run(work)


def test_told_that_it_is_too_fast_it_goes_at_half_the_rate_for_a_while():
    async def work():
        loop = asyncio.get_running_loop()
        pacer = Pacer(10, 2, loop.time)
        pacer.slow_down(60.0)
        for _ in range(5):
            await pacer.turn(Urgency.DATA)
        assert loop.time() == pytest.approx(1.0, abs=0.02)
        loop.now_s = 61.0
        await pacer.turn(Urgency.DATA)
        begun_s = loop.time()
        for _ in range(11):
            await pacer.turn(Urgency.DATA)
        assert loop.time() - begun_s == pytest.approx(1.0, abs=0.02)

    run(work)


def test_when_the_connection_is_gone_nobody_waits_any_more():
    async def work():
        pacer = Pacer(1, 1, asyncio.get_running_loop().time)
        await pacer.turn(Urgency.ORDER)
        waiting = asyncio.create_task(pacer.turn(Urgency.ORDER))
        await asyncio.sleep(0)
        pacer.close()
        with pytest.raises(ConnectionError):
            await waiting

    run(work)
