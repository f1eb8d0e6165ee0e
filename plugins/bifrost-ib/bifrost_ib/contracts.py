"""Which contract of Interactive Brokers the engine's contract is, and on which prices it trades.

A contract is asked for by all that its key says, and what comes back is held against that
again: several that fit are an error, never a choice. What was found is kept on disk for the
trading day; the numbers of contracts outlive it, but their price steps and hours need not.
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from attrs import Factory, asdict, define, evolve, frozen

from bifrost_engine.domain import Contract, SecType
from bifrost_engine.errors import BrokerError
from bifrost_ib.compat import wire_contract as wire_of
from bifrost_ib.link import Link
from bifrost_ib.messages import WireContract
from bifrost_ib.outgoing import library_contract
from bifrost_ib.pacing import Urgency
from bifrost_ib.translate.contracts import contract_of, expiry_of, wire_contract
from bifrost_ib.translate.numbers import above_zero

ZONE = ZoneInfo("America/New_York")
FILE = "ib-contracts.json"
SMART = "SMART"
NO_DEFINITION = 200
MINUTE_NS = 60_000_000_000


class ContractUnknown(BrokerError):
    """The gateway knows no such contract, or several; ``code`` is in a word which.

    code  ``not_found``, ``ambiguous`` or ``unanswered``; the first two stay as they are
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@frozen(kw_only=True)
class Listed:
    """A contract as Interactive Brokers lists it.

    min_tick  smallest step of its price, quote currency; coarser ones may be in ``steps``
    steps     from which price on which step, lowest first; empty where only ``min_tick`` is known
    hours     when it is traded actively, as the gateway writes it, in ``zone``
    """

    key: str
    contract: WireContract
    min_tick: str
    steps: tuple[tuple[str, str], ...] = ()
    hours: str = ""
    zone: str = ""

    def step_at(self, price: Decimal) -> Decimal | None:
        """Return the step of a limit at ``price``, quote currency; None if it isn't known."""
        rows = [(Decimal(low), Decimal(step)) for low, step in self.steps if Decimal(low) <= abs(price)]
        step = max(rows)[1] if rows else above_zero(self.min_tick)
        return step if step else None


@frozen(kw_only=True)
class Chain:
    """Options of one class on an underlying. Not every strike exists at every expiry."""

    trading_class: str
    multiplier: str
    expiries: tuple[date, ...]
    strikes: tuple[Decimal, ...]


@define
class _Day:
    """What was found on one trading day."""

    day: str = ""
    listed: dict[str, Listed] = Factory(dict)
    rules: dict[str, tuple[tuple[str, str], ...]] = Factory(dict)


class Contracts:
    """The contracts of one login.

    now_ns  the clock, for the trading day
    log     told of a file that can't be used; nothing else depends on it
    """

    def __init__(self, state_dir: Path, now_ns: Callable[[], int], log: Any) -> None:
        self._path = state_dir / FILE
        self._now_ns = now_ns
        self._log = log
        self._day: _Day | None = None

    # --- what is known -----------------------------------------------------------------

    def known(self, key: str) -> Listed | None:
        """Return a contract that was found today."""
        return self._today().listed.get(key)

    def key_of(self, con_id: int) -> str | None:
        """Return the key of a contract's number, if it was found today."""
        found = (one.key for one in self._today().listed.values() if one.contract.con_id == con_id)
        return next(found, None)

    def step_at(self, key: str, price: Decimal) -> Decimal | None:
        """Return the step of a limit price, quote currency; None if it isn't known."""
        listed = self.known(key)
        return None if listed is None else listed.step_at(price)

    # --- asking ------------------------------------------------------------------------

    async def find(self, link: Link, contract: Contract, seconds: float) -> Listed:
        """Return the one contract that is meant. Raises ContractUnknown, LinkDown."""
        known = self.known(contract.key)
        if known is not None:
            return known
        details = await self._details(link, wire_contract(contract), contract.key, seconds)
        fitting = {one.contract.conId: one for one in details if _is_meant(wire_of(one.contract), contract)}
        if not fitting:
            seen = ", ".join(_shown(one.contract) for one in details[:5])
            raise ContractUnknown(
                "not_found", f"{contract.key}: the gateway has none that fits, only {seen or 'none at all'}"
            )
        if len(fitting) > 1:
            several = ", ".join(_shown(one.contract) for one in fitting.values())
            raise ContractUnknown("ambiguous", f"{contract.key}: several contracts fit: {several}")
        (found,) = fitting.values()
        listed = await self._listed(link, contract, found, seconds)
        self._today().listed[contract.key] = listed
        self._save()
        return listed

    async def chains(self, link: Link, stock: Contract, seconds: float) -> tuple[Chain, ...]:
        """Return the option classes on a stock, its own first. Raises ContractUnknown, LinkDown."""
        listed = await self.find(link, stock, seconds)
        symbol, number = stock.symbol, listed.contract.con_id
        rows = await self._ask(
            link,
            lambda: link.ib.reqSecDefOptParamsAsync(symbol, "", str(stock.sec_type), number),
            f"options on {symbol}",
            seconds,
        )
        chosen = {row.tradingClass: row for row in rows} | {
            row.tradingClass: row for row in rows if row.exchange == SMART
        }
        made = [_chain(row) for row in chosen.values()]
        return tuple(sorted(made, key=lambda one: (one.trading_class != symbol, one.trading_class)))

    async def options(
        self, link: Link, symbol: str, chain: Chain, expiry: date, seconds: float
    ) -> tuple[Contract, ...]:
        """Return the options that exist at an expiry: of a chain's strikes, those the gateway confirms.

        Raises ContractUnknown, LinkDown.
        """
        asked = WireContract(
            con_id=0,
            symbol=symbol,
            sec_type=str(SecType.OPTION),
            expiry=f"{expiry:%Y%m%d}",
            multiplier=chain.multiplier,
            exchange=SMART,
            currency="USD",
            trading_class=chain.trading_class,
        )
        details = await self._details(link, asked, f"{symbol} options of {expiry}", seconds)
        read = (contract_of(wire_of(one.contract)) for one in details)
        found = [one for one in read if one is not None and one.expiry == expiry]
        return tuple(sorted(found, key=lambda one: (one.strike or 0, str(one.right))))

    async def _details(self, link: Link, asked: WireContract, what: str, seconds: float) -> Sequence[Any]:
        contract = library_contract(link.library, asked)
        try:
            found: Sequence[Any] = await self._ask(
                link, lambda: link.ib.reqContractDetailsAsync(contract), what, seconds
            )
            return found
        except link.library.module.RequestError as error:
            if error.code == NO_DEFINITION:
                raise ContractUnknown("not_found", f"{what}: the gateway knows no such contract") from None
            raise ContractUnknown("unanswered", f"{what}: {error.code}: {error.message}") from None

    async def _listed(self, link: Link, contract: Contract, details: Any, seconds: float) -> Listed:
        return Listed(
            key=contract.key,
            # A gateway may list a contract once for each of its exchanges; orders go where they are meant to.
            contract=evolve(wire_of(details.contract), exchange=contract.exchange),
            min_tick=str(details.minTick),
            steps=await self._steps(link, details, seconds),
            hours=details.liquidHours,
            zone=details.timeZoneId,
        )

    async def _steps(self, link: Link, details: Any, seconds: float) -> tuple[tuple[str, str], ...]:
        """Return the price steps on SMART; without a rule, or an answer, only the smallest one counts."""
        rules = dict(zip(details.validExchanges.split(","), details.marketRuleIds.split(","), strict=False))
        rule = rules.get(SMART, "")
        if not rule.isdigit():
            return ()
        known = self._today().rules
        if rule not in known:
            rows = await self._ask(
                link, lambda: link.ib.reqMarketRuleAsync(int(rule)), f"market rule {rule}", seconds
            )
            if rows is None:
                return ()
            known[rule] = tuple((str(row.lowEdge), str(row.increment)) for row in rows)
        return known[rule]

    async def _ask(self, link: Link, send: Callable[[], Awaitable[Any]], what: str, seconds: float) -> Any:
        await link.turn(Urgency.DATA)
        failures = link.failures
        try:
            found = await link.within(send(), seconds)
        except TimeoutError:
            raise ContractUnknown("unanswered", f"{what}: no answer within {seconds:g} s") from None
        if link.failures != failures:
            raise ContractUnknown("unanswered", f"{what}: a message could not be read")
        return found

    # --- the day's file ----------------------------------------------------------------

    def _today(self) -> _Day:
        day = _day(self._now_ns() // MINUTE_NS)
        if self._day is None:
            self._day = self._load()
        if self._day.day != day:
            self._day = _Day(day)
        return self._day

    def _load(self) -> _Day:
        try:
            kept = json.loads(self._path.read_text("utf-8"))
            listed = {row["key"]: _listed_of(row) for row in kept["listed"]}
            rules = {name: _pairs(rows) for name, rows in kept["rules"].items()}
            return _Day(kept["day"], listed, rules)
        except FileNotFoundError:
            return _Day()
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            self._log.warning("contracts are asked for anew", file=str(self._path), error=str(error))
            return _Day()

    def _save(self) -> None:
        day = self._today()
        kept = {
            "day": day.day,
            "listed": [asdict(one) for one in day.listed.values()],
            "rules": day.rules,
        }
        fresh = self._path.with_suffix(".new")
        try:
            fresh.write_text(json.dumps(kept), "utf-8")
            os.replace(fresh, self._path)
        except OSError as error:
            self._log.warning("contracts can't be kept", file=str(self._path), error=str(error))


def _is_meant(wire: WireContract, contract: Contract) -> bool:
    """Return whether a contract of the gateway is the one that was asked for, in all that its key says."""
    found = contract_of(wire)
    return (
        found is not None
        and found.key == contract.key
        and found.multiplier == contract.multiplier
        and found.currency == contract.currency
    )


def _shown(contract: Any) -> str:
    facts = (contract.localSymbol or contract.symbol, contract.currency, contract.primaryExchange)
    return f"{contract.conId} ({', '.join(fact for fact in facts if fact)})"


def _chain(row: Any) -> Chain:
    return Chain(
        trading_class=row.tradingClass,
        multiplier=row.multiplier,
        expiries=tuple(sorted(day for day in map(expiry_of, row.expirations) if day is not None)),
        strikes=tuple(sorted(strike for strike in map(above_zero, row.strikes) if strike is not None)),
    )


def _listed_of(row: Mapping[str, Any]) -> Listed:
    steps = _pairs(row["steps"])
    return Listed(**{**row, "contract": WireContract(**row["contract"]), "steps": steps})


@lru_cache(maxsize=1)  # each order asks
def _day(minute: int) -> str:
    return f"{datetime.fromtimestamp(minute * 60, ZONE):%Y%m%d}"


def _pairs(rows: Iterable[Sequence[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((str(low), str(step)) for low, step in rows)
