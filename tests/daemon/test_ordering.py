"""Which way a command goes, with a database that is played by an object of its reader's shape."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bifrost_engine.config.schema import Config
from bifrost_engine.daemon.instance import Instance
from bifrost_engine.daemon.local_control import LocalControl
from bifrost_engine.daemon.ordering import FLAGS, give


class Reader:
    """A database that answers each command at once."""

    address = "postgresql://db/bifrost"

    def __init__(self) -> None:
        self.sent: list[tuple[Any, ...]] = []

    def send_command(self, name: str, strategy_id: str | None, by: str, flags: dict[str, bool]) -> int:
        self.sent.append((name, strategy_id, by, flags))
        return len(self.sent)

    def command_outcome(self, command_id: int) -> dict[str, Any]:
        return {"outcome": f"done {command_id}"}


class WithDatabase(Instance):
    """An instance whose database is ``reader``, or away for ``why``."""

    reader_: Any = None
    why: str = ""

    @contextmanager
    def database(self) -> Iterator[tuple[Any, str]]:
        yield type(self).reader_, type(self).why


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def make_instance(reader: Any, why: str = "") -> Instance:
        monkeypatch.setattr(WithDatabase, "reader_", reader)
        monkeypatch.setattr(WithDatabase, "why", why)
        config = Config(sinks=("postgres",))
        return WithDatabase(config=config, folder=tmp_path, zone=ZoneInfo("America/New_York"))

    return make_instance


def test_a_database_that_answers_gets_command_and_flags_together(make):
    reader = Reader()
    given = give(make(reader), "suspend", requested_by="ann")
    assert reader.sent == [("suspend", None, "ann", {"suspended": True})]
    assert (given.outcome, given.done, given.source) == ("done 1", True, "database postgresql://db/bifrost")


def test_a_command_for_one_strategy_sets_no_flag(make):
    reader = Reader()
    give(make(reader), "kill", "spy")
    assert reader.sent == [("kill", "spy", "", {})]


def test_without_an_answer_the_local_source_takes_it_and_says_why(make, tmp_path: Path):
    given = give(make(None, "no server listens there"), "suspend", requested_by="ann")
    assert given.source == f"local source {tmp_path / 'control.db'}"
    assert "the database wasn't used: no server listens there" in given.note
    state = LocalControl(tmp_path / "control.db").poll_control()
    assert (state.command.name, state.command.requested_by, state.suspended) == ("suspend", "ann", True)


def test_a_resume_without_the_database_warns_of_the_flag_that_was_seen_there(make):
    assert "a flag that was last seen there holds" in give(make(None, "away"), "resume").note
    assert "holds until it is back" not in give(make(None, "away"), "suspend").note


def test_a_resume_by_the_database_lifts_the_local_flag_too(make, tmp_path: Path):
    local = LocalControl(tmp_path / "control.db")
    local.submit("suspend", suspended=True)
    given = give(make(Reader()), "resume")
    assert given.note == "the same flag of the local source was lifted too"
    assert local.flags().suspended is False


def test_a_resume_leaves_a_local_kill_alone(make, tmp_path: Path):
    local = LocalControl(tmp_path / "control.db")
    local.submit("kill", killed=True)
    assert give(make(Reader()), "resume").note == ""
    assert local.flags().killed is True


def test_a_refusal_and_silence_are_not_done(make):
    given = give(make(Reader()), "resume")
    for outcome, done in (
        ("resumed", True),
        ("refused: no strategy", False),
        ("expired: old", False),
        (None, False),
    ):
        given.outcome = outcome
        assert given.done is done


def test_each_flag_is_lifted_by_the_command_that_undoes_it():
    assert FLAGS["suspend"] == {"suspended": True}
    assert FLAGS["resume"] == {"suspended": False}
    assert FLAGS["kill"] == {"killed": True}
    assert FLAGS["clear_kill"] == {"killed": False}
