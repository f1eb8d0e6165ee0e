"""A monitor that is served over HTTP, and who asks it."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import uvicorn
from attrs import define, field
from bifrost_monitor.app import Monitor, application
from bifrost_monitor.line import Line
from bifrost_monitor.server import Server
from patience import PATIENCE_S, wait_for


@define
class Reply:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


@define
class Client:
    """Speaks HTTP to a monitor; ``cookie`` goes with each request once there is one.

    pid   of a monitor that is a process of its own
    look  makes the monitor look at its database now: else what it answers may be a moment old
    """

    port: int
    token: str
    cookie: str = ""
    pid: int = 0
    look: Callable[[], object] = field(default=lambda: None, repr=False)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        """Send one request; ``headers`` with underscores for hyphens."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookie:
            given.setdefault("Cookie", self.cookie)
        data = body
        if body is not None and not isinstance(body, bytes | str):
            data = json.dumps(body)
            given.setdefault("Content-Type", "application/json")
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)) as line:
            line.request(method, path, data, given)
            got = line.getresponse()
            return Reply(got.status, {name.lower(): value for name, value in got.getheaders()}, got.read())

    def get(self, path: str, **headers: str) -> Reply:
        return self.ask("GET", path, **headers)

    @contextmanager
    def stream(self, path: str, **headers: str) -> Iterator[Callable[[], tuple[str, Any, str]]]:
        """Yield what waits for the next event and returns its name, its data and its number."""
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        with closing(line):
            line.request("GET", path, headers={name.replace("_", "-"): to for name, to in headers.items()})
            got = line.getresponse()
            assert got.status == 200, got.read()

            def following() -> tuple[str, Any, str]:
                fields: dict[str, str] = {}
                while True:
                    line_of_it = got.readline().decode()
                    assert line_of_it, "the stream ended"
                    name, _, value = line_of_it.rstrip("\n").partition(": ")
                    if name:
                        fields[name] = value
                    elif "event" in fields:
                        return fields["event"], json.loads(fields["data"]), fields.get("id", "")

            yield following

    def command(self, word: str, body: Any = None, **headers: str) -> Reply:
        """Give a command with the token."""
        return self.ask("POST", f"/control/{word}", body, Authorization=f"Bearer {self.token}", **headers)


class _Server(Server):
    """Knows the loop that it runs in."""

    loop: asyncio.AbstractEventLoop

    async def startup(self, *args: Any, **named: Any) -> None:
        self.loop = asyncio.get_running_loop()
        await super().startup(*args, **named)


@define
class Served:
    """A monitor that is served from a thread."""

    make: Callable[[], Monitor]
    line: type[Line] = Line
    monitor: Monitor = field(init=False)
    server: _Server = field(init=False)
    thread: threading.Thread = field(init=False)

    def start(self, port: int = 0) -> int:
        self.monitor = self.make()
        config = uvicorn.Config(
            application(self.monitor),
            port=port,
            http=self.line,
            ws="none",
            log_level="error",
            timeout_graceful_shutdown=1,
        )
        self.server = _Server(config, self.monitor.watch.end)
        self.thread = threading.Thread(target=self.server.run)
        self.thread.start()
        wait_for(lambda: self.server.started, "for the monitor")
        return int(self.server.servers[0].sockets[0].getsockname()[1])

    def look(self) -> None:
        """Make it look at its database, whatever it knew before."""
        asyncio.run_coroutine_threadsafe(self.monitor.watch.as_of_now(), self.server.loop).result(PATIENCE_S)

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(PATIENCE_S)
