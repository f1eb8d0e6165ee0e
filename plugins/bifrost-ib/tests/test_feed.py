"""Quotes of a gateway: what is asked for, what comes of it, and what is said when nothing does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import date
from decimal import Decimal
from math import isnan
from typing import Any

import pytest
from bifrost_ib.compat import TRADING
from bifrost_ib.config import IBConfig
from bifrost_ib.feed import IBFeed
from bifrost_ib.simgateway import SimGateway
from patience import PATIENCE_S

from bifrost_engine.clock import EventClock
from bifrost_engine.domain import (
    BrokerEventKind,
    BrokerGreeks,
    BrokerStateRequest,
    Contract,
    LastPrice,
    Quote,
    Right,
)
from bifrost_engine.errors import NotSent
from bifrost_engine.testing import make_config, make_context
from bifrost_engine.testing.build import START_NS

NVDA, SPY = Contract.stock("NVDA"), Contract.stock("SPY")
CALL = Contract.option("NVDA", date(2013, 10, 11), Decimal(130), Right.CALL)
HELD = {
    "account": {
        "positions": {
            NVDA.key: {"quantity": 100, "average_cost": 120},
            CALL.key: {"quantity": -2, "average_cost": 250},
        }
    }
}


class Fed:
    """A feed, connected to a simulated gateway whose quotes stand still unless they are moved."""

    def __init__(self, gateway: SimGateway, feed: IBFeed, context: Any) -> None:
        self.gateway, self.feed, self.context = gateway, feed, context

    def pin(self, contract: Contract, bid: float | None, ask: float | None) -> None:
        self.gateway.market.pin(contract.key, bid, ask)

    def quotes(self, contract: Contract) -> list[Quote]:
        return [quote for quote in self.context.quotes if quote.contract_key == contract.key]

    def last(self, contract: Contract) -> tuple[float, float] | None:
        """Bid and ask of the newest quote; None without one, or if it was withdrawn."""
        found = self.quotes(contract)
        return None if not found or isnan(found[-1].bid) else (found[-1].bid, found[-1].ask)

    def standing(self) -> dict[str, str]:
        """What stands, by code and contract."""
        found: dict[str, str] = {}
        for event in self.context.broker_events:
            if event.kind is BrokerEventKind.INFO and "standing" in event.values:
                name = f"{event.code} {event.values['about']}".strip()
                found[name] = event.text
                if not event.values["standing"]:
                    del found[name]
        return found

    def links(self) -> list[str]:
        kinds = (BrokerEventKind.LINK_UP, BrokerEventKind.LINK_DOWN)
        return [str(event.kind) for event in self.context.broker_events if event.kind in kinds]

    def asked(self, name: str = "reqMktData") -> list[dict[str, Any]]:
        return [dict(one.values) for one in self.gateway.received if one.name == name]

    def numbers(self, contract: Contract) -> list[int]:
        """Numbers under which a contract was asked for."""
        return [one["reqId"] for one in self.asked() if one["conId"] == self.con_id(contract)]

    def con_id(self, contract: Contract) -> int:
        return self.gateway.universe.by_key[contract.key].con_id

    def error(self, code: int, text: str = "said so", number: int = -1) -> None:
        (session,) = self.gateway._hub.sessions
        session.error(code, text, number)

    def lose(self, contract: Contract) -> None:
        """Let the gateway forget a line without a word."""
        data = self.gateway._data
        for key in [key for key, line in data.lines.items() if line.listing.key == contract.key]:
            del data.lines[key]

    async def until(self, holds: Callable[[], Any]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not holds():
                await asyncio.sleep(0.005)

    async def quoted(self, contract: Contract, bid: float, ask: float) -> None:
        self.pin(contract, bid, ask)
        await self.until(lambda: self.last(contract) == (bid, ask))

    async def settle(self) -> None:
        """Wait until the gateway has answered what was sent so far."""
        count = len(self.asked("reqCurrentTime"))
        self.feed.session.link.ib.client.reqCurrentTime()
        await self.until(lambda: len(self.asked("reqCurrentTime")) > count)
        for _ in range(5):
            await asyncio.sleep(0.01)

    async def pass_time(self, seconds: int) -> None:
        """Let time pass, second by second, with what it causes."""
        clock = self.context.clock
        for _ in range(seconds):
            clock.advance_to(clock.now_ns() + 1_000_000_000)
            await asyncio.sleep(0)
        await self.settle()


@asynccontextmanager
async def fed(
    tmp_path: Any, library: str, *contracts: Contract, at_ns: int = START_NS, **section: Any
) -> AsyncIterator[Fed]:
    async with SimGateway(start_ns=at_ns, script=HELD) as gw:
        context = make_context(tmp_path, EventClock(at_ns), name="ib")
        feed = IBFeed(make_config(IBConfig, port=gw.port, library=library, **section), context)
        made = Fed(gw, feed, context)
        for contract in contracts:
            if contract.key in gw.universe.by_key:
                made.pin(contract, 129.5, 130.5)
        try:
            await feed.subscribe(contracts)
            await feed.connect()
            await made.until(lambda: feed.session.is_announced)
            yield made
        finally:
            await feed.disconnect()


def test_what_is_wanted_is_quoted_and_the_type_of_data_is_named_once_before(tmp_path, library):
    async def work() -> None:
        async with fed(tmp_path, library, NVDA, SPY) as here:
            await here.until(lambda: here.last(NVDA) and here.last(SPY))
            await here.quoted(NVDA, 131.0, 131.02)
            names = [one.name for one in here.gateway.received]
            assert names.count("reqMarketDataType") == 1
            assert names.index("reqMarketDataType") < names.index("reqMktData")
            (quote,) = [q for q in here.quotes(NVDA) if q.bid == 131.0]
            assert (quote.bid_size, quote.ts_ns) == (500.0, START_NS)
            assert here.standing() == {}

    asyncio.run(work())


def run(tmp_path: Any, library: str, work: Callable[[Fed], Any], *contracts: Contract, **how: Any) -> None:
    async def inside() -> None:
        async with fed(tmp_path, library, *contracts, **how) as here:
            await work(here)

    asyncio.run(inside())


# --- quotes --------------------------------------------------------------------------------


def lasts(here: Fed, contract: Contract) -> list[float]:
    found = [event for event in here.context.events if isinstance(event, LastPrice)]
    return [one.price for one in found if one.contract_key == contract.key]


def tick_last(here: Fed, contract: Contract, price: float, kind: int = 4) -> None:
    (session,) = here.gateway._hub.sessions
    number = here.numbers(contract)[-1]
    session.send("tickPrice", reqId=number, type=kind, price=price, size=100.0)


def test_what_a_contract_last_traded_at_is_told_when_it_changes(tmp_path, library):
    async def work(here: Fed) -> None:
        await here.quoted(NVDA, 131.0, 131.02)
        before = lasts(here, NVDA)
        for price in (131.05, 131.05, -1.0, 131.06):
            tick_last(here, NVDA, price)
        await here.settle()
        assert lasts(here, NVDA) == [*before, 131.05, 131.06]

    run(tmp_path, library, work, NVDA)


def tick_halted(here: Fed, contract: Contract, value: float) -> None:
    (session,) = here.gateway._hub.sessions
    session.send("tickGeneric", reqId=here.numbers(contract)[-1], type=49, value=value)


async def halted(here: Fed) -> None:
    """Have the stock quoted, then halted; what comes after is no quote."""
    await here.quoted(NVDA, 131.0, 131.02)
    tick_halted(here, NVDA, 2.0)
    await here.until(lambda: here.last(NVDA) is None)
    count = len(here.quotes(NVDA))
    here.gateway.market.quotes.clear()
    for kind, price in ((1, 130.0), (2, 130.5)):
        tick_last(here, NVDA, price, kind)
    await here.settle()
    assert len(here.quotes(NVDA)) == count
    assert list(here.standing()) == [f"halted {NVDA.key}"]


def test_a_contract_that_is_halted_has_no_quote_until_the_gateway_says_that_it_trades(tmp_path, library):
    async def work(here: Fed) -> None:
        await halted(here)
        tick_halted(here, NVDA, 0.0)
        await here.until(lambda: here.last(NVDA) == (130.0, 130.5))
        assert here.standing() == {}

    run(tmp_path, library, work, NVDA)


def test_a_trade_ends_a_halt_whose_end_is_not_told(tmp_path, library):
    async def work(here: Fed) -> None:
        await halted(here)
        tick_last(here, NVDA, 130.2)
        await here.until(lambda: here.last(NVDA) == (130.0, 130.5))
        assert here.standing() == {}

    run(tmp_path, library, work, NVDA)


def test_asked_for_anew_a_contract_that_was_halted_waits_for_what_the_line_says_of_it(tmp_path, library):
    async def work(here: Fed) -> None:
        await halted(here)
        here.error(1101, "restored, data lost")
        await here.until(lambda: len(here.numbers(NVDA)) == 2)
        here.pin(NVDA, 132.0, 132.02)
        await here.pass_time(4)
        assert here.last(NVDA) is None
        await here.pass_time(2)
        await here.until(lambda: here.last(NVDA) == (132.0, 132.02))
        assert here.standing() == {}

    run(tmp_path, library, work, NVDA, stale_after={"stock": 600})


def test_a_tick_of_a_line_that_nobody_asked_for_is_counted(tmp_path, library):
    async def work(here: Fed) -> None:
        await here.quoted(NVDA, 131.0, 131.02)
        (session,) = here.gateway._hub.sessions
        session.send("tickPrice", reqId=987_654, type=4, price=131.0, size=100.0)
        await here.settle()
        assert here.context.counted == {"unknown_line": 1}

    run(tmp_path, library, work, NVDA)


@pytest.mark.parametrize(("allow_delayed", "told"), [(False, []), (True, [131.05])])
def test_a_delayed_last_price_is_told_only_if_delayed_data_is_allowed(tmp_path, library, allow_delayed, told):
    async def work(here: Fed) -> None:
        await here.quoted(NVDA, 131.0, 131.02)
        before = lasts(here, NVDA)
        tick_last(here, NVDA, 131.05, kind=68)
        await here.settle()
        assert lasts(here, NVDA) == [*before, *told]

    run(tmp_path, library, work, NVDA, allow_delayed=allow_delayed)


def test_a_packet_gives_one_quote_with_both_sides_in_it(tmp_path, library):
    async def work(here: Fed) -> None:
        await here.quoted(NVDA, 131.0, 131.02)
        await here.quoted(NVDA, 132.0, 132.02)
        mixed = [q for q in here.quotes(NVDA) if q.bid == 132.0 and q.ask != 132.02]
        assert mixed == []

    run(tmp_path, library, work, NVDA)


def test_a_side_that_is_missing_withdraws_the_quote_and_is_no_price(tmp_path, library):
    async def work(here: Fed) -> None:
        await here.quoted(NVDA, 131.0, 131.02)
        here.pin(NVDA, None, 131.02)
        await here.until(lambda: here.last(NVDA) is None)
        assert here.quotes(NVDA)[-1].ask == 131.02
        assert min(q.bid for q in here.quotes(NVDA) if not isnan(q.bid)) > 0
        await here.quoted(NVDA, 131.0, 131.02)

    run(tmp_path, library, work, NVDA)


def test_the_list_is_followed_and_only_lines_that_are_open_are_cancelled(tmp_path, library):
    async def work(here: Fed) -> None:
        await here.until(lambda: here.last(NVDA) and here.last(SPY))
        await here.feed.subscribe([SPY, CALL])
        await here.until(lambda: here.numbers(CALL))
        await here.settle()
        assert [one["reqId"] for one in here.asked("cancelMktData")] == here.numbers(NVDA)
        assert len(here.numbers(SPY)) == 1
        count = len(here.quotes(NVDA))
        here.pin(NVDA, 140.0, 140.02)
        await here.settle()
        assert len(here.quotes(NVDA)) == count

    run(tmp_path, library, work, NVDA, SPY)


def test_a_new_connection_has_new_lines_and_nothing_of_the_old_ones(tmp_path, library):
    async def work(here: Fed) -> None:
        await here.quoted(NVDA, 131.0, 131.02)
        (session,) = here.gateway._hub.sessions
        here.pin(NVDA, None, None)
        session.close()
        await here.until(lambda: not here.feed.session.is_announced)
        here.pin(NVDA, 150.0, 150.02)
        await here.feed.connect()
        await here.until(lambda: here.last(NVDA) == (150.0, 150.02))
        assert len(here.numbers(NVDA)) == 2
        assert len(here.asked("reqMarketDataType")) == 2
        assert here.asked("cancelMktData") == []

    run(tmp_path, library, work, NVDA)


# --- greeks --------------------------------------------------------------------------------


def test_the_gateways_model_is_told_per_share_year_and_unit_of_volatility(tmp_path, library):
    async def work(here: Fed) -> None:
        here.pin(CALL, 2.0, 2.1)
        await here.until(lambda: [e for e in here.context.events if isinstance(e, BrokerGreeks)])
        (told, *_) = [e for e in here.context.events if isinstance(e, BrokerGreeks)]
        assert told.contract_key == CALL.key
        assert 0.3 < told.delta < 0.7
        assert 0.0 < told.gamma < 1.0
        # Four days to expiry: vega of about 130 * 0.4 * sqrt(4/365) = 5.4 per unit, far from 0.054 per point.
        assert 3.0 < told.vega < 7.0
        assert told.theta < -20.0
        assert 0.05 < told.volatility < 2.0
        assert told.underlying == pytest.approx(130.0, abs=1.0)

    run(tmp_path, library, work, NVDA, CALL)


def test_a_model_that_says_nothing_tells_nothing(tmp_path, library):
    async def work(here: Fed) -> None:
        await here.quoted(CALL, 0.01, 500.0)  # no volatility gives such a price
        await here.settle()
        before = [e for e in here.context.events if isinstance(e, BrokerGreeks) and abs(e.delta) > 1]
        assert before == []

    run(tmp_path, library, work, NVDA, CALL)


# --- what goes wrong -----------------------------------------------------------------------


@pytest.mark.parametrize("code", [354, 10089, 10090, 10168, 10186])
def test_without_a_subscription_the_quote_goes_and_it_is_said_what_to_do(tmp_path, library, code):
    async def work(here: Fed) -> None:
        await here.quoted(NVDA, 131.0, 131.02)
        here.error(code, "Requested market data is not subscribed", here.numbers(NVDA)[-1])
        await here.until(lambda: here.standing())
        assert list(here.standing()) == [f"not_subscribed {NVDA.key}"]
        assert "Market Data Subscriptions" in here.standing()[f"not_subscribed {NVDA.key}"]
        assert here.last(NVDA) is None
        await here.pass_time(65)
        assert len(here.numbers(NVDA)) == 1

    run(tmp_path, library, work, NVDA)


def test_delayed_data_instead_is_cancelled_unless_it_is_allowed(tmp_path, library):
    async def work(here: Fed) -> None:
        await here.until(lambda: here.standing())
        assert list(here.standing()) == [f"not_subscribed {NVDA.key}"]
        await here.settle()
        assert [one["reqId"] for one in here.asked("cancelMktData")] == here.numbers(NVDA)
        assert here.quotes(NVDA) == []

    run(tmp_path, library, late(work), NVDA, market_data_type=3)


def test_delayed_data_counts_where_that_is_allowed_and_is_told_of(tmp_path, library):
    async def work(here: Fed) -> None:
        await here.until(lambda: here.last(NVDA) == (129.5, 130.5))
        assert list(here.standing()) == [f"not_live {NVDA.key}"]
        assert "delayed" in here.standing()[f"not_live {NVDA.key}"]

    run(tmp_path, library, late(work), NVDA, market_data_type=3, allow_delayed=True)


def late(work: Callable[[Fed], Any]) -> Callable[[Fed], Any]:
    """Let the gateway have delayed data only, from a new line on."""

    async def inside(here: Fed) -> None:
        await here.feed.subscribe([])
        here.gateway._data.not_subscribed = frozenset({"NVDA"})
        await here.settle()
        here.gateway.received.clear()
        here.context.events.clear()
        await here.feed.subscribe([NVDA])
        await work(here)

    return inside


@pytest.mark.parametrize(("kind", "word"), [(2, "frozen"), (3, "delayed"), (4, "delayed and frozen")])
def test_data_that_is_no_longer_live_is_withdrawn_until_it_is_again(tmp_path, library, kind, word):
    async def work(here: Fed) -> None:
        await here.quoted(NVDA, 131.0, 131.02)
        (session,) = here.gateway._hub.sessions
        number = here.numbers(NVDA)[-1]
        session.send("marketDataType", reqId=number, type=kind)
        await here.until(lambda: here.last(NVDA) is None)
        assert f" {word} data" in here.standing()[f"not_live {NVDA.key}"]
        count = len(here.quotes(NVDA))
        here.pin(NVDA, 132.0, 132.02)
        await here.settle()
        assert [q for q in here.quotes(NVDA)[count:] if not isnan(q.bid)] == []
        session.send("marketDataType", reqId=number, type=1)
        await here.quoted(NVDA, 133.0, 133.02)
        assert here.standing() == {}

    run(tmp_path, library, work, NVDA)


def test_a_competing_session_takes_the_quotes_at_once_and_a_minute_later_it_is_tried_again(tmp_path, library):
    async def work(here: Fed) -> None:
        await here.quoted(NVDA, 131.0, 131.02)
        here.gateway._data.compete(True)
        await here.until(lambda: here.last(NVDA) is None)
        assert "log out" in here.standing()[f"competing_session {NVDA.key}"]
        await here.pass_time(58)
        assert len(here.numbers(NVDA)) == 1
        here.gateway._data.compete(False)
        await here.pass_time(3)
        await here.until(lambda: here.last(NVDA) == (131.0, 131.02))
        assert len(set(here.numbers(NVDA))) == 2
        assert here.standing() == {}

    run(tmp_path, library, work, NVDA)


@pytest.mark.parametrize("code", [10182, 10189])
def test_a_line_that_failed_is_asked_for_again_and_no_other(tmp_path, library, code):
    async def work(here: Fed) -> None:
        await here.until(lambda: here.last(NVDA) and here.last(SPY))
        here.lose(NVDA)
        here.error(code, "Failed to request live updates", here.numbers(NVDA)[-1])
        await here.until(lambda: len(here.numbers(NVDA)) == 2)
        await here.quoted(NVDA, 131.0, 131.02)
        assert here.feed.session.is_announced
        assert len(here.numbers(SPY)) == 1
        assert here.asked("cancelMktData") == []
        assert here.standing() == {}
        # Failing again right away, it waits: a gateway isn't to be flooded.
        here.lose(NVDA)
        here.error(code, "Failed again", here.numbers(NVDA)[-1])
        await here.settle()
        here.lose(NVDA)
        here.error(code, "Failed again", here.numbers(NVDA)[-1])
        await here.settle()
        assert len(here.numbers(NVDA)) <= 3

    run(tmp_path, library, work, NVDA, SPY)


def test_more_contracts_than_lines_are_named_and_the_first_are_served(tmp_path, library):
    async def work(here: Fed) -> None:
        await here.until(lambda: here.last(NVDA))
        await here.until(lambda: here.standing())
        assert list(here.standing()) == ["too_many_lines"]
        assert SPY.key in here.standing()["too_many_lines"]
        await here.settle()
        assert here.numbers(SPY) == []
        await here.feed.subscribe([SPY])
        await here.until(lambda: here.last(SPY))
        assert here.standing() == {}

    run(tmp_path, library, work, NVDA, SPY, max_lines=1)


def test_a_gateway_that_takes_no_more_lines_is_asked_for_no_more(tmp_path, library):
    async def work(here: Fed) -> None:
        await here.until(lambda: here.last(NVDA) and here.last(SPY))
        here.lose(SPY)
        here.error(101, "Max number of tickers has been reached", here.numbers(SPY)[-1])
        await here.until(lambda: here.standing())
        assert SPY.key in here.standing()["too_many_lines"]
        assert here.last(SPY) is None
        await here.pass_time(65)
        assert len(here.numbers(SPY)) == 1
        assert here.last(NVDA)

    run(tmp_path, library, work, NVDA, SPY)


def test_a_contract_that_is_unknown_is_told_plainly_and_the_others_are_served(tmp_path, library):
    async def work(here: Fed) -> None:
        await here.until(lambda: here.last(NVDA))
        await here.until(lambda: here.standing())
        assert "knows no such contract" in here.standing()["not_found XXXX|STK|||"]

    run(tmp_path, library, work, Contract.stock("XXXX"), NVDA)


# --- links behind the gateway --------------------------------------------------------------


def test_data_that_was_lost_is_asked_for_under_new_numbers(tmp_path, library):
    async def work(here: Fed) -> None:
        await here.quoted(NVDA, 131.0, 131.02)
        here.error(1100, "Connectivity between IB and TWS has been lost")
        here.gateway._data.drop_lines()
        here.error(1101, "Connectivity restored - data lost")
        await here.until(lambda: len(set(here.numbers(NVDA))) == 2)
        await here.quoted(NVDA, 132.0, 132.02)
        assert here.asked("cancelMktData") == []

    run(tmp_path, library, work, NVDA)


def test_data_that_was_kept_proves_it_within_thirty_seconds_or_is_asked_for(tmp_path, library):
    async def work(here: Fed) -> None:
        await here.until(lambda: here.last(NVDA) and here.last(SPY))
        here.error(1100, "lost")
        await here.until(lambda: here.links()[-1] == "LINK_DOWN")
        here.error(1102, "Connectivity restored - data maintained")
        await here.until(lambda: here.links()[-1] == "LINK_UP")
        assert (len(here.numbers(NVDA)), len(here.numbers(SPY))) == (1, 1)
        here.lose(SPY)
        await here.quoted(NVDA, 132.0, 132.02)
        await here.pass_time(31)
        await here.until(lambda: len(here.numbers(SPY)) == 2)

    run(tmp_path, library, work, NVDA, SPY, stale_after={"stock": 600})


def test_a_broken_farm_is_told_of_and_lines_that_stay_silent_after_it_are_asked_for(tmp_path, library):
    async def work(here: Fed) -> None:
        await here.until(lambda: here.last(NVDA) and here.last(SPY))
        here.error(2103, "Market data farm connection is broken:usfarm")
        await here.until(lambda: here.standing())
        assert list(here.standing()) == ["farm usfarm"]
        assert here.feed.session.state == "READY"
        here.error(2104, "Market data farm connection is OK:usfarm")
        await here.until(lambda: not here.standing())
        here.lose(SPY)
        await here.quoted(NVDA, 132.0, 132.02)
        await here.pass_time(16)
        await here.until(lambda: len(here.numbers(SPY)) == 2)
        assert len(here.numbers(NVDA)) == 1

    run(tmp_path, library, work, NVDA, SPY, stale_after={"stock": 600})


def test_a_farm_that_was_never_broken_changes_nothing(tmp_path, library):
    async def work(here: Fed) -> None:
        await here.until(lambda: here.last(NVDA))
        here.error(2104, "Market data farm connection is OK:usfarm")
        await here.pass_time(14)
        assert len(here.numbers(NVDA)) == 1

    run(tmp_path, library, work, NVDA)


def test_a_line_without_ticks_is_asked_for_anew_and_if_that_is_silent_too_withdrawn(tmp_path, library):
    async def work(here: Fed) -> None:
        await here.quoted(NVDA, 131.0, 131.02)
        await here.pass_time(16)  # a new line tells the whole quote again
        await here.until(lambda: len(here.numbers(NVDA)) == 2)
        assert here.standing() == {}
        here.gateway._data.is_lost = True
        here.gateway.market.quotes.clear()
        await here.pass_time(16)
        await here.until(lambda: len(here.numbers(NVDA)) == 3)
        assert here.last(NVDA) == (131.0, 131.02)
        await here.pass_time(16)
        await here.until(lambda: here.last(NVDA) is None)
        assert list(here.standing()) == [f"silent {NVDA.key}"]
        assert here.context.counted["line_renewed"] == 3
        here.gateway._data.is_lost = False
        await here.quoted(NVDA, 132.0, 132.02)
        assert here.standing() == {}

    run(tmp_path, library, work, NVDA)


def test_while_a_market_is_shut_silence_is_no_trouble(tmp_path, library):
    evening = START_NS + 8 * 3600 * 1_000_000_000

    async def work(here: Fed) -> None:
        await here.quoted(NVDA, 131.0, 131.02)
        await here.pass_time(40)
        assert len(here.numbers(NVDA)) == 1
        assert here.standing() == {}

    run(tmp_path, library, work, NVDA, at_ns=evening)


# --- alone ---------------------------------------------------------------------------------


def test_the_positions_behind_it_are_told_with_their_costs(tmp_path, library):
    async def work(here: Fed) -> None:
        state = await here.feed.fetch_broker_state(BrokerStateRequest(account=""))
        assert state.account == "DU1234567"
        assert state.incomplete == frozenset()
        held = {one.contract.key: (one.quantity, one.average_cost) for one in state.positions}
        assert held == {NVDA.key: (100, 120), CALL.key: (-2, 250)}

    run(tmp_path, library, work)


@pytest.mark.parametrize("live", [False, True])
def test_a_live_login_may_be_watched_for_nothing_can_be_sent(tmp_path, library, live):
    async def work(here: Fed) -> None:
        await here.until(lambda: here.last(NVDA))
        client = here.feed.session.link.ib.client
        stock, order = (
            here.feed.session.link.library.contract(symbol="NVDA"),
            here.feed.session.link.library.order(),
        )
        for send in (
            lambda: client.placeOrder(7, stock, order),
            lambda: client.cancelOrder(7),
            lambda: client.reqGlobalCancel(),
            lambda: client.send(3, 7),
            lambda: client.send(58, 1),
        ):
            with pytest.raises(NotSent):
                send()
        await here.settle()
        assert {one.name for one in here.gateway.received} & set(TRADING.values()) == set()

    run(tmp_path, library, work, NVDA, live=live)
