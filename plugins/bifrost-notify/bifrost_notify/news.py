"""What is news: operations and states become alerts, and too many of them become fewer. Pure.

Time is the alerts' own, so a rehearsal tells what live trading would.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable

from attrs import evolve

from bifrost_notify.alert import KINDS, Alert, Level, Row, of_operation, titled
from bifrost_notify.lamp import Colour, Lamp, Light, light

HOUR_S = 3600.0
LEVEL_OF: dict[Colour, Level] = {"green": "info", "yellow": "warning", "red": "failure"}


class Restraint:
    """Holds back what was told a moment ago, and what is too much for one hour.

    Nothing is swallowed: what was held back is told, counted, as soon as it may be.

    quiet_s        for how long the same isn't told again, seconds
    most_per_hour  0: as many as there are
    """

    def __init__(self, quiet_s: float, most_per_hour: int) -> None:
        self._quiet_s = quiet_s
        self._most = most_per_hour
        self._last: dict[tuple[str, ...], float] = {}
        self._hour: deque[float] = deque()
        self._held: dict[tuple[str, ...], tuple[Alert, int]] = {}

    def admit(self, alert: Alert) -> list[Alert]:
        """Return the alert if it is told now, else nothing."""
        _, before = self._held.pop(alert.about, (alert, 0))
        if alert.always or self._has_room(alert.about, alert.ts):
            return [self._told(alert, before + 1, alert.ts)]
        self._held[alert.about] = (alert, before + 1)
        return []

    def due(self, now: float) -> list[Alert]:
        """Return what was held back and may be told at ``now``: the newest of each, counted."""
        told = []
        for about, (alert, count) in list(self._held.items()):
            if self._has_room(about, now):
                del self._held[about]
                told.append(self._told(alert, count, now))
        return told

    def _has_room(self, about: tuple[str, ...], now: float) -> bool:
        while self._hour and now - self._hour[0] >= HOUR_S:
            self._hour.popleft()
        last = self._last.get(about)
        is_quiet = last is not None and now - last < self._quiet_s
        return not is_quiet and (not self._most or len(self._hour) < self._most)

    def _told(self, alert: Alert, count: int, now: float) -> Alert:
        self._last[alert.about] = now
        self._hour.append(now)
        if count == 1:
            return alert
        return evolve(alert, text=f"{alert.text} ({count} like this since the last alert)")


class News:
    """Knows what was told, and says what is news.

    tell  kinds to tell, keys of ``alert.KINDS``
    """

    def __init__(self, tell: Collection[str], quiet_s: float, most_per_hour: int) -> None:
        self._tell = frozenset(tell)
        self._quiet_s = quiet_s
        self._restraint = Restraint(quiet_s, most_per_hour)
        self._lamps: dict[str, Lamp] = {}
        self._findings: set[int] = set()
        self._now = 0.0

    def operation(self, row: Row) -> list[Alert]:
        """Return what is to be told now that an operation came."""
        alert = of_operation(row) if row["type"] in self._tell else None
        return self._admitted([] if alert is None else [alert], float(row["ts"]))

    def snapshot(self, row: Row) -> list[Alert]:
        """Return what is to be told now that a strategy's newest state came."""
        ts, whose = float(row["ts"]), str(row.get("strategy_id") or "")
        seen = light(row)
        lamp = [] if seen is None else self.look(whose, *seen, ts)
        return lamp + self._admitted(self._found(row.get("open_items") or (), ts), ts)

    def look(self, whose: str, shown: Light, words: str, ts: float) -> list[Alert]:
        """Return what is to be told of a lamp that shows this at ``ts``; ``whose`` is a strategy or empty."""
        lamp = self._lamps.setdefault(whose, Lamp(self._quiet_s))
        if "lamp" not in self._tell or not lamp.is_news(shown, ts):
            return []
        alert = Alert(
            kind="lamp",
            level=LEVEL_OF[shown.colour],
            title=titled(f"{KINDS['lamp'].title} {shown.colour}", whose),
            text=words or "all is well",
            ts=ts,
            about=("lamp", whose),
            always=True,  # a lamp has a quiet period of its own, and the last colour must be told
        )
        return self._admitted([alert], ts)

    def _found(self, items: Iterable[Row], ts: float) -> list[Alert]:
        """Return an alert of the findings that weren't there before; the account's, so each is told once."""
        there = {int(item["number"]): item for item in items}
        fresh = [item for number, item in there.items() if number not in self._findings]
        self._findings |= there.keys()
        if not fresh or "finding" not in self._tell:
            return []
        kind = KINDS["finding"]
        text = "; ".join(f"{one['number']} {one['rule']} {one['of']}: {one['action']}" for one in fresh)
        title = f"{kind.title}, {len(fresh)} to accept"
        return [Alert(kind="finding", level=kind.level, title=title, text=text, ts=ts, about=("finding",))]

    def _admitted(self, alerts: list[Alert], ts: float) -> list[Alert]:
        # Operations may come late from the journal; what is due goes by the latest time that was seen.
        self._now = max(self._now, ts)
        told = [one for alert in alerts for one in self._restraint.admit(alert)]
        return told + self._restraint.due(self._now)
