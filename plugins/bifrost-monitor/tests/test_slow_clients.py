"""Clients that dawdle, and very many at once: each is let go or served, and holds nobody up."""

from __future__ import annotations

import json
import os
import selectors
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from bifrost_monitor.line import Line
from bifrost_pg import rows
from monitor_client import Client, Served
from monitor_desk import Desk
from patience import PATIENCE_S, wait_for

SLOW = 50
LISTENERS = 1000


class Impatient(Line):
    HEAD_PATIENCE_S = 0.5
    TAKE_PATIENCE_S = 0.5


@pytest.fixture
def client(serve: Callable[..., Client]) -> Client:
    """A monitor with little patience."""
    return serve(line=Impatient)


@pytest.fixture
def served(serve, client: Client) -> Served:
    return serve.served[-1]


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), PATIENCE_S)


def nobody_is_left(served: Served) -> bool:
    state = served.server.server_state
    return not state.connections and not state.tasks


def test_who_sends_the_head_byte_by_byte_is_turned_away_while_others_are_served(
    client: Client, served: Served
):
    with ExitStack() as stack:
        lines = [stack.enter_context(closing(connected(client.port))) for _ in range(SLOW)]
        left = set(lines)
        for byte in b"GET /status HTTP/1.1\r\nHost: localhost\r\nX-Padding: " + b"x" * 2000:
            for line in tuple(left):
                try:
                    line.sendall(bytes([byte]))
                except OSError:
                    left.discard(line)
            if not left or not served.server.server_state.connections:
                break
            assert client.get("/healthz").status == 200
        assert all(_told(line).startswith(b"HTTP/1.1 408 ") for line in lines[-3:])
    wait_for(lambda: nobody_is_left(served), "for all to be let go")


def _told(line: socket.socket) -> bytes:
    try:
        return line.recv(4096)
    except ConnectionResetError:  # it was sent, and what came after it was refused
        return b"HTTP/1.1 408 "


def test_who_says_nothing_at_all_is_let_go_and_told_why(client: Client, served: Served):
    with closing(connected(client.port)) as line, line.makefile("rb") as answer:
        told = answer.read()
    assert told.startswith(b"HTTP/1.1 408 ")
    assert json.loads(told.partition(b"\r\n\r\n")[2]) == {"error": "expected a request within 0.5 s"}
    wait_for(lambda: nobody_is_left(served), "for it to be let go")


def test_a_second_request_has_to_come_whole_in_time_too(client: Client):
    with closing(connected(client.port)) as line:
        line.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        told = b""
        while b'"reason":null}' not in told:
            told += line.recv(4096)
        line.sendall(b"GET /healthz HT")
        assert line.recv(4096).startswith(b"HTTP/1.1 408 ")


def test_what_is_not_http_is_refused_as_json(client: Client):
    with closing(connected(client.port)) as line, line.makefile("rb") as answer:
        line.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\r\n\r\n")
        told = answer.read()
    assert told.startswith(b"HTTP/1.1 400 ")
    assert json.loads(told.partition(b"\r\n\r\n")[2])["error"]


def test_a_listener_that_does_not_read_is_let_go_and_little_waits_for_it(desk, client, served):
    long = 300_000
    with closing(socket.socket()) as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.connect(("127.0.0.1", client.port))
        line.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        watch = served.monitor.watch
        wait_for(lambda: watch.listeners == 1, "for it to listen")
        most = 0

        def gone() -> bool:
            nonlocal most
            # There is something to tell again and again, more than the system would keep for it.
            text = json.dumps({"long": f"x{time.monotonic():08.3f}" * (long // 10)})
            desk.execute("UPDATE status_current SET detail = %s", (text,))
            lines = tuple(served.server.server_state.connections)
            most = max(most, *(line.transport.get_write_buffer_size() for line in lines), 0)
            return watch.listeners == 0

        wait_for(gone, "for it to be let go")
        assert 0 < most < 2 * long
        assert client.get("/healthz").status == 200
    wait_for(lambda: nobody_is_left(served), "for its place to be free")


# --- a thousand ----------------------------------------------------------------------------


class Crowd:
    """Many who listen to /events, each on a socket of its own."""

    def __init__(self, port: int, count: int) -> None:
        self._selector = selectors.DefaultSelector()
        self._told: dict[socket.socket, bytearray] = {}
        for _ in range(count):
            line = connected(port)
            line.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            line.setblocking(False)
            self._told[line] = bytearray()
            self._selector.register(line, selectors.EVENT_READ)

    def hear(self, text: bytes) -> None:
        """Return when everybody was told some text; what they heard before it is forgotten."""
        waiting = {line for line, told in self._told.items() if text not in told}
        deadline_s = time.monotonic() + PATIENCE_S
        while waiting:
            assert time.monotonic() < deadline_s, f"{len(waiting)} never heard {text!r}"
            for key, _ in self._selector.select(0.1):
                line: socket.socket = key.fileobj  # type: ignore[assignment]
                some = line.recv(1 << 20)
                assert some, "one was let go"
                self._told[line] += some
                if text in self._told[line]:
                    waiting.discard(line)
        for told in self._told.values():
            told.clear()

    def go(self) -> None:
        self._selector.close()
        for line in self._told:
            line.close()


@contextmanager
def crowd(client: Client, count: int) -> Iterator[Crowd]:
    listening = Crowd(client.port, count)
    try:
        listening.hear(b"event: status")
        yield listening
    finally:
        listening.go()


def listeners(client: Client) -> float:
    return float(client.get("/metrics").text.partition("\nbifrost_monitor_listeners ")[2].split("\n")[0])


def resident_mb(client: Client) -> float:
    status = Path(f"/proc/{client.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def open_files(client: Client) -> int:
    return len(os.listdir(f"/proc/{client.pid}/fd"))


def commits(desk: psycopg.Connection, seconds: float) -> int:
    """Return how many transactions the database does in some seconds."""
    count = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
    before = desk.execute(count).fetchone()[0]
    time.sleep(seconds)
    return int(desk.execute(count).fetchone()[0] - before)


def test_a_thousand_listeners_are_all_told_and_leave_nothing_behind(desk, database_uri, tmp_path):
    with Desk(tmp_path, database_uri).monitor() as client:
        with crowd(client, 1):
            for_one = commits(desk, 3.0)
        wait_for(lambda: listeners(client) == 0)
        files, sizes = open_files(client), []
        for number in (1, 2):
            with crowd(client, LISTENERS) as everybody:
                assert listeners(client) == LISTENERS
                desk.execute("UPDATE status_current SET spot = %s", (7000.5 + number,))
                everybody.hear(b'"spot":%.1f' % (7000.5 + number))
                rows.write_operation(desk, {"ts": 1.0, "type": "fill", "price": 800.25 + number})
                everybody.hear(b'"price":%.2f' % (800.25 + number))
                assert client.get("/healthz").status == 200
                for_all = commits(desk, 3.0)
            wait_for(lambda: listeners(client) == 0, "for them to be gone")
            wait_for(lambda: open_files(client) <= files + 2, "for their sockets to be closed")
            sizes.append(resident_mb(client))
    assert for_all < 2 * for_one
    assert sizes[1] < sizes[0] + 10
