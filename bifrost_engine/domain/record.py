"""A record of the journal: a fact that the engine's lasting state is folded from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Payload = Mapping[str, Any]


class Record:
    """One fact, numbered by the engine.

    jseq     1, 2, 3, … without a gap for the life of a journal
    payload  JSON-like fields; may hold Decimal, str enums, int, float, bool, None, attrs values,
             lists and dicts

    A payload may be given as a function of nothing, called when the payload is first looked at,
    which is when it is written: what isn't folded into the state needn't delay an order. The
    function must depend on nothing that changes.
    """

    __slots__ = ("_payload", "client_order_id", "jseq", "kind", "strategy_id", "ts_ns")

    def __init__(
        self,
        jseq: int,
        ts_ns: int,
        kind: str,
        strategy_id: str | None,
        client_order_id: str | None,
        payload: Payload | Callable[[], Payload],
    ) -> None:
        self.jseq = jseq
        self.ts_ns = ts_ns
        self.kind = kind
        self.strategy_id = strategy_id
        self.client_order_id = client_order_id
        self._payload = payload

    @property
    def payload(self) -> Payload:
        """The record's fields."""
        made = self._payload
        if callable(made):
            made = self._payload = made()
        return made

    def _fields(self) -> tuple[Any, ...]:
        return (self.jseq, self.ts_ns, self.kind, self.strategy_id, self.client_order_id, self.payload)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Record) and self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash((self.jseq, self.ts_ns, self.kind))

    def __repr__(self) -> str:
        return f"Record{self._fields()!r}"
