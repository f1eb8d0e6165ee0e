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
from bifrost_engine.replay.pipeline import Pipeline, Work

CONNECT_DEADLINE_S = 30.0
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
    """All links of a run. Everything but ``heard`` happens in the pipeline's turn.

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
        self._failed: tuple[Port, ...] = ()
        self._due_ns: int | None = None
        self._raised = False

    async def connect(self) -> None:
        """Connect everything now, whatever was planned for later."""
        await self._connect(self._ports)

    async def _connect(self, ports: Sequence[Port]) -> None:
        self._due_ns = self.next_retry_ns = None
        await self._pipeline.handle(Connecting(ts_ns=self._pipeline.engine.core.now_ns))
        if self._raised:
            self._raised = False
            await asyncio.gather(*(self._leave(port, LEAVE_DEADLINE_S) for port in ports if port.is_broker))
            self._on_renewed()
        self._failed = tuple([port for port in ports if not await self._is_there(port)])
        if self._failed:
            self._try_again()
        await self._pipeline.drain()

    async def _is_there(self, port: Port) -> bool:
        if port.connect is None:
            return True
        await port.guard.wait("connect", answer_within, CONNECT_DEADLINE_S, port.connect)
        error = port.guard.last_error
        if error is not None and port.is_broker:
            now_ns = self._pipeline.engine.core.now_ns
            self._lost()
            down = BrokerEvent(kind=BrokerEventKind.LINK_DOWN, ts_ns=now_ns, text=str(error))
            await self._pipeline.handle(down)
        return error is None

    def _try_again(self) -> None:
        at_ns = self._clock.now_ns() + self._retry_ns
        self._due_ns = at_ns
        if any(port.is_broker for port in self._failed):
            self.next_retry_ns = at_ns
        self._log.info("tried again later", seconds=self._retry_ns / 1e9)
        self._clock.call_at(at_ns, lambda: self._pipeline.emit(Work(partial(self._retry, at_ns))))

    async def _retry(self, at_ns: int) -> None:
        if at_ns == self._due_ns:  # else somebody has tried meanwhile
            await self._connect(self._failed)

    def broker_raised(self) -> None:
        """Count the broker as lost: its code raised on a quote. It begins anew after the usual wait."""
        if self._raised:
            return
        self._raised = True
        self._lost()
        self._pipeline.broker_failed()
        self._failed = tuple(port for port in self._ports if port.is_broker or port in self._failed)
        self._try_again()

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
