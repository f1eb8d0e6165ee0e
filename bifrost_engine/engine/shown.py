"""A broker's snapshot as plain values, for the record of the pass that looked at it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import fields, frozen

from bifrost_engine.domain.broker import BrokerOrder, BrokerPosition, BrokerState, Execution

_PARTS = ("positions", "open_orders", "completed_orders", "executions")
_NAMES: dict[type, tuple[str, ...]] = {
    cls: tuple(field.name for field in fields(cls) if field.name != "contract")
    for cls in (BrokerOrder, BrokerPosition, Execution)
}


def shown(state: BrokerState) -> dict[str, Any]:
    """Return the whole snapshot as it was told; a contract is told by its key."""
    told: dict[str, Any] = {
        "account": state.account,
        "as_of_start_ns": state.as_of_start_ns,
        "as_of_end_ns": state.as_of_end_ns,
        "since_ns": state.since_ns,
        "incomplete": sorted(state.incomplete),
        "stable": state.stable,
        "currency": state.currency,
        "paper": state.paper,
        "session_id": state.session_id,
        "summary": dict(state.summary),
    }
    for part in _PARTS:
        told[part] = [_plain(item) for item in getattr(state, part)]
    return told


def _plain(item: BrokerOrder | BrokerPosition | Execution) -> dict[str, Any]:
    names = _NAMES[type(item)]
    return {"contract_key": item.contract.key, **{name: getattr(item, name) for name in names}}


@frozen
class LastLook:
    """Which orders the last snapshot showed, by our reference and by the broker's lasting id.

    is_whole  an order that isn't among them wasn't there
    since_ns  of orders from before then it says nothing
    """

    begun_ns: int
    since_ns: int
    is_whole: bool
    references: frozenset[str]
    perm_ids: frozenset[str]

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> LastLook:
        """Return what ``shown`` told, or a journal of it."""
        orders = [*told["open_orders"], *told["completed_orders"], *told["executions"]]
        return cls(
            begun_ns=told["as_of_start_ns"],
            since_ns=told.get("since_ns") or 0,
            is_whole=not {"open_orders", "executions"} & set(told["incomplete"]),
            references=frozenset(one["client_order_id"] for one in orders if one["client_order_id"]),
            perm_ids=frozenset(one["perm_id"] for one in orders if one["perm_id"]),
        )
