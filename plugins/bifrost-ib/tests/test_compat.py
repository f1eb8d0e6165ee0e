"""Where and how the client libraries may be used."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import bifrost_ib
import pytest
from bifrost_ib import compat

SOURCES = sorted(Path(bifrost_ib.__file__).parent.rglob("*.py"))
BLOCKING = (
    *("connect", "sleep", "run", "qualifyContracts", "accountSummary", "reqPositions", "waitOnUpdate"),
    *("reqOpenOrders", "reqAllOpenOrders", "reqCompletedOrders", "reqExecutions", "reqCurrentTime"),
    *("reqContractDetails", "reqSecDefOptParams", "reqAccountSummary", "reqAccountUpdates", "schedule"),
)


def test_one_module_only_imports_a_client_library():
    importing = re.compile(
        r"^\s*(?:from|import)\s+(?:ib_insync|ib_async|eventkit|nest_asyncio)\b", re.MULTILINE
    )
    assert not [path.name for path in SOURCES if importing.search(path.read_text())]
    naming = [path.name for path in SOURCES if "import_module(" in path.read_text()]
    assert naming == ["compat.py"]


def test_no_blocking_method_of_the_libraries_is_called():
    calling = re.compile(rf"\bib\.(?:{'|'.join(BLOCKING)})\(|nest_asyncio|\.run_until_complete\(")
    found = [f"{path.name}: {hit.group()}" for path in SOURCES for hit in calling.finditer(path.read_text())]
    assert not found


def test_the_library_says_what_it_is(library):
    async def work():
        return compat.load(library).info

    info = asyncio.run(work())
    assert (info.name, info.max_client_version) == (library, {"ib_insync": 176, "ib_async": 178}[library])
    assert info.eventkit_dist.startswith(("eventkit ", "aeventkit "))


CONNECT = """
import asyncio
from bifrost_ib import compat

async def main():
    ib = compat.make_ib(compat.load({library!r}))
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        await ib.client.connectAsync("127.0.0.1", port, 1, 0.2)
    except (TimeoutError, asyncio.TimeoutError, ConnectionError):
        print("tried")
    server.close()

{start}
"""


@pytest.mark.parametrize(
    "start",
    [
        "asyncio.run(main())",
        "with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner: runner.run(main())",
    ],
)
def test_it_works_on_any_loop_and_warns_of_nothing(library, start):
    code = CONNECT.format(library=library, start=start)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.stdout.strip(), done.returncode) == ("tried", 0), done.stderr
