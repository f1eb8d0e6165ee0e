"""What the monitor costs and how soon it tells: real processes of daemon, database server and monitor.

    python plugins/bifrost-monitor/benchmarks/monitor.py [--seconds 20] [--commands 40]

``GET /status`` and a bare ``SELECT`` take turns 200 times a second each, each timed from when it was due, so
that a stall counts for all who would have asked meanwhile. A command counts from its POST to
when the daemon took it and to when its outcome was in the database; it was obeyed in between.
"""

from __future__ import annotations

import argparse
import os
import selectors
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
from bifrost_pg.embedded import EmbeddedServer

sys.path.insert(0, str(Path(__file__).parents[3] / "tests" / "plugins"))

from monitor_client import Client
from monitor_desk import Desk, new_database
from patience import wait_for

RATE_HZ = 200
CROWDS = (1, 500, 1000, 2000)
CHANGES, CHANGES_HZ = 24, 2
TICKS_HZ = os.sysconf("SC_CLK_TCK")


def quantile(samples: Sequence[float], share: float) -> float:
    """Return the value that a share of the samples doesn't exceed."""
    return sorted(samples)[min(len(samples) - 1, int(share * len(samples)))]


def told(name: str, seconds: Sequence[float]) -> None:
    """Print quantiles in milliseconds."""
    middle, high, most = (1e3 * quantile(seconds, share) for share in (0.5, 0.99, 1.0))
    print(f"{name:58} p50 {middle:8.2f} ms   p99 {high:8.2f} ms   most {most:8.2f} ms   n {len(seconds)}")


def processor_s(pid: int) -> float:
    """Return the processor time of a process, seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_HZ


def resident_mb(pid: int) -> float:
    """Return the memory of a process."""
    return int(Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")[2].split()[0]) / 1024


# --- asking --------------------------------------------------------------------------------


def paced(ask: Callable[[], object], seconds: float, offset_s: float) -> list[float]:
    """Return how long after it was due each of the answers was there."""
    taken, started = [], time.perf_counter() + offset_s
    for number in range(int(seconds * RATE_HZ)):
        due = started + number / RATE_HZ
        time.sleep(max(0.0, due - time.perf_counter()))
        ask()
        taken.append(time.perf_counter() - due)
    return taken


def asker(line: socket.socket, path: str) -> Callable[[], bytes]:
    """Return what asks for a path on one connection and returns the answer."""
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()

    def ask() -> bytes:
        line.sendall(request)
        got = b""
        while b"\r\n\r\n" not in got:
            got += line.recv(65536)
        head, _, body = got.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        while len(body) < length:
            body += line.recv(65536)
        assert head.startswith(b"HTTP/1.1 200"), head
        return body

    return ask


def asking(client: Client, dsn: str, seconds: float) -> None:
    """Print how long ``GET /status`` takes beside a bare SELECT, and what a request costs the monitor."""
    found: dict[str, list[float]] = {}
    with (
        closing(socket.create_connection(("127.0.0.1", client.port))) as line,
        closing(socket.create_connection(("127.0.0.1", client.port))) as other,
        psycopg.connect(dsn, autocommit=True) as conn,
    ):
        ways: dict[str, Callable[[], object]] = {
            "GET /status": asker(line, "/status"),
            "GET /healthz, which reads nothing": asker(other, "/healthz"),
            "bare SELECT * FROM status_current": lambda: conn.execute(
                "SELECT * FROM status_current", prepare=True
            ).fetchall(),
        }

        def run(name: str, offset_s: float) -> None:
            found[name] = paced(ways[name], seconds, offset_s)

        threads = [
            threading.Thread(target=run, args=(name, number / RATE_HZ / len(ways)))
            for number, name in enumerate(ways)
        ]
        before = processor_s(client.pid)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        spent = processor_s(client.pid) - before
    for name in ways:
        told(name, found[name])
    first, _, last = (found[name] for name in ways)
    ratios = [quantile(first, share) / quantile(last, share) for share in (0.5, 0.99)]
    print(f"{'GET /status, times the bare SELECT':58} p50 {ratios[0]:8.1f}      p99 {ratios[1]:8.1f}")
    print(f"{'the monitor meanwhile':58}     {100 * spent / seconds:8.1f} % of a core")


def first_data(client: Client) -> None:
    """Print how long it takes from connecting to the first data of each kind."""
    for path, text in (("/status", b'"status_lamp"'), ("/events", b"event: status"), ("/", b"</html>")):
        taken = []
        for _ in range(50):
            time.sleep(0.03)
            started = time.perf_counter()
            with closing(socket.create_connection(("127.0.0.1", client.port))) as line:
                line.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                got = b""
                while text not in got:
                    got += line.recv(65536)
            taken.append(time.perf_counter() - started)
        told(f"connecting to the first data, {path}", taken)


# --- commanding ----------------------------------------------------------------------------


def commanding(client: Client, dsn: str, count: int) -> None:
    """Print how soon a daemon obeys, suspended and resumed in turn."""
    written, taken, settled = [], [], []
    with psycopg.connect(dsn, autocommit=True) as conn:
        for number in range(count):
            time.sleep(0.1 + 0.37 * number % 1)  # not in step with the daemon's polls
            sent = time.time()
            reply = client.command("suspend" if number % 2 == 0 else "resume")
            written.append(time.time() - sent)
            row = (reply.json["id"],)
            text = "SELECT extract(epoch FROM consumed_at)::float8, outcome FROM daemon_control WHERE id = %s"
            while not (found := conn.execute(text, row).fetchone()) or not found[1]:
                time.sleep(0.002)
            settled.append(time.time() - sent)
            taken.append(found[0] - sent)
    told("POST to the answer: the command is in the database", written)
    told("POST to when the daemon took it", taken)
    told("POST to its outcome in the database", settled)


# --- listening -----------------------------------------------------------------------------


@contextmanager
def crowd(port: int, count: int) -> Iterator[Callable[[bytes], float]]:
    """Yield what returns when the last of many listeners was told some text."""
    selector = selectors.DefaultSelector()
    lines = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
    for line in lines:
        line.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        selector.register(line, selectors.EVENT_READ)

    def hear(text: bytes) -> float:
        waiting, rest = set(lines), dict.fromkeys(lines, b"")
        while waiting:
            for key, _ in selector.select(1.0):
                line: socket.socket = key.fileobj  # type: ignore[assignment]
                rest[line] = rest[line][-len(text) :] + line.recv(1 << 20)
                if text in rest[line]:
                    waiting.discard(line)
        return time.perf_counter()

    try:
        hear(b"event: status")
        yield hear
    finally:
        selector.close()
        for line in lines:
            line.close()


def listening(client: Client, dsn: str) -> None:
    """Print what listeners cost while the state changes twice a second, and how late the last is told."""
    for count in CROWDS:
        late = []
        with crowd(client.port, count) as hear, psycopg.connect(dsn, autocommit=True) as conn:
            before, started = processor_s(client.pid), time.perf_counter()
            for number in range(CHANGES):
                due = started + (number + 0.37 * number % 1) / CHANGES_HZ  # not in step with the looks
                time.sleep(max(0.0, due - time.perf_counter()))
                changed = time.perf_counter()
                conn.execute("UPDATE status_current SET spot = %s", (9000.5 + number,))
                late.append(hear(b'"spot":%.1f' % (9000.5 + number)) - changed)
            spent = processor_s(client.pid) - before
            share = spent / (time.perf_counter() - started)
            size = resident_mb(client.pid)
        told(f"{count} listeners: a change to the last who is told", late)
        each = 1e6 * spent / CHANGES / count
        print(f"{'':58}     {100 * share:8.1f} % of a core, {each:.0f} µs for each told, {size:.0f} MB")


def starting(desk: Desk) -> None:
    """Print how long a monitor takes from its start to its first answer."""
    taken = []
    for _ in range(3):
        started = time.perf_counter()
        with desk.monitor() as client:
            client.get("/status")
            taken.append(time.perf_counter() - started)
    told("starting to the first answer", taken)


def main() -> None:
    """Run all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--commands", type=int, default=40)
    options = parser.parse_args()
    with TemporaryDirectory(prefix="bifrost-monitor-") as folder:
        server = EmbeddedServer(Path(folder) / "postgres")
        desk = Desk(Path(folder), new_database(server.start(), "desk"))
        try:
            desk.rehearse("2025-03-03T09:40")
            starting(desk)
            with desk.monitor() as client:
                first_data(client)
                asking(client, desk.dsn, options.seconds)
                listening(client, desk.dsn)
                if not options.commands:
                    return
                with desk.daemon():
                    wait_for(
                        lambda: client.get("/status").json["status_lamp"] == "green", "for the daemon", 60
                    )
                    commanding(client, desk.dsn, options.commands)
                    asking(client, desk.dsn, options.seconds)
        finally:
            server.stop()
    loads = " ".join(f"{load:.1f}" for load in os.getloadavg())
    print(f"load of the machine over 1, 5 and 15 minutes: {loads}; {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
