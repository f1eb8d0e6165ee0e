"""What the plugin and a broker process say to each other: one JSON object per line.

From the plugin:   ``{"hello": account, "now_ns": …}`` once, then
                   ``{"call": hook, "number": n, "request": …, "now_ns": …}`` and
                   ``{"quotes": [[key, bid, ask, …], …], "now_ns": …}``.
From the process:  ``{"welcome": …}`` or ``{"refused": why}`` once, then for each call
                   ``{"number": n, "answer": …}`` or ``{"number": n, "error": class, "text": …}``,
                   and ``{"event": …}`` whenever there is something to report.

Numbers come back as they went: a Decimal and a date are marked as such.
"""

from __future__ import annotations

import asyncio
import json
from datetime import date
from decimal import Decimal
from typing import Any, TypeVar

from cattrs import Converter

from bifrost_engine.domain import (
    BrokerStateRequest,
    CancelRequest,
    OrderRequest,
    PlaceAck,
    ReplaceRequest,
)
from bifrost_engine.domain.broker import BrokerState
from bifrost_engine.errors import BrokerError, DuplicateRequest, GatewayLost, NotSent, NotSupported

T = TypeVar("T")

CALLS: dict[str, tuple[Any, Any]] = {
    "place_order": (OrderRequest, PlaceAck),
    "cancel_order": (CancelRequest, None),
    "replace_order": (ReplaceRequest, None),
    "fetch_broker_state": (BrokerStateRequest, BrokerState),
}
"""Hook → the types of its request and its answer."""

ERRORS = {error.__name__: error for error in (NotSent, DuplicateRequest, NotSupported, GatewayLost)}
"""What a hook may raise by contract; anything else arrives as BrokerError: outcome unknown."""

LONGEST_LINE = 64 * 1024 * 1024
UNREAD_BYTES = 8 * 1024 * 1024
"""Who leaves so much unread isn't waited for any longer."""

_converter = Converter(unstruct_collection_overrides={frozenset: sorted})
# They pass through here and are marked in the JSON, so that ``Any`` may hold them, too.
_converter.register_unstructure_hook(date, lambda value: value)
_converter.register_structure_hook(date, lambda value, _type: value)
_converter.register_structure_hook(Decimal, lambda value, _type: value)


def to_line(**message: Any) -> bytes:
    """Return a message as a line."""
    plain = _converter.unstructure(message)
    return json.dumps(plain, default=_marked, separators=(",", ":")).encode() + b"\n"


def from_line(line: bytes) -> dict[str, Any]:
    """Return the message that a line holds. Raises ValueError if it holds none."""
    message = json.loads(line, object_hook=_unmarked)
    if not isinstance(message, dict):
        raise ValueError(f"expected a JSON object, was {line[:60]!r}")
    return message


def structured(kind: type[T], value: Any) -> T:
    """Return a part of a message as a value of the domain. Raises what cattrs raises."""
    return _converter.structure(value, kind)


def _marked(value: Any) -> Any:
    for kind, mark in ((Decimal, "$decimal"), (date, "$date")):
        if isinstance(value, kind):
            return {mark: str(value)}
    raise TypeError(f"a message can't hold {value!r}")


def _unmarked(value: dict[str, Any]) -> Any:
    if len(value) == 1:
        ((mark, text),) = value.items()
        if mark == "$decimal":
            return Decimal(text)
        if mark == "$date":
            return date.fromisoformat(text)
    return value


def error_of(name: str, text: str) -> BrokerError:
    """Return the error of that name."""
    return ERRORS[name](text) if name in ERRORS else BrokerError(f"{name}: {text}")


async def open_stream(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to ``HOST:PORT`` or to a socket's path. Raises OSError, ValueError."""
    if is_path(address):
        return await asyncio.open_unix_connection(address, limit=LONGEST_LINE)
    host, port = host_and_port(address)
    return await asyncio.open_connection(host, port, limit=LONGEST_LINE)


def is_path(address: str) -> bool:
    """Return whether an address is a socket's path."""
    return "/" in address


def host_and_port(address: str) -> tuple[str, int]:
    """Return the parts of ``HOST:PORT``. Raises ValueError."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise ValueError(f"address {address!r}: expected HOST:PORT, or a path with a / in it")
    return host.strip("[]"), int(port)
