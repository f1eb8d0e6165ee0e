"""Make the pictures of the monitor that the documentation shows, from a monitor that runs.

    python docs/make_monitor_pictures.py http://127.0.0.1:8765 [monitor-light]

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
    ("monitor-dark", "dark", 1440, None),
    ("monitor-light", "light", 1440, None),
    ("monitor-phone", "dark", 390, 1180),
)
"""File, theme, width and height in CSS pixels; without a height, as high as the page."""
BOTTOM = "Math.ceil(document.querySelector('main').getBoundingClientRect().bottom)"
THEME = "document.documentElement.dataset.theme"


def main(address: str, only: str = "") -> None:
    """Write each picture into ``_static``, or one by its name."""
    with TemporaryDirectory() as folder:
        browser = Browser(Path(folder))
        for name, theme, width, height in PICTURES:
            if only not in ("", name):
                continue
            browser.size(width, height or 1000)
            browser.go(address)
            browser.wait("document.getElementById('page-state').textContent === 'Page live'")
            browser.js(f"while ({THEME} !== '{theme}') document.getElementById('theme').click()")
            if height is None:
                browser.size(width, browser.js(BOTTOM))
            browser.picture(HERE / "_static" / f"{name}.png", beyond=False)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
