"""Reading the account's state, part by part, in the order that lets the parts explain each other.

A part that doesn't come in time, or can't be read, is missing; it is never taken for empty.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TypeVar

from bifrost_ib.link import Link, ListIncomplete
from bifrost_ib.messages import (
    AccountValue,
    CompletedOrder,
    ExecutionDetails,
    Message,
    OpenOrder,
    OrderStatus,
    PositionReport,
)
from bifrost_ib.translate.snapshot import OrderList, Parts

T = TypeVar("T")
READ = ("open_orders", "completed_orders", "executions", "positions", "open_orders")
SPARE_S = 1.0
"""Kept of the time for an answer, so that what is there is returned in time."""

Part = tuple[Message, ...] | None


async def read_parts(link: Link, each_s: float, deadline_s: float, summary: Iterable[AccountValue]) -> Parts:
    """Read all parts. Raises LinkDown if the connection ends meanwhile.

    each_s      seconds for one part
    deadline_s  seconds for all
    summary     the account's values, which come by themselves
    """
    loop = asyncio.get_running_loop()
    end_s = loop.time() + deadline_s - SPARE_S
    found: list[Part] = []
    for name in READ:
        try:
            left_s = max(0.0, end_s - loop.time())
            found.append(await link.read(name, min(each_s, left_s)))
        except ListIncomplete:
            found.append(None)
    first, completed, executions, positions, again = found
    return Parts(
        open_orders=_orders(first),
        completed=_only(completed, CompletedOrder),
        executions=_only(executions, ExecutionDetails),
        positions=_only(positions, PositionReport),
        open_orders_again=_orders(again),
        summary=tuple(summary),
    )


def _only(part: Part, kind: type[T]) -> tuple[T, ...] | None:
    return None if part is None else tuple(message for message in part if isinstance(message, kind))


def _orders(part: Part) -> OrderList | None:
    orders, statuses = _only(part, OpenOrder), _only(part, OrderStatus)
    return None if orders is None or statuses is None else OrderList(orders=orders, statuses=statuses)
