"""What statistics are made of, wherever it was read: four kinds of facts.

Times are whole microseconds since the epoch, UTC, as a database keeps them; so a journal, which
keeps nanoseconds, gives the same lengths of time. Amounts are in quote currency.
"""

from __future__ import annotations

from attrs import frozen

US = 1_000_000


@frozen
class Stretch:
    """Equal decisions in a row, and how long they stood.

    until_us  when another decision took their place, or the run ended
    count     how many there were
    codes     why no order followed; empty if one did
    """

    strategy_id: str
    first_us: int
    until_us: int
    count: int
    state: str | None
    codes: tuple[str, ...]


@frozen
class Sent:
    """A hedge that was sent."""

    strategy_id: str
    ts_us: int


@frozen
class Trade:
    """An execution of a strategy's order, or a later revision of it; quantity 0 once it is taken back.

    ts_us        when it was booked
    shares       of the stock; 0 of anything else
    value        quantity times multiplier times the mid that the order was decided at; None: no mid
    slipped      what it lost to that mid, positive is a cost; None: no mid
    commission   None: not told, or not yet
    """

    strategy_id: str
    ts_us: int
    execution: str
    client_order_id: str
    is_hedge: bool
    quantity: float
    shares: float
    value: float | None
    slipped: float | None
    commission: float | None


@frozen
class Charge:
    """A commission that was told after its execution."""

    execution: str
    commission: float


@frozen
class Worth:
    """What a strategy's day had come to at a time; None while a mark was missing.

    day     trading day
    booked  looked at because of a booking
    """

    strategy_id: str
    day: str
    pnl: float | None
    booked: bool


Fact = Stretch | Sent | Trade | Charge | Worth


def trade(
    *,
    strategy_id: str,
    ts_us: int,
    execution: str,
    client_order_id: str,
    is_hedge: bool,
    is_stock: bool,
    is_buy: bool,
    quantity: float,
    price: float,
    multiplier: float,
    mid: float | None,
    commission: float | None,
) -> Trade:
    """Return an execution with what it lost to the mid that its order was decided at."""
    units, sign = quantity * multiplier, 1.0 if is_buy else -1.0
    return Trade(
        strategy_id=strategy_id,
        ts_us=ts_us,
        execution=execution,
        client_order_id=client_order_id,
        is_hedge=is_hedge,
        quantity=quantity,
        shares=quantity if is_stock else 0.0,
        value=None if not mid else units * mid,
        slipped=None if not mid else sign * (price - mid) * units,
        commission=commission,
    )
