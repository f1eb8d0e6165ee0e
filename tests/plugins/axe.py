"""axe-core, which finds faults of accessibility: fetched by npm when it is needed, and not kept here."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
import tarfile
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from browser import Browser
from patience import PATIENCE_S

PACKAGE = "axe-core@4.10.3"
INTEGRITY = "Xm7bpRXnDSX2YE2YFfBk2FnF0ep6tmG7xPh8iHee8MIcrgq762Nkce856dYtJYLkuIoYZvGfTs/PbZhideTcEg=="
GRAVE = ("serious", "critical")
UNDECIDABLE = ("color-contrast",)
"""Text over a drawing: axe can't tell what is behind it, and says so of each."""
RUN = "axe.run(document).then(found => JSON.stringify(found))"


@cache
def _fetched() -> tuple[str, str]:
    """Return the script, or nothing and why; asked once, since npm takes its time to give up."""
    npm = shutil.which("npm")
    if npm is None:
        return "", "npm isn't installed"
    with TemporaryDirectory(prefix="bifrost-axe-") as folder:
        command = [npm, "pack", "--silent", "--fetch-retries=1", PACKAGE]
        try:
            subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=PATIENCE_S)
        except (OSError, subprocess.SubprocessError) as error:
            return "", f"npm couldn't fetch it: {error}"
        (packed,) = Path(folder).glob("*.tgz")
        digest = base64.b64encode(hashlib.sha512(packed.read_bytes()).digest()).decode()
        assert digest == INTEGRITY, f"{PACKAGE} isn't the one that is known"
        with tarfile.open(packed) as archive:
            script = archive.extractfile("package/axe.min.js")
            assert script is not None
            return script.read().decode(), ""


def source() -> str:
    """Return the script; skip the test, saying why, where it can't be had."""
    script, why = _fetched()
    if why:
        pytest.skip(f"needs axe-core: {why}")
    return script


def faults(browser: Browser, least: tuple[str, ...] = GRAVE) -> list[str]:
    """Return what is wrong with the page as it is now, or may be, one line for each rule and place."""
    browser.js(f"{source()}; 0")
    found: dict[str, Any] = json.loads(browser.js(RUN))
    assert found["testEngine"]["name"] == "axe-core"
    doubts = [rule for rule in found["incomplete"] if rule["id"] not in UNDECIDABLE]
    return [
        f"{rule['impact']} {rule['id']}: {node['html'][:120]} — {node['failureSummary']}"
        for rule in (*found["violations"], *doubts)
        if rule["impact"] in least
        for node in rule["nodes"]
    ]
