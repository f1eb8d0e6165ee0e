"""Trying the way to Interactive Brokers step by step, and saying what mends it in its own words.

Nothing is sent that trades: the connection has no way to. What an earlier step needs and
couldn't get isn't tried.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing

from bifrost_engine.domain import BrokerEvent, CheckResult, Contract, Verdict
from bifrost_engine.errors import GatewayLost, PluginError
from bifrost_engine.hookspecs import PluginContext
from bifrost_ib import compat
from bifrost_ib.config import IBConfig
from bifrost_ib.contracts import Contracts
from bifrost_ib.lines import Lines
from bifrost_ib.link import Link, LinkDown, ListIncomplete
from bifrost_ib.messages import GatewayError, Message
from bifrost_ib.reporting import reporting_to
from bifrost_ib.translate.account import is_paper
from bifrost_ib.translate.codes import is_read_only

REACH_S, GREET_S, QUOTE_S = 5.0, 10.0, 10.0
OK, WARNING, FAILED, SKIPPED = Verdict.OK, Verdict.WARNING, Verdict.FAILED, Verdict.SKIPPED
API = "Configure > API > Settings (TWS: Global Configuration > API > Settings)"
PORTS = {7496: "TWS live", 7497: "TWS paper", 4001: "gateway live", 4002: "gateway paper"}
READ_ONLY_PROBE_S = 3.0
CLIENT_ID_IN_USE = 326


async def check(
    config: IBConfig, context: PluginContext, contracts: Sequence[Contract], *, is_watching: bool = False
) -> Sequence[CheckResult]:
    """Return what was found, in the order in which it was tried.

    is_watching  only quotes are wanted, for a rehearsal: any account will do
    """
    async with aclosing(_Check(config, context, contracts, is_watching).steps()) as steps:
        return [found async for found in steps]


class _Check:
    """One check, with what the gateway said meanwhile."""

    def __init__(
        self, config: IBConfig, context: PluginContext, contracts: Sequence[Contract], is_watching: bool
    ) -> None:
        self._config = config
        self._is_watching = is_watching
        self._context = context
        self._contracts = contracts
        self._errors: list[GatewayError] = []
        self._lines: Lines | None = None
        self._link: Link | None = None
        self._told = asyncio.Event()

    async def steps(self) -> AsyncGenerator[CheckResult, None]:
        """Yield each finding as it is made."""
        try:
            library = compat.load(self._config.library)
        except PluginError as error:
            yield CheckResult("ib library", FAILED, str(error), "pip install bifrost-ib")
            return
        info = library.info
        yield CheckResult("ib library", OK, f"{info.name} {info.version}, eventkit from {info.eventkit_dist}")
        for found in await self._address():
            yield found
        reached = await self._reach()
        yield reached
        if reached.result is FAILED:
            return
        link = self._link = Link(library, self._config, self._take, lambda name, error: None)
        compat.forbid_orders(link.ib)
        try:
            async for found in self._session(link):
                yield found
        finally:
            if self._lines is not None:
                self._lines.close()
            link.close()

    # --- the way there -----------------------------------------------------------------

    async def _address(self) -> list[CheckResult]:
        """Warn of a way on which anybody can listen and trade."""
        host = self._config.host
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except OSError:
            return []  # the next step says so
        if all(ipaddress.ip_address(str(one[4][0]).partition("%")[0]).is_loopback for one in found):
            return []
        return [
            CheckResult(
                "ib transport",
                WARNING,
                f"insecure_transport: {host} isn't this machine; nothing is encrypted and no password asked",
                "end an SSH or WireGuard tunnel on 127.0.0.1 here, and set ib.host to that",
            )
        ]

    async def _reach(self) -> CheckResult:
        host, port = self._config.host, self._config.port
        where = f"{host}:{port} ({PORTS.get(port, 'not one of the usual ports')})"
        try:
            async with asyncio.timeout(REACH_S):
                _, writer = await asyncio.open_connection(host, port)
        except TimeoutError:
            mend = "look at ib.host, the firewall between, and whether the machine is up"
            return CheckResult("ib gateway", FAILED, f"{where}: no answer within {REACH_S:g} s", mend)
        except ConnectionRefusedError:
            mend = (
                f"start TWS or the gateway and log in; {API}: tick 'Enable ActiveX and Socket Clients'"
                f" and set 'Socket port' to {port}, or set ib.port to what stands there"
            )
            return CheckResult("ib gateway", FAILED, f"{where}: nobody listens", mend)
        except OSError as error:
            return CheckResult("ib gateway", FAILED, f"{where}: {error}", "look at ib.host")
        writer.close()
        return CheckResult("ib gateway", OK, f"{where} answers")

    # --- the session -------------------------------------------------------------------

    async def _session(self, link: Link) -> AsyncIterator[CheckResult]:
        try:
            async with asyncio.timeout(GREET_S):
                accounts = await link.open()
        except (TimeoutError, LinkDown, OSError) as error:
            yield self._not_let_in(error)
            return
        version = link.ib.client.serverVersion()
        client_id = self._config.client_id
        yield CheckResult("ib api", OK, f"client id {client_id} let in, protocol {version}")
        account = self._account(accounts)
        yield account
        if not self._is_watching:
            yield await self._orders(link)
        for contract in self._contracts:
            yield await self._data(link, contract)

    def _not_let_in(self, error: Exception) -> CheckResult:
        reason = getattr(error, "reason", "")
        client_id = self._config.client_id
        if reason == "client_id_in_use":
            mend = (
                f"another program is client id {client_id}: stop it, or set another ib.client_id;"
                " a gateway may hold an id for a minute after its program is gone"
            )
            return CheckResult("ib api", FAILED, f"326: client id {client_id} is in use", mend)
        if reason == "version_too_low":
            return CheckResult("ib api", FAILED, str(error), "update TWS or the gateway")
        if reason == "not_a_gateway":
            return CheckResult("ib api", FAILED, str(error), "look at ib.port: something else listens there")
        if reason == "closed":
            mend = (
                f"{API}: add this machine's address to 'Trusted IPs',"
                " or untick 'Allow connections from localhost only'"
            )
            return CheckResult("ib api", FAILED, "the gateway hung up at once", mend)
        found = f"the gateway took the connection and said nothing for {GREET_S:g} s"
        mend = (
            "finish the login, and answer any dialog on its screen ('Accept incoming connection attempt?');"
            f" {API}: tick 'Enable ActiveX and Socket Clients', add this machine to 'Trusted IPs'"
        )
        return CheckResult("ib api", FAILED, found if isinstance(error, TimeoutError) else str(error), mend)

    def _account(self, accounts: Sequence[str]) -> CheckResult:
        wanted, listed = self._config.account, ", ".join(accounts)
        if wanted and wanted not in accounts:
            mend = f"set ib.account to one of {listed}, or log in as another user"
            return CheckResult("ib account", FAILED, f"ib.account is {wanted}, the login has {listed}", mend)
        if not wanted and len(accounts) > 1:
            return CheckResult(
                "ib account", FAILED, f"the login has {listed}", "name the one to trade: ib.account"
            )
        account = wanted or accounts[0]
        kind = "paper" if is_paper(account) else "live"
        if self._is_watching:
            return CheckResult("ib account", OK, f"{account}, a {kind} account; nothing is sent to it")
        if (kind == "live") != self._config.live:
            mend = (
                "for a rehearsal log in to the paper account (its code begins with D); for real money set"
                " ib.live: true and gates.guard.risk.paper_trade: false"
                if kind == "live"
                else "log in to the live account, or set ib.live: false"
            )
            found = f"{account} is a {kind} account, and ib.live is {str(self._config.live).lower()}"
            return CheckResult("ib account", FAILED, found, mend)
        return CheckResult("ib account", OK, f"{account}, a {kind} account")

    async def _orders(self, link: Link) -> CheckResult:
        """See whether orders would be taken; a read-only interface doesn't even list them."""
        if self._config.read_only:
            return CheckResult(
                "ib orders", WARNING, "ib.read_only is set: no order is sent", "unset it to trade"
            )
        self._errors.clear()
        try:
            await link.read("own_orders", READ_ONLY_PROBE_S)
        except (ListIncomplete, GatewayLost) as error:
            refused = next((one for one in self._errors if is_read_only(one.code, one.text)), None)
            if refused is None:
                return CheckResult("ib orders", FAILED, str(error), "restart TWS or the gateway")
            mend = f"{API}: untick 'Read-Only API'"
            return CheckResult("ib orders", FAILED, f"{refused.code}: {refused.text}", mend)
        if any(is_read_only(one.code, one.text) for one in self._errors):
            mend = f"{API}: untick 'Read-Only API'"
            return CheckResult("ib orders", FAILED, "the interface is read-only", mend)
        return CheckResult("ib orders", OK, "the interface lists orders, as a read-only one of TWS doesn't")

    async def _data(self, link: Link, contract: Contract) -> CheckResult:
        """See whether a contract's quotes come."""
        name = f"ib market data {contract.symbol}"
        if self._lines is None:
            known = Contracts(self._context.state_dir, self._context.clock.now_ns, self._context.log)
            self._lines = Lines(self._config, reporting_to(self._context, self._hear), known)
            link.listen(link.ib.updateEvent, self._lines.flush)
            self._lines.open(link)
        lines = self._lines
        lines.want([contract])
        try:
            async with asyncio.timeout(QUOTE_S):
                while contract.key not in lines.quoted and contract.key not in lines.told:
                    self._told.clear()
                    await self._told.wait()
        except TimeoutError:
            mend = "fine while the market is shut; otherwise look at the market-data subscriptions"
            return CheckResult(name, WARNING, f"subscribed, but no quote within {QUOTE_S:g} s", mend)
        if contract.key in lines.told:
            return CheckResult(name, FAILED, lines.told[contract.key], "see the finding")
        return CheckResult(name, OK, "quotes come")

    # --- what comes in -----------------------------------------------------------------

    def _take(self, message: Message) -> None:
        if isinstance(message, GatewayError):
            self._errors.append(message)
            if message.code == CLIENT_ID_IN_USE and self._link is not None:
                self._link.fail("client_id_in_use")
        if self._lines is not None:
            self._lines.take(message)

    def _hear(self, _event: BrokerEvent | object) -> None:
        self._told.set()
