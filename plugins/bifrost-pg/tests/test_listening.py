"""That there is a command is heard at once, and again after the connection was lost."""

from __future__ import annotations

import time
from contextlib import closing
from queue import Empty, SimpleQueue

import psycopg
import pytest
from bifrost_pg import migrations
from bifrost_pg.connection import open_connection
from bifrost_pg.control import send_command
from bifrost_pg.listening import Listening
from patience import PATIENCE_S


@pytest.fixture
def conn(database_uri):
    with closing(open_connection(database_uri)) as opened:
        migrations.refresh(opened)
        yield opened


@pytest.fixture
def heard(database_uri):
    """What was heard; the first is that it listens."""
    queue: SimpleQueue[float] = SimpleQueue()
    connect = lambda: open_connection(f"{database_uri}&application_name=listening")  # noqa: E731
    listening = Listening(connect, lambda: queue.put(time.monotonic()), (0.0, 0.0))
    listening.start()
    queue.get(timeout=PATIENCE_S)
    yield queue
    listening.close()
    assert not listening.is_alive()


def test_each_command_is_heard(conn, heard):
    for _ in range(3):
        send_command(conn, "suspend", None, "ann")
        heard.get(timeout=PATIENCE_S)
    with pytest.raises(Empty):
        heard.get_nowait()


def test_after_a_lost_connection_it_listens_again_and_says_so(conn, heard):
    ended = conn.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'listening' AND datname = current_database()"
    )
    assert ended.fetchone() == (True,)
    heard.get(timeout=PATIENCE_S)  # something may have been written meanwhile
    send_command(conn, "resume", None, "ann")
    heard.get(timeout=PATIENCE_S)


def test_a_command_that_was_not_committed_is_not_heard(conn, heard, database_uri):
    with psycopg.connect(database_uri) as other, other.transaction(force_rollback=True):
        send_command(other, "kill", None, "ann")
    send_command(conn, "resume", None, "ann")
    heard.get(timeout=PATIENCE_S)
    with pytest.raises(Empty):
        heard.get_nowait()
