"""What two runs are compared by: each order as it leaves, each decision, the widest delta.

Orders and one sample of each strategy are kept in memory; decisions, of which a long run has
many, go to a file and are looked up there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from attrs import frozen

from bifrost_engine.calendar import Sessions
from bifrost_engine.domain.contract import plain
from bifrost_engine.domain.record import Record
from bifrost_engine.journal.attribution import order_field
from bifrost_engine.journal.story import SHRUNK, VETOED, Decisions, Span
from bifrost_engine.replay.tables import Row

SEEN = ("net_delta", "spot", "trading_state")


@frozen(kw_only=True)
class Sent:
    """An order as it left.

    side          BUY or SELL
    quantity, limit_price  as the order has them, texts of decimals; limit_price None for a market order
    purpose       HEDGE, FLATTEN, …
    """

    ts_ns: int
    strategy_id: str
    contract_key: str
    side: str
    quantity: str
    order_type: str
    limit_price: str | None
    purpose: str

    def terms(self) -> tuple[Any, ...]:
        """Return what two orders are equal by: all but their names."""
        return (
            self.ts_ns,
            self.contract_key,
            self.side,
            self.quantity,
            self.order_type,
            self.limit_price,
            self.purpose,
        )


@frozen(kw_only=True)
class Widest:
    """The largest net delta of a strategy, share equivalents, signed."""

    ts_ns: int
    net_delta: float


@frozen(kw_only=True)
class Decided:
    """A run of equal decisions.

    facts    what was seen at the first, by the names in ``SEEN``
    reasons  why nothing was proposed, in the strategy's words
    gates    those that vetoed or shrank: name, verdict, value, limit
    because  why an order followed; None if none did
    """

    first_ns: int
    last_ns: int
    count: int
    facts: Mapping[str, Any]
    reasons: tuple[str, ...]
    gates: tuple[tuple[Any, ...], ...]
    because: str | None


class Watch:
    """Takes the records and samples of one run.

    sent    orders by strategy, in the order in which they left
    widest  by strategy, looked at each minute of the session and at each fill
    """

    def __init__(self, file: Path, sessions: Sessions) -> None:
        self.sent: dict[str, list[Sent]] = {}
        self.widest: dict[str, Widest] = {}
        self._sessions = sessions
        self._decisions = Decisions()
        self._path = file
        self._file = open(file, "w", encoding="utf-8")  # noqa: SIM115 - closed by close()

    def take(self, record: Record, _run_id: str | None) -> None:
        """Take a committed record."""
        ended = self._decisions.take(record)
        if ended is not None:
            self._keep(ended)
        if record.kind == "order_event" and record.payload["event"] == "SUBMIT":
            self._sent(record)

    def add(self, table: str, row: Row) -> None:
        """Take a row of a result's tables; only samples of the books are looked at."""
        delta = row.get("net_delta") if table == "equity" else None
        if delta is None or self._sessions.session_at(row["ts"]) is None:
            return
        known = self.widest.get(row["strategy_id"])
        if known is None or abs(delta) > abs(known.net_delta):
            self.widest[row["strategy_id"]] = Widest(ts_ns=row["ts"], net_delta=delta)

    def close(self) -> None:
        """Take what still stands at the end; nothing may be taken afterwards."""
        for span in self._decisions.latest.values():
            self._keep(span)
        self._file.close()

    def decided(self, strategy_id: str, ts_ns: int, net_delta: float | None = None) -> Decided | None:
        """Return what a strategy decided at a time, None if nothing so far.

        net_delta  of several decisions at that time the one that saw it is meant, else the last
        """
        best: Decided | None = None
        for found in self._read(strategy_id):
            if found.first_ns > ts_ns:
                break
            best = found
            if found.first_ns == ts_ns and found.facts.get("net_delta") == net_delta is not None:
                break
        return best

    def ordering(self, strategy_id: str, ts_ns: int) -> Decided | None:
        """Return the first decision at a time that led to an order, None if there is none."""
        made = (one for one in self._read(strategy_id) if one.first_ns == ts_ns and one.because is not None)
        return next(made, None)

    def _sent(self, record: Record) -> None:
        order = partial(order_field, record.payload)
        limit_price = order("limit_price")
        sent = Sent(
            ts_ns=record.ts_ns,
            strategy_id=record.strategy_id or "",
            contract_key=order("contract_key"),
            side=str(order("side")),
            quantity=plain(order("quantity")),
            order_type=str(order("order_type")),
            limit_price=None if limit_price is None else plain(limit_price),
            purpose=str(order("purpose")),
        )
        self.sent.setdefault(sent.strategy_id, []).append(sent)

    def _keep(self, span: Span) -> None:
        told = {
            "strategy_id": span.strategy_id,
            "first_ns": span.first_ns,
            "last_ns": span.last_ns,
            "count": span.count,
            "facts": {name: span.signal["facts"].get(name) for name in SEEN},
            "reasons": span.signal["reasons"],
            "gates": span.gates(VETOED, SHRUNK),
            "because": None if span.order is None else span.order["reason"],
        }
        self._file.write(json.dumps(told, default=str) + "\n")

    def _read(self, strategy_id: str) -> Iterator[Decided]:
        with open(self._path, encoding="utf-8") as lines:
            for line in lines:
                told = json.loads(line)
                if told.pop("strategy_id") == strategy_id:
                    told["reasons"] = tuple(told["reasons"])
                    told["gates"] = tuple(tuple(gate) for gate in told["gates"])
                    yield Decided(**told)
