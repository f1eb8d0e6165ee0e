"""Orders to and from the journal's JSON; the types of ``Order`` say how."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from typing import Any

from cattrs import Converter

from bifrost_engine.domain.order import Order


@cache
def _converter() -> Converter:
    converter = Converter()
    converter.register_structure_hook(Decimal, lambda text, _type: Decimal(text))
    return converter


def order_from_payload(payload: Mapping[str, Any]) -> Order:
    """Return the order that a journal's record holds."""
    return _converter().structure(payload, Order)
