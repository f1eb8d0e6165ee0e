"""``bifrost notify test`` as a process, against web hooks on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from bifrost_notify.config import Config
from bifrost_notify.trial import MASK, masked, try_out


@pytest.fixture
def call(tmp_path):
    def run(*words: str, urls: list[str], sink: str = "[notify]") -> subprocess.CompletedProcess[str]:
        file = tmp_path / "hedge.yaml"
        notify = json.dumps({"urls": urls, "sender": "desk 2"})
        file.write_text(f"symbol: NVDA\nbroker: paper\nstatus: {{sink: {sink}, notify: {notify}}}\n")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "BIFROST_"))}
        return subprocess.run(
            [sys.executable, "-m", "bifrost_engine.cli", "notify", "test", "--config", str(file), *words],
            env=kept | {"BIFROST_STATE_DIR": str(tmp_path / "state")},
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


def test_each_target_gets_one_alert_that_says_what_it_is(call, hook, other_hook):
    done = call(urls=[hook.url, other_hook.url])
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.partition(", taken after")[0] for line in done.stdout.splitlines()]
    assert lines == ["1 (json): delivered", "2 (json): delivered"]
    for each in (hook, other_hook):
        (post,) = each.posts
        assert (post["title"], post["type"]) == ("desk 2: Test alert", "info")
        assert "sent by 'bifrost notify test'" in post["message"]


def test_a_target_that_refuses_is_named_with_the_reason_and_nothing_of_its_url(call, hook, other_hook):
    hook.status = 403
    done = call("--json", urls=[hook.url, other_hook.url, "nosuch://s3cr3t/t0k3n"])
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert [(one["target"], one["delivered"]) for one in told] == [
        ("1 (json)", False),
        ("2 (json)", True),
        ("3 (nosuch)", False),
    ]
    assert "403" in told[0]["found"]
    assert "isn't understood" in told[2]["found"]
    assert len(hook.posts) == 1
    for secret in ("s3cr3t", "t0k3n", "ann:"):
        assert secret not in done.stdout + done.stderr


def test_who_has_no_target_hears_what_to_write(call):
    done = call(urls=[])
    assert done.returncode == 2
    assert "status.notify.urls names nobody" in done.stderr


def test_a_sink_that_is_off_is_told_although_the_alert_arrives(call, hook):
    done = call(urls=[hook.url], sink="[]")
    assert done.returncode == 0
    assert "status.sink doesn't name notify" in done.stderr


def test_a_target_that_hangs_is_given_up_and_another_is_not_held_up(hook, other_hook):
    hook.open.clear()
    slow, quick = try_out(Config(urls=[hook.url, other_hook.url]), patience_s=2.0)
    assert (slow.delivered, slow.found) == (False, "no answer within 2 s")
    assert quick.delivered
    hook.open.set()


def test_no_part_of_a_url_is_left_in_a_services_words():
    url = "mailtos://ann:p%40ss.Word@mail.example.com?to=desk@example.com"
    said = "can't log in to MAIL.example.com:465 as ann with p@ss.word for desk@example.com: 535"
    told = masked(said, url)
    assert not any(part in told.lower() for part in ("ann", "ss.word", "example", "desk"))
    assert told.startswith(f"can't log in to {MASK}:465")
    assert told.endswith(": 535")
