"""The links to broker and feed: connecting, trying again, leaving.

A plugin mends its own link once ``connect`` has returned, and reports it. What is done
here is to ask again when ``connect`` itself failed, and to begin anew with a broker
whose code raised among the quotes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from attrs import evolve, frozen

from bifrost_engine.daemon.assemble import Assembly, feed_name
from bifrost_engine.daemon.copying import connect_to_copy, copying
from bifrost_engine.domain.broker import BrokerEvent, BrokerEventKind
from bifrost_engine.domain.events import Connecting
from bifrost_engine.guard import Guard
from bifrost_engine.hookspecs import Clock
from bifrost_engine.replay.calling import Hook, answer_within
from bifrost_engine.replay.errands import Errand
from bifrost_engine.replay.pipeline import Pipeline, Work

CONNECT_DEADLINE_S = 30.0
_FAILED = object()
LEAVE_DEADLINE_S = 2.0
TELL_OF_RETRIES = (BrokerEventKind.LINK_DOWN, BrokerEventKind.INFO)
"""A link that stays down is told of once, and each further attempt by an INFO."""


@frozen(kw_only=True)
class Port:
    """A plugin with a link; either hook may be missing."""

    guard: Guard
    is_broker: bool
    connect: Hook | None = None
    disconnect: Hook | None = None


def ports(parts: Assembly, is_live: bool) -> list[Port]:
    """Return what is to be connected; a live feed of the broker's name comes with the broker.

    A broker whose account is to be a copy of the feed's comes after the feed.
    """
    broker, feed = parts.config.broker, feed_name(parts.config)
    wanted = [("brokers", broker)]
    if feed != broker or not is_live:
        wanted.append(("feeds", feed))
    found = [
        Port(
            guard=parts.guard(f"{kind}:{name}"),
            is_broker=kind == "brokers",
            **parts.hooks(kind, name, "connect", "disconnect"),
        )
        for kind, name in wanted
    ]
    copy = found[0].connect
    if not is_live or copy is None or not copying(parts):
        return found
    return [*found[1:], evolve(found[0], connect=connect_to_copy(parts, copy))]


class Connections:
    """All links of a run.

    A plugin's ``connect`` may take long, and nobody waits for it: each is called beside the pipeline's
    turns, one after the other, and what came of it is taken in one. ``heard`` comes from any thread.

    next_retry_ns  when the broker is tried again, by the host's clock; None if nobody knows
    reconnects     how often the broker's link came back
    client_id      number of the broker's connection, None where it has none
    on_renewed     told before a broker whose code raised is connected anew
    """

    def __init__(
        self,
        ports: Sequence[Port],
        pipeline: Pipeline,
        clock: Clock,
        retry_ns: int,
        log: Any,
        on_renewed: Callable[[], None] = lambda: None,
    ) -> None:
        self.next_retry_ns: int | None = None
        self.client_id: int | None = None
        self.reconnects = 0
        self._was_lost = self._is_up = False
        self._ports = tuple(ports)
        self._pipeline = pipeline
        self._clock = clock
        self._retry_ns = retry_ns
        self._log = log
        self._on_renewed = on_renewed
        self._failed: list[Port] = []
        self._trying = Errand(pipeline.errands, self._try)
        self._due_ns: int | None = None
        self._raised = False

    async def connect(self) -> None:
        """Connect everything now, whatever was planned for later."""
        await self._connect(self._ports)

    async def _connect(self, ports: Sequence[Port]) -> None:
        self._due_ns = self.next_retry_ns = None
        await self._pipeline.handle(Connecting(ts_ns=self._pipeline.engine.core.now_ns))
        self._failed = [port for port in self._failed if port not in ports]
        for port in ports:
            await self._trying.want(port.guard.key, port)

    async def _try(self, port: Port) -> None:
        if port.is_broker and self._raised:
            self._raised = False
            await self._leave(port, LEAVE_DEADLINE_S)
            self._on_renewed()
        if port.connect is None:
            return
        guard = port.guard
        answer = await guard.wait("connect", answer_within, CONNECT_DEADLINE_S, port.connect, failed=_FAILED)
        if answer is _FAILED:
            self._pipeline.emit(Work(partial(self._failed_to, port, str(guard.last_error))))

    async def _failed_to(self, port: Port, why: str) -> None:
        """Take it, in the pipeline's turn, that a plugin couldn't connect."""
        self._try_again(port)
        if port.is_broker:
            self._lost()
            now_ns = self._pipeline.engine.core.now_ns
            down = BrokerEvent(kind=BrokerEventKind.LINK_DOWN, ts_ns=now_ns, text=why)
            await self._pipeline.handle(down)

    def _try_again(self, *ports: Port) -> None:
        """Try these and whoever failed before once more, after the usual wait."""
        self._failed = [port for port in self._ports if port in self._failed or port in ports]
        if self._due_ns is None:
            at_ns = self._due_ns = self._clock.now_ns() + self._retry_ns
            self._log.info("tried again later", seconds=self._retry_ns / 1e9)
            self._clock.call_at(at_ns, lambda: self._pipeline.emit(Work(partial(self._retry, at_ns))))
        if any(port.is_broker for port in ports):
            self.next_retry_ns = self._due_ns

    async def _retry(self, at_ns: int) -> None:
        if at_ns == self._due_ns:  # else somebody has tried meanwhile
            await self._connect(tuple(self._failed))

    def broker_raised(self) -> None:
        """Count the broker as lost: its code raised on a quote. It begins anew after the usual wait."""
        if self._raised:
            return
        self._raised = True
        self._lost()
        self._pipeline.broker_failed()
        self._try_again(*(port for port in self._ports if port.is_broker))

    def heard(self, event: BrokerEvent) -> None:
        """Hear of the link, as its plugin reports it; from any thread."""
        if event.kind is BrokerEventKind.LINK_UP:
            self.reconnects += self._was_lost
            self._was_lost, self._is_up = False, True
            self.next_retry_ns, self.client_id = None, event.client_id
        elif event.kind in TELL_OF_RETRIES:
            if event.kind is BrokerEventKind.LINK_DOWN:
                self._lost()
            told = event.values.get("next_retry_ns")
            self.next_retry_ns = told if isinstance(told, int) else self.next_retry_ns

    def _lost(self) -> None:
        self._was_lost, self._is_up = self._was_lost or self._is_up, False

    async def leave(self, within_s: float) -> None:
        """Disconnect everything at once; who takes longer than ``within_s`` is left."""
        await asyncio.gather(*(self._leave(port, within_s) for port in self._ports))

    async def _leave(self, port: Port, within_s: float) -> None:
        if port.disconnect is not None:
            await port.guard.wait("disconnect", answer_within, within_s, port.disconnect)
