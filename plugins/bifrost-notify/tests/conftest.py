"""A web hook on this machine that does as it is told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from bifrost_notify.outbox import Mailbox
from patience import PATIENCE_S

"""A process of its own first loads apprise, which takes seconds on a busy machine."""


class Hook(ThreadingHTTPServer):
    """Keeps what is posted; answers with ``status``, and not before ``open`` is set.

    posts  all that came, with those that were refused
    taken  bodies that were answered with 200
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.status = 200
        self.open = threading.Event()
        self.open.set()
        self.posts: list[dict[str, Any]] = []
        self.taken: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"json://ann:s3cr3t@127.0.0.1:{self.server_address[1]}/t0k3n"

    def texts(self) -> str:
        return "\n".join(f"{post['title']}\n{post['message']}" for post in self.taken)

    def wait_for(self, holds: Callable[[], Any]) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while not holds():
            assert time.monotonic() < deadline_s, f"waited in vain; came: {self.posts}"
            time.sleep(0.005)


class Answer(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.posts.append(body)
        self.server.open.wait(PATIENCE_S)
        status = self.server.status
        self.send_response(status)
        self.end_headers()
        if status == 200:
            self.server.taken.append(body)

    def log_message(self, *_: Any) -> None:
        pass


def hooks() -> Iterator[Hook]:
    served = Hook()
    thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield served
    served.open.set()
    served.shutdown()
    thread.join()
    served.server_close()


hook = pytest.fixture(hooks, name="hook")
other_hook = pytest.fixture(hooks, name="other_hook")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts follow each other quickly."""
    monkeypatch.setattr(Mailbox, "waits_s", (0.02, 0.1))
