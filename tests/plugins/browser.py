"""A real browser: Debian's Chromium without a window, told what to do over its DevTools protocol."""

from __future__ import annotations

import base64
import itertools
import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import websocket
from patience import wait_for

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    *("--disable-background-networking", "--disable-extensions", "--hide-scrollbars", "--mute-audio"),
    "--remote-debugging-port=0",
)


def executable() -> str | None:
    """Return the browser that is installed, None without one."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


@contextmanager
def open_browser() -> Iterator[Browser]:
    """A browser with a profile of its own, which its helpers may write to a moment longer than it lives."""
    with TemporaryDirectory(prefix="bifrost-browser-", ignore_cleanup_errors=True) as folder:
        browser = Browser(Path(folder))
        try:
            yield browser
        finally:
            browser.close()


class Browser:
    """One page of a browser. Each wait gives up after some seconds."""

    def __init__(self, folder: Path) -> None:
        program = executable()
        assert program is not None
        command = [program, *FLAGS, f"--user-data-dir={folder}", "about:blank"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        port_file = folder / "DevToolsActivePort"
        wait_for(lambda: port_file.exists() and port_file.read_text().count("\n"), "for the browser")
        port, path = port_file.read_text().split("\n")[:2]
        self._line = websocket.create_connection(
            f"ws://127.0.0.1:{port}{path}", timeout=30, suppress_origin=True
        )
        self._numbers = itertools.count(1)
        self._session = ""
        self.complaints: list[str] = []
        target = self.do("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.do("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.do(f"{domain}.enable")

    def do(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Give a command of the protocol and return its result."""
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._line.send(json.dumps(message))
        while True:
            told = json.loads(self._line.recv())
            if told.get("id") == number:
                assert "error" not in told, told
                return dict(told["result"])
            self._note(told)

    def _note(self, told: dict[str, Any]) -> None:
        parameters = told.get("params", {})
        if told.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(str(parameters["exceptionDetails"]))
        elif told.get("method") == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.complaints.append(f"{parameters['entry']['text']} {parameters['entry'].get('url', '')}")

    def size(self, width: int, height: int) -> None:
        """Set the window's size in CSS pixels."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 700}
        self.do("Emulation.setDeviceMetricsOverride", **metrics)

    def go(self, url: str) -> None:
        """Load a page."""
        self.do("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def js(self, expression: str) -> Any:
        """Return what an expression gives on the page."""
        result = self.do("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def wait(self, expression: str, patience_s: float = 60.0) -> float:
        """Wait until an expression holds and return the seconds it took."""
        started = time.monotonic()
        while True:
            try:
                if self.js(expression):
                    return time.monotonic() - started
            except AssertionError:  # between two pages
                pass
            assert time.monotonic() - started < patience_s, f"waited in vain for {expression}"
            time.sleep(0.05)

    def text(self, selector: str) -> str:
        """Return what an element says."""
        found = self.js(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")
        return re.sub(r"\s+", " ", str(found)).strip()

    def click(self, selector: str) -> None:
        """Press the primary button in the middle of an element, as a hand would."""
        at = self.js(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            " e.scrollIntoView({block: 'center'}); const b = e.getBoundingClientRect();"
            " return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        where = {"x": at[0], "y": at[1]}
        self.do("Input.dispatchMouseEvent", type="mouseMoved", **where)
        for kind in ("mousePressed", "mouseReleased"):
            self.do("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **where)

    def type(self, text: str) -> None:
        """Type into whatever has the focus."""
        self.do("Input.insertText", text=text)

    def key(self, name: str) -> None:
        """Press a key by its name, such as Tab or ArrowLeft."""
        codes = {"Tab": 9, "Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowRight": 39}
        pressed = {"key": name, "windowsVirtualKeyCode": codes[name]}
        if name == "Enter":
            self.do("Input.dispatchKeyEvent", type="keyDown", text="\r", **pressed)
        else:
            self.do("Input.dispatchKeyEvent", type="rawKeyDown", **pressed)
        self.do("Input.dispatchKeyEvent", type="keyUp", **pressed)

    def picture(self, file: Path, beyond: bool = True) -> None:
        """Write a picture of the page, of all of it or of what the window shows."""
        shown = self.do("Page.captureScreenshot", captureBeyondViewport=beyond)
        file.write_bytes(base64.b64decode(shown["data"]))

    def close(self) -> None:
        """End it."""
        self._line.close()
        self._process.terminate()
        self._process.wait(60)
