"""Make the pictures of the monitor that the documentation shows, from a monitor that runs.

    python docs/make_monitor_pictures.py http://127.0.0.1:8765

Needs Chromium and websocket-client. What is on them is whatever the daemon behind it does at that moment.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests" / "plugins"))

from browser import Browser  # noqa: E402

PICTURES = (
    ("monitor-dark", "dark", 1440, 1600),
    ("monitor-light", "light", 1440, 1600),
    ("monitor-phone", "dark", 400, 1100),
)
"""File, theme, width and height in CSS pixels."""


def main(address: str) -> None:
    """Write each picture into ``_static``."""
    with TemporaryDirectory() as folder:
        browser = Browser(Path(folder))
        for name, theme, width, height in PICTURES:
            browser.size(width, height)
            browser.go(address)
            browser.wait("document.getElementById('page-state').textContent === 'Page live'")
            browser.js(f"document.documentElement.dataset.theme = '{theme}'")
            browser.picture(HERE / "_static" / f"{name}.png", beyond=False)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1])
