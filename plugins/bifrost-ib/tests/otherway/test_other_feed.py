"""What a gateway may say of contracts and their quotes, in other ways than ours."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import date
from decimal import Decimal
from math import isnan
from typing import Any

import pytest
from bifrost_ib.feed import IBFeed
from other_floor import connecting, run
from other_gateway import UNSET

from bifrost_engine.domain import BrokerEventKind, BrokerGreeks, Contract, Right

STOCK = Contract.stock("SPY")
CALL = Contract.option("SPY", date(2013, 10, 18), Decimal(170), Right.CALL)
NOTHING = (None, None)


class Fed:
    """A feed of one contract."""

    def __init__(self, seen: Any, contract: Contract) -> None:
        self.seen, self.gw, self.contract = seen, seen.gw, contract

    def tick(self, *ticks: tuple[Any, ...]) -> None:
        """Say ticks, each by its message, kind and the rest; LINE stands for the line's number."""
        number = self.gw.lines()[-1]
        for message, *rest in ticks:
            head = {1: (1, 6, number), 2: (2, 6, number), 45: (45, 6, number), 58: (58, 1, number)}
            self.gw.say(*head.get(message, (message, number)), *rest)

    async def last(self) -> tuple[float | None, float | None]:
        """Return bid and ask of the newest quote, once all that was said was heard."""
        await self.heard()
        quotes = [q for q in self.seen.context.quotes if q.contract_key == self.contract.key]
        if not quotes:
            return NOTHING
        return tuple(None if isnan(side) else side for side in (quotes[-1].bid, quotes[-1].ask))

    async def sizes(self) -> tuple[float, float]:
        await self.heard()
        return self.seen.context.quotes[-1].bid_size, self.seen.context.quotes[-1].ask_size

    async def heard(self) -> None:
        """Wait until an answer came to a question that was put after everything else."""
        await self.seen.plugin.session.link.read("positions", 40.0)
        await asyncio.sleep(0)

    @property
    def troubles(self) -> list[str]:
        """What stands, in a word."""
        found: dict[str, None] = {}
        for event in self.seen.context.broker_events:
            if event.kind is BrokerEventKind.INFO and "standing" in event.values:
                found.pop(event.code, None)
                if event.values["standing"]:
                    found[event.code] = None
        return list(found)


@asynccontextmanager
async def feed_of(tmp_path, library, contract, section=None, **habits):
    async with connecting(IBFeed, tmp_path, library, section, **habits) as seen:
        await seen.plugin.subscribe([contract])
        await seen.until(lambda: seen.gw.lines() or Fed(seen, contract).troubles)
        yield Fed(seen, contract)


BID, ASK = (1, 1, "100.00", "3", 0), (1, 2, "100.02", "4", 0)
BOTH = (100.0, 100.02)
QUOTES: dict[str, tuple[tuple[tuple[Any, ...], ...], tuple[float | None, float | None]]] = {
    "bid and ask": ((BID, ASK), BOTH),
    "its kind before each": (((58, 1), BID, (58, 1), (58, 1), ASK, (58, 1)), BOTH),
    "its kind after": ((BID, ASK, (58, 1)), BOTH),
    "sizes before prices": (
        ((2, 0, "7"), (2, 3, "8"), (1, 1, "100.0", "0", 0), (1, 2, "100.02", "", 0)),
        BOTH,
    ),
    "sizes with a point": (((1, 1, "100.0", "3.0", 0), (1, 2, "100.02", "4.5", 0)), BOTH),
    "one side only": ((BID,), NOTHING),
    "ask withdrawn": ((BID, ASK, (1, 2, "-1.0", "0", 0)), (100.0, None)),
    "both withdrawn": ((BID, ASK, (1, 2, "-1", "0", 0), (1, 1, "-1", "0", 0)), NOTHING),
    "not a number": ((BID, ASK, (1, 1, "NaN", "1", 0)), (None, 100.02)),
    "the largest double": ((BID, ASK, (1, 2, UNSET, UNSET, 0)), (100.0, None)),
    "frozen": ((BID, ASK, (58, 2)), NOTHING),
    "delayed": (((58, 3), (1, 66, "99", "1", 0), (1, 67, "99.5", "1", 0)), NOTHING),
    "delayed, unsaid": ((BID, ASK, (1, 66, "99", "1", 0), (1, 67, "99.5", "1", 0)), NOTHING),
    "frozen, then live": ((BID, ASK, (58, 2), BID, (58, 1), BID, ASK), BOTH),
    "with other ticks": (
        (BID, (45, 49, "0"), (1, 4, "100.01", "1", 0), (2, 8, "9"), (81, "0.01", "a6", 3), ASK),
        BOTH,
    ),
    "with unknown ticks": ((BID, (1, 9999, "1", "1", 0), (99, "x"), (2, 0, ""), (2, 0, "3"), ASK), BOTH),
}


@pytest.mark.parametrize(
    ("way", "pieces"),
    [*((way, "whole") for way in QUOTES), ("with other ticks", "bytes"), ("sizes before prices", "torn")],
)
def test_a_quote_is_what_was_said_of_both_sides(tmp_path, library, way, pieces):
    ticks, expected = QUOTES[way]

    async def work():
        async with feed_of(tmp_path, library, STOCK, pieces=pieces) as fed:
            fed.tick(*ticks)
            assert await fed.last() == expected
            if expected == BOTH:
                assert min(await fed.sizes()) > 0
            assert fed.troubles == (["not_live"] if way in ("frozen", "delayed", "delayed, unsaid") else [])

    run(work())


def test_delayed_quotes_are_used_where_that_is_allowed(tmp_path, library):
    async def work():
        section = {"allow_delayed": True, "market_data_type": 3}
        async with feed_of(tmp_path, library, STOCK, section) as fed:
            fed.tick((58, 3), (1, 66, "99", "1", 0), (58, 3), (1, 67, "99.5", "1", 0))
            assert await fed.last() == (99.0, 99.5)
            assert fed.troubles == ["not_live"]
            assert ["59", "1", "3"] in fed.gw.received

    run(work())


GREEKS = ("0.25", "0.5", "3.2", "0.0", "0.02", "0.11", "-0.03", "170.1")


@pytest.mark.parametrize(
    ("said", "vega", "theta"),
    [
        (GREEKS, 11.0, -10.95),
        ((*GREEKS[:5], "-2", "-2", "170.1"), None, None),
        ((*GREEKS[:5], UNSET, UNSET, "-1"), None, None),
        ((*GREEKS[:5], "NaN", "nan", "NaN"), None, None),
    ],
)
def test_greeks_that_are_none_are_missing(tmp_path, library, said, vega, theta):
    async def work():
        async with feed_of(tmp_path, library, CALL) as fed:
            fed.tick((21, 13, 0, *said))
            await fed.heard()
            (found,) = [event for event in fed.seen.context.events if isinstance(event, BrokerGreeks)]
            assert (found.delta, found.gamma) == (0.5, 0.02)
            for value, expected in ((found.vega, vega), (found.theta, theta)):
                assert isnan(value) if expected is None else value == pytest.approx(expected)

    run(work())


LISTED: dict[str, tuple[Contract, tuple[dict[str, Any], ...]]] = {
    "as asked": (STOCK, ({},)),
    "at another exchange first": (STOCK, ({"exchange": "ISLAND"}, {}, {"exchange": "ARCA"})),
    "at another exchange last": (STOCK, ({}, {"exchange": "ISLAND"})),
    "at its own exchange only": (STOCK, ({"exchange": "ISLAND"},)),
    "in another currency, too": (STOCK, ({"con_id": 9, "currency": "MXN"}, {})),
    "expiry with a time": (CALL, ({"expiry": "20131018 08:30:00 US/Central"},)),
    "expiry with a time behind a dash": (CALL, ({"expiry": "20131018-08:30:00-US/Central"},)),
    "multiplier with a point": (CALL, ({"multiplier": "100.0"},)),
    "no multiplier": (CALL, ({"multiplier": ""},)),
    "right in words": (CALL, ({"right": "CALL"},)),
    "several classes": (CALL, ({"con_id": 9, "class": "2SPY"}, {}, {"con_id": 8, "class": "SPYW"})),
    "several multipliers": (CALL, ({"con_id": 9, "multiplier": "10"}, {})),
    "several expiries": (CALL, ({"con_id": 9, "expiry": "20131019"}, {})),
    "no price rules": (STOCK, ({"rules": ""},)),
}


@pytest.mark.parametrize(
    ("way", "version"),
    [*((way, 176) for way in LISTED), *(("as asked", version) for version in (157, 163, 164))],
)
def test_the_one_contract_that_is_meant_is_asked_for_at_its_usual_exchange(tmp_path, library, way, version):
    contract, rows = LISTED[way]

    async def work():
        async with feed_of(tmp_path, library, contract, contracts=rows, version=version) as fed:
            (asked,) = [fields for fields in fed.gw.received if fields[0] == "1"]
            assert (asked[3], asked[10]) == ("4001", "SMART")
            assert fed.troubles == []

    run(work())


UNCLEAR: dict[str, tuple[Contract, tuple[dict[str, Any], ...], str]] = {
    "twice": (STOCK, ({}, {"con_id": 9}), "ambiguous"),
    "not at all": (STOCK, (), "not_found"),
    "another one": (STOCK, ({"symbol": "SPYX"},), "not_found"),
    "another class only": (CALL, ({"class": "2SPY"},), "not_found"),
    "another multiplier only": (CALL, ({"multiplier": "10"},), "not_found"),
    "one that can't be read": (CALL, ({}, {"con_id": "what"}), "unanswered"),
}


@pytest.mark.parametrize("way", UNCLEAR)
def test_a_contract_that_is_not_clear_is_not_asked_for(tmp_path, library, way):
    contract, rows, trouble = UNCLEAR[way]

    async def work():
        async with feed_of(tmp_path, library, contract, contracts=rows) as fed:
            await fed.heard()
            assert fed.troubles == [trouble]
            assert fed.gw.lines() == []

    run(work())
