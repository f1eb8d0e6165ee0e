"""Each rule finds its case, and leaves what looks like it alone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from attrs import evolve

from bifrost_engine.domain import BrokerOrder, BrokerPosition, BrokerState, Contract, Execution, Right, Side
from bifrost_engine.domain.fill import EXTERNAL, Fill, FillKind, FillSource
from bifrost_engine.domain.order import (
    BookedExecution,
    Order,
    OrderState,
    OrderType,
    Origin,
    Purpose,
    Terms,
    TimeInForce,
)
from bifrost_engine.oms.event import OrderEventKind
from bifrost_engine.portfolio.portfolio import Portfolio
from bifrost_engine.recon import RULES
from bifrost_engine.recon.evidence import Evidence
from bifrost_engine.recon.finding import Book, Cancel, CancelAgain, Finding, Found, Hold, Status, Step, Tell
from bifrost_engine.recon.look import Limits, Look, Ours

S = OrderState
K = OrderEventKind
SECOND = 1_000_000_000
NOW = 1_741_012_200 * SECOND
STOCK = Contract.stock("NVDA")
CALL = Contract.option("NVDA", date(2025, 3, 3), Decimal(100), Right.CALL)
COID = "BF-test-gamma-1"
DAY = date(2025, 3, 3)


def our_order(**changes: Any) -> Order:
    facts: dict[str, Any] = {
        "client_order_id": COID,
        "strategy_id": "gamma",
        "run_id": "run",
        "account": "D1",
        "contract_key": STOCK.key,
        "side": Side.BUY,
        "quantity": Decimal(100),
        "order_type": OrderType.LIMIT,
        "limit_price": Decimal(50),
        "time_in_force": TimeInForce.DAY,
        "purpose": Purpose.HEDGE,
        "origin": Origin.STRATEGY,
        "decision_jseq": 1,
        "state": S.ACCEPTED,
        "created_ns": NOW - 60 * SECOND,
        "submitted_ns": NOW - 60 * SECOND,
        "last_event_ns": NOW - 60 * SECOND,
        "acked": True,
        "perm_id": "p1",
        "broker_client_id": 1,
    }
    return Order(**{**facts, **changes})


def their_order(**changes: Any) -> BrokerOrder:
    facts: dict[str, Any] = {
        "client_order_id": COID,
        "broker_order_id": "1",
        "perm_id": "p1",
        "contract": STOCK,
        "side": Side.BUY,
        "quantity": Decimal(100),
        "filled": Decimal(0),
        "status": "OPEN",
        "limit_price": Decimal(50),
        "client_id": 1,
    }
    return BrokerOrder(**{**facts, **changes})


def execution(base_id: str = "x1", **changes: Any) -> Execution:
    facts: dict[str, Any] = {
        "base_id": base_id,
        "contract": STOCK,
        "side": Side.BUY,
        "quantity": Decimal(100),
        "price": Decimal(50),
        "ts_ns": NOW - 30 * SECOND,
        "client_order_id": COID,
        "perm_id": "p1",
        "commission": Decimal(1),
    }
    return Execution(**{**facts, **changes})


def booked(one: Execution, owner: str = "gamma", kind: FillKind = FillKind.TRADE, **changes: Any) -> Fill:
    facts: dict[str, Any] = {
        "base_id": one.base_id,
        "revision": one.revision,
        "client_order_id": one.client_order_id if owner != EXTERNAL else None,
        "owner": owner,
        "account": "D1",
        "contract": one.contract,
        "side": one.side,
        "quantity": one.quantity,
        "price": one.price,
        "commission": one.commission,
        "kind": kind,
        "source": FillSource.LIVE,
        "exec_ts_ns": one.ts_ns,
        "booked_ns": one.ts_ns,
        "trading_day": DAY,
    }
    return Fill(**{**facts, **changes})


def holding(contract: Contract, quantity: int, cost: str | None = None) -> BrokerPosition:
    average = None if cost is None else Decimal(cost)
    return BrokerPosition(contract=contract, quantity=Decimal(quantity), average_cost=average)


class Case:
    """Our side and theirs, as a test puts them; one ``look`` after the other at them."""

    def __init__(self, *orders: Order, fills: tuple[Fill, ...] = (), **theirs: Any) -> None:
        self.orders = {order.client_order_id: order for order in orders}
        self.portfolio = Portfolio("D1")
        self.fills = fills
        for fill in fills:
            self.portfolio.apply(fill)
        self.theirs = {"account": "D1", **theirs}
        self.now_ns = NOW
        self.evidence = Evidence()
        self.stable = True
        self.ours: dict[str, Any] = {}
        self.limits: dict[str, Any] = {}

    def with_ours(self, **changes: Any) -> Case:
        self.ours.update(changes)
        return self

    def with_limits(self, **changes: Any) -> Case:
        self.limits.update(changes)
        return self

    def moving(self) -> Case:
        self.stable = False
        return self

    def look(self, *rules: str) -> list[Finding]:
        """Return what rules find now, one after the other; nothing is carried out."""
        orders = self.orders
        facts: dict[str, Any] = {
            "account": "D1",
            "mode": "PAPER",
            "engine_ids": ("test",),
            "strategies": {"gamma": "NVDA"},
            "orders": orders,
            "order_of_perm_id": {o.perm_id: o.client_order_id for o in orders.values() if o.perm_id},
            "open_orders": lambda: [order for order in orders.values() if order.is_open],
            "portfolio": self.portfolio,
            "last_fill_ns": {},
            "opened": True,
            "earlier": frozenset(),
            "open_keys": frozenset,
            "is_held": lambda _sid: False,
            "is_expired": lambda contract: contract.expiry == DAY,
            "session_over": lambda _order: False,
            "in_window": lambda ts_ns: ts_ns > NOW - 3600 * SECOND,
            "recent_fills": lambda: list(self.fills),
            "contract": lambda key: CALL if key == CALL.key else STOCK,
            "mark": lambda _key: Decimal(51),
        }
        limits: dict[str, Any] = {
            "proof_gap_ns": 5 * SECOND,
            "min_age_ns": 10 * SECOND,
            "cancel_timeout_ns": 10 * SECOND,
            "link_up_ns": NOW - 3600 * SECOND,
            "resent": {},
        }
        state = BrokerState(as_of_start_ns=self.now_ns, as_of_end_ns=self.now_ns, **self.theirs)
        look = Look(
            Ours(**{**facts, **self.ours}),
            state,
            self.now_ns,
            self.evidence,
            Limits(**{**limits, **self.limits}),
            self.stable,
        )
        found = [finding for rule in rules for finding in RULES[rule](look)]
        self.evidence.end_of_look()
        return found

    def twice(self, rule: str, gap_s: float = 5.0) -> list[Finding]:
        """Return what a rule finds at the second of two looks; the first must find nothing."""
        assert self.look(rule) == []
        self.now_ns += int(gap_s * SECOND)
        return self.look(rule)


def lost(**changes: Any) -> Order:
    """Return an order that was sent and never heard of."""
    return our_order(**{"state": S.UNKNOWN, "acked": False, "perm_id": None, **changes})


def filled(quantity: int = 100, **changes: Any) -> Order:
    executions = {
        "x1": BookedExecution(revision=1, side=Side.BUY, quantity=Decimal(quantity), price=Decimal(50))
    }
    return our_order(executions=executions, state=S.PARTIALLY_FILLED, **changes)


X1 = execution()
OWN_FILL = booked(X1)
OPEN = {"open_orders": (their_order(),)}
CALLS = booked(execution("c", contract=CALL, quantity=Decimal(10), client_order_id=None), EXTERNAL)
ADJUSTED = booked(
    execution("adj:R14:D1:NVDA|STK|||:0", quantity=Decimal(7), ts_ns=NOW - 40 * SECOND),
    EXTERNAL,
    FillKind.ADJUST,
)
CANCELLING = {"state": S.CANCEL_REQUESTED, "pending_cancel": True, "cancel_asked": True}
REPLACING = {
    "state": S.REPLACE_REQUESTED,
    "pending_replace": Terms(quantity=Decimal(100), limit_price=Decimal(49)),
}


def done(status: str, fills: int = 0, **changes: Any) -> dict[str, Any]:
    return {"completed_orders": (their_order(status=status, filled=Decimal(fills), **changes),)}


Made = Callable[[], Case]
FOUND: list[tuple[str, str, Made]] = [
    ("R01", "a part couldn't be read", lambda: Case(incomplete=frozenset({"positions"}))),
    ("R02", "a sink is ahead", lambda: Case().with_limits(sink_ahead="postgres is ahead")),
    ("R03", "another account", lambda: Case(account="U9")),
    ("R03", "real money in a rehearsal", lambda: Case(paper=False)),
    ("R03", "another currency", lambda: Case(currency="EUR")),
    ("R04", "stale until shown", lambda: Case(our_order(stale=True), **OPEN)),
    ("R04", "a lasting id", lambda: Case(our_order(perm_id=None), **OPEN)),
    ("R05", "never answered", lambda: Case(our_order(state=S.SUBMITTED, acked=False), **OPEN)),
    ("R05", "in doubt", lambda: Case(our_order(state=S.UNKNOWN), **OPEN)),
    ("R06", "never sent", lambda: Case(our_order(state=S.NEW, acked=False, perm_id=None))),
    ("R07", "denied and there", lambda: Case(our_order(state=S.DENIED), **OPEN)),
    ("R09", "cancelled there", lambda: Case(our_order(), **done("CANCELED"))),
    ("R09", "refused there", lambda: Case(our_order(), **done("REJECTED"))),
    ("R12", "a missed fill", lambda: Case(our_order(), executions=(X1,))),
    ("R13", "a stranger's trade", lambda: Case(executions=(execution("y", client_order_id=None),))),
    ("R14", "an unexplained share", lambda: Case(positions=(holding(STOCK, 7),))),
    ("R15", "fills told by count alone", lambda: Case(our_order(), **done("FILLED", 100))),
    (
        "R17",
        "a corrected price",
        lambda: Case(filled(), fills=(OWN_FILL,), executions=(evolve(X1, revision=2, price=Decimal(49)),)),
    ),
    (
        "R19",
        "an order of a lost journal",
        lambda: Case(open_orders=(their_order(client_order_id="BF-test-gamma-9", perm_id="p9"),)),
    ),
    ("R20", "somebody's order", lambda: Case(open_orders=(their_order(client_order_id=None, perm_id="p9"),))),
    (
        "R20",
        "an unknown engine's order",
        lambda: Case(open_orders=(their_order(client_order_id="BF-else-gamma-9", perm_id="p9"),)),
    ),
    (
        "R21",
        "two with one reference",
        lambda: Case(our_order(), open_orders=(their_order(), their_order(perm_id="p2"))),
    ),
    ("R22", "a forgotten cancel", lambda: Case(our_order(**CANCELLING), **OPEN)),
    (
        "R23",
        "a replace that took",
        lambda: Case(our_order(**REPLACING), open_orders=(their_order(limit_price=Decimal(49)),)),
    ),
    ("R23", "a replace that didn't", lambda: Case(our_order(**REPLACING), **OPEN)),
    (
        "R23",
        "somebody's edit",
        lambda: Case(our_order(), open_orders=(their_order(quantity=Decimal(80)),)),
    ),
    (
        "R24",
        "a commission",
        lambda: Case(filled(), fills=(booked(X1, commission=None),), executions=(X1,)),
    ),
    ("R25", "a false cancel", lambda: Case(our_order(state=S.CANCELED), **OPEN)),
    ("R26", "an expiry", lambda: Case(fills=(CALLS,))),
    ("R27", "another connection", lambda: Case(our_order(), open_orders=(their_order(client_id=7),))),
]
QUIET: list[tuple[str, str, Made]] = [
    ("R01", "all was read", Case),
    ("R02", "no sink is ahead", Case),
    ("R03", "our account", lambda: Case(paper=True, currency="USD")),
    ("R04", "nothing new", lambda: Case(our_order(), **OPEN)),
    ("R05", "accepted", lambda: Case(our_order(), **OPEN)),
    (
        "R05",
        "heard of since",
        lambda: Case(our_order(state=S.UNKNOWN, last_event_ns=NOW + 1), **OPEN),
    ),
    ("R06", "sent", lambda: Case(our_order(state=S.SUBMITTED))),
    ("R07", "denied and not there", lambda: Case(our_order(state=S.DENIED))),
    ("R09", "more filled than we know", lambda: Case(our_order(), **done("CANCELED", 10))),
    ("R12", "booked", lambda: Case(filled(), fills=(OWN_FILL,), executions=(X1,))),
    (
        "R13",
        "traded before the first comparison",
        lambda: Case(executions=(execution("y", client_order_id=None),)).with_ours(opened=False),
    ),
    ("R13", "ours", lambda: Case(our_order(), executions=(X1,))),
    ("R14", "equal", lambda: Case(fills=(OWN_FILL,), positions=(holding(STOCK, 100),))),
    (
        "R14",
        "an order in doubt has the word",
        lambda: Case(our_order(state=S.UNKNOWN), positions=(holding(STOCK, 7),)),
    ),
    (
        "R14",
        "a fill a moment ago",
        lambda: Case(positions=(holding(STOCK, 7),)).with_ours(last_fill_ns={STOCK.key: NOW - SECOND}),
    ),
    ("R14", "something moved", lambda: Case(positions=(holding(STOCK, 7),)).moving()),
    (
        "R14",
        "positions weren't read",
        lambda: Case(positions=(holding(STOCK, 7),), incomplete=frozenset({"positions"})),
    ),
    ("R15", "the executions are told", lambda: Case(filled(), fills=(OWN_FILL,), **done("FILLED", 100))),
    ("R15", "something moved", lambda: Case(our_order(), **done("FILLED", 100)).moving()),
    (
        "R15",
        "a bust isn't undone",
        lambda: Case(
            our_order(
                executions={
                    "x1": BookedExecution(
                        revision=2, side=Side.BUY, quantity=Decimal(0), price=Decimal(50), busted=Decimal(100)
                    )
                }
            ),
            **done("FILLED", 100),
        ),
    ),
    ("R17", "the same revision", lambda: Case(filled(), fills=(OWN_FILL,), executions=(X1,))),
    ("R19", "ours and known", lambda: Case(our_order(), **OPEN)),
    ("R20", "ours and known", lambda: Case(our_order(), **OPEN)),
    (
        "R20",
        "watched already",
        lambda: Case(
            our_order(client_order_id="EXT.p9", strategy_id=EXTERNAL, perm_id="p9"),
            open_orders=(their_order(client_order_id=None, perm_id="p9"),),
        ),
    ),
    ("R21", "one", lambda: Case(our_order(), **OPEN)),
    (
        "R22",
        "under way there",
        lambda: Case(our_order(**CANCELLING), open_orders=(their_order(cancel_pending=True),)),
    ),
    (
        "R22",
        "asked for a moment ago",
        lambda: Case(our_order(**CANCELLING, last_event_ns=NOW - SECOND), **OPEN),
    ),
    ("R22", "not wanted", lambda: Case(our_order(), **OPEN)),
    (
        "R23",
        "asked for a moment ago",
        lambda: Case(our_order(**REPLACING, last_event_ns=NOW - SECOND), **OPEN),
    ),
    ("R23", "the same terms", lambda: Case(our_order(), **OPEN)),
    ("R24", "the same", lambda: Case(filled(), fills=(OWN_FILL,), executions=(X1,))),
    ("R25", "filled", lambda: Case(our_order(state=S.FILLED), **OPEN)),
    (
        "R25",
        "over for a moment",
        lambda: Case(our_order(state=S.CANCELED, last_event_ns=NOW - SECOND), **OPEN),
    ),
    ("R26", "still there", lambda: Case(fills=(CALLS,), positions=(holding(CALL, 10),))),
    ("R26", "not expired", lambda: Case(fills=(CALLS,)).with_ours(is_expired=lambda _c: False)),
    ("R27", "our connection", lambda: Case(our_order(), **OPEN)),
]


@pytest.mark.parametrize(("rule", "case"), [pytest.param(r, c, id=f"{r} {n}") for r, n, c in FOUND])
def test_a_rule_finds_its_case(rule: str, case: Made) -> None:
    (finding,) = case().look(rule)
    assert finding.rule == rule


@pytest.mark.parametrize(("rule", "case"), [pytest.param(r, c, id=f"{r} {n}") for r, n, c in QUIET])
def test_a_rule_leaves_alone_what_only_looks_like_it(rule: str, case: Made) -> None:
    assert case().look(rule) == []


PROVEN: list[tuple[str, str, Made]] = [
    ("R08", "never heard of", lambda: Case(lost())),
    ("R10", "gone", lambda: Case(our_order())),
    ("R11", "gone, and the position has it", lambda: Case(lost(), positions=(holding(STOCK, 100),))),
    ("R16", "fewer there", lambda: Case(filled(), fills=(OWN_FILL,), executions=(X1,), **OPEN)),
    ("R18", "an execution taken back", lambda: Case(filled(), fills=(OWN_FILL,))),
]


@pytest.mark.parametrize(("rule", "case"), [pytest.param(r, c, id=f"{r} {n}") for r, n, c in PROVEN])
def test_what_isnt_there_takes_two_looks_far_enough_apart(rule: str, case: Made) -> None:
    (finding,) = case().twice(rule)
    assert finding.rule == rule
    assert case().twice(rule, gap_s=4.9) == []


@pytest.mark.parametrize(("rule", "case"), [pytest.param(r, c, id=f"{r} {n}") for r, n, c in PROVEN])
@pytest.mark.parametrize("spoil", ["moving", "executions"])
def test_a_look_that_cant_be_trusted_proves_nothing(rule: str, case: Made, spoil: str) -> None:
    made = case()
    if spoil == "moving":
        made.moving()
    else:
        made.theirs["incomplete"] = frozenset({spoil})
    assert made.twice(rule) == []


@pytest.mark.parametrize("rule", ["R08", "R10", "R11"])
@pytest.mark.parametrize(
    "spoil",
    [
        {"link_up_ns": NOW - SECOND},
        {"min_age_ns": 120 * SECOND},
    ],
    ids=["a young link", "a young order"],
)
def test_absence_needs_a_settled_link_and_an_old_order(rule: str, spoil: dict[str, int]) -> None:
    case = next(made for name, _, made in PROVEN if name == rule)()
    case.with_limits(**spoil)
    assert case.look(rule) == []
    case.now_ns += 3 * SECOND
    assert case.look(rule) == []


def told(finding: Finding) -> list[K]:
    return [step.event.kind for step in finding.steps if isinstance(step, Tell)]


def step(finding: Finding, kind: type[Step]) -> Any:
    (one,) = [one for one in finding.steps if isinstance(one, kind)]
    return one


def test_a_position_that_doesnt_fit_the_lost_order_goes_outside_and_holds_the_instrument() -> None:
    (finding,) = Case(lost(), positions=(holding(STOCK, -3),)).twice("R11")
    assert finding.status is Status.OPEN
    assert step(finding, Book).execution.quantity == 3
    assert step(finding, Hold).strategy_id is None
    assert told(finding) == []


def test_two_orders_that_may_explain_a_position_leave_it_to_a_person() -> None:
    other = lost(client_order_id="BF-test-gamma-2")
    (finding,) = Case(lost(), other, positions=(holding(STOCK, 100),)).twice("R11")
    assert finding.status is Status.OPEN


def test_a_part_that_filled_unseen_is_inferred_and_the_rest_is_absent() -> None:
    (finding,) = Case(lost(), positions=(holding(STOCK, 40),)).twice("R11")
    assert told(finding) == [K.FILL_PART, K.ABSENT]
    inferred = finding.steps[0]
    assert isinstance(inferred, Tell)
    assert inferred.event.execution is not None
    assert inferred.event.execution.base_id == f"inf:{COID}:40"
    assert inferred.event.execution.price == 50


def test_an_order_older_than_the_broker_tells_stays_for_a_person() -> None:
    old = lost(submitted_ns=NOW - 7200 * SECOND)
    (finding,) = Case(old).twice("R08")
    assert finding.status is Status.OPEN
    assert told(finding) == [K.ABSENT]


def test_untold_fills_make_up_the_brokers_average() -> None:
    order = filled(40)
    completed = done("FILLED", 100, average_price=Decimal("50.3"))
    (finding,) = Case(order, fills=(booked(execution(quantity=Decimal(40))),), **completed).look("R15")
    inferred = finding.steps[0]
    assert isinstance(inferred, Tell)
    assert inferred.event.execution is not None
    assert (inferred.event.execution.quantity, inferred.event.execution.price) == (60, Decimal("50.5"))


UNCOUNTED = {"quantity": Decimal(0), "is_counted": False}


@pytest.mark.parametrize("rule", ["R15", "R16", "R23"])
@pytest.mark.parametrize(("executed", "status"), [(40, "CANCELED"), (100, "FILLED"), (40, "FILLED")])
def test_quantities_that_say_nothing_contradict_nothing(rule: str, executed: int, status: str) -> None:
    case = Case(filled(executed), **done(status, **UNCOUNTED))
    assert case.look(rule) == case.look(rule) == []


@pytest.mark.parametrize("status", ["CANCELED", "FILLED"])
def test_an_order_that_is_over_is_so_by_its_status_whatever_its_quantities(status: str) -> None:
    """One that was filled, and of which a correction has left a part, too."""
    (finding,) = Case(filled(40), **done(status, **UNCOUNTED)).look("R09")
    assert told(finding) == [K.CANCEL_OK]


def test_an_order_filled_before_the_broker_tells_executions_has_filled_what_we_wanted() -> None:
    old = filled(40, submitted_ns=NOW - 7200 * SECOND)
    (finding,) = Case(old, **done("FILLED", **UNCOUNTED)).look("R15")
    assert isinstance(finding.steps[0], Tell)
    assert finding.steps[0].event.execution is not None
    assert finding.steps[0].event.execution.quantity == 60


def test_a_change_that_filled_was_made() -> None:
    order = filled(120, pending_replace=Terms(quantity=Decimal(120), limit_price=Decimal(50)))
    (finding,) = Case(order, **done("FILLED", **UNCOUNTED)).look("R23")
    assert told(finding) == [K.REPLACE_OK]


def test_a_vanished_execution_that_the_position_has_waits_for_a_person() -> None:
    (finding,) = Case(filled(), fills=(OWN_FILL,), positions=(holding(STOCK, 100),)).twice("R18")
    assert (finding.status, finding.steps) == (Status.OPEN, ())


def test_a_vanished_execution_has_the_word_before_the_position() -> None:
    case = Case(filled(), fills=(OWN_FILL,))
    assert [finding.rule for finding in case.look("R14")] == ["R14"]
    assert case.look("R18", "R14") == []


def test_a_bust_takes_the_whole_execution_back() -> None:
    (finding,) = Case(filled(), fills=(OWN_FILL,)).twice("R18")
    (gone,) = finding.steps
    assert isinstance(gone, Tell)
    assert gone.event.execution is not None
    assert (gone.event.execution.revision, gone.event.execution.quantity) == (2, 0)


def test_the_first_comparison_opens_with_what_the_account_holds() -> None:
    (finding,) = Case(positions=(holding(CALL, 10, "412.5"),)).with_ours(opened=False).look("R14")
    assert finding.status is Status.DONE
    assert step(finding, Book).execution.price == Decimal("4.125")
    assert not [one for one in finding.steps if isinstance(one, Hold)]


def test_a_difference_in_what_nobody_trades_holds_nothing() -> None:
    case = Case(positions=(holding(STOCK, 7),)).with_ours(strategies={"gamma": "SPY"})
    (finding,) = case.look("R14")
    assert [type(one) for one in finding.steps] == [Book]


def test_an_adjustment_that_the_broker_does_without_is_taken_back_after_half_a_minute() -> None:
    case = Case(fills=(ADJUSTED,)).with_ours(
        open_keys=lambda: frozenset({f"R14|||{ADJUSTED.base_id}|{STOCK.key}|"})
    )
    (finding,) = case.look("R14")
    assert step(finding, Book).kind is FillKind.BUST
    case.now_ns -= 20 * SECOND
    assert case.look("R14") == []


def test_an_assigned_option_brings_its_stock_at_the_strike() -> None:
    case = Case(fills=(CALLS,), positions=(holding(STOCK, 1000),))
    (finding,) = case.look("R26")
    option, stock = (one for one in finding.steps if isinstance(one, Book))
    assert (option.execution.price, option.owner) == (0, EXTERNAL)
    assert (stock.execution.side, stock.execution.quantity) == (Side.BUY, 1000)
    assert stock.execution.price == 100
    assert finding.status is Status.OPEN


def test_a_stock_that_fits_no_option_isnt_taken_for_an_assignment() -> None:
    (finding,) = Case(fills=(CALLS,), positions=(holding(STOCK, 900),)).look("R26")
    (only,) = finding.steps
    assert isinstance(only, Book)
    assert only.kind is FillKind.EXPIRY


def test_a_cancel_is_asked_for_three_times_and_then_a_person_is() -> None:
    def case(resent: int) -> Finding:
        made = Case(our_order(**CANCELLING), **OPEN).with_limits(resent={COID: resent})
        (finding,) = made.look("R22")
        return finding

    assert [type(one) for one in case(2).steps] == [CancelAgain]
    assert (case(3).steps, case(3).status) == ((), Status.OPEN)


def test_a_lost_journals_order_is_kept_for_its_strategy_and_cancelled() -> None:
    shown = their_order(client_order_id="BF-test-gamma-9", perm_id="p9")
    (finding,) = Case(open_orders=(shown,)).look("R19")
    assert step(finding, Found).order.strategy_id == "gamma"
    assert step(finding, Cancel).client_order_id == "BF-test-gamma-9"
    assert step(finding, Hold).strategy_id == "gamma"


def test_a_strangers_order_is_never_cancelled() -> None:
    for name in (None, "BF-else-gamma-9"):
        shown = their_order(client_order_id=name, perm_id="p9")
        (finding,) = Case(open_orders=(shown,)).look("R20")
        assert not [one for one in finding.steps if isinstance(one, Cancel | CancelAgain)]
        assert step(finding, Found).order.client_order_id == "EXT.p9"
        assert (finding.status is Status.OPEN) is (name is not None)


def test_the_order_whose_lasting_id_we_know_is_the_one_that_stays() -> None:
    shown = (their_order(perm_id="p2"), their_order())
    (finding,) = Case(our_order(), open_orders=shown).look("R21")
    assert step(finding, Found).order.perm_id == "p2"
    assert step(finding, Cancel).client_order_id == f"{COID}#2"


@pytest.mark.parametrize("successor", [True, False])
def test_a_false_cancel_is_cancelled_only_where_another_has_its_task(successor: bool) -> None:
    orders = [our_order(state=S.CANCELED)]
    if successor:
        orders.append(our_order(client_order_id="BF-test-gamma-2", perm_id="p2", created_ns=NOW))
    (finding,) = Case(*orders, **OPEN).look("R25")
    assert bool([one for one in finding.steps if isinstance(one, Cancel)]) is successor
    assert told(finding) == ([K.ACK] if successor else [K.ACK, K.ACK])


@pytest.mark.parametrize(
    ("theirs", "kind"),
    [
        (done("CANCELED"), K.CANCEL_OK),
        (done("EXPIRED"), K.EXPIRE),
        (done("CANCELED", text="Order expired"), K.EXPIRE),
        (done("REJECTED", text="no margin"), K.REJECT),
        (done("INACTIVE", text="no margin"), K.REJECT),
        (done("INACTIVE"), K.CANCEL_OK),
    ],
)
def test_an_order_ends_as_it_ended_there(theirs: dict[str, Any], kind: K) -> None:
    (finding,) = Case(our_order(), **theirs).look("R09")
    assert told(finding) == [kind]


def test_an_order_that_filled_in_part_wasnt_refused() -> None:
    case = Case(filled(40), fills=(booked(execution(quantity=Decimal(40))),), **done("REJECTED", 40))
    (finding,) = case.look("R09")
    assert told(finding) == [K.CANCEL_OK]


def test_every_rule_has_a_case_that_it_finds() -> None:
    assert {rule for rule, _, _ in (*FOUND, *PROVEN)} == set(RULES) == {f"R{n:02d}" for n in range(1, 28)}


NAMELESS = evolve(X1, client_order_id=None, perm_id=None, broker_order_id="7", client_id=1)


@pytest.mark.parametrize("perm_id", [None, "p9"])
def test_an_execution_without_our_reference_is_of_the_order_with_its_number(perm_id: str | None) -> None:
    case = Case(lost(broker_order_id="7"), executions=(evolve(NAMELESS, perm_id=perm_id),))
    (finding,) = case.look("R12", "R13")
    assert (finding.rule, finding.client_order_id) == ("R12", COID)
    assert step(finding, Tell).client_order_id == COID


@pytest.mark.parametrize(
    ("order", "changes"),
    [
        ({}, {"client_id": 2}),
        ({}, {"client_id": None}),
        ({}, {"broker_order_id": "8"}),
        ({"broker_order_id": None}, {"broker_order_id": None}),
        ({}, {"side": Side.SELL}),
        ({}, {"contract": CALL}),
        ({}, {"quantity": Decimal(101)}),
        ({}, {"client_order_id": "somebody's"}),
        ({"perm_id": "p1"}, {"perm_id": "p2"}),
        ({"state": S.REJECTED}, {}),
    ],
)
def test_what_only_resembles_an_order_of_ours_is_booked_outside(
    order: dict[str, Any], changes: dict[str, Any]
) -> None:
    ours = lost(**{"broker_order_id": "7", **order})
    (finding,) = Case(ours, executions=(evolve(NAMELESS, **changes),)).look("R12", "R13")
    assert (finding.rule, finding.client_order_id) == ("R13", None)
