from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from pathlib import Path

import pytest
import structlog
from attrs import evolve
from bifrost_notify.alert import KINDS
from bifrost_notify.outbox import MOST_WAITING
from bifrost_notify.plugin import NotifySink
from patience import PATIENCE_S

from bifrost_engine.testing import SinkConformance, make_config, make_context, make_operation, make_snapshot

NOBODY = "json://127.0.0.1:1"
"""Where nothing listens."""


@pytest.fixture
def sink_in():
    """Makes sinks with a folder and targets; their threads end with the test."""
    made = []

    def make(folder, *urls, **section):
        made.append(
            NotifySink(make_config(NotifySink.Config, urls=list(urls), **section), make_context(folder))
        )
        return made[-1]

    yield make
    for each in made:
        each.outbox.close(PATIENCE_S)


class TestNotifySink(SinkConformance):
    """Its operations are the alerts that wait for a target that isn't there."""

    def make(self, context):
        self.made = [*getattr(self, "made", ()), NotifySink(self.config(), context)]
        return self.made[-1]

    def teardown_method(self):
        for sink in getattr(self, "made", ()):
            sink.outbox.close(PATIENCE_S)

    def config(self):
        return make_config(
            NotifySink.Config, urls=[NOBODY], tell=list(KINDS), quiet_s=0, most_per_hour=0, sender="test"
        )

    def rows(self, subject, what):
        if what == "snapshot":
            return list(subject.plugin.newest.values())
        return [alert.row for sink in self.made for alert in sink.outbox.mailboxes[0].waiting]

    def test_only_a_snapshot_for_the_history_is_kept_as_a_row_too(self, tmp_path: Path) -> None:
        sink = self.subject(tmp_path)
        sink.call("write_snapshot", make_snapshot(killed=True), True)
        assert self.rows(sink, "operations") == []  # it keeps no history, and tells nothing of it


def test_a_reject_is_told_at_every_target(sink_in, tmp_path, hook, other_hook):
    sink = sink_in(tmp_path, hook.url, other_hook.url)
    sink.write_operation(make_operation(type="reject", state_reason="code 201: margin"))
    for each in (hook, other_hook):
        each.wait_for(lambda each=each: each.taken)
        (post,) = each.taken
        assert post["title"] == "Bifrost: Order rejected, main"
        assert post["message"] == (
            "2013-10-07 14:00:00Z  Order rejected, main: SELL 10 at 100; code 201: margin; order BF.test.1"
        )
        assert post["type"] == "warning"


def test_kill_is_a_failure_that_says_who_asked(sink_in, tmp_path, hook):
    sink = sink_in(tmp_path, hook.url, sender="desk 2")
    kill = make_operation(type="kill", side=None, quantity=None, price=None, client_order_id=None)
    sink.write_operation(kill | {"strategy_id": None, "state_reason": "killed", "requested_by": "ann"})
    hook.wait_for(lambda: hook.taken)
    assert (hook.taken[0]["title"], hook.taken[0]["type"]) == ("desk 2: Kill", "failure")
    assert hook.taken[0]["message"].endswith("Kill: killed; asked by ann")


def test_what_a_target_refuses_is_sent_again_until_it_takes_it_and_then_no_more(sink_in, tmp_path, hook):
    hook.status = 503
    sink = sink_in(tmp_path, hook.url)
    sink.write_operation(make_operation(1, type="halt", state_reason="LOSS: over 5000"))
    hook.wait_for(lambda: len(hook.posts) >= 3)
    sink.write_operation(make_operation(2, type="kill"))
    hook.status = 200
    hook.wait_for(lambda: "Kill" in hook.texts())
    hook.wait_for(lambda: not sink.outbox.mailboxes[0].waiting)
    assert hook.texts().count("LOSS") == 1


def test_a_target_that_hangs_delays_neither_the_sink_nor_another_target(sink_in, tmp_path, hook, other_hook):
    hook.open.clear()
    sink = sink_in(tmp_path, hook.url, other_hook.url, most_per_hour=0)
    started = time.monotonic()
    for number in range(1, 31):
        sink.write_operation(make_operation(number, type="halt", state_reason=f"halt {number}"))
    assert time.monotonic() - started < 4.0  # after so long apprise would give the first one up
    other_hook.wait_for(lambda: "halt 30;" in other_hook.texts())
    assert hook.taken == []
    started = time.monotonic()
    sink.disconnect()
    assert time.monotonic() - started < 2.0
    hook.open.set()


def test_a_process_ends_although_a_target_hangs(tmp_path, hook):
    hook.open.clear()
    script = (
        "import sys; from pathlib import Path\n"
        "from bifrost_engine.testing import make_config, make_context, make_operation\n"
        "from bifrost_notify.plugin import NotifySink\n"
        "config = make_config(NotifySink.Config, urls=[sys.argv[1] + '?rto=60'])\n"
        "sink = NotifySink(config, make_context(Path(sys.argv[2])))\n"
        "sink.write_operation(make_operation(type='kill'))\n"
        "sys.stdin.readline(); sink.disconnect()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, hook.url, str(tmp_path)], stdin=subprocess.PIPE, text=True
    )
    hook.wait_for(lambda: hook.posts)
    started = time.monotonic()
    process.communicate("end\n", timeout=10)
    assert (process.returncode, time.monotonic() - started < 5.0) == (0, True)


def test_what_waits_when_it_ends_gets_one_more_attempt(sink_in, tmp_path, hook):
    hook.status = 503
    sink = sink_in(tmp_path, hook.url)
    sink.outbox.mailboxes[0]._wait_s = 600.0
    sink.write_operation(make_operation(type="stopped"))
    hook.wait_for(lambda: sink.outbox.mailboxes[0].failures)
    hook.status = 200
    sink.disconnect()
    assert "Stopped, main" in hook.texts()


def test_too_much_that_waits_loses_the_oldest_but_no_failure_and_says_so(sink_in, tmp_path, hook):
    hook.status = 503
    sink = sink_in(tmp_path, hook.url, tell=["kill", "fill"], quiet_s=0, most_per_hour=0)
    sink.write_operation(make_operation(1, type="kill"))
    for number in range(2, MOST_WAITING + 10):
        sink.write_operation(make_operation(number, type="fill"))
    refused = len(hook.posts) + 2  # what is refused then was put together after all had come
    hook.wait_for(lambda: len(hook.posts) >= refused)
    hook.status = 200
    hook.wait_for(lambda: not sink.outbox.mailboxes[0].waiting)
    assert hook.taken[0]["title"].startswith("Bifrost: Kill, main (and ")
    assert "9 earlier alerts were dropped" in hook.taken[0]["message"]
    assert "order BF.test.2\n" not in hook.texts()


class Kept(logging.Handler):
    """Keeps what reaches the process's own log, at every level."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())


@pytest.fixture
def log_lines():
    root, kept = logging.getLogger(), Kept()
    level = root.level
    root.addHandler(kept)
    root.setLevel(logging.DEBUG)
    logging.getLogger("desk").debug("the log is kept")
    yield kept.lines
    root.removeHandler(kept)
    root.setLevel(level)


def test_no_part_of_a_url_is_logged_or_shown(tmp_path, hook, capfd, log_lines):
    hook.status = 503
    with structlog.testing.capture_logs() as logs:
        config = make_config(NotifySink.Config, urls=[hook.url, "nosuch://s3cr3t/t0k3n"])
        sink = NotifySink(config, evolve(make_context(tmp_path), log=structlog.get_logger()))
        sink.write_operation(make_operation(type="kill"))
        hook.wait_for(lambda: len(hook.posts) >= 2 and len({log["event"] for log in logs}) == 2)
        sink.disconnect()
    assert "the log is kept" in log_lines
    assert {log["target"] for log in logs if "target" in log} == {"1 (json)", "2 (nosuch)"}
    shown = f"{logs} {config!r} {capfd.readouterr()} {log_lines}"
    assert "s3cr3t" not in shown
    assert "t0k3n" not in shown


def test_operations_from_long_before_the_start_are_not_told(sink_in, tmp_path):
    sink = sink_in(tmp_path, NOBODY)
    now_s = make_operation()["ts"]
    sink.write_operation(make_operation(1, type="kill", ts=now_s - 3600))
    sink.write_operation(make_operation(2, type="kill", ts=now_s - 600))
    assert [alert.row["jseq"] for alert in sink.outbox.mailboxes[0].waiting] == [2]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"journal-a": "x"}'])
def test_a_damaged_file_of_what_was_told_is_begun_anew(sink_in, tmp_path, text):
    (tmp_path / "notify-test.json").write_text(text)
    sink_in(tmp_path, NOBODY).write_operation(make_operation(7, type="kill"))
    assert json.loads((tmp_path / "notify-test.json").read_text()) == {"journal-a": 7}


def test_a_disk_that_is_full_keeps_no_alert_back(sink_in, tmp_path):
    sink = sink_in(tmp_path / "nowhere", NOBODY)
    sink.write_operation(make_operation(7, type="kill"))
    sink.write_operation(make_operation(7, type="kill"))
    assert len(sink.outbox.mailboxes[0].waiting) == 1


def test_without_a_target_the_host_leaves_it_out(sink_in, tmp_path):
    assert not sink_in(tmp_path).configured
    assert sink_in(tmp_path, NOBODY).configured


def test_making_it_loads_nothing_heavy():
    code = "import sys; import bifrost_notify.plugin; sys.exit('apprise' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
