"""What comes out of ``Engine.handle``; the host carries it out in order.

A ``Record`` (``domain/record.py``) is an effect too: all records before an order
in the list are on disk before it leaves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import Factory, frozen

from bifrost_engine.domain.broker import CancelRequest, OrderRequest, ReplaceRequest
from bifrost_engine.domain.contract import Contract
from bifrost_engine.domain.record import Record


@frozen
class PlaceOrder:
    """Commit the journal, then call ``place_order`` once and report ``Placed``."""

    request: OrderRequest


@frozen
class CancelOrder:
    """Commit the journal, then call ``cancel_order``."""

    request: CancelRequest


@frozen
class ReplaceOrder:
    """Commit the journal, then call ``replace_order``."""

    request: ReplaceRequest


@frozen
class FetchBrokerState:
    """Call ``fetch_broker_state`` and report ``BrokerStateReceived`` with this trigger and link.

    Events go on meanwhile. What is asked over a newer link takes the place of all earlier questions.

    link      number of the broker's link
    since_ns  what hasn't changed since then need not be told; None: everything is asked for
    """

    trigger: str
    link: int | None = None
    since_ns: int | None = None


@frozen
class WakeAt:
    """Send a ``Timer`` once the host's clock has reached ``at_ns``, in place of what was asked for before.

    at_ns  None: no timer is wanted any more
    """

    at_ns: int | None


@frozen
class Subscribe:
    """The full list of contracts whose quotes are wanted."""

    contracts: tuple[Contract, ...]


@frozen
class ConnectBroker:
    """Ask the broker and the feed to connect, at once."""


@frozen
class StopHost:
    """An operator wants the daemon to stop."""

    reason: str


@frozen
class Notice:
    """A line for the log.

    level  ``info``, ``warning`` or ``error``
    event  what happened, in few words
    """

    level: str
    event: str
    facts: Mapping[str, Any] = Factory(dict)


Effect = (
    Record
    | PlaceOrder
    | CancelOrder
    | ReplaceOrder
    | FetchBrokerState
    | WakeAt
    | Subscribe
    | ConnectBroker
    | StopHost
    | Notice
)
