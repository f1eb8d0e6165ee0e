"""What the ``ib:`` section accepts; broker and feed share it.

Only values that could never work are refused here. Whether they fit the gateway that
answers is known once there is a connection.
"""

from __future__ import annotations

from typing import Any, Literal

from attrs import Factory, field, frozen

from bifrost_ib.maintenance import NIGHTLY, window_of
from bifrost_ib.translate.executions import zone_of

GATEWAY_MESSAGES = 50
"""Messages that the gateway takes in any one second."""


def setting(default: Any, help: str, **limits: Any) -> Any:
    """Return an attribute with its default, its explanation and its limits."""
    return field(default=default, metadata={"help": help, **limits})


@frozen(kw_only=True)
class Retry:
    """Pauses between attempts to connect."""

    first: float = setting(2.0, "the first pause", unit="s", gt=0)
    factor: float = setting(2.0, "each pause to the one before", ge=1)
    max: float | None = setting(None, "longest pause; null: daemon.ib_retry_interval", unit="s", gt=0)
    jitter: float = setting(0.2, "share of a pause by which it varies", ge=0, le=1)


@frozen(kw_only=True)
class Pacing:
    """Messages to the gateway. Raises ValueError if it could get more than it takes."""

    rate: int = setting(35, "messages per second", gt=0)
    burst: int = setting(10, "messages at once", gt=0)

    def __attrs_post_init__(self) -> None:
        if self.rate + self.burst >= GATEWAY_MESSAGES:
            raise ValueError(
                f"rate + burst: expected below {GATEWAY_MESSAGES}, was {self.rate} + {self.burst}"
            )


@frozen(kw_only=True)
class StaleAfter:
    """Time without a quote after which a line counts as dead."""

    stock: float = setting(15.0, "for stock", unit="s", gt=0)
    option: float = setting(60.0, "for options", unit="s", gt=0)


@frozen(kw_only=True)
class IBConfig:
    """The ``ib:`` section. Raises ValueError for a zone that nobody knows, or no time of the day."""

    host: str = setting("127.0.0.1", "where TWS or the gateway runs", pattern=r"\S+", form="a host name")
    port: int = setting(
        7497, "4001 gateway live, 4002 gateway paper, 7496 TWS live, 7497 TWS paper", ge=1, le=65_535
    )
    client_id: int = setting(1, "1 to 32 recommended; 0 would take over orders made by hand", ge=1)
    account: str = setting("", "needed when the login has more than one")
    library: Literal["auto", "ib_insync", "ib_async"] = setting("auto", "auto: the first that is installed")
    connect_timeout: float = setting(60.0, "for the whole of connecting", unit="s", gt=0)
    sync_timeout: float = setting(8.0, "for each request of the synchronisation", unit="s", gt=0)
    retry_ib: Retry = setting(Factory(Retry), "pauses between attempts to connect")
    heartbeat: float = setting(20.0, "silence before the gateway is probed", unit="s", gt=0)
    probe_timeout: float = setting(5.0, "for the answer to a probe", unit="s", gt=0)
    pacing: Pacing = setting(Factory(Pacing), "messages to the gateway")
    market_data_type: Literal[1, 2, 3, 4] = setting(1, "1 live, 2 frozen, 3 delayed, 4 delayed and frozen")
    allow_delayed: bool = setting(False, "trade on delayed data")
    read_only: bool = setting(False, "never send an order or a cancel")
    max_lines: int = setting(100, "concurrent lines of market data", gt=0)
    stale_after: StaleAfter = setting(Factory(StaleAfter), "time without a quote after which a line is dead")
    gateway_timezone: str | None = setting(None, "zone of times that come without one")
    maintenance: tuple[str, ...] = setting(
        NIGHTLY, "when a lost connection is planned: [Fri ]23:00-03:00[ America/New_York]"
    )
    live: bool = setting(False, "a live port or account needs this, and paper_trade: false")

    def __attrs_post_init__(self) -> None:
        zone = self.gateway_timezone
        if zone is not None and zone_of(zone) is None:
            raise ValueError(f"gateway_timezone: expected a zone such as America/New_York, was {zone!r}")
        for number, text in enumerate(self.maintenance):
            try:
                window_of(text)
            except ValueError as error:
                raise ValueError(f"maintenance[{number}]: {error}") from None
