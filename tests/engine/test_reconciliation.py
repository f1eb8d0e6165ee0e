"""Comparisons with the broker: when they are made, what they leave on record, what follows from them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from attrs import evolve

from bifrost_engine.domain import (
    BrokerEventKind,
    BrokerOrder,
    BrokerPosition,
    BrokerState,
    Execution,
    OrderState,
    Side,
)
from bifrost_engine.domain.effects import Notice
from bifrost_engine.domain.events import BrokerStateReceived
from bifrost_engine.domain.fill import EXTERNAL, FillKind, FillSource
from bifrost_engine.domain.record import Record
from bifrost_engine.engine.state import State
from bifrost_engine.testing.engine import CALL, PUT, STOCK, EngineUnderTest, lasting

K = BrokerEventKind
S = OrderState
PATIENT = {"order.working_timeout_seconds": 600.0}


def of_kind(run: EngineUnderTest, *kinds: str) -> list[Record]:
    return [record for record in run.records if record.kind in kinds]


def items(run: EngineUnderTest) -> list[tuple[str, str]]:
    return [(r.payload["rule"], str(r.payload["status"])) for r in of_kind(run, "recon_item")]


def results(run: EngineUnderTest) -> list[str]:
    return [record.payload["result"] for record in of_kind(run, "recon_end")]


def outcome(run: EngineUnderTest) -> str:
    return str(run.operations()[-1]["outcome"])


def holdings(run: EngineUnderTest) -> tuple[BrokerPosition, ...]:
    return tuple(
        BrokerPosition(contract=contract, quantity=Decimal(quantity))
        for contract, quantity in run.positions.items()
        if quantity
    )


def books(run: EngineUnderTest) -> dict[str, Any]:
    return run.engine.core.state.portfolio.digest_state()


# --- on record ---------------------------------------------------------------------------------


def test_each_comparison_is_on_record_with_its_snapshot_also_a_clean_one() -> None:
    run = EngineUnderTest()
    run.advance(60).reconcile()
    begun, ended = of_kind(run, "recon", "recon_end")[-2:]
    assert begun.payload["recon_id"] == begun.jseq == ended.payload["recon_id"]
    assert (begun.payload["trigger"], begun.payload["attempts"]) == ("PERIODIC", 1)
    assert begun.payload["complete"] is begun.payload["stable"] is True
    held = {p["contract_key"]: p["quantity"] for p in begun.payload["broker_state"]["positions"]}
    assert held == {CALL.key: 10, PUT.key: 10}
    assert ended.payload["result"] == "CLEAN"


@pytest.mark.parametrize("how", ["difference", "stranger", "doubt"])
def test_a_second_comparison_of_the_same_snapshot_finds_nothing_new(how: str) -> None:
    run = EngineUnderTest(settings=PATIENT).hedge(103)
    run.advance(11)
    orders = [run.at_broker()]
    if how == "difference":
        run.positions[CALL] = 11
    elif how == "stranger":
        orders.append(run.at_broker(client_order_id=None, broker_order_id="9", perm_id="p9"))
    else:
        run.broker(K.LINK_DOWN)
        run.broker(K.LINK_UP)
    run.reconcile(open_orders=tuple(orders))
    found, state = items(run), lasting(run.engine.core.state)
    run.advance(1).reconcile(open_orders=tuple(orders))
    assert items(run) == found
    assert results(run)[-1] == ("OPEN_ITEMS" if how == "difference" else "CLEAN")
    after = lasting(run.engine.core.state)
    changed = {name for name in after if after[name] != state[name]}
    assert changed <= {"last_jseq", "last_ns"}


def test_findings_outlive_a_restart() -> None:
    run = EngineUnderTest()
    run.positions[CALL] = 11
    run.advance(6).reconcile()
    again = State(run.account)
    again.restore(run.stored_records())
    assert again.open_items == run.engine.core.state.open_items != {}


# --- when ---------------------------------------------------------------------------------------


def test_an_event_during_a_snapshot_makes_another_up_to_three_a_second_apart() -> None:
    run = EngineUnderTest(settings=PATIENT).hedge(103)
    passes = len(results(run))
    begun_ns = run.now_ns - 1
    run.positions[CALL] = 11
    state = BrokerState(
        account=run.account, as_of_start_ns=begun_ns, as_of_end_ns=run.now_ns, positions=holdings(run)
    )
    for attempt in range(2):
        run.handle(BrokerStateReceived(ts_ns=run.now_ns, trigger="PERIODIC", state=state))
        assert len(results(run)) == passes
        run.wait(1)
        assert run.fetches[-1][1] == "PERIODIC", attempt
    run.handle(BrokerStateReceived(ts_ns=run.now_ns, trigger="PERIODIC", state=state))
    (last,) = of_kind(run, "recon")[-1:]
    assert (last.payload["attempts"], last.payload["stable"]) == (3, False)
    assert results(run)[-1] == "INCOMPLETE"  # and the position isn't judged by it
    assert run.slot.view.halts == ()


def test_open_orders_that_changed_while_they_were_read_make_another_snapshot() -> None:
    run = EngineUnderTest()
    passes = len(results(run))
    run.advance(60).reconcile(stable=False)
    assert len(results(run)) == passes
    run.wait(1)
    assert len(run.fetches) == 2


@pytest.mark.parametrize(("in_flight", "after_s"), [(True, 60), (False, 300)])
def test_a_comparison_is_made_more_often_while_an_order_is_in_flight(in_flight: bool, after_s: int) -> None:
    run = EngineUnderTest(settings=PATIENT).hedge(103)
    run.reconcile(open_orders=(run.at_broker(),))
    count = len(run.fetches)
    if in_flight:
        run.answer(K.ORDER_CANCEL_PENDING)
    for _ in range(after_s // 60 - 1):
        run.advance(60).beat()
        assert len(run.fetches) == count
    run.advance(60).beat()
    assert [trigger for _, trigger in run.fetches[count:]] == ["PERIODIC"]


def test_without_a_whole_snapshot_no_order_is_absent() -> None:
    run = EngineUnderTest(settings=PATIENT)
    run.mid(103)
    for part in ("open_orders", "completed_orders", "executions", "positions"):
        for _ in range(3):
            run.wait(11)
            run.reconcile(incomplete=frozenset({part}))
        assert run.order.state is S.UNKNOWN


def test_a_later_word_outranks_a_snapshot() -> None:
    run = EngineUnderTest(settings=PATIENT)
    run.mid(103)
    begun_ns = run.now_ns
    run.advance(0.5).ack()
    state = BrokerState(
        account=run.account,
        as_of_start_ns=begun_ns,
        as_of_end_ns=begun_ns,
        positions=holdings(run),
        completed_orders=(run.at_broker(status="REJECTED"),),
    )
    for _ in range(4):
        run.handle(BrokerStateReceived(ts_ns=run.now_ns, trigger="PERIODIC", state=state))
    assert run.order.state is S.ACCEPTED


# --- what nobody tells any more --------------------------------------------------------------


def test_a_fill_of_yesterday_is_inferred_and_gives_way_to_the_real_one() -> None:
    run = EngineUnderTest(settings=PATIENT).hedge(103)
    run.fill(100, price="103")
    total = int(run.order.quantity)
    run.fill(total - 100, price="102.5", heard=False)
    real = run.executions[-1]
    run.executions.clear()
    again = run.advance(86_400).restart(connect=False)
    again.executions = []
    average = (100 * Decimal(103) + (total - 100) * Decimal("102.5")) / total
    completed = again.at_broker(status="FILLED", filled=Decimal(total), average_price=average)
    again.broker(K.LINK_UP)
    again.reconcile(completed_orders=(completed,))
    assert again.order.state is S.FILLED
    assert again.snapshot["stock_position"] == -total
    inferred = of_kind(again, "fill")[-1].payload
    assert (inferred["kind"], inferred["price"], inferred["commission"]) == ("INFERRED", "102.5", None)
    again.executions = [real]
    again.advance(10).reconcile(completed_orders=(completed,))
    assert again.order.state is S.FILLED
    assert again.snapshot["stock_position"] == -total
    gone, booked = (record.payload for record in of_kind(again, "fill")[-2:])
    assert (gone["base_id"], gone["quantity"]) == (inferred["base_id"], "0")
    assert gone["superseded_by"] == booked["base_id"] == real.base_id
    assert "OVERFILL" not in str(again.operations("incident"))


def test_a_later_execution_takes_no_inferred_ones_place() -> None:
    run = EngineUnderTest(settings=PATIENT).hedge(103)
    total = run.order.quantity
    half = Decimal(int(total) // 2)
    run.positions[STOCK] = -int(half)
    run.advance(10).reconcile(open_orders=(run.at_broker(filled=half, average_price=Decimal(103)),))
    assert run.order.cum_quantity == half
    run.advance(10).fill(int(total - half), price="103")
    assert (run.order.state, run.order.cum_quantity) == (S.FILLED, total)


def test_an_order_that_was_never_answered_and_filled_before_midnight_isnt_rejected() -> None:
    run = EngineUnderTest(settings=PATIENT)
    run.mid(103)
    run.fill(price="103", heard=False)
    run.executions.clear()
    again = run.advance(86_400).restart()
    again.executions = []
    again.mid(104)
    for _ in range(2):
        assert again.order.state is S.UNKNOWN
        again.advance(6).reconcile()
    assert again.order.state is S.FILLED
    assert again.order.average_price == 104
    assert again.snapshot["stock_position"] == -again.order.quantity


def test_a_first_start_takes_what_the_account_holds_for_its_opening() -> None:
    run = EngineUnderTest(positions=((CALL, 10), (STOCK, 40)), connect=False)
    run.broker(K.LINK_UP)
    cost = BrokerPosition(contract=STOCK, quantity=Decimal(40), average_cost=Decimal("98.7"))
    run.reconcile(positions=(cost,))
    assert items(run) == [("R14", "DONE")]
    position = run.engine.core.state.portfolio.position(EXTERNAL, STOCK.key)
    assert (position.quantity, position.cost) == (40, Decimal(3948))
    assert run.slot.view.halts == ()


def test_an_execution_that_the_opening_has_is_not_booked_again_when_it_is_told_late() -> None:
    run = EngineUnderTest(positions=((STOCK, 5),), connect=False)
    run.broker(K.LINK_UP)
    theirs = BrokerOrder(
        client_order_id=None,
        broker_order_id="7",
        perm_id="901",
        contract=STOCK,
        side=Side.BUY,
        quantity=Decimal(20),
        filled=Decimal(5),
        status="OPEN",
        client_id=0,
    )
    bought = Execution(
        base_id="m",
        contract=STOCK,
        side=Side.BUY,
        quantity=Decimal(5),
        price=Decimal("99.5"),
        ts_ns=run.now_ns,
        perm_id="901",
    )
    run.reconcile(open_orders=(theirs,), executions=(bought,))
    run.broker(K.ORDER_FILL, perm_id="901", client_order_id=None, execution=bought)
    assert run.engine.core.state.portfolio.account_quantities() == {STOCK.key: 5}
    assert [record.payload["kind"] for record in of_kind(run, "fill")] == ["ADJUST"]


def test_an_execution_that_is_told_no_more_is_busted_once_the_position_is_short_of_it() -> None:
    run = EngineUnderTest(settings=PATIENT).hedge(103, filled=True)
    run.executions.clear()
    run.positions[STOCK] = 0
    for _ in range(2):
        assert run.snapshot["stock_position"] == -run.order.quantity
        run.advance(6).reconcile()
    assert run.snapshot["stock_position"] == 0
    assert run.engine.core.state.portfolio.position(EXTERNAL, STOCK.key).quantity == 0
    assert of_kind(run, "fill")[-1].payload["kind"] == "BUST"


# --- strangers ---------------------------------------------------------------------------------


def test_who_asks_for_a_comparison_hears_its_result() -> None:
    run = EngineUnderTest()
    run.advance(10).command("reconcile", command_id="17")
    assert outcome(run) == "asked the broker"
    run.reconcile()
    assert (outcome(run), run.operations()[-1]["command_id"]) == ("CLEAN: nothing differs", "17")
    run.positions[STOCK] = 30
    run.advance(10).command("reconcile")
    run.reconcile()
    assert outcome(run) == "OPEN_ITEMS: R14: booked outside"
    run.command("refresh_accounts")
    run.advance(10).reconcile()
    assert len(run.operations("reconcile")) == 4
    (number,) = run.engine.core.state.open_items
    assert outcome(run) == f"OPEN_ITEMS: nothing new; findings that wait to be accepted: {number}"


def test_a_strangers_order_is_followed_to_its_end_and_never_touched() -> None:
    run = EngineUnderTest()
    theirs = BrokerOrder(
        client_order_id=None,
        broker_order_id="9",
        perm_id="p9",
        contract=STOCK,
        side=Side.BUY,
        quantity=Decimal(5),
        filled=Decimal(0),
        status="OPEN",
    )
    run.advance(1).reconcile(open_orders=(theirs,))
    assert run.engine.core.state.orders["EXT.p9"].state is S.ACCEPTED
    trade = Execution(
        base_id="y",
        contract=STOCK,
        side=Side.BUY,
        quantity=Decimal(5),
        price=Decimal(99),
        ts_ns=1,
        perm_id="p9",
    )
    run.positions[STOCK] = 5
    run.executions.append(trade)
    run.advance(1).reconcile(completed_orders=(evolve(theirs, status="FILLED", filled=Decimal(5)),))
    assert run.engine.core.state.orders["EXT.p9"].state is S.FILLED
    assert run.engine.core.state.portfolio.position(EXTERNAL, STOCK.key).quantity == 5
    assert not run.cancels
    assert run.engine.is_quiet


def working(client_order_id: str) -> BrokerOrder:
    """Return an order that the broker has and the journal hasn't."""
    return BrokerOrder(
        client_order_id=client_order_id,
        broker_order_id="9",
        perm_id="p9",
        contract=STOCK,
        side=Side.SELL,
        quantity=Decimal(5),
        filled=Decimal(0),
        status="OPEN",
    )


def test_an_order_that_the_journal_lost_is_cancelled_and_its_number_never_comes_again() -> None:
    run = EngineUnderTest()
    run.advance(1).reconcile(open_orders=(working("BF-test-gamma-5"),))
    assert [cancel.request.perm_id for cancel in run.cancels] == ["p9"]
    assert run.slot.view.halts == ("order_not_in_journal",)
    run.broker(K.ORDER_CANCELED, client_order_id="BF-test-gamma-5")
    run.accept()
    run.hedge(103)
    assert run.last_order.client_order_id == "BF-test-gamma-6"


def test_an_order_that_the_daemon_before_left_working_is_cancelled_and_holds_nobody() -> None:
    run = EngineUnderTest()
    run.engine.core.predecessors = ("othr",)
    run.advance(1).reconcile(open_orders=(working("BF-othr-gamma-5"),))
    assert [cancel.request.client_order_id for cancel in run.cancels] == ["BF-othr-gamma-5"]
    run.mid(103.0)
    assert run.placed == [], "until it has ended nothing new is sent"
    run.broker(K.ORDER_CANCELED, client_order_id="BF-othr-gamma-5")
    run.hedge(103)
    assert run.slot.view.halts == ()
    assert run.last_order.client_order_id.startswith("BF-test-gamma-")


# --- the operator's word -------------------------------------------------------------------------


def test_an_accepted_finding_ends_the_hold_that_only_it_kept() -> None:
    run = EngineUnderTest()
    run.positions[CALL] = 11
    run.advance(6).reconcile()
    run.positions[CALL] = 12
    run.advance(6).reconcile()
    first, second = run.engine.core.state.open_items
    run.command(f"reconcile --accept {first} --note 'bought by phone'", requested_by="ann")
    assert run.slot.view.halts == ("position_difference",)
    run.command(f"reconcile --accept {second} --note again")
    assert run.slot.view.halts == ()
    ack = of_kind(run, "recon_ack")[0].payload
    assert (ack["item_jseq"], ack["by"], ack["note"]) == (first, "ann", "bought by phone")
    run.advance(6).reconcile()
    assert results(run)[-1] == "CLEAN"


@pytest.mark.parametrize(
    "line",
    [
        "reconcile --accept 1 --note x",
        "reconcile --accept 1",
        "reconcile --resolve nothing",
        "reconcile --accept one --note x",
        "exec bust nothing",
        "exec",
        "claim nobody NVDA 1",
        "claim gamma NVDA 1",
        "claim gamma NVDA much",
    ],
)
def test_what_cant_be_meant_is_refused_and_changes_nothing(line: str) -> None:
    run = EngineUnderTest()
    before = books(run)
    run.command(line)
    assert outcome(run).startswith("refused")
    assert books(run) == before


def test_an_order_in_doubt_is_resolved_unless_the_broker_shows_it() -> None:
    run = EngineUnderTest(settings=PATIENT)
    run.mid(103)
    line = f"reconcile --resolve {run.last_order.client_order_id}"
    run.command(line)
    assert "only one that is UNKNOWN" in outcome(run)
    run.wait(11)
    run.command(line)
    assert "no whole snapshot" in outcome(run)  # the one at the start is older than the order
    seen_ns = run.now_ns - 5 * 10**9  # before the doubt: it decides nothing about the order
    state = BrokerState(
        account=run.account,
        as_of_start_ns=seen_ns,
        as_of_end_ns=seen_ns,
        positions=holdings(run),
        open_orders=(run.at_broker(),),
    )
    for _ in range(3):
        run.handle(BrokerStateReceived(ts_ns=run.now_ns, trigger="TARGETED", state=state))
    run.command(line)
    assert "shows the order" in outcome(run)
    run.advance(1).reconcile()
    assert run.order.state is S.UNKNOWN
    run.command(line)
    assert run.order.state is S.REJECTED
    assert of_kind(run, "order_event")[-1].payload["source"] == "OPERATOR"


def test_a_busted_execution_is_taken_back_once() -> None:
    run = EngineUnderTest(settings=PATIENT).hedge(103, filled=True)
    base_id = run.executions[0].base_id
    run.command(f"exec bust {base_id}")
    assert run.snapshot["stock_position"] == 0
    fill = of_kind(run, "fill")[-1].payload
    assert (fill["kind"], fill["source"], fill["quantity"]) == ("BUST", "OPERATOR", "0")
    coid = run.order.client_order_id
    waits = f"order {coid} is UNKNOWN until the broker says whether it works on"
    assert outcome(run) == f"busted; gamma holds 0 {STOCK.key}; {waits}"
    run.command(f"exec bust {base_id}")
    assert outcome(run) == "refused: a bust took its place already"


def test_one_side_of_a_move_between_books_cant_be_busted() -> None:
    run = EngineUnderTest(positions=((STOCK, 1000),))
    run.quote()
    run.command("claim gamma NVDA 400")
    before = run.engine.core.state.portfolio.account_quantities()
    for fill in [r.payload["out"] for r in run.records if r.kind == "transfer"]:
        run.command(f"exec bust {fill['base_id']}")
        assert outcome(run).startswith("refused: it moved a position between books")
    assert run.engine.core.state.portfolio.account_quantities() == before == {STOCK.key: 1000}


def test_a_claim_moves_a_position_at_its_average_and_no_order() -> None:
    """Opening 1000 at 110 outside; 300 sold at 118; the broker has 500; 400 are claimed; all at 117."""
    run = EngineUnderTest(positions=((CALL, 10), (PUT, 10)), settings=PATIENT, connect=False)
    run.broker(K.LINK_UP)
    opening = BrokerPosition(contract=STOCK, quantity=Decimal(1000), average_cost=Decimal(110))
    run.reconcile(positions=(opening,))
    portfolio = run.engine.core.state.portfolio
    run.positions = {STOCK: 700}
    sold = Execution(
        base_id="s",
        contract=STOCK,
        side=Side.SELL,
        quantity=Decimal(300),
        price=Decimal(118),
        ts_ns=run.now_ns,
        commission=Decimal("1.5"),
    )
    run.engine.books.book_execution(sold, "gamma", None, FillKind.TRADE, FillSource.LIVE)
    marks = {STOCK.key: Decimal(117)}

    def row(owner: str) -> tuple[Decimal, ...]:
        position = portfolio.position(owner, STOCK.key)
        unrealized = position.quantity * marks[STOCK.key] - position.cost
        net = position.realized + unrealized - position.commission.get("USD", Decimal(0))
        return position.quantity, position.cost, position.realized, net

    assert row(EXTERNAL) == (1000, 110_000, 0, 7000)
    assert row("gamma") == (-300, -35_400, 0, Decimal("298.5"))
    run.mid(117)
    run.executions.append(sold)
    run.positions = {STOCK: 500}
    run.advance(6).reconcile()
    assert row(EXTERNAL) == (800, 88_000, 1400, 7000)
    run.command("claim gamma NVDA 400")
    assert row(EXTERNAL) == (400, 44_000, 1400, 4200)
    assert row("gamma") == (100, 11_000, 2400, Decimal("3098.5"))
    assert portfolio.account_quantities() == {STOCK.key: 500}
    assert not run.placed
    run.advance(6).reconcile()
    assert results(run)[-1] == "OPEN_ITEMS"  # the adjustment waits; the claim differs from nothing


def test_a_broker_that_cant_be_read_is_told_of_once_until_something_changes() -> None:
    run = EngineUnderTest(connect=False)
    run.broker(K.LINK_UP)

    def told(error: str) -> int:
        run.advance(30)
        failed = BrokerStateReceived(ts_ns=run.now_ns, trigger="STARTUP", state=None, error=error)
        notices = [e for e in run.handle(failed) if isinstance(e, Notice) and e.event == "reconciliation"]
        return len(notices)

    assert [told(error) for error in ("away", "away", "away", "refused", "refused")] == [1, 0, 0, 1, 0]
    run.advance(30).reconcile()
    assert told("refused") == 1
    passes = [r for r in run.records if r.kind == "recon_item" and r.payload["rule"] == "R01"]
    assert len(passes) == 6


def test_a_person_who_asked_is_told_also_if_another_look_comes_in_between() -> None:
    run = EngineUnderTest()
    run.advance(10).command("reconcile", command_id="17")
    run.reconcile(stable=False)  # to be asked for again in a second
    run.broker(K.POSITION)
    run.reconcile()
    assert outcome(run) == "CLEAN: nothing differs"
    assert run.operations("reconcile")[-1]["command_id"] == "17"


def test_a_person_who_asked_as_the_link_was_lost_is_told_by_the_look_after_it() -> None:
    run = EngineUnderTest()
    run.advance(10).command("reconcile")
    run.broker(K.LINK_DOWN)
    run.advance(10).broker(K.LINK_UP)
    run.reconcile()
    assert outcome(run) == "CLEAN: nothing differs"
