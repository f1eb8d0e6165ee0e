"""How many mutants of each package were tried, and how many of them no test noticed.

``mutmut`` keeps a file of results beside each module that it mutates, which is what this reads.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

SURVIVED = (0, 5, 33)  # as mutmut writes them: the tests passed, or no test touches the function


def results() -> dict[str, list[int | None]]:
    """Return package → exit code of the tests for each mutant, None where they haven't run."""
    found: dict[str, list[int | None]] = defaultdict(list)
    for path in sorted(Path("mutants/bifrost_engine").rglob("*.meta")):
        found[path.parent.name] += json.loads(path.read_text())["exit_code_by_key"].values()
    return found


for package, codes in results().items():
    tried = [code for code in codes if code is not None]
    survived = sum(code in SURVIVED for code in tried)
    share = 100 * survived / max(1, len(tried))
    print(f"{package}: {len(codes)} mutants, {len(tried)} tried, {survived} survived ({share:.1f} %)")
