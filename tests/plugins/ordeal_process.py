"""A process with an engine and a journal in it, which may die between any two of its steps.

It drives the engine as a host does: one event at a time, its effects in order, and on disk
what precedes an order. What reaches the broker is left to who inherits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from venue import Report, Venue

from bifrost_engine.calendar import ExchangeSessions
from bifrost_engine.config.schema import Config
from bifrost_engine.config.strategy import StrategyConfig
from bifrost_engine.domain import BrokerCaps, Decision, Intent, Quote
from bifrost_engine.domain.broker import BrokerState
from bifrost_engine.domain.effects import CancelOrder, FetchBrokerState, PlaceOrder, ReplaceOrder, WakeAt
from bifrost_engine.domain.events import Connecting, JournalChecked, Started, Timer
from bifrost_engine.domain.record import Record
from bifrost_engine.engine import Engine
from bifrost_engine.engine.state import State
from bifrost_engine.journal.memory import MemoryJournal
from bifrost_engine.oms.event import EventSource, OrderEventKind
from bifrost_engine.testing.engine import OPEN_NS, change, make_slot

ACCOUNT = "DTRUTH"
SESSIONS = ExchangeSessions()
SECOND = 1_000_000_000
MS = 1_000_000
MANY = 10**9
UNLIMITED = {
    "gates.intent.hedge.cooldown_seconds": 0.0,
    "gates.intent.hedge.min_price_move_pct": 0.0,
    "gates.intent.hedge.min_hedge_shares": 1,
    "gates.intent.hedge.max_hedge_shares_per_order": MANY,
    "gates.guard.risk.max_daily_hedge_count": MANY,
    "gates.guard.risk.max_position_shares": MANY,
    "gates.guard.risk.max_daily_loss_usd": Decimal(MANY),
    "max_consecutive_rejects": MANY,
}
ACCOUNT_UNLIMITED = {
    "account.duplicate_window_seconds": 1e-9,
    "account.max_orders_per_minute": MANY,
    "account.max_orders_per_day": MANY,
    "account.max_repeats": MANY,
    "recon.periodic": 60.0,
}


def _config(names: tuple[str, ...]) -> Config:
    strategies = [StrategyConfig(symbol="NVDA", id=name) for name in names]
    for path, value in UNLIMITED.items():
        strategies = [change(config, path, value) for config in strategies]
    config = Config(strategies=tuple(strategies))
    for path, value in ACCOUNT_UNLIMITED.items():
        config = change(config, path, value)
    return config


HEARD = ("APPLIED", "NOOP", "CONTRADICTION")
WORDS = frozenset(OrderEventKind)
STANDINGS = frozenset(
    {"ACK", "CANCEL_OK", "REPLACE_OK", "REPLACE_REJ", "REJECT", "EXPIRE", "ABSENT", "DOUBT"}
)
"""Events that say how an order stands; executions count whenever they are shown."""
UNSENT = ("NEW", "DENIED")
ENDS = ("DENIED", "FILLED", "CANCELED", "REJECTED", "EXPIRED")
CONFIGS = {names: _config(names) for names in (("a",), ("a", "b"))}


class Crashed(Exception):
    """The process died here."""


class Wisher:
    """A strategy that wants what it is told to want, once."""

    def __init__(self) -> None:
        self.wish: Intent | None = None

    def on_tick(self, quote: Quote, view: Any) -> Decision | None:
        if self.wish is None:
            return None
        wish, self.wish = self.wish, None
        return Decision(intent=wish, key=(str(wish.side), wish.quantity))


class Process:
    """Engine and journal, and the venue at the other end.

    setup      how many strategies, which orders, what the account holds at first, by a number
    tells_news whether the broker leaves out what hasn't changed since the time that is asked for
    truths     what was there whenever a snapshot was taken
    link       whether the line is up; ``heard_of_link`` is what the engine was told
    mirror     what is on disk, folded anew
    submitted  orders whose sending is on disk
    fuse       steps that are left to the process
    seen       how often what happened, so that nobody mistakes a quiet world for a good engine
    last_words when each order was last heard of, what the event being handled says left out
    shown_ns   when the snapshot being compared was begun
    revisions  the highest revision that was booked of each execution, in orders and in books
    """

    def __init__(self, setup: int) -> None:
        self.names: tuple[str, ...] = ("a", "b")[: 1 + setup % 2]
        self.limit_orders = bool(setup // 2 % 2)
        self.loses_the_rest = bool(setup // 4 % 2)
        self.venue = Venue((0, 100, -50, 0)[setup // 8 % 4])
        self.tells_news = bool(setup // 32 % 2)
        self.truths: list[BrokerState] = []
        self.disk_is_full = False
        self.now_ns = OPEN_NS
        self.mid = Decimal(100)
        self.luck = (0, 0)
        self.fuse: int | None = None
        self.link = False
        self.heard_of_link = False
        self.stopping = False
        self.in_flight: list[tuple[int, str, Callable[[], None]]] = []
        self.told: list[Report] = []
        self.called: Counter[str] = Counter()
        self.numbered_before = 0
        self.seen: Counter[str] = Counter()
        self.journal = MemoryJournal(ACCOUNT, engine_id="test", journal_id="test")
        self.mirror = State(ACCOUNT)
        self.submitted: set[str] = set()
        self.start()

    def start(self) -> None:
        """Start an engine on what is in the journal, and connect."""
        self.pending: list[Record] = []
        self.inbox: list[Any] = []
        self.busy = False
        self.wake_ns: int | None = None
        self.fetches: list[tuple[FetchBrokerState, BrokerState | None]] = []
        self.disk_problem: str | None = None
        self.touched: set[str] = set()
        self.cancel_wanted = {
            coid for coid, order in self.mirror.orders.items() if order.pending_cancel and order.is_open
        }
        self.books_moved = False
        self.last_words: dict[str, int] = {}
        self.new_words: dict[str, int] = {}
        self.shown_ns: int | None = None
        self.revisions: dict[tuple[str, str], int] = {}
        self.wishers = {name: Wisher() for name in self.names}
        config = CONFIGS[self.names]
        slots = [make_slot(one, self.wishers[one.id]) for one in config.strategies]
        self.engine = Engine(config, SESSIONS, "test", slots, list(self.journal.records()), ACCOUNT)
        self.stopping = False
        self.heard_of_link = False
        runs = {name: f"run-{name}" for name in self.names}
        caps = BrokerCaps(paper=True, exec_revisions=True)
        self.handle(Started(ts_ns=self.now_ns, run_ids=runs, account=ACCOUNT, mode="PAPER", caps=caps))
        self.handle(Connecting(ts_ns=self.now_ns))

    def crash(self) -> None:
        """Lose what isn't on disk, then start again."""
        self.seen["crash"] += 1
        self.fuse = None
        committed = list(self.journal.records())
        self.journal = MemoryJournal(ACCOUNT, engine_id="test", journal_id="test")
        self.journal.append(committed, None)
        self.journal.commit()
        if self.pick(3) == 0:
            self.venue.reports.clear()  # else they come once the link is up
        self.start()

    def burn(self) -> None:
        """A point at which the process may die."""
        if self.fuse is not None:
            self.fuse -= 1
            if self.fuse < 0:
                raise Crashed

    def pick(self, count: int) -> int:
        """Return one of ``count`` ways for things to go; 0 in an act that is to go well."""
        n, salt = self.luck
        self.luck = (n, salt + 1)
        return ((n + salt * 7919) * 2654435761 >> 9) % count if n else 0

    def handle(self, event: Any) -> None:
        """Hand in an event, and carry out what follows until nothing is left."""
        self.inbox.append(event)
        if self.busy:
            return  # it comes in while an effect is carried out
        self.busy = True
        while self.inbox:
            self.burn()
            event = self.inbox.pop(0)
            state = getattr(event, "state", None)
            self.shown_ns = None if state is None else state.as_of_start_ns
            effects = list(self.engine.handle(event))
            for effect in effects:
                self.burn()
                self.carry_out(effect)
            self.last_words.update(self.new_words)
            self.new_words.clear()
        self.busy = False
        if len(self.pending) >= 100:
            self.commit()

    def carry_out(self, effect: Any) -> None:
        """Do what an effect asks for."""
        if isinstance(effect, Record):
            self.pending.append(effect)
            if effect.kind == "order_event":
                self.note(effect)
            elif effect.kind in ("fill", "commission"):
                self.books_moved = True
        elif isinstance(effect, PlaceOrder):
            self.place(effect)
        elif isinstance(effect, CancelOrder):
            self.cancel(effect)
        elif isinstance(effect, ReplaceOrder):
            self.replace(effect)
        elif isinstance(effect, FetchBrokerState):
            self.fetches.append((effect, None))
        elif isinstance(effect, WakeAt):
            self.wake_ns = effect.at_ns

    def note(self, record: Record) -> None:
        """Remember which orders changed, and for which a cancel is wanted; hold a snapshot's word on them."""
        coid, payload = str(record.client_order_id), record.payload
        self.touched.add(coid)
        if payload["source"] == EventSource.RECON:
            self.check_word(coid, payload)
        if payload["outcome"] in HEARD and payload["event"] in WORDS:
            self.new_words[coid] = record.ts_ns
        if payload["event"] == "CANCEL_REQ" and payload["outcome"] == "APPLIED":
            self.cancel_wanted.add(coid)
        elif payload["event"] == "CANCEL_REJ" or payload["to_state"] in ENDS:
            self.cancel_wanted.discard(coid)

    def check_word(self, coid: str, payload: Mapping[str, Any]) -> None:
        """Of how an order stands a snapshot says nothing, if it was heard of after the snapshot was begun."""
        assert self.shown_ns is not None
        overtaken = self.last_words.get(coid, 0) > self.shown_ns
        is_word = payload["event"] in STANDINGS and payload["from_state"] not in UNSENT
        assert not (overtaken and is_word), (
            f"{coid}: {payload['event']} by a snapshot of before its last word"
        )

    def commit(self) -> bool:
        """Put all records on disk; return False, and tell the engine once, if that fails."""
        self.burn()
        if self.disk_is_full:
            self.tell_of_disk("disk is full")
            return False
        before = self.journal.last_jseq
        self.journal.append(self.pending, None)
        self.pending.clear()
        self.journal.commit()
        for record in self.journal.records(before):
            self.mirror.apply(record)
            if record.kind == "order_event" and record.payload["event"] == "SUBMIT":
                self.submitted.add(str(record.client_order_id))
        self.tell_of_disk(None)
        self.burn()
        return True

    def tell_of_disk(self, problem: str | None) -> None:
        if problem != self.disk_problem:
            self.disk_problem = problem
            self.handle(JournalChecked(ts_ns=self.now_ns, problem=problem))

    def place(self, effect: PlaceOrder) -> None:
        raise NotImplementedError

    def cancel(self, effect: CancelOrder) -> None:
        raise NotImplementedError

    def replace(self, effect: ReplaceOrder) -> None:
        raise NotImplementedError

    def _stops(self) -> list[int]:
        wakes = [] if self.wake_ns is None else [self.wake_ns]
        return wakes + [at for at, *_ in self.in_flight]

    def pass_time(self, ns: int) -> None:
        """Let time pass, with the timers in it and what arrives at the venue."""
        until = self.now_ns + ns
        while due := [at for at in self._stops() if at <= until]:
            self.now_ns = max(self.now_ns, min(due))
            for item in [item for item in self.in_flight if item[0] <= self.now_ns]:
                self.in_flight.remove(item)
                item[2]()
            if self.wake_ns is not None and self.wake_ns <= self.now_ns:
                self.wake_ns = None
                self.handle(Timer(ts_ns=self.now_ns))
        self.now_ns = until
