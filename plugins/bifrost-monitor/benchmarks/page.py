"""What the page weighs after a whole session, and how soon it shows the state.

    python plugins/bifrost-monitor/benchmarks/page.py

A daemon rehearses a session with a hedge every few minutes, a monitor serves what came of it,
and a client asks over HTTP; with Chromium at hand, a browser does, too.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT / "tests" / "plugins"))

from monitor_client import Client  # noqa: E402
from monitor_desk import Desk, new_database  # noqa: E402
from patience import wait_for  # noqa: E402
from private_server import quick_server  # noqa: E402

FILES = ("/", "/static/monitor.css", "/static/monitor.js", "/static/lamp-stopped.svg")
ROUNDS = 20
TIMES = """(() => {
  const [page] = performance.getEntriesByType("navigation");
  const [paint] = performance.getEntriesByName("first-contentful-paint");
  return JSON.stringify({
    "browser: page's first byte": page.responseStart,
    "browser: first figures painted": paint?.startTime,
    "browser: live": window.liveAt,
  });
})()"""
LIVE_AT = (
    "new MutationObserver((_, seen) => {"
    " if (document.getElementById('page-state')?.textContent !== 'Page live') return;"
    " window.liveAt = performance.now(); seen.disconnect();"
    " }).observe(document, {subtree: true, childList: true, characterData: true})"
)


def by_http(client: Client) -> None:
    """Print what each file weighs, and how long the page takes."""
    weights = {path: len(client.get(path).body) for path in FILES}
    for path, weight in weights.items():
        print(f"{path:32} {weight / 1000:8.1f} kB")
    print(f"{'in all':32} {sum(weights.values()) / 1000:8.1f} kB")
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        client.get("/")
        times.append(time.perf_counter() - started)
    print(f"{'the page, median of ' + str(ROUNDS):32} {1000 * median(times):8.1f} ms")


def by_browser(client: Client) -> None:
    """Print how long a browser takes from being asked for the page, the files not yet known to it."""
    try:
        from browser import executable, open_browser
    except ModuleNotFoundError as error:
        print(f"no browser: {error}")
        return
    if executable() is None:
        print("no browser: apt-get install chromium")
        return
    with open_browser() as browser:
        browser.size(1440, 1000)
        browser.do("Network.setCacheDisabled", cacheDisabled=True)
        browser.do("Page.addScriptToEvaluateOnNewDocument", source=LIVE_AT)
        told = []
        for _ in range(ROUNDS):
            browser.go(f"http://127.0.0.1:{client.port}/")
            browser.wait("window.liveAt && performance.getEntriesByName('first-contentful-paint').length")
            told.append(json.loads(browser.js(TIMES)))
        for name in told[0]:
            print(f"{name:32} {median(one[name] for one in told):8.1f} ms")


def main() -> None:
    """Make the desk and print the figures."""
    with quick_server() as uri, TemporaryDirectory() as folder:
        desk = Desk(Path(folder), new_database(uri, "measured"))
        desk.rehearse("2025-03-03T15:59")
        with desk.monitor() as client:
            wait_for(lambda: client.get("/status").json["status"], "for the state")
            by_http(client)
            by_browser(client)


if __name__ == "__main__":
    main()
