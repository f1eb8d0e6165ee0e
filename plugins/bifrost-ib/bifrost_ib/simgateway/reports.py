"""What clients are told of accounts: positions, summaries, updates, results; and contracts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

from bifrost_ib.simgateway.account import ZERO, Account
from bifrost_ib.simgateway.books import Books
from bifrost_ib.simgateway.hub import Hub
from bifrost_ib.simgateway.layout import Values
from bifrost_ib.simgateway.market import Market
from bifrost_ib.simgateway.orders import gateway_time
from bifrost_ib.simgateway.sessions import Session
from bifrost_ib.simgateway.universe import Universe

SUMMARIES = 2
"""Subscriptions of a summary that a client may have."""
CENT = Decimal("0.01")
ALL = ("", "All")


class Reports:
    """Requests about accounts, and what is pushed to those that asked to hear of changes."""

    def __init__(self, hub: Hub, universe: Universe, market: Market, books: Books) -> None:
        self._hub = hub
        self._universe = universe
        self._market = market
        self._books = books
        self._positions: set[Session] = set()
        self._updates: dict[Session, str] = {}
        self._summaries: dict[tuple[Session, int], tuple[str, ...]] = {}
        self._pnl: dict[tuple[Session, int], tuple[str, str | None]] = {}
        self.handlers = {
            "reqPositions": self.positions,
            "cancelPositions": lambda session, asked: self._positions.discard(session),
            "reqAccountSummary": self.summary,
            "cancelAccountSummary": lambda session, asked: self._drop(self._summaries, session, asked),
            "reqAccountUpdates": self.updates,
            "reqAccountUpdatesMulti": self.updates_multi,
            "cancelAccountUpdatesMulti": lambda session, asked: None,
            "reqPnL": self.pnl,
            "cancelPnL": lambda session, asked: self._drop(self._pnl, session, asked),
            "reqPnLSingle": self.pnl,
            "cancelPnLSingle": lambda session, asked: self._drop(self._pnl, session, asked),
        }

    def forget(self, session: Session) -> None:
        """Drop the subscriptions of a client that is gone."""
        self._positions.discard(session)
        self._updates.pop(session, None)
        for table in (self._summaries, self._pnl):
            for key in [key for key in table if key[0] is session]:
                del table[key]

    def _drop(self, table: dict[tuple[Session, int], Any], session: Session, asked: Values) -> None:
        if table.pop((session, asked["reqId"]), None) is None:
            session.error(300, f"Can't find EId with tickerId:{asked['reqId']}", asked["reqId"])

    def _accounts(self, code: str) -> Iterable[Account]:
        if code in ALL:
            return self._books.accounts.values()
        account = self._books.accounts.get(code)
        return [] if account is None else [account]

    def _one(self, session: Session, code: str, about: int = -1) -> Account | None:
        account = next(iter(self._accounts(code)), None)
        if account is None:
            text = f"Error validating request.-'bS' : cause - Invalid account code '{code}'."
            session.error(321, text, about)
        return account

    # --- positions ---------------------------------------------------------------------

    def positions(self, session: Session, asked: Values) -> None:
        """Tell all positions, and from now on each that changes."""
        for account in self._books.accounts.values():
            for key, held in account.positions.items():
                if held.quantity:
                    self._position(session, account, key)
        session.send("positionEnd")
        self._positions.add(session)

    def _position(self, session: Session, account: Account, key: str) -> None:
        held = account.positions[key]
        wire = self._universe.by_key[key].wire()
        session.send(
            "position", **wire, account=account.code, position=held.quantity, avgCost=held.average_cost
        )

    # --- values ------------------------------------------------------------------------

    def _values(self, account: Account) -> Iterator[tuple[str, str, str]]:
        """Yield key, value and currency."""
        yield "AccountType", "INDIVIDUAL", ""
        for tag, amount in account.summary(self._market.mark).items():
            yield tag, str(amount.quantize(CENT)), "USD"
        for currency in ("BASE", "USD"):
            yield "CashBalance", str(account.cash.quantize(CENT)), currency

    def summary(self, session: Session, asked: Values) -> None:
        """Tell the tags that are asked for, of all accounts, and tell them again after fills."""
        if sum(key[0] is session for key in self._summaries) >= SUMMARIES:
            session.error(322, "Maximum number of account summary requests exceeded", asked["reqId"])
            return
        key = (session, asked["reqId"])
        self._summaries[key] = tuple(tag.strip() for tag in asked["tags"].split(","))
        for account in self._books.accounts.values():
            self._summary(key, account)
        session.send("accountSummaryEnd", reqId=asked["reqId"])

    def _summary(self, key: tuple[Session, int], account: Account) -> None:
        session, req_id = key
        for tag, value, currency in self._values(account):
            if tag in self._summaries[key] and currency != "BASE":
                said = {"account": account.code, "tag": tag, "value": value, "currency": currency}
                session.send("accountSummary", reqId=req_id, **said)

    def updates(self, session: Session, asked: Values) -> None:
        """Begin or end to stream one account."""
        if not asked["subscribe"]:
            self._updates.pop(session, None)
            return
        account = self._one(session, asked.get("account", ""))
        if account is not None:
            self._updates[session] = account.code
            for key, held in account.positions.items():
                if held.quantity:
                    self._portfolio(session, account, key)
            self._account_values(session, account)
            session.send("accountDownloadEnd", account=account.code)

    def _account_values(self, session: Session, account: Account) -> None:
        session.send("accountValue", key="AccountCode", value=account.code, currency="", account=account.code)
        for key, value, currency in self._values(account):
            session.send("accountValue", key=key, value=value, currency=currency, account=account.code)
        clock = gateway_time(self._hub.clock.now_ns()).split()[1]
        session.send("accountTime", time=clock[:5])

    def _portfolio(self, session: Session, account: Account, key: str) -> None:
        held, listing = account.positions[key], self._universe.by_key[key]
        value = account.value(key, self._market.mark)
        mark = self._market.mark(key)
        session.send(
            "portfolioValue",
            **listing.wire(right=str(listing.contract.right or "0")),
            position=held.quantity,
            marketPrice=mark if mark is not None else held.average_cost / listing.contract.multiplier,
            marketValue=value.quantize(CENT),
            averageCost=held.average_cost,
            unrealizedPNL=(value - held.cost).quantize(CENT),
            realizedPNL=held.realized.quantize(CENT),
            account=account.code,
        )

    def updates_multi(self, session: Session, asked: Values) -> None:
        """Tell an account's values once."""
        account = self._one(session, asked["account"], asked["reqId"])
        if account is None:
            return
        for key, value, currency in self._values(account):
            session.send(
                "accountUpdateMulti",
                reqId=asked["reqId"],
                account=account.code,
                modelCode=asked["modelCode"],
                key=key,
                value=value,
                currency=currency,
            )
        session.send("accountUpdateMultiEnd", reqId=asked["reqId"])

    # --- results -----------------------------------------------------------------------

    def pnl(self, session: Session, asked: Values) -> None:
        """Tell the result of an account, or of one position, and again after fills."""
        account = self._one(session, asked["account"], asked["reqId"])
        if account is None:
            return
        con_id = asked.get("conId")
        listing = self._universe.by_id.get(con_id) if con_id else None
        if con_id and listing is None:
            session.error(200, "No security definition has been found for the request", asked["reqId"])
            return
        key = (session, asked["reqId"])
        self._pnl[key] = (account.code, listing.key if listing else None)
        self._result(key)

    def _result(self, key: tuple[Session, int]) -> None:
        code, contract_key = self._pnl[key]
        account = self._books.accounts[code]
        if contract_key is None:
            unrealized, realized = account.unrealized(self._market.mark), account.realized
            self._say_result(key, "pnl", unrealized, realized)
        elif contract_key in account.positions:
            held, value = account.positions[contract_key], account.value(contract_key, self._market.mark)
            self._say_result(
                key, "pnlSingle", value - held.cost, held.realized, position=held.quantity, value=value
            )
        else:
            self._say_result(key, "pnlSingle", ZERO, ZERO, position=ZERO, value=ZERO)

    def _say_result(
        self, key: tuple[Session, int], name: str, unrealized: Decimal, realized: Decimal, **more: Decimal
    ) -> None:
        key[0].send(
            name,
            reqId=key[1],
            daily=(unrealized + realized).quantize(CENT),
            unrealized=unrealized.quantize(CENT),
            realized=realized.quantize(CENT),
            **more,
        )

    # --- pushes ------------------------------------------------------------------------

    def moved(self, code: str, contract_key: str) -> None:
        """Tell all that asked what a fill changed."""
        self._hub.once_linked(lambda: self._push(code, contract_key))

    def _push(self, code: str, contract_key: str) -> None:
        account = self._books.accounts[code]
        for session in self._hub.started():
            if session in self._positions:
                self._position(session, account, contract_key)
            if self._updates.get(session) == code:
                self._portfolio(session, account, contract_key)
                self._account_values(session, account)
        for summary in self._summaries:
            self._summary(summary, account)
        for pnl, (whose, _) in self._pnl.items():
            if whose == code:
                self._result(pnl)
