"""Which contract is meant: found, held against what was asked, kept for the day."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import date
from decimal import Decimal

import pytest
import structlog
from attrs import evolve
from bifrost_ib import compat
from bifrost_ib.config import IBConfig
from bifrost_ib.contracts import FILE, Contracts, ContractUnknown
from bifrost_ib.hours import is_open
from bifrost_ib.link import Link
from bifrost_ib.simgateway import SimGateway

from bifrost_engine.clock import EventClock
from bifrost_engine.domain import Contract, Right
from bifrost_engine.testing import make_config
from bifrost_engine.testing.build import START_NS

NVDA = Contract.stock("NVDA")
FRIDAY = date(2013, 10, 11)
CALL = Contract.option("NVDA", FRIDAY, Decimal(130), Right.CALL)
DAY_NS = 86_400 * 1_000_000_000
LONG = 8.0


@asynccontextmanager
async def linked(library):
    async with SimGateway(start_ns=START_NS) as gw:
        config = make_config(IBConfig, port=gw.port, library=library)
        link = Link(compat.load(library), config, lambda message: None, lambda name, error: None)
        try:
            await link.open()
            yield gw, link
        finally:
            link.close()


def contracts(tmp_path, clock=None):
    return Contracts(tmp_path, (clock or EventClock(START_NS)).now_ns, structlog.get_logger())


def asked(gw, name="reqContractDetails"):
    return [one.values for one in gw.received if one.name == name]


def run(work):
    asyncio.run(asyncio.wait_for(work(), 30.0))


@pytest.mark.parametrize("contract", [NVDA, CALL])
def test_a_contract_is_found_with_its_number_steps_and_hours_and_asked_for_once_a_day(
    tmp_path, library, contract
):
    async def work():
        async with linked(library) as (gw, link):
            clock = EventClock(START_NS)
            known = contracts(tmp_path, clock)
            found = await known.find(link, contract, LONG)
            assert found.contract.con_id == gw.universe.by_key[contract.key].con_id
            assert known.key_of(found.contract.con_id) == contract.key
            assert is_open(found.hours, found.zone, START_NS)
            assert not is_open(found.hours, found.zone, START_NS + DAY_NS // 2)
            await known.find(link, contract, LONG)
            again = contracts(tmp_path, clock)
            assert (await again.find(link, contract, LONG)) == found
            assert len(asked(gw)) == 1
            clock.advance_to(START_NS + DAY_NS)
            assert again.known(contract.key) is None
            await again.find(link, contract, LONG)
            assert len(asked(gw)) == 2

    run(work)


def test_the_step_of_a_limit_follows_the_market_rule(tmp_path, library):
    async def work():
        async with linked(library) as (_, link):
            known = contracts(tmp_path)
            await known.find(link, CALL, LONG)
            steps = {price: known.step_at(CALL.key, Decimal(price)) for price in ("2.99", "3", "-4")}
            assert steps == {"2.99": Decimal("0.01"), "3": Decimal("0.05"), "-4": Decimal("0.05")}
            assert known.step_at(NVDA.key, Decimal(1)) is None  # nobody asked yet

    run(work)


def test_several_that_fit_are_an_error_and_never_the_first(tmp_path, library):
    async def work():
        async with linked(library) as (gw, link):
            listing = gw.universe.by_key[NVDA.key]
            twin = evolve(listing, con_id=listing.con_id + 1)
            gw.universe.by_key["twin"] = gw.universe.by_id[twin.con_id] = twin
            with pytest.raises(ContractUnknown, match="several contracts fit") as caught:
                await contracts(tmp_path).find(link, NVDA, LONG)
            assert caught.value.code == "ambiguous"
            assert str(twin.con_id) in str(caught.value)
            assert not (tmp_path / FILE).exists()

    run(work)


def test_what_the_gateway_does_not_know_or_lists_otherwise_is_not_found(tmp_path, library):
    async def work():
        async with linked(library) as (_, link):
            known = contracts(tmp_path)
            strange = Contract.option("NVDA", FRIDAY, Decimal("130.25"), Right.CALL)
            for contract in (Contract.stock("XXXX"), strange):
                with pytest.raises(ContractUnknown, match=r"no such contract|none that fits") as caught:
                    await known.find(link, contract, LONG)
                assert caught.value.code == "not_found"

    run(work)


def test_a_gateway_that_does_not_answer_is_not_waited_for(tmp_path, library):
    async def work():
        async with SimGateway(start_ns=START_NS, script={"slow": {9: None, 10: None}}) as gw:
            config = make_config(IBConfig, port=gw.port, library=library)
            link = Link(compat.load(library), config, lambda message: None, lambda name, error: None)
            await link.open()
            with pytest.raises(ContractUnknown) as caught:
                await contracts(tmp_path).find(link, NVDA, 0.3)
            assert caught.value.code == "unanswered"
            link.close()

    run(work)


def test_a_file_that_cannot_be_read_is_done_without(tmp_path, library):
    async def work():
        async with linked(library) as (gw, link):
            (tmp_path / FILE).write_text('{"day": "20131007", "listed": [7]}')
            await contracts(tmp_path).find(link, NVDA, LONG)
            assert len(asked(gw)) == 1

    run(work)


def test_of_a_chain_only_what_the_gateway_confirms_is_told(tmp_path, library):
    async def work():
        async with linked(library) as (gw, link):
            known = contracts(tmp_path)
            chain, *_ = await known.chains(link, NVDA, LONG)
            assert chain.trading_class == "NVDA"
            assert FRIDAY in chain.expiries
            gone = Contract.option("NVDA", FRIDAY, Decimal(130), Right.PUT)
            del gw.universe.by_key[gone.key]
            found = await known.options(link, "NVDA", chain, FRIDAY, LONG)
            assert CALL in found
            assert gone not in found
            assert {one.expiry for one in found} == {FRIDAY}

    run(work)


@pytest.mark.parametrize(
    ("hours", "zone"),
    [
        ("20131007:0930-20131007:1600;20131008:CLOSED", "US/Eastern"),
        ("20131007:0930-1600", "EST"),
        ("20131006:1700-20131007:1600", "America/Chicago"),
    ],
)
def test_hours_are_read_in_their_zone_and_forms(hours, zone):
    assert is_open(hours, zone, START_NS)
    assert not is_open(hours, zone, START_NS + DAY_NS)


@pytest.mark.parametrize(
    ("hours", "zone"), [("", ""), ("CLOSED", "EST"), ("rubbish-more", "EST"), ("x", "../x")]
)
def test_hours_that_cannot_be_read_cover_nothing(hours, zone):
    assert not is_open(hours, zone, START_NS)
