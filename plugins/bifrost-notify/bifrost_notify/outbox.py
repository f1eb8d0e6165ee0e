"""Delivery: a thread for each target, so that one that hangs or fails delays nobody else.

What waits is kept in memory and sent as one message. apprise is imported here alone, and in
these threads only. Its own log is silenced, since some services' messages show what is in a URL.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Sequence
from threading import Condition, Thread
from typing import Any

from attrs import field, frozen

from bifrost_notify.alert import Alert, message

MOST_WAITING = 200
MOST_TOGETHER = 20
WAITS_S = (2.0, 300.0)
"""First and longest pause between attempts; half of it at least, the rest by chance."""


@frozen
class Target:
    """Where alerts go; only its number and the service's name may be shown.

    number  its place in the list, from 1
    """

    number: int
    url: str = field(repr=False)

    @property
    def name(self) -> str:
        """What it is called in logs."""
        return f"{self.number} ({self.url.partition('://')[0]})"

    def service(self) -> Any:
        """Return what sends to it, None if apprise doesn't understand the URL."""
        import apprise

        logging.getLogger("apprise").disabled = True
        logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)  # below it tells each path
        # With a time limit apprise works in a pool, and its threads would hold up the process's end.
        asset = apprise.AppriseAsset(app_id="Bifrost", async_mode=False, service_timeout=0)
        made = apprise.Apprise(asset=asset)
        return made if made.add(self.url) else None


class Mailbox(Thread):
    """Sends to one target what is put in, in order; tries again until it has worked.

    waiting  what isn't delivered, oldest first
    dropped  what had to go because too much waited
    failures attempts that failed
    """

    waits_s = WAITS_S

    def __init__(self, target: Target, sender: str, log: Any) -> None:
        super().__init__(name=f"notify-{target.number}", daemon=True)
        self.waiting: list[Alert] = []
        self.dropped = 0
        self.failures = 0
        self._target = target
        self._sender = sender
        self._log = log
        self._wait_s = self.waits_s[0]
        self._changed = Condition()
        self._closing = False
        self._is_last = False

    def put(self, alerts: Sequence[Alert]) -> None:
        """Add alerts; never blocks. Beyond ``MOST_WAITING`` the oldest that isn't grave is dropped."""
        with self._changed:
            self.waiting += alerts
            while len(self.waiting) > MOST_WAITING:
                light = (i for i, alert in enumerate(self.waiting) if alert.level != "failure")
                del self.waiting[next(light, 0)]
                self.dropped += 1
            self._changed.notify()

    def close(self) -> None:
        """Ask the thread to end: once what waits is sent, or has failed once more."""
        with self._changed:
            self._closing = True
            self._changed.notify()

    def run(self) -> None:
        """Send until closed."""
        service = self._target.service()
        if service is None:
            self._log.error(
                "target not understood: it gets no alerts",
                target=self._target.name,
                next_step="compare its URL with apprise's documentation of the service",
            )
            return
        while batch := self._next():
            if self._send(service, batch):
                self._delivered(batch)
            elif not self._pause():
                return

    def _next(self) -> list[Alert]:
        """Wait for alerts; an empty list means that the thread is to end."""
        with self._changed:
            self._changed.wait_for(lambda: self.waiting or self._closing)
            self._is_last = self._closing
            return self.waiting[:MOST_TOGETHER]

    def _send(self, service: Any, batch: Sequence[Alert]) -> bool:
        level, title, body = message(batch, self._sender)
        if self.dropped:
            body += f"\n{self.dropped} earlier alerts were dropped while this target couldn't be reached"
        try:
            return bool(service.notify(body=body, title=title, notify_type=level, body_format="text"))
        except Exception:  # noqa: BLE001 - a service's code; what it raised may show the URL
            return False

    def _delivered(self, batch: Sequence[Alert]) -> None:
        sent = {id(alert) for alert in batch}
        with self._changed:
            self.waiting = [alert for alert in self.waiting if id(alert) not in sent]
            self.dropped = 0
        self._wait_s = self.waits_s[0]

    def _pause(self) -> bool:
        """Wait before the next attempt, longer each time; return whether there is to be one."""
        self.failures += 1
        wait_s = self._wait_s * random.uniform(0.5, 1.0)
        self._wait_s = min(2 * self._wait_s, self.waits_s[1])
        self._log.warning(
            "alert not delivered",
            target=self._target.name,
            waiting=len(self.waiting),
            next_attempt_s=round(wait_s, 1),
        )
        with self._changed:
            if self._is_last:
                return False
            self._changed.wait_for(lambda: self._closing, wait_s)
        return True


class Outbox:
    """The mailboxes of all targets. Its threads start with the first alert."""

    def __init__(self, urls: Sequence[str], sender: str, log: Any) -> None:
        self.mailboxes = [Mailbox(Target(n, url), sender, log) for n, url in enumerate(urls, start=1)]
        self._started = False

    def put(self, alerts: Sequence[Alert]) -> None:
        """Hand alerts to each target; never blocks."""
        if not alerts:
            return
        for mailbox in self.mailboxes:
            mailbox.put(alerts)
            if not self._started:
                mailbox.start()
        self._started = True

    def close(self, patience_s: float) -> int:
        """Send what waits, for so long at most; return how many alerts some target didn't get."""
        until_s = time.monotonic() + patience_s
        for mailbox in self.mailboxes:
            mailbox.close()
        for mailbox in self.mailboxes if self._started else ():
            mailbox.join(max(0.0, until_s - time.monotonic()))
        return max((len(mailbox.waiting) for mailbox in self.mailboxes), default=0)
