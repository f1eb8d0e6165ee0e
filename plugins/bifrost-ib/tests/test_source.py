"""What the plugin's source must not do: block the loop, or patch it."""

from __future__ import annotations

import ast
from pathlib import Path

import bifrost_ib
import pytest

PACKAGE = Path(bifrost_ib.__file__).parent
BLOCKING = {
    "connect",
    "qualifyContracts",
    "accountSummary",
    "accountValues",
    "sleep",
    "waitOnUpdate",
    "loopUntil",
    "run",
    "schedule",
    "timeRange",
    "whatIfOrder",
    "bracketOrder",
    "reqTickers",
    "reqContractDetails",
    "reqPositions",
    "reqOpenOrders",
    "reqAllOpenOrders",
    "reqCompletedOrders",
    "reqExecutions",
    "reqAccountUpdates",
    "reqCurrentTime",
    "reqMarketRule",
    "reqSecDefOptParams",
    "reqHistoricalData",
}
"""Methods of the libraries' ``IB`` that run the loop themselves. Those of its ``client`` only write."""
SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if "simgateway" not in path.parts)


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


def called_on_ib(path: Path) -> set[str]:
    """Return the methods that are called on something named ``ib``."""
    return {
        node.func.attr
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and getattr(node.func.value, "attr", getattr(node.func.value, "id", "")) == "ib"
    }


def test_there_are_sources_and_they_do_call_the_library():
    assert "reqContractDetailsAsync" in set().union(*map(called_on_ib, SOURCES))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_no_method_that_blocks_is_called(path):
    assert called_on_ib(path) & BLOCKING == set()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_the_loop_is_not_patched_and_no_library_is_imported_directly(path):
    assert imported(path) & {"nest_asyncio", "ib_insync", "ib_async", "eventkit"} == set()
    text = path.read_text("utf-8")
    assert "nest_asyncio" not in text
    assert "run_until_complete" not in text
    assert "time.sleep" not in text
