"""The page's controls: which may be used now, what each will do, and the word to be typed. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from typing import Any

from attrs import frozen

from bifrost_monitor.answers import Status, StrategyState
from bifrost_monitor.lamp import RECOVERING
from bifrost_monitor.wording import figure, whole

SAFE = "SAFE"


@frozen(kw_only=True)
class Desk:
    """What the controls look at: the state, and the strategies that a command would be for.

    one   the command is for one strategy of several, not for the daemon
    live  whether their figures are of now
    """

    status: Status
    strategies: Sequence[StrategyState]
    live: bool
    one: bool = False

    @property
    def alive(self) -> bool:
        return self.status.daemon_heartbeat.alive

    @property
    def connected(self) -> bool:
        return self.status.daemon_heartbeat.ib_connected

    @property
    def killed(self) -> list[bool]:
        """For each strategy whether it is killed."""
        return self._flags(self.status.killed, "killed")

    @property
    def suspended(self) -> list[bool]:
        """For each strategy whether it is suspended."""
        return self._flags(self.status.trading_suspended, "suspended")

    @property
    def open_orders(self) -> int:
        return sum(len(state.detail.get("open_orders") or ()) for state in self.strategies)

    @property
    def waits(self) -> bool:
        """Whether some strategy is SAFE or halted."""
        return any(state.trading_state == SAFE or state.detail.get("halts") for state in self.strategies)

    @property
    def recovers(self) -> bool:
        """Whether all that is SAFE ends by itself."""
        return self.waits and all(
            state.detail.get("safe_cause") in RECOVERING and not state.detail.get("halts")
            for state in self.strategies
            if state.trading_state == SAFE or state.detail.get("halts")
        )

    def each(self, told: Callable[[StrategyState], str]) -> list[str]:
        """Return a line for each strategy, with its name where there are several."""
        several = len(self.strategies) > 1
        return [
            f"{state.strategy_id}: {told(state)}" if several else told(state) for state in self.strategies
        ]

    def _flags(self, of_all: bool, name: str) -> list[bool]:
        return [of_all or bool(state.detail.get(name)) for state in self.strategies] or [of_all]


@frozen(kw_only=True)
class Control:
    """One control.

    strategy_id  for whom it is; None: for all
    why_not  why it can't be used now, empty if it can
    lines    what it will do
    typed    the word that confirms it; empty: one press does
    """

    word: str
    strategy_id: str | None
    label: str
    title: str
    why_not: str
    lines: list[str]
    typed: str = ""
    grave: bool = False

    @property
    def key(self) -> str:
        """What it is told apart by on the page."""
        return self.word if self.strategy_id is None else f"{self.word}-alone"


Why = Callable[[Desk], str]
Live = Callable[[StrategyState], bool]
Lines = Callable[[Desk], list[str]]


def _first(*reasons: tuple[bool, str]) -> str:
    return next((text for holds, text in reasons if holds), "")


def _delta(state: StrategyState) -> str:
    return figure(state.net_delta, 1, signed=True)


def _aged(desk: Desk) -> str:
    return "" if desk.live else " (not live: the newest that is known)"


def _suspend(desk: Desk) -> list[str]:
    return [
        "No new hedge from the next check before an order, within a second.",
        "A working order may finish.",
        "Net delta is left to drift; quotes, result and heartbeat go on.",
        "Stays over restarts, until Resume.",
    ]


def _kill(desk: Desk) -> list[str]:
    return [
        f"Cancels are sent for {desk.open_orders} working order{'' if desk.open_orders == 1 else 's'}.",
        "Then no order of any kind but a later flatten's.",
        *desk.each(
            lambda state: (
                f"Nothing is closed: stock {whole(state.stock_position, True)} and"
                f" {state.option_legs_count or 0} option legs stay,"
                f" net delta {_delta(state)} unhedged{_aged(desk)}."
            )
        ),
        "Stays over restarts, until Clear kill.",
    ]


def _clear_kill(desk: Desk) -> list[str]:
    return [
        "Orders are allowed again; a SAFE that waits for a person remains until Manual resume.",
        *desk.each(lambda state: f"Net delta is {_delta(state)}{_aged(desk)}."),
    ]


def _flatten(desk: Desk) -> list[str]:
    return [
        "New hedges stop (it suspends). Working orders are cancelled.",
        *desk.each(lambda state: _trade(state, desk)),
        *desk.each(_exposed),
        "Stays suspended until Resume.",
    ]


def _trade(state: StrategyState, desk: Desk) -> str:
    shares = state.stock_position or 0
    if not shares:
        return f"It holds no {state.symbol} stock: nothing is traded."
    most = next((one.allowed for one in state.limits if one.key.endswith("max_hedge_shares_per_order")), None)
    slices = "slices" if not most else f"{ceil(abs(shares) / most)} slices of {most:g} at most"
    worth = (
        "" if state.spot is None else f", about {figure(abs(shares) * state.spot, 0)} at {figure(state.spot)}"
    )
    return (
        f"{'Sells' if shares > 0 else 'Buys'} {abs(shares):,} {state.symbol} to bring its stock from"
        f" {whole(shares, True)} to 0, in {slices}{worth}{_aged(desk)}."
    )


def _exposed(state: StrategyState) -> str:
    after = None if state.net_delta is None else state.net_delta - (state.stock_position or 0)
    return (
        f"Net delta goes from {_delta(state)} to about {figure(after, 1, signed=True)}, unhedged;"
        " options and other positions stay."
    )


def _resume(desk: Desk) -> list[str]:
    after_all = "Where all were suspended together, it stays suspended until all are resumed."
    return [
        "Hedging goes on from the next tick; every gate applies.",
        *desk.each(lambda state: f"Net delta is {_delta(state)}: {_due(state)}{_aged(desk)}."),
        *([after_all] if desk.one else []),
    ]


def _due(state: StrategyState) -> str:
    band, delta = state.band, state.net_delta
    due = band is not None and delta is not None and abs(delta) >= band.threshold
    return "a hedge is due at once" if due else "no hedge is due"


def _manual_resume(desk: Desk) -> list[str]:
    return [
        "Halts end, except one for a loss whose limit still holds.",
        "Trading starts again at SYNC if broker and data are there.",
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
        lambda d: _first((all(d.killed), "killed"), (all(d.suspended), "suspended")),
        _suspend,
        "",
        False,
    ),
    (
        "resume",
        "Resume",
        "Resume hedging?",
        lambda d: _first((all(d.killed), "killed"), (not any(d.suspended), "not suspended")),
        _resume,
        "",
        False,
    ),
    ("kill", "Kill", "Kill trading?", lambda d: _first((all(d.killed), "killed")), _kill, "", True),
    (
        "clear_kill",
        "Clear kill",
        "Clear the kill switch?",
        lambda d: _first((d.one and d.status.killed, "all killed"), (not any(d.killed), "not killed")),
        _clear_kill,
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
            (not d.waits, "not SAFE"),
        ),
        _manual_resume,
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


OF_THE_DAEMON = ("retry_ib", "stop")
"""Those that can't be for one strategy of several."""


def controls(desk: Desk, whose: str = "") -> list[Control]:
    """Return every control, always the same ones in the same order.

    whose  who it is for, said with each where there are several strategies
    """
    return [
        Control(
            word=word,
            strategy_id=desk.strategies[0].strategy_id if desk.one else None,
            label=label,
            title=f"{title} For {whose}." if whose else title,
            why_not=why_not(desk),
            lines=lines(desk),
            typed=typed,
            grave=grave,
        )
        for word, label, title, why_not, lines, typed, grave in TABLE
        if not (desk.one and word in OF_THE_DAEMON)
    ]


@frozen(kw_only=True)
class Controls:
    """What the page offers: for all strategies and, where there are several, for the one in view."""

    of_all: list[Control]
    of_one: list[Control]

    @property
    def dock(self) -> list[Control]:
        """Those that a phone always shows."""
        return [control for word in DOCK for control in self.of_all if control.word == word]


def offered(
    status: Status, strategies: Sequence[StrategyState], viewed: StrategyState | None, live: Live
) -> Controls:
    """Return the page's controls.

    live  whether a strategy's figures are of now
    """
    several = len(strategies) > 1
    everybody = Desk(status=status, strategies=strategies, live=all(map(live, strategies)))
    of_one: list[Control] = []
    if several and viewed is not None:
        desk = Desk(status=status, strategies=[viewed], live=live(viewed), one=True)
        of_one = controls(desk, f"{viewed.strategy_id} alone")
    return Controls(of_all=controls(everybody, "all strategies" if several else ""), of_one=of_one)


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
