"""A builder of fills: amounts as text, everything else ordinary."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from bifrost_engine.domain.contract import Contract
from bifrost_engine.domain.fill import Fill
from bifrost_engine.domain.order import Side


@pytest.fixture(scope="session")
def make_fill() -> Callable[..., Fill]:
    def build(base_id: str, signed: str | int | Decimal, price: str | Decimal, **fields: Any) -> Fill:
        quantity = Decimal(signed)
        commission = fields.pop("commission", "0")
        return Fill(
            **{
                "base_id": base_id,
                "owner": "s1",
                "account": "DU1",
                "contract": Contract.stock("NVDA"),
                "side": Side.BUY if quantity >= 0 else Side.SELL,
                "quantity": abs(quantity),
                "price": Decimal(price),
                "commission": None if commission is None else Decimal(commission),
                "exec_ts_ns": 0,
                "booked_ns": 0,
                "trading_day": date(2026, 11, 20),
                **fields,
            }
        )

    return build
