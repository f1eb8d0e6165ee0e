"""The lamp as a sink sees it: which causes a strategy's newest state shows, and which change is news.

The monitor's lamp knows more: whether a daemon lives at all. What a daemon says of itself in
order, that it isn't started or has stopped, is left to the operations that tell of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from attrs import define, field, frozen

Colour = Literal["green", "yellow", "red"]
Row = Mapping[str, Any]
RECOVERING = ("data_stale", "greeks_bad", "broker_down")
"""Causes of SAFE that end by themselves."""
ON_THE_WAY = ("CONNECTING", "CONNECTED", "WAITING_IB")
NOT_TRADING = ("IDLE", "STOPPING", "STOPPED")


@frozen
class Rule:
    """A cause: its colour, when it holds, and whether it is told at once; else once it has lasted.

    of_link  it comes with a lost link, so it is no news while the broker is away as planned
    """

    code: str
    colour: Colour
    holds: Callable[[Row], bool]
    at_once: bool = False
    of_link: bool = False


def _safe(row: Row) -> bool:
    return row.get("trading_state") == "SAFE"


def _recovers(row: Row) -> bool:
    return row.get("safe_cause") in RECOVERING


RULES = (
    Rule("killed", "red", lambda row: bool(row.get("killed")), at_once=True),
    Rule("SAFE, needs a person", "red", lambda row: _safe(row) and not _recovers(row), at_once=True),
    Rule("SAFE, recovering", "yellow", lambda row: _safe(row) and _recovers(row), True, of_link=True),
    Rule("waiting for the broker", "yellow", lambda row: row.get("daemon_state") in ON_THE_WAY, of_link=True),
    Rule("suspended", "yellow", lambda row: bool(row.get("suspended"))),
    Rule("order unknown", "yellow", lambda row: "UNKNOWN" in (row.get("open_orders") or {}).values()),
    Rule("quotes stale", "yellow", lambda row: _dimension(row, "M") == "M5", of_link=True),
    Rule("PAUSE_COST", "yellow", lambda row: row.get("trading_state") == "PAUSE_COST"),
    Rule("PAUSE_LIQ", "yellow", lambda row: row.get("trading_state") == "PAUSE_LIQ"),
)


def _dimension(row: Row, letter: str) -> str:
    return str((row.get("dimensions") or {}).get(letter, "")).partition(" ")[0]


@frozen
class Light:
    """What a lamp shows: the colour, and the causes that make a change news even if it stays."""

    colour: Colour
    urgent: frozenset[str] = frozenset()


def light(row: Row) -> tuple[Light, str] | None:
    """Return a strategy's lamp and its causes in words.

    None while it isn't meant to trade, or while all that it shows comes of the broker's planned
    maintenance: what was told before stands.
    """
    if row.get("daemon_state") in NOT_TRADING:
        return None
    planned = bool(row.get("maintenance_until"))
    found = [rule for rule in RULES if rule.holds(row) and not (planned and rule.of_link)]
    halts = {str(reason): str(text) for reason, text in (row.get("halts") or {}).items()}
    if planned and not found and not halts:
        return None
    colours = {rule.colour for rule in found} | ({"red"} if halts else set())
    colour: Colour = "red" if "red" in colours else "yellow" if colours else "green"
    urgent = frozenset([rule.code for rule in found if rule.at_once] + list(halts))
    cause = str(row.get("safe_cause") or "")
    words = [f"{rule.code} ({cause})" if cause and "SAFE" in rule.code else rule.code for rule in found]
    return Light(colour, urgent), "; ".join([*words, *(f"{one}, {text}" for one, text in halts.items())])


@define
class Lamp:
    """What was told of one lamp, so that what is shown in the end is always told in the end.

    An urgent cause that wasn't there is news at once; anything else once it has lasted
    ``quiet_s``. A lamp that flickers so tells its worst, and that it is well again only when it is.
    """

    quiet_s: float
    told: Light = Light("green")
    _seen: Light = field(init=False, default=Light("green"))
    _since: float = field(init=False, default=0.0)

    def is_news(self, now: Light, ts: float) -> bool:
        """Look at the lamp at ``ts``, epoch seconds; return whether to tell, which counts as told then."""
        if now != self._seen:
            self._seen, self._since = now, ts
        if now == self.told:
            return False
        if now.urgent <= self.told.urgent and ts - self._since < self.quiet_s:
            return False
        self.told = now
        return True
