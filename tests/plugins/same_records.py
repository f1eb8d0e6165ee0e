"""Whether two runs left the same records, ids and modes apart."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from bifrost_engine.domain.record import Record

COID = re.compile(r"\bBF-[0-9a-z]{4}-")


def told(records: list[Record]) -> Iterator[str]:
    """Yield each record as a text, with what may differ left out or made alike."""
    runs: dict[str, str] = {}
    for record in records:
        payload = dict(record.payload)
        if record.kind == "run":
            runs[payload["run_id"]] = f"run {len(runs)}"
            payload["mode"] = "any"
            payload["facts"] = {**payload["facts"], "engine_id": "any"}
        text = json.dumps(
            [record.jseq, record.ts_ns, record.kind, record.strategy_id, payload], sort_keys=True
        )
        text = COID.sub(
            "BF-", text.replace("PAPER account", "any account").replace("BACKTEST account", "any account")
        )
        for run_id, name in runs.items():
            text = text.replace(run_id, name)
        yield text


def first_difference(ours: list[Record], theirs: list[Record]) -> tuple[str, str] | None:
    """Return the first two records that differ, None if all are alike."""
    for one, other in zip(told(ours), told(theirs), strict=False):
        if one != other:
            return one, other
    return None if len(ours) == len(theirs) else (f"{len(ours)} records", f"{len(theirs)} records")
