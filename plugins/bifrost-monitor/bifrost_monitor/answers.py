"""What the monitor answers and takes: the one place where the shape of its JSON is fixed.

Times are epoch seconds, amounts in the quote's currency, sizes signed where they are
positions. A field that isn't known is null, never left out.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

Colour = Literal["green", "yellow", "red"]
Word = Literal[
    "stop",
    "flatten",
    "suspend",
    "resume",
    "retry_ib",
    "refresh_accounts",
    "kill",
    "clear_kill",
    "manual_resume",
]
PortType = Literal["tws_live", "tws_paper", "gateway", "gateway_live"]
Name = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]*$")]
Host = Annotated[str, Meta(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9][A-Za-z0-9.:-]*$")]
Seconds = Annotated[float, Meta(ge=0, le=32_503_680_000)]
RowId = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Limit = Annotated[int, Meta(ge=1, le=1000)]


class Answer(Struct):
    """Something that is answered."""


class Question(Struct, forbid_unknown_fields=True):
    """Something that is asked; a field that isn't in it is refused."""


# --- the state -----------------------------------------------------------------------------


class CauseAnswer(Answer):
    """One reason why the lamp isn't green; ``strategy_id`` null: it concerns the daemon."""

    code: str
    colour: Colour
    title: str
    text: str
    strategy_id: str | None


class Band(Answer):
    """Thresholds of the net delta in shares: nothing is done within epsilon, a hedge is due
    from threshold, forced from force."""

    epsilon: float
    threshold: float
    force: float


class LimitAnswer(Answer):
    """How much of a limit is used. A used value of null isn't known."""

    name: str
    key: str
    used: float | None
    allowed: float


class StrategyState(Answer):
    """A row of status_current, with the thresholds and limits of the run behind it."""

    id: int
    strategy_id: str | None
    daemon_state: str | None
    trading_state: str | None
    symbol: str | None
    spot: float | None
    bid: float | None
    ask: float | None
    net_delta: float | None
    stock_position: int | None
    option_legs_count: int | None
    daily_hedge_count: int | None
    daily_pnl: float | None
    data_lag_ms: float | None
    config_summary: str | None
    ts: float | None
    detail: dict[str, Any]
    mode: str | None
    band: Band | None
    limits: list[LimitAnswer]


class Position(Answer):
    """What an account holds of a contract. Price and what follows from it are null without one.

    moneyness  by how many percent of the strike an option is in (above 0) or out of the money
    """

    contract_key: str
    symbol: str | None
    sec_type: str | None
    expiry: str | None
    strike: float | None
    option_right: str | None
    currency: str | None
    multiplier: float
    position: float
    avg_cost: float | None
    price: float | None
    price_at: float | None
    value: float | None
    unrealized_pnl: float | None
    moneyness: float | None
    days_to_expiry: int | None


class Account(Answer):
    """An account; ``summary`` as the broker told it."""

    account_id: str
    fetched_at: float | None
    summary: dict[str, Any]
    unrealized_pnl: float | None
    positions: list[Position]


class Heartbeat(Answer):
    """A daemon's sign of life; ``age_s`` by the database's clock."""

    last_ts: float | None
    age_s: float | None
    alive: bool
    hedge_running: bool
    ib_connected: bool
    ib_client_id: int | None
    next_retry_ts: float | None
    seconds_until_retry: int | None
    graceful_shutdown_at: float | None
    interval_s: float | None
    hostname: str | None
    pid: int | None
    version: str | None
    role: str | None


class IbSettings(Answer):
    """Where IB is, as an operator saved it; ``updated_at`` null: never, and it overrides nothing."""

    ib_host: str
    ib_port_type: str
    updated_at: float | None


class CommandAnswer(Answer):
    """A command and what became of it.

    state  waiting  no daemon has taken it yet
           taken    taken, its outcome isn't known yet
           done, refused, expired
    """

    id: int
    command: str
    strategy_id: str | None
    requested_by: str | None
    created_at: float | None
    consumed_at: float | None
    outcome: str | None
    state: Literal["waiting", "taken", "done", "refused", "expired"]


class Status(Answer):
    """All that is known now."""

    now: float
    status: StrategyState | None
    strategies: list[StrategyState]
    accounts: list[Account]
    accounts_fetched_at: float | None
    self_check: Literal["ok", "degraded", "blocked"]
    block_reasons: list[str]
    causes: list[CauseAnswer]
    status_lamp: Colour
    daemon_heartbeat: Heartbeat
    daemon_lamp: Colour
    daemons: list[Heartbeat]
    trading_suspended: bool
    killed: bool
    ib_settings: IbSettings | None
    last_command: CommandAnswer | None
    last_operation_id: int | None


# --- what happened -------------------------------------------------------------------------


class Operation(Answer):
    """Something that happened."""

    id: int
    ts: float | None
    type: str | None
    side: str | None
    quantity: int | None
    price: float | None
    state_reason: str | None
    strategy_id: str | None
    client_order_id: str | None
    trace_id: str | None


class OperationsPage(Answer):
    """Operations, newest first; ``next_before_id`` asks for the next page, null if this was the last."""

    operations: list[Operation]
    next_before_id: int | None


class OperationsQuery(Question):
    """Which operations; times in epoch seconds, both included."""

    since_ts: Seconds | None = None
    until_ts: Seconds | None = None
    type: Name | None = None
    strategy_id: Name | None = None
    limit: Limit = 100
    before_id: RowId | None = None


class Point(Answer):
    """What was known of a strategy at one time; null where it wasn't told then."""

    ts: float
    spot: float | None
    net_delta: float | None
    daily_pnl: float | None


class History(Answer):
    """Curves of a strategy, oldest first, with the fills of the same time."""

    strategy_id: str | None
    points: list[Point]
    fills: list[Operation]


class HistoryQuery(Question):
    """Which part of the history; without a strategy it is that of the first."""

    strategy_id: Name | None = None
    since_ts: Seconds | None = None
    until_ts: Seconds | None = None
    limit: Limit = 1000


class Order(Answer):
    """An order as it is now."""

    journal_id: str
    client_order_id: str
    strategy_id: str
    account: str
    origin: str
    purpose: str
    inst_id: str
    side: str
    qty: float
    order_type: str
    price: float | None
    status: str
    acked: bool
    pending_cancel: bool
    cum_qty: float
    avg_px: float | None
    reason_code: str | None
    reason_text: str | None
    created_at: float | None
    submitted_at: float | None
    acked_at: float | None
    closed_at: float | None
    updated_at: float | None


class Orders(Answer):
    """Orders, newest first; ``next_before_ts`` asks for older ones, null if there are none."""

    orders: list[Order]
    next_before_ts: float | None


class OrdersQuery(Question):
    """Which orders; ``open`` for those that aren't done alone."""

    strategy_id: Name | None = None
    open: bool = False
    before_ts: Seconds | None = None
    limit: Limit = 100


class Gate(Answer):
    """What a gate said: passed, shrunk or vetoed; the value that it saw, and its limit."""

    gate: str
    verdict: str
    value: Any
    limit: Any


class Decision(Answer):
    """A decision: what was seen, what was wanted or why nothing was, what the gates said, what followed."""

    ts: float
    strategy_id: str
    side: str | None
    quantity: float | None
    force: bool
    reasons: list[str]
    facts: dict[str, Any]
    verdict: str | None
    reason: str | None
    gates: list[Gate]


class Decisions(Answer):
    """Decisions, newest first."""

    decisions: list[Decision]


class DecisionsQuery(Question):
    """Which decisions; ``wanted`` for those alone in which something was wanted."""

    strategy_id: Name | None = None
    wanted: bool = False
    limit: Annotated[int, Meta(ge=1, le=100)] = 10


class OrderEvent(Answer):
    """Something that happened to an order; ``to_state`` null: its state stayed."""

    ts: float | None
    event: str
    source: str
    outcome: str
    from_state: str | None
    to_state: str | None
    reason: str | None
    incident: str | None


class Fill(Answer):
    """An execution as it was booked."""

    exec_ts: float | None
    booked_at: float | None
    side: str
    qty: float
    price: float
    commission: float | None
    kind: str
    late_fill: bool


class Finding(Answer):
    """What a comparison with the broker found about an order."""

    ts: float | None
    rule: str | None
    action: str | None
    status: str | None


class Story(Answer):
    """An order with all that led to it and came of it, each oldest first."""

    order: Order
    decision: Decision | None
    events: list[OrderEvent]
    fills: list[Fill]
    findings: list[Finding]
    commands: list[Operation]


# --- control -------------------------------------------------------------------------------


class ControlBody(Question):
    """For whom a command is; without a strategy it is for all."""

    strategy_id: Name | None = None


class IbBody(Question):
    """Where IB is."""

    ib_host: Host
    ib_port_type: PortType


class IbAnswer(Answer):
    """What was saved."""

    ib_host: str
    ib_port_type: str
    ib_port: int
    updated_at: float
    restart_needed: bool
    note: str


class Accepted(Answer):
    """A command was written; ``GET /control/{id}`` tells what becomes of it."""

    id: int
    command: str
    strategy_id: str | None


class Problem(Answer):
    """Why something wasn't done, and what would help."""

    error: str


class Health(Answer):
    """Whether the monitor lives, or can do its work; ``reason`` says why not."""

    ok: bool
    reason: str | None
