"""A rehearsal on a live feed: its account is opened as a copy of the one behind the feed.

The broker takes positions by ``open_with``; the feed tells them by ``fetch_broker_state``.
It happens once: an account that was opened before goes on as it is.
"""

from __future__ import annotations

from typing import Any

from bifrost_engine.daemon.assemble import Assembly, feed_name
from bifrost_engine.domain.broker import BrokerState, BrokerStateRequest
from bifrost_engine.domain.contract import plain
from bifrost_engine.errors import BrokerError
from bifrost_engine.replay.calling import Hook, call_hook
from bifrost_engine.replay.misfit import fitting


def copying(parts: Assembly) -> bool:
    """Return whether the broker's account is new, empty by its settings, and the feed has one to copy."""
    broker = _broker(parts)
    return (
        feed_name(parts.config) != parts.config.broker
        and hasattr(broker, "open_with")
        and not getattr(broker, "record_exists", None)
        and not getattr(parts.broker_config, "positions", None)
        and _fetch(parts) is not None
    )


def connect_to_copy(parts: Assembly, connect: Hook) -> Hook:
    """Return the broker's ``connect`` that opens its account with the feed's positions first.

    Raises what the feed raises, and BrokerError if it doesn't know all positions; nothing is opened then.
    """
    fetch, log = _fetch(parts), parts.log
    assert fetch is not None
    opened = False

    async def copy_and_connect() -> None:
        nonlocal opened
        if not opened:
            answer = await call_hook(fetch, BrokerStateRequest(account=""))
            state = fitting(answer, BrokerState, "fetch_broker_state")
            if "positions" in state.incomplete:
                raise BrokerError(f"account {state.account}: its positions couldn't be read in full")
            _broker(parts).open_with(state.positions)
            opened = True
            held = ", ".join(f"{plain(p.quantity)} {p.contract.key}" for p in state.positions)
            log.info("the paper account is a copy", of=state.account, positions=held or "none")
        await call_hook(connect)

    return copy_and_connect


def _broker(parts: Assembly) -> Any:
    return parts.plugins.plugin("brokers", parts.config.broker)


def _fetch(parts: Assembly) -> Hook | None:
    return parts.plugins.implementation("feeds", feed_name(parts.config), "fetch_broker_state")
