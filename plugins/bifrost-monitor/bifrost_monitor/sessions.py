"""Sessions after a login, and the back-off of who guesses.

A session is a signed cookie, so it outlives a restart of the monitor; it is signed with what
is kept of its token, so it ends with that.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Mapping

from attrs import define

from bifrost_monitor.tokens import Kept

COOKIE = "bifrost_session"
LASTS_S = 12 * 3600
FREE_FAILURES = 5
LONGEST_WAIT_S = 300.0
MOST_ADDRESSES = 10_000


def issue(kept: Kept, now: float) -> str:
    """Return a session of a token's owner; ``now`` in epoch seconds."""
    text = f"{kept.name}.{int(now) + LASTS_S}.{secrets.token_urlsafe(9)}"
    return f"{text}.{_sign(kept, text)}"


def owner(session: str, tokens: Mapping[str, Kept], now: float) -> str | None:
    """Return whose session it is; None if it was forged, has ended, or its token has."""
    text, _, signature = session.rpartition(".")
    name, _, rest = text.partition(".")
    kept = tokens.get(name)
    if kept is None or not hmac.compare_digest(_sign(kept, text).encode(), signature.encode()):
        return None
    return name if float(rest.partition(".")[0]) > now else None


def _sign(kept: Kept, text: str) -> str:
    return hmac.new(kept.key(), text.encode(), hashlib.sha256).hexdigest()


@define
class _Failures:
    count: int = 0
    until: float = 0.0


class Patience:
    """How long an address has to wait after failures: nothing for the first few, then ever longer."""

    def __init__(self) -> None:
        self._failed: OrderedDict[str, _Failures] = OrderedDict()

    def wait_s(self, address: str, now: float) -> float:
        """Return the seconds until the address may try again, 0 if it may."""
        found = self._failed.get(address)
        return 0.0 if found is None else max(0.0, found.until - now)

    def failed(self, address: str, now: float) -> None:
        """Count a failure. ``now`` is a monotonic time in seconds."""
        found = self._failed.setdefault(address, _Failures())
        self._failed.move_to_end(address)
        found.count += 1
        over = found.count - FREE_FAILURES
        if over >= 0:
            found.until = now + min(LONGEST_WAIT_S, 2.0 ** min(over, 30))
        if len(self._failed) > MOST_ADDRESSES:
            self._failed.popitem(last=False)

    def succeeded(self, address: str) -> None:
        """Forget an address's failures."""
        self._failed.pop(address, None)
