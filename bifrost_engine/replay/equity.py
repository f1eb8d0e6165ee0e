"""When the books of a run are looked at: at their first marks, at each minute's end and at each fill.

Looks come by the clock's timers and by what the engine tells, never per quote.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from bifrost_engine.domain.record import Record
from bifrost_engine.engine.core import Core
from bifrost_engine.hookspecs import Clock
from bifrost_engine.replay.worth import END, FILL, MINUTE, MINUTE_NS, START, Books, Fill, Sample

SECOND_NS = 1_000_000_000


class Equity:
    """Samples every strategy of a run.

    take  gets what was seen at a time, one sample of each strategy that was looked at
    attributions  by strategy
    """

    def __init__(self, core: Core, clock: Clock, take: Callable[[Sequence[Sample]], None]) -> None:
        self._core = core
        self._clock = clock
        self._take = take
        self._books = {slot.id: Books(core, slot) for slot in core.slots.values()}
        self.attributions = {name: books.attribution for name, books in self._books.items()}

    def begin(self) -> None:
        """Look as soon as there is something to see, and at each minute's end from then on."""
        now_ns = self._clock.now_ns()
        for books in self._books.values():
            self._await(books, (now_ns // SECOND_NS + 1) * SECOND_NS)
        self._look_at((now_ns // MINUTE_NS + 1) * MINUTE_NS)

    def _look_at(self, at_ns: int) -> None:
        self._clock.call_at(at_ns, lambda: self._minute(at_ns))

    def _await(self, books: Books, at_ns: int) -> None:
        self._clock.call_at(at_ns, lambda: self._start(books, at_ns))

    def _start(self, books: Books, at_ns: int) -> None:
        books.open()
        if books.is_valued():
            self._take([books.sample(at_ns, START)])
            return
        is_open = self._core.sessions.session_at(at_ns) is not None
        step_ns = SECOND_NS if is_open else MINUTE_NS
        self._await(books, (at_ns // step_ns + 1) * step_ns)

    def _minute(self, at_ns: int) -> None:
        for books in self._books.values():
            books.open()
        begun = [books for books in self._books.values() if books.is_begun]
        if any([books.has_moved() for books in begun]):
            self._take([books.sample(at_ns, MINUTE) for books in begun])
        self._look_at(at_ns + MINUTE_NS)

    def on_operation(self, operation: Mapping[str, Any]) -> None:
        """Look at a strategy's books if the operation is a fill of it."""
        books = self._books.get(operation.get("strategy_id") or "")
        order = self._core.state.orders.get(operation["client_order_id"] or "")
        if operation["type"] != FILL or books is None or order is None:
            return
        sign = 1.0 if operation["side"] == "BUY" else -1.0
        fill = Fill(
            client_order_id=order.client_order_id,
            contract_key=order.contract_key,
            quantity=sign * float(operation["quantity"]),
            price=float(operation["price"]),
        )
        books.open()
        self._take([books.sample(self._core.now_ns, FILL, fill)])

    def on_booking(self, record: Record) -> None:
        """Take what was booked: a fill of anybody's, or marks from which results count."""
        for books in self._books.values():
            books.booked(record)

    def warnings(self) -> Iterator[str]:
        """Yield what a result doesn't have that it may be thought to have."""
        for books in self._books.values():
            yield from books.warnings()

    def end(self) -> None:
        """Look a last time."""
        for books in self._books.values():
            books.open()
        self._take([books.sample(self._core.now_ns, END) for books in self._books.values()])
