"""What a contract last traded at, as a feed tells it: for people to see, no decision rests on it."""

from __future__ import annotations

from attrs import frozen


@frozen(kw_only=True)
class LastPrice:
    """The price of a contract's last trade, whoever made it.

    price  quote currency per unit
    ts_ns  when it reached us, nanoseconds since the epoch, UTC
    """

    contract_key: str
    price: float
    ts_ns: int
