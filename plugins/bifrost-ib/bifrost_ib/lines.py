"""Lines of market data: one for each contract that is wanted, kept open over all that happens to them.

A line is asked for under a new number each time, and what was said under an old one is
forgotten. What a line brings is turned into one quote for each packet of the gateway; what
keeps it from bringing anything is said once, and said to be over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import suppress

from bifrost_engine.domain import (
    Contract,
    SecType,
)
from bifrost_engine.errors import GatewayLost
from bifrost_engine.hookspecs import PluginContext
from bifrost_ib.config import IBConfig
from bifrost_ib.contracts import Contracts, ContractUnknown
from bifrost_ib.hours import is_open
from bifrost_ib.line import Line
from bifrost_ib.link import Link
from bifrost_ib.messages import GatewayError, MarketDataType, Message, PriceTick, Tick
from bifrost_ib.outgoing import library_contract
from bifrost_ib.pacing import Urgency
from bifrost_ib.telling import Telling
from bifrost_ib.translate.ticks import (
    PRICES,
    Quality,
    Ticker,
    is_quoted,
    is_trade,
    ticked,
    ticker_of,
)
from bifrost_ib.troubles import AGAIN_SOON, FARM_BROKEN, FARM_OK, Trouble, of_code, words_of

SECOND_NS = 1_000_000_000
AGAIN_NS = 60 * SECOND_NS
"""Between two tries of a line that somebody else holds, or that just failed."""
KEPT_NS = 30 * SECOND_NS
"""A line that the gateway says it kept proves it by then."""
FARM_NS = 15 * SECOND_NS
HALT_NS = 5 * SECOND_NS
"""A line of a contract that was halted may say that it still is by then, before its quotes count."""
RENEWED_NS = 15 * SECOND_NS
"""A line that was asked for anew is silent if it brings nothing until then."""
BOTH = frozenset({"bid", "ask"})


class Lines:
    """All lines of a session, in the order in which they are wanted.

    contracts  finds the gateway's numbers
    """

    def __init__(self, config: IBConfig, context: PluginContext, contracts: Contracts) -> None:
        self.contracts = contracts
        self._config = config
        self._clock = context.clock
        self._count = context.count
        self._telling = Telling(config, context)
        self._lines: dict[str, Line] = {}
        self._by_id: dict[int, Line] = {}
        self._changed: dict[int, Line] = {}
        self._most = config.max_lines
        self._unserved: tuple[str, ...] = ()
        self._broken_farms: set[str] = set()
        self._wake = asyncio.Event()
        self._link: Link | None = None
        self._keeper: asyncio.Task[None] | None = None

    # --- what is wanted ----------------------------------------------------------------

    def want(self, contracts: Iterable[Contract]) -> None:
        """Take the full list of wanted contracts; the first ones are served first."""
        before, self._lines = self._lines, {}
        for contract in contracts:
            line = before.pop(contract.key, None)
            if line is None:
                line = Line(contract, ticker_of(contract.key, contract.sec_type))
            self._lines[contract.key] = line
        for line in before.values():
            self._end(line)
            self._telling.over(line, "")
        self._wake.set()

    def open(self, link: Link) -> None:
        """Serve the lines over a new connection."""
        self.close()
        self._link = link
        self._most = self._config.max_lines
        self._broken_farms.clear()
        for line in self._lines.values():
            self._forget(line)
        self._keeper = asyncio.create_task(self._keep(link))
        self._look_later(link)

    def close(self) -> None:
        """Stop: the connection is gone, and every number with it."""
        if self._keeper is not None:
            self._keeper.cancel()
            self._keeper = None
        self._link = None
        self._by_id.clear()
        self._changed.clear()

    def restored(self, data_lost: bool) -> None:
        """Hear that the gateway has its servers back: what it lost is asked for anew."""
        for line in self._by_id.copy().values():
            if data_lost:
                self._forget(line)
            else:
                line.proof_ns = self._now() + KEPT_NS
        self._wake.set()

    @property
    def told(self) -> dict[str, str]:
        """What stands in each troubled line's way, by contract key."""
        return {line.key: line.told for line in self._lines.values() if line.trouble}

    @property
    def quoted(self) -> frozenset[str]:
        """Keys of the contracts that have a quote."""
        return frozenset(line.key for line in self._lines.values() if line.is_quoted)

    # --- asking ------------------------------------------------------------------------

    async def _keep(self, link: Link) -> None:
        with suppress(GatewayLost, ConnectionError):
            await link.turn(Urgency.DATA)
            link.ib.client.reqMarketDataType(self._config.market_data_type)
            while True:
                self._wake.clear()
                for line in self._due():
                    await self._ask(link, line)
                self._tell_unserved()
                await self._wake.wait()

    def _due(self) -> Iterator[Line]:
        """Yield the lines that are to be asked for now, as long as there are any left."""
        while True:
            now_ns = self._now()
            waiting = (
                line
                for line in self._lines.values()
                if not line.request_id and line.next_ns is not None and line.next_ns <= now_ns
            )
            line = next(waiting, None)
            if line is None or len(self._by_id) >= self._most:
                return
            yield line

    async def _ask(self, link: Link, line: Line) -> None:
        line.next_ns = None
        try:
            line.listed = await self.contracts.find(link, line.contract, self._config.sync_timeout)
        except ContractUnknown as error:
            self._telling.in_the_way(line, Trouble(error.code), str(error))
            line.next_ns = self._now() + AGAIN_NS if error.code == "unanswered" else None
            return
        await link.turn(Urgency.DATA)
        if self._lines.get(line.key) is not line:
            return  # not wanted any more
        line.request_id = link.next_id()
        line.asked_ns = line.heard_ns = self._now()
        line.held_ns = line.asked_ns + HALT_NS if line.ticker.halted else 0
        line.ticker = ticker_of(line.key, line.contract.sec_type)
        line.sides.clear()
        line.told_greeks = None
        self._by_id[line.request_id] = line
        wire = library_contract(link.library, line.listed.contract)
        link.ib.client.reqMktData(line.request_id, wire, "", False, False, [])

    def _end(self, line: Line) -> None:
        """End a line at the gateway."""
        if line.request_id in self._by_id and self._link is not None and not self._link.lost.done():
            self._link.ib.client.cancelMktData(line.request_id)
        self._gone(line)

    def _gone(self, line: Line) -> None:
        """Forget the number of a line that the gateway doesn't have any more."""
        self._by_id.pop(line.request_id, None)
        self._changed.pop(line.request_id, None)
        line.request_id = 0
        line.proof_ns = None

    def _forget(self, line: Line) -> None:
        self._gone(line)
        line.next_ns = self._now()

    def _anew(self, line: Line) -> None:
        """Ask for a line under a new number."""
        self._end(line)
        line.next_ns = self._now()
        self._wake.set()

    def _tell_unserved(self) -> None:
        full = len(self._by_id) >= self._most
        left = tuple(k for k, line in self._lines.items() if not line.request_id and line.next_ns is not None)
        unserved = left if full else ()
        if unserved == self._unserved:
            return
        self._unserved = unserved
        text = (
            f"{len(unserved)} contracts are not served, for there are {self._most} lines: "
            f"{', '.join(unserved[:10])}{' …' if len(unserved) > 10 else ''}"
        )
        self._telling.say(
            Trouble.TOO_MANY, text if unserved else "every contract is served", standing=bool(unserved)
        )

    # --- what comes in -----------------------------------------------------------------

    def take(self, message: Message) -> None:
        """Take a tick or an error of a line; anything else is none of its business."""
        if isinstance(message, GatewayError):
            self._on_error(message)
        elif isinstance(message, Tick):
            line = self._by_id.get(message.request_id)
            if line is None:
                self._count("unknown_line")
            else:
                self._on_tick(line, message)

    def _on_tick(self, line: Line, tick: Tick) -> None:
        before, line.ticker = line.ticker, ticked(line.ticker, tick)
        if line.ticker.quality is not before.quality:
            if before.halted and line.ticker.halted is None:
                line.ticker = line.ticker._replace(halted=True)
            self._on_quality(line)
        if before.halted or line.ticker.halted:
            self._on_halt(line, before)
        if not isinstance(tick, MarketDataType):
            line.heard_ns = self._now()
            line.proof_ns = None
        if isinstance(tick, PriceTick):
            side = PRICES.get(tick.kind, "")
            line.sides.add(side)
            if side == "last":
                self._telling.last(line)
        if is_quoted(tick):
            self._changed[line.request_id] = line
        elif line.contract.sec_type is SecType.OPTION:
            self._telling.greeks(line)

    def flush(self) -> None:
        """Tell what a packet has changed: one quote for each line."""
        changed, self._changed = self._changed, {}
        for line in changed.values():
            if line.held_ns > self._now():
                self._changed[line.request_id] = line
            elif line.sides >= BOTH:
                self._telling.quote(line)

    def _on_quality(self, line: Line) -> None:
        quality = line.ticker.quality
        line.sides.clear()
        if quality is Quality.LIVE:
            return
        if not self._config.allow_delayed:
            self._telling.withdraw(line)
        self._telling.in_the_way(
            line, Trouble.NOT_LIVE, words_of(Trouble.NOT_LIVE, line.key, quality, self._config)
        )

    def _on_halt(self, line: Line, before: Ticker) -> None:
        """Have no quote of a contract that is halted; a trade ends it, for the gateway may not tell."""
        if line.ticker.halted and is_trade(before, line.ticker):
            line.ticker = line.ticker._replace(halted=None)
        if not line.ticker.halted:
            self._changed[line.request_id] = line
            if line.trouble is Trouble.HALTED:
                self._telling.over(line, f"{line.key}: it trades again")
        elif not before.halted:
            self._telling.withdraw(line)
            self._telling.in_the_way(
                line, Trouble.HALTED, words_of(Trouble.HALTED, line.key, "", self._config)
            )

    # --- what goes wrong ---------------------------------------------------------------

    def _on_error(self, error: GatewayError) -> None:
        if error.code in FARM_BROKEN | FARM_OK:
            self._on_farm(error)
            return
        line = self._by_id.get(error.request_id)
        rule = of_code(error.code, self._config.allow_delayed)
        if line is None or rule is None:
            return
        now_ns = self._now()
        if rule.is_active:
            self._end(line)
        else:
            self._gone(line)
        line.next_ns = rule.next_ns(now_ns, AGAIN_NS)
        if rule.trouble is AGAIN_SOON:
            lately = line.failed_ns is not None and now_ns - line.failed_ns < AGAIN_NS
            line.failed_ns, line.next_ns = now_ns, now_ns + AGAIN_NS if lately else now_ns
        elif rule.trouble is Trouble.TOO_MANY:
            self._most = min(self._most, len(self._by_id))
            line.next_ns = now_ns
        self._telling.withdraw(line)
        if rule.trouble is not None and rule.trouble is not Trouble.TOO_MANY:
            what = f"{error.code}: {error.text}"
            self._telling.in_the_way(line, rule.trouble, words_of(rule.trouble, line.key, what, self._config))
        self._wake.set()

    def _on_farm(self, error: GatewayError) -> None:
        farm = error.text.rpartition(":")[2].strip() or str(error.code)
        if error.code in FARM_BROKEN:
            if farm not in self._broken_farms:
                self._broken_farms.add(farm)
                text = words_of(Trouble.FARM, farm, error.text, self._config)
                self._telling.say(Trouble.FARM, text, standing=True, about_farm=farm)
        elif farm in self._broken_farms:
            self._broken_farms.discard(farm)
            self._telling.say(Trouble.FARM, f"farm {farm} is back", standing=False, about_farm=farm)
            for line in self._by_id.values():
                line.proof_ns = self._now() + FARM_NS

    # --- what time tells ---------------------------------------------------------------

    def _look_later(self, link: Link) -> None:
        self._clock.call_at(self._now() + SECOND_NS, lambda: self._look(link))

    def _look(self, link: Link) -> None:
        """See which lines are due, and which have fallen silent; each second of the connection."""
        if self._link is not link:
            return
        now_ns = self._now()
        for line in self._lines.values():
            if line.request_id:
                self._watch(line, now_ns)
        self._wake.set()
        self._look_later(link)

    def _watch(self, line: Line, now_ns: int) -> None:
        if line.proof_ns is not None:
            if now_ns >= line.proof_ns:
                self._count("line_renewed")
                self._anew(line)
            return
        is_option = line.contract.sec_type is SecType.OPTION
        limit_s = self._config.stale_after.option if is_option else self._config.stale_after.stock
        limit_ns = int(limit_s * SECOND_NS)
        if line.is_renewed:
            limit_ns = min(limit_ns, RENEWED_NS)
        quiet_ns = now_ns - max(line.heard_ns, line.asked_ns)
        if quiet_ns <= limit_ns or not self._is_traded(line, now_ns):
            return
        if line.is_renewed:
            self._telling.withdraw(line)
            text = words_of(Trouble.SILENT, line.key, f"{quiet_ns / SECOND_NS:.0f} s", self._config)
            self._telling.in_the_way(line, Trouble.SILENT, text)
        line.is_renewed = True
        self._count("line_renewed")
        self._anew(line)

    def _is_traded(self, line: Line, now_ns: int) -> bool:
        return line.listed is not None and is_open(line.listed.hours, line.listed.zone, now_ns)

    def _now(self) -> int:
        return self._clock.now_ns()
