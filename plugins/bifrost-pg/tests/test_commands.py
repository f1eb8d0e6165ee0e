"""``bifrost db``."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from bifrost_pg.commands import db, section
from bifrost_pg.config import Config
from bifrost_pg.migrations import TABLES
from click.testing import CliRunner


@pytest.fixture
def run(database_uri):
    """Runs ``db`` with arguments on the test's database."""
    config = {"status": {"postgres": {"dsn": database_uri}}}

    def run(*arguments, **options):
        return CliRunner().invoke(db, arguments, obj=SimpleNamespace(config=config), **options)

    return run


def test_check_fails_before_init_and_passes_after(run):
    before = run("check", "--json")
    assert before.exit_code == 1
    assert len(json.loads(before.output)["problems"]) == len(TABLES)
    made = run("init")
    assert made.exit_code == 0
    assert "ran 001_status.sql" in made.output
    assert run("check").output == f"{len(TABLES)} tables verified\n"
    assert run("refresh").output == f"{len(TABLES)} tables verified\n"


def test_an_unreachable_server_is_one_sentence():
    config = {"status": {"postgres": Config(host="127.0.0.1", port=1)}}
    found = CliRunner().invoke(db, ["check"], obj={"config": config})
    assert found.exit_code == 1
    assert found.output.startswith("Error: postgres: ")
    assert "no server listens there" in found.output


@pytest.mark.parametrize(
    ("arguments", "answer", "ends"),
    [(["--dry-run"], None, False), (["--yes"], None, True), ([], "n\n", False), ([], "y\n", True)],
)
def test_locks_are_listed_and_ended_as_told(run, connect, conn, arguments, answer, ends):
    other = connect("pgAdmin")
    other.execute("BEGIN; LOCK daemon_heartbeat")
    found = run("locks", *arguments, input=answer)
    assert "pgAdmin" in found.output
    assert ("ended 1" in found.output) is ends
    assert (found.exit_code == 0) is (answer != "n\n")


def test_the_daemons_own_session_is_listed_and_left(run, conn, make_sink):
    sink = make_sink()
    sink.poll_control()
    sink._session.run(lambda own: own.execute("BEGIN; LOCK daemon_heartbeat"))
    listed = json.loads(run("locks", "--yes", "--json").output)
    assert [backend["daemon"] for backend in listed] == [True]
    sink._session.run(lambda own: own.execute("COMMIT"))


def test_the_section_is_found_in_mappings_and_objects():
    assert section(None) == Config()
    assert section({"status": {"postgres": {"host": "db"}}}) == Config(host="db")
    config = SimpleNamespace(status=SimpleNamespace(postgres=Config(port=1)))
    assert section(config) == Config(port=1)
