"""A rehearsal on a live feed begins with what the account behind the feed holds."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

from daemon_under_test import QUICK, Home, broker_of, until

CALM = [{"id": "calm", "symbol": "QQQ"}]
HELD = {"NVDA|STK|||": 120, "NVDA|OPT|20301220|100|C": -3}


def settings(positions: dict[str, int], **changed: Any) -> dict[str, Any]:
    return {
        "feed": "venue",
        "venue": {"held": positions, "step_ms": 20},
        "mischief": {**QUICK, "record": "durable"},
        "daemon": {"shutdown_grace_seconds": 1, "ib_retry_interval": 1},
        **changed,
    }


def held(daemon: Any) -> dict[str, tuple[Decimal, Decimal | None]]:
    ledger = broker_of(daemon)._venue.ledger
    return {key: (one.quantity, one.shown().average_cost) for key, one in ledger.account.holdings.items()}


def visit(here: Home) -> dict[str, Any]:
    """Run until the books are compared; return what the account holds then."""
    found: dict[str, Any] = {}

    async def work() -> None:
        async with here.running(speed=1.0) as daemon:
            await until(lambda: daemon.engine.core.reconciled)
            found.update(held(daemon))

    asyncio.run(work())
    return found


def test_the_account_is_a_copy_with_average_costs_once(home):
    here = home(**settings(HELD, strategies=CALM))
    copy = {"NVDA|STK|||": (120, None), "NVDA|OPT|20301220|100|C": (-3, Decimal("12.5"))}
    assert visit(here) == copy
    # What the account behind the feed does later is another story.
    here.write(**settings({"NVDA|STK|||": 7}, strategies=CALM))
    assert visit(here) == copy


def test_positions_of_the_section_are_taken_instead(home):
    mischief = {**QUICK, "record": "durable", "positions": {"SPY|STK|||": 1}}
    assert list(visit(home(**settings(HELD, strategies=CALM, mischief=mischief)))) == ["SPY|STK|||"]


def test_nothing_is_opened_before_the_feed_has_told_and_then_it_is(home):
    late = {"held": HELD, "step_ms": 20, "wrong": {"fetch_broker_state": "raise:2"}}
    here = home(**settings(HELD, venue=late))

    async def work() -> None:
        async with here.running(speed=1.0) as daemon:
            broker = broker_of(daemon)
            await until(lambda: daemon.engine.core.lifecycle == "WAITING_IB")
            assert not broker.record_path.exists()
            assert not broker.placed
            await until(lambda: daemon.engine.core.reconciled)
            assert held(daemon)["NVDA|STK|||"][0] >= 120

    asyncio.run(work())


def test_while_the_feed_is_slow_to_tell_the_run_goes_on_and_can_be_stopped(home):
    here = home(
        **settings(HELD, venue={"held": HELD, "step_ms": 20, "wrong": {"fetch_broker_state": "hang"}})
    )

    async def work() -> float:
        async with here.running(speed=1.0) as daemon:
            here.command("suspend")
            await until(lambda: here.operations("suspend"))
            assert daemon.engine.core.lifecycle == "CONNECTING"
            assert not broker_of(daemon).record_path.exists()
            begun_s = asyncio.get_running_loop().time()
        return asyncio.get_running_loop().time() - begun_s

    assert asyncio.run(work()) < 5.0


def test_what_the_feed_told_is_kept_when_the_broker_itself_has_to_be_tried_again(home):
    mischief = {**QUICK, "record": "durable", "wrong": {"connect": "raise:2"}}
    here = home(**settings(HELD, strategies=CALM, mischief=mischief))
    assert visit(here)["NVDA|OPT|20301220|100|C"] == (-3, Decimal("12.5"))
