"""The gateway's quotes recorded without a broker: on disk as they came, and nothing on the wire but reads."""

from __future__ import annotations

import asyncio
from collections import Counter

import mischief
import structlog
import yaml
from bifrost_ib.compat import TRADING
from bifrost_ib.simgateway import SimGateway
from daemon_under_test import until

from bifrost_engine.calendar import ExchangeSessions
from bifrost_engine.daemon.assemble import RunOptions, load_config
from bifrost_engine.daemon.capture import Capture, wanted_contracts
from bifrost_engine.replay.readers import read_quotes
from bifrost_engine.replay.recordings import Recordings

NVDA, CALL = "NVDA|STK|||", "NVDA|OPT|20301220|130|C"
HELD = {"account": {"positions": {CALL: {"quantity": -3, "average_cost": "250.25"}}}}


def test_live_quotes_of_stock_and_position_are_recorded_and_nothing_is_sent(
    tmp_path, monkeypatch, library, market_is_known
):
    monkeypatch.syspath_prepend(str(mischief.install(tmp_path)))

    async def work():
        async with SimGateway(script=HELD) as gw:
            gw.market.pin(NVDA, 99.99, 100.01)
            gw.market.pin(CALL, 5.0, 5.1)
            section = {"port": gw.port, "library": library, "retry_ib": {"first": 0.1, "max": 0.2}}
            path = tmp_path / "bifrost.yaml"
            path.write_text(
                yaml.safe_dump({"symbol": "NVDA", "broker": "paper", "feed": "ib", "ib": section})
            )
            config = load_config(RunOptions(config_path=path), {}).config
            recordings = Recordings(tmp_path / "rec", ExchangeSessions())
            capture = Capture(
                config, tmp_path / "state", recordings, wanted_contracts(config, ()), structlog.get_logger()
            )
            task = asyncio.create_task(capture.run())
            await until(lambda: recordings.rows >= 2)
            capture.stop()
            await task
            assert not {one.name for one in gw.received} & set(TRADING.values())
        return list(read_quotes(tmp_path / "rec", Counter()))

    found = asyncio.run(asyncio.wait_for(work(), 60.0))
    told = {quote.contract_key: (quote.bid, quote.ask) for quote in found}
    assert told[NVDA] == (99.99, 100.01)
    assert told[CALL] == (5.0, 5.1)
    assert [path.suffix for path in (tmp_path / "rec").iterdir() if path.name != "recording.lock"] == [
        ".parquet"
    ]
