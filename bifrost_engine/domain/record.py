"""A record of the journal: a fact that the engine's lasting state is folded from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen


@frozen
class Record:
    """One fact, numbered by the engine.

    jseq     1, 2, 3, … without a gap for the life of a journal
    payload  JSON-like fields; may hold Decimal, str enums, int, float, bool, None, lists and dicts
    """

    jseq: int
    ts_ns: int
    kind: str
    strategy_id: str | None
    client_order_id: str | None
    payload: Mapping[str, Any]
