"""A gateway of Interactive Brokers that isn't one: the protocol, an account and a market, made up.

Clients connect to it as to TWS. Nothing it does reaches anybody's money. ``SimGateway`` runs
one inside a test; ``bifrost ib-simgateway`` runs one as a process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bifrost_ib.simgateway.clock import ManualClock
    from bifrost_ib.simgateway.server import SimGateway

__all__ = ["ManualClock", "SimGateway"]


def __getattr__(name: str) -> Any:
    # The protocol's modules are usable with the standard library alone; the market isn't.
    if name == "SimGateway":
        from bifrost_ib.simgateway.server import SimGateway

        return SimGateway
    if name == "ManualClock":
        from bifrost_ib.simgateway.clock import ManualClock

        return ManualClock
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
