"""The page's controls: which may be used now, what each will do, and the word to be typed. Pure."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Any

from attrs import frozen

from bifrost_monitor.answers import Status, StrategyState
from bifrost_monitor.lamp import RECOVERING
from bifrost_monitor.wording import figure, whole


@frozen(kw_only=True)
class Desk:
    """What the controls look at: the state, and the strategy in view."""

    status: Status
    strategy: StrategyState
    live: bool
    open_orders: int = 0

    @property
    def alive(self) -> bool:
        return self.status.daemon_heartbeat.alive

    @property
    def connected(self) -> bool:
        return self.status.daemon_heartbeat.ib_connected

    @property
    def killed(self) -> bool:
        return self.status.killed or bool(self.strategy.detail.get("killed"))

    @property
    def suspended(self) -> bool:
        return self.status.trading_suspended or bool(self.strategy.detail.get("suspended"))

    @property
    def safe(self) -> bool:
        return self.strategy.trading_state == "SAFE"

    @property
    def halted(self) -> bool:
        return bool(self.strategy.detail.get("halts"))

    @property
    def recovers(self) -> bool:
        return self.safe and self.strategy.detail.get("safe_cause") in RECOVERING and not self.halted


@frozen(kw_only=True)
class Control:
    """One control.

    why_not  why it can't be used now, empty if it can
    lines    what it will do
    typed    the word that confirms it; empty: one press does
    """

    word: str
    label: str
    title: str
    why_not: str
    lines: list[str]
    typed: str = ""
    grave: bool = False


Why = Callable[[Desk], str]
Lines = Callable[[Desk], list[str]]


def _first(*reasons: tuple[bool, str]) -> str:
    return next((text for holds, text in reasons if holds), "")


def _delta(desk: Desk) -> str:
    return figure(desk.strategy.net_delta, 1, signed=True)


def _aged(desk: Desk) -> str:
    return "" if desk.live else " (not live: the newest that is known)"


def _kill(desk: Desk) -> list[str]:
    legs = desk.strategy.option_legs_count or 0
    return [
        f"Cancels are sent for {desk.open_orders} working order{'' if desk.open_orders == 1 else 's'}.",
        "Then no order of any kind but a later flatten's.",
        f"Nothing is closed: stock {whole(desk.strategy.stock_position, True)} and {legs} option legs stay,"
        f" net delta {_delta(desk)} unhedged{_aged(desk)}.",
        "Stays over restarts, until Clear kill.",
    ]


def _flatten(desk: Desk) -> list[str]:
    state = desk.strategy
    shares = state.stock_position or 0
    most = next((one.allowed for one in state.limits if one.key.endswith("max_hedge_shares_per_order")), None)
    slices = "slices" if not most else f"{ceil(abs(shares) / most)} slices of {most:g} at most"
    spot = state.spot
    worth = "" if spot is None else f", about {figure(abs(shares) * spot, 0)} at {figure(spot)}"
    after = None if state.net_delta is None else state.net_delta - shares
    trade = (
        f"{'Sells' if shares > 0 else 'Buys'} {abs(shares):,} {state.symbol} to bring its stock from"
        f" {whole(shares, True)} to 0, in {slices}{worth}{_aged(desk)}."
        if shares
        else f"It holds no {state.symbol} stock: nothing is traded."
    )
    return [
        "New hedges stop (it suspends). Working orders are cancelled.",
        trade,
        f"Net delta goes from {_delta(desk)} to about {figure(after, 1, signed=True)}, unhedged;"
        " options and other positions stay.",
        "Stays suspended until Resume.",
    ]


def _resume(desk: Desk) -> list[str]:
    band, delta = desk.strategy.band, desk.strategy.net_delta
    due = band is not None and delta is not None and abs(delta) >= band.threshold
    follows = "a hedge is due at once" if due else "no hedge is due"
    return [
        "Hedging goes on from the next tick; every gate applies.",
        f"Net delta is {_delta(desk)}: {follows}{_aged(desk)}.",
    ]


def _stop(desk: Desk) -> list[str]:
    standby = any(beat.alive for beat in desk.status.daemons if beat.role == "standby")
    after = (
        "Then a standby takes over; until it trades, nothing is hedged."
        if standby
        else "Then nothing is hedged. This page can't start it again."
    )
    return [
        "No new order from that instant; working hedges are cancelled, with seconds for the answers.",
        "Its state is saved and it exits.",
        after,
    ]


TABLE: tuple[tuple[str, str, str, Why, Lines, str, bool], ...] = (
    (
        "suspend",
        "Suspend",
        "Suspend hedging?",
        lambda d: _first((d.killed, "killed"), (d.suspended, "suspended")),
        lambda d: [
            "No new hedge from the next check before an order, within a second.",
            "A working order may finish.",
            "Net delta is left to drift; quotes, result and heartbeat go on.",
            "Stays over restarts, until Resume.",
        ],
        "",
        False,
    ),
    (
        "resume",
        "Resume",
        "Resume hedging?",
        lambda d: _first((d.killed, "killed"), (not d.suspended, "not suspended")),
        _resume,
        "",
        False,
    ),
    ("kill", "Kill", "Kill trading?", lambda d: _first((d.killed, "killed")), _kill, "", True),
    (
        "clear_kill",
        "Clear kill",
        "Clear the kill switch?",
        lambda d: _first((not d.killed, "not killed")),
        lambda d: [
            "Orders are allowed again; a SAFE that waits for a person remains until Manual resume.",
            f"Net delta is {_delta(d)}{_aged(d)}.",
        ],
        "CLEAR",
        False,
    ),
    (
        "flatten",
        "Flatten",
        "Flatten the strategy's stock?",
        lambda d: _first((not d.alive, "no daemon"), (not d.connected, "no broker")),
        _flatten,
        "FLATTEN",
        False,
    ),
    (
        "manual_resume",
        "Manual resume",
        "Lift halts and leave SAFE?",
        lambda d: _first(
            (not d.alive, "no daemon"),
            (d.recovers, "automatic"),
            (not d.safe and not d.halted, "not SAFE"),
        ),
        lambda d: [
            "Halts end, except one for a loss whose limit still holds.",
            "Trading starts again at SYNC if broker and data are there.",
        ],
        "RESUME",
        False,
    ),
    (
        "retry_ib",
        "Retry broker",
        "Try the broker now?",
        lambda d: _first((not d.alive, "no daemon"), (d.connected, "connected")),
        lambda d: ["Connects at once instead of waiting for the countdown."],
        "",
        False,
    ),
    (
        "stop",
        "Stop daemon",
        "Stop the daemon?",
        lambda d: _first((not d.alive, "no daemon")),
        _stop,
        "STOP",
        False,
    ),
)
"""Word, label, question, why not, what it does, word to type, whether it is grave; in the page's order."""


def controls(desk: Desk) -> list[Control]:
    """Return every control, always the same ones in the same order."""
    return [
        Control(
            word=word,
            label=label,
            title=title,
            why_not=why_not(desk),
            lines=lines(desk),
            typed=typed,
            grave=grave,
        )
        for word, label, title, why_not, lines, typed, grave in TABLE
    ]


DOCK = ("suspend", "flatten", "kill")
"""Controls that a phone always shows."""

ALLOWING = {"O1", "O2", "D2", "D3", "M0", "M1", "M2", "M3", "M4", "L0", "L1", "E0", "S0"}
BLOCKING = {"D4", "M5", "L2", "L3", "E3", "E4", "S1", "S2", "S3"}


def mark(code: str) -> str:
    """Return whether a dimension's value ``allows`` a hedge, ``blocks`` it, or is ``not`` for one now."""
    return "allows" if code in ALLOWING else "blocks" if code in BLOCKING else "not"


def dimensions(detail: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return letter, word and mark of each dimension, in the order of O, D, M, L, E, S."""
    found = detail.get("dimensions") or {}
    told = [(letter, *str(found.get(letter) or "– –").partition(" ")[::2]) for letter in "ODMLES"]
    return [(letter, f"{code} {word.replace('_', ' ')}", mark(code)) for letter, code, word in told]
