"""What a message code means for a line of market data, what is done about it, and how it is told."""

from __future__ import annotations

from enum import StrEnum

from attrs import frozen

from bifrost_ib.config import IBConfig


class Trouble(StrEnum):
    """What stands in the way of quotes, in a word."""

    NOT_SUBSCRIBED = "not_subscribed"
    NOT_LIVE = "not_live"
    COMPETING = "competing_session"
    FAILED = "line_failed"
    TOO_MANY = "too_many_lines"
    NOT_FOUND = "not_found"
    AMBIGUOUS = "ambiguous"
    UNANSWERED = "unanswered"
    SILENT = "silent"
    HALTED = "halted"
    FARM = "farm"


AGAIN_SOON = Trouble.FAILED
FARM_BROKEN = frozenset({2103, 2105, 2157})
FARM_OK = frozenset({2104, 2106, 2107, 2108, 2158})


@frozen
class Rule:
    """What a code does to the line that it names.

    is_active  the gateway has the line still, so it is to be cancelled
    is_tried   again after a while; else it waits for the next connection
    """

    trouble: Trouble
    is_active: bool = False
    is_tried: bool = False

    def next_ns(self, now_ns: int, wait_ns: int) -> int | None:
        """Return when the line is asked for again, None for not by itself."""
        return now_ns + wait_ns if self.is_tried else None


_NOT_SUBSCRIBED = Rule(Trouble.NOT_SUBSCRIBED)
RULES: dict[int, Rule] = {
    101: Rule(Trouble.TOO_MANY),
    200: Rule(Trouble.NOT_FOUND),
    **dict.fromkeys((354, 10089, 10168, 10186), _NOT_SUBSCRIBED),
    10090: Rule(Trouble.NOT_SUBSCRIBED, is_active=True),
    10167: Rule(Trouble.NOT_SUBSCRIBED, is_active=True),
    **dict.fromkeys((10182, 10189), Rule(Trouble.FAILED, is_tried=True)),
    10197: Rule(Trouble.COMPETING, is_active=True, is_tried=True),
}
DELAYED_INSTEAD = 10167


def of_code(code: int, allow_delayed: bool) -> Rule | None:
    """Return what a code does to its line; None: nothing."""
    if code == DELAYED_INSTEAD and allow_delayed:
        return None
    return RULES.get(code)


SUBSCRIBE = (
    "subscribe to its market data in IB's Client Portal (Settings > Market Data Subscriptions); "
    "a paper account needs the live account's data shared with it there"
)
_WORDS = {
    Trouble.NOT_SUBSCRIBED: "{about}: this login has no live market data for it ({what}); " + SUBSCRIBE,
    Trouble.COMPETING: "{about}: another session of this login has the market data ({what}); "
    "log out of TWS, the mobile app or the Client Portal; tried again every minute",
    Trouble.FAILED: "{about}: its line of market data failed ({what}); asked for again",
    Trouble.NOT_FOUND: "{about}: the gateway knows no such contract ({what})",
    Trouble.SILENT: "{about}: no tick for {what} while it is traded; asked for anew",
    Trouble.HALTED: "{about}: trading in it is halted; no quote of it is used until it trades again",
    Trouble.FARM: "farm {about}: {what}; its quotes go stale",
    Trouble.TOO_MANY: "{about}: {what}",
}


def words_of(trouble: Trouble, about: str, what: str, config: IBConfig) -> str:
    """Return what is told of a trouble, with what mends it where something does."""
    if trouble is Trouble.NOT_LIVE:
        used = "traded on, as ib.allow_delayed says" if config.allow_delayed else f"not used: {SUBSCRIBE}"
        return f"{about}: the gateway sends {what.replace('_', ' and ')} data, not live; {used}"
    return _WORDS[trouble].format(about=about, what=what)
