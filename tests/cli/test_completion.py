from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script_for_its_own_completion(bifrost, shell: str):
    answer = bifrost("completion", shell)
    assert answer.code == 0
    assert "_BIFROST_COMPLETE" in answer.out
    assert shell in answer.out


def test_what_the_script_asks_for_is_answered():
    environ = os.environ | {
        "_BIFROST_COMPLETE": "fish_complete",
        "COMP_WORDS": "bifrost control s",
        "COMP_CWORD": "s",
    }
    done = subprocess.run(
        [sys.executable, "-c", "from bifrost_engine.cli.main import main; main()"],
        env=environ,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "plain,stop\tStop the daemon in good order.\nplain,suspend\tSend no new hedges.\n"
