"""A sink that knows more than the journal: an older copy was restored, and nothing may be sent by it."""

from __future__ import annotations

import json
from typing import Any

from bifrost_engine.domain.events import SinkAhead
from bifrost_engine.testing.engine import EngineUnderTest

SINK = {"status": {"sink": ["plain"]}, "wave": {"seconds": 60}}


def test_with_a_sink_ahead_of_the_journal_a_run_sends_nothing(home: Any) -> None:
    here = home(**SINK)
    here.run()
    sent = len(here.operations("order_sent"))
    assert sent
    (path,) = here.folder.glob("cursor-plain.json")
    (journal_id,) = json.loads(path.read_text())
    path.write_text(json.dumps({journal_id: 10**6}))
    here.write(**{**SINK, "wave": {"seconds": 120}})
    here.run()
    assert len(here.operations("order_sent")) == sent
    (halt,) = [row for row in here.operations("halt") if "sink_ahead" in row["state_reason"]]
    assert "was an older copy of the journal restored?" in halt["state_reason"]
    found = [record.payload for record in here.records("recon_item")]
    assert [item["status"] for item in found if item["rule"] == "R02"] == ["OPEN"]


def test_the_halt_holds_over_a_restart() -> None:
    run = EngineUnderTest()
    run.handle(SinkAhead(ts_ns=run.now_ns, problem="sink mine has 9 records"))
    run.mid(103.0)
    assert not run.placed
    again = run.restart()
    again.mid(103.0)
    assert not again.placed
