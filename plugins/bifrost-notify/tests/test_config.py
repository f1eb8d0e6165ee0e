from __future__ import annotations

import subprocess
import sys

import pytest
from bifrost_notify.alert import DEFAULT
from bifrost_notify.plugin import NotifySink

from bifrost_engine.errors import ConfigError
from bifrost_engine.testing import make_config


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"urls": ["t0k3n"]}, "number 1 is none"),
        ({"urls": ["json://a", "t0k3n@x"]}, "number 2 is none"),
        ({"urls": 7}, "urls"),
        ({"tell": ["kill", "killl"]}, "found killl"),
        ({"quiet_s": -1}, "quiet_s"),
        ({"most_per_hour": -1}, "most_per_hour"),
    ],
)
def test_a_wrong_setting_is_refused_without_its_secrets(section, message):
    with pytest.raises(ConfigError, match=message) as caught:
        make_config(NotifySink.Config, **section)
    assert "t0k3n" not in str(caught.value)


def test_what_trading_does_all_day_is_told_only_if_asked_for():
    assert {"kill", "halt", "hold", "reject", "lamp", "finding"} <= set(DEFAULT)
    assert not {"fill", "order_sent", "hedge_intent", "cancel"} & set(DEFAULT)


def test_config_show_hides_the_urls(tmp_path):
    file = tmp_path / "hedge.yaml"
    file.write_text(
        "symbol: SPY\nstatus:\n  sink: notify\n  notify: {urls: ['json://ann:s3cr3t@x/t0k3n'], quiet_s: 60}\n"
    )
    command = [sys.executable, "-m", "bifrost_engine.cli", "config", "show", "--config", str(file)]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    assert "quiet_s" in shown.stdout
    assert "s3cr3t" not in shown.stdout + shown.stderr
    assert "t0k3n" not in shown.stdout + shown.stderr
