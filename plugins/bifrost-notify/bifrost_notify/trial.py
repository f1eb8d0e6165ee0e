"""A test alert to every target at once, and what each made of it.

A service's own words say why it failed; whatever they have in common with the URL is masked.
"""

from __future__ import annotations

import logging
import re
import socket
import threading
import time
from urllib.parse import unquote

from attrs import frozen

from bifrost_notify.alert import Alert, message
from bifrost_notify.config import Config
from bifrost_notify.outbox import Target

PATIENCE_S = 30.0
MASK = "•••"
LEAST_SECRET = 3
"""Shorter parts of a URL are left in what is shown: they would mask half of every sentence."""


@frozen(kw_only=True)
class Tried:
    """What became of a test alert; ``found`` in words, without any part of the URL but the service."""

    target: str
    delivered: bool
    found: str
    took_s: float


def try_out(config: Config, patience_s: float = PATIENCE_S) -> list[Tried]:
    """Send a test alert to each target and return what came of it, in their order.

    patience_s  for all together; who hasn't answered by then has failed
    """
    attempts = [Attempt(Target(n, url), config.sender) for n, url in enumerate(config.urls, start=1)]
    until_s = time.monotonic() + patience_s
    for attempt in attempts:
        attempt.start()
    for attempt in attempts:
        attempt.join(max(0.0, until_s - time.monotonic()))
    return [attempt.told(patience_s) for attempt in attempts]


class Attempt(threading.Thread):
    """One message to one target."""

    def __init__(self, target: Target, sender: str) -> None:
        super().__init__(name=f"notify-test-{target.number}", daemon=True)
        self._target = target
        self._sender = sender
        self._service = target.service()  # loads apprise, which takes its time
        self._tried: Tried | None = None

    def run(self) -> None:
        """Send; what goes wrong is told, not raised."""
        started_s = time.monotonic()
        delivered, found = self._send()
        self._tried = Tried(
            target=self._target.name,
            delivered=delivered,
            found=found,
            took_s=round(time.monotonic() - started_s, 3),
        )

    def told(self, patience_s: float) -> Tried:
        """Return what came of it, as far as it is known."""
        return self._tried or Tried(
            target=self._target.name,
            delivered=False,
            found=f"no answer within {patience_s:g} s",
            took_s=patience_s,
        )

    def _send(self) -> tuple[bool, str]:
        if self._service is None:
            return False, "the URL isn't understood; compare it with apprise's documentation of the service"
        alert = Alert(
            kind="test",
            level="info",
            title="Test alert",
            text=f"sent by 'bifrost notify test' on {socket.gethostname()}; alerts arrive here",
            ts=time.time(),
        )
        level, title, body = message([alert], self._sender)
        started_s = time.monotonic()
        with Complaints() as complaints:
            try:
                taken = self._service.notify(body=body, title=title, notify_type=level, body_format="text")
            except Exception as error:  # noqa: BLE001 - a service's code
                return False, masked(f"{type(error).__name__}: {error}", self._target.url)
        if taken:
            return True, f"taken after {time.monotonic() - started_s:.1f} s"
        return False, masked(complaints.text or "the service gave no reason", self._target.url)


class Complaints(logging.Handler):
    """Keeps what apprise warns of in this thread, and lets it go nowhere else."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._thread = threading.get_ident()
        self._lines: list[str] = []
        self._log = logging.getLogger("apprise")

    @property
    def text(self) -> str:
        """All that was said, on one line."""
        return " ".join(" ".join(self._lines).split())

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line if it is this thread's."""
        if record.thread == self._thread:
            self._lines.append(record.getMessage())

    def __enter__(self) -> Complaints:
        self._log.disabled = False  # ``Target.service`` silenced it
        self._log.propagate = False
        self._log.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._log.removeHandler(self)


def masked(text: str, url: str) -> str:
    """Return a text without any part of what stands behind the URL's ``://``."""
    beyond = url.partition("://")[2]
    parts = {part for form in (beyond, unquote(beyond)) for part in re.split(r"[^\w.-]+", form)}
    for part in sorted(parts, key=len, reverse=True):
        if len(part) >= LEAST_SECRET:
            text = re.sub(re.escape(part), MASK, text, flags=re.IGNORECASE)
    return text
