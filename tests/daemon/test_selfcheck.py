"""The self-check asks a plugin that has one of its own, and tells what that finds."""

from __future__ import annotations

from typing import Any

from daemon_under_test import Home

from bifrost_engine.daemon.instance import Instance
from bifrost_engine.daemon.selfcheck import selfcheck
from bifrost_engine.domain import CheckResult, Verdict
from bifrost_engine.journal.lock import FileLock


def found(here: Home, *names: str) -> list[CheckResult]:
    instance = Instance.find(here.file, here.environ)
    return [result for result in selfcheck(instance, here.file) if result.name in names]


def checked(home: Any, **venue: Any) -> Home:
    here: Home = home(feed="venue", venue=venue)
    return here


def test_hook_self_check(home):
    (told,) = found(checked(home), "venue")
    assert (told.result, told.found) == (Verdict.WARNING, "asked about NVDA|STK|||")


def test_a_broker_without_one_is_connected_as_before(home):
    (linked,) = found(checked(home), "broker mischief")
    assert (linked.result, linked.found) == (Verdict.OK, "linked, and left again")


def test_what_it_raises_is_a_finding(home):
    (broken,) = found(checked(home, wrong={"self_check": "raise"}), "feed venue")
    assert broken.result is Verdict.FAILED
    assert "mischief" in broken.found


def test_nothing_is_tried_while_a_daemon_has_the_connection(home):
    here = checked(home)
    here.folder.mkdir(parents=True)
    lock = FileLock(here.folder / "journal-DPAPER.db.lock", "default")
    (skipped,) = found(here, "broker mischief", "venue")
    lock.release()
    assert skipped.result is Verdict.SKIPPED
