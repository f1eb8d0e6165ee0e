"""Several strategies in one account: each book as if it were alone, the account their sum."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from attrs import define, evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bifrost_engine.calendar import ExchangeSessions
from bifrost_engine.config.strategy import StrategyConfig
from bifrost_engine.domain import BrokerEventKind, Decision, Intent, Purpose, Side
from bifrost_engine.domain.events import StrategyRaised
from bifrost_engine.engine.slot import Slot
from bifrost_engine.testing.engine import STOCK, EngineUnderTest, make_slot

K = BrokerEventKind
SESSIONS = ExchangeSessions()
NAMES = ("one", "two", "three")
FREE = {"cooldown_seconds": 0.0, "min_price_move_pct": 0.0, "min_hedge_shares": 1}


@define(slots=False)
class Planned:
    """A strategy that wants at each quote what its plan says for that second; 0 for nothing."""

    plan: dict[int, int]

    def on_tick(self, quote: Any, view: Any) -> Decision:
        quantity = self.plan.get(view.now_ns // 10**9, 0)
        if not quantity:
            return Decision(key=("nothing",))
        side = Side.BUY if quantity > 0 else Side.SELL
        intent = Intent(
            contract_key=STOCK.key, side=side, quantity=Decimal(abs(quantity)), purpose=Purpose.OTHER
        )
        return Decision(intent=intent, key=(quantity,))


def planned(name: str, plan: list[int], start_s: int) -> Slot:
    config = StrategyConfig(symbol="NVDA", id=name)
    hedge = evolve(config.gates.intent.hedge, **FREE)
    gates = evolve(config.gates, intent=evolve(config.gates.intent, hedge=hedge))
    wanted = {start_s + 10 * i: quantity for i, quantity in enumerate(plan, start=1)}
    return make_slot(evolve(config, gates=gates), Planned(wanted))


def book(run: EngineUnderTest, name: str) -> Any:
    """Return all that a book is: its positions, and each of its executions."""
    return run.engine.core.state.portfolio.digest_state()["books"].get(name)


def driven(plans: dict[str, list[int]], answers: dict[str, list[str]], mids: list[float]) -> EngineUnderTest:
    """Return a run of these strategies; what becomes of an order is its strategy's own affair."""
    run = EngineUnderTest(
        strategies=[planned(name, plan, 1_741_012_200) for name, plan in plans.items()],
        positions=(),
        account_settings={
            "oms.self_cross": "allow",
            "account.max_orders_per_minute": 1000,
        },
        sessions=SESSIONS,
    )
    seen = len(run.fetches)
    for i, mid in enumerate(mids, start=1):
        before = len(run.placed)
        run.wait(9)
        if run.fetches[seen:]:  # what timed out is compared before the next quote: a doubt is everybody's
            run.reconcile(open_orders=tuple(map(run.at_broker, run.engine.core.state.all_open_orders())))
        seen = len(run.fetches)
        run.now_ns = (1_741_012_200 + 10 * i) * 10**9 - 1_000_000 + 1
        run.mid(mid)
        for effect in run.placed[before:]:
            name = effect.request.client_order_id.split("-")[2]
            _answer(run, effect.request, answers[name][i - 1], f"{mid:.2f}", f"{name}{i}")
    return run


def _answer(run: EngineUnderTest, request: Any, how: str, price: str, base_id: str) -> None:
    coid = request.client_order_id
    if how == "rejected":
        run.broker(K.ORDER_REJECTED, client_order_id=coid)
        return
    run.broker(K.ORDER_ACK, client_order_id=coid)
    if how == "in part":
        run.fill(int(request.quantity) // 2 or 1, price=price, base_id=base_id, request=request)
        run.broker(K.ORDER_CANCELED, client_order_id=coid)
    elif how == "filled":
        run.fill(price=price, base_id=base_id, request=request)
    # otherwise it rests, and its strategy waits


STEPS = 12
plan = st.lists(st.integers(-40, 40), min_size=STEPS, max_size=STEPS)
outcome = st.lists(
    st.sampled_from(["filled", "filled", "filled", "in part", "rejected", "resting"]),
    min_size=STEPS,
    max_size=STEPS,
)
# Quantities differ between strategies: an equal order at the same instant is the account's duplicate.
together = st.fixed_dictionaries(
    {name: plan.map(lambda some, i=i: [3 * q + i if q else 0 for q in some]) for i, name in enumerate(NAMES)}
)
outcomes = st.fixed_dictionaries({name: outcome for name in NAMES})
walk = st.lists(st.sampled_from([99.5, 100.0, 100.25, 101.0]), min_size=STEPS, max_size=STEPS)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plans=together, answers=outcomes, mids=walk)
def test_strategies_together_give_each_book_what_it_has_alone(
    plans: dict[str, list[int]], answers: dict[str, list[str]], mids: list[float]
) -> None:
    both = driven(plans, answers, mids)
    vetoes = {code for slot in both.engine.core.slots.values() for code in slot.last_veto.split(", ")}
    assert not vetoes & {"order_rate", "max_gross_notional", "max_net_notional", "account_loss"}
    for name in NAMES:
        alone = driven({name: plans[name]}, answers, mids)
        assert book(both, name) == book(alone, name), name
    sums: dict[str, Decimal] = {}
    for name in NAMES:
        for key, quantity in both.engine.core.state.portfolio.quantities(name).items():
            sums[key] = sums.get(key, Decimal(0)) + quantity
    held = both.engine.core.state.portfolio.account_quantities()
    assert held == {key: quantity for key, quantity in sums.items() if quantity}


def two_with(*quantities: int) -> EngineUnderTest:
    """Return a run of strategies that have traded these quantities, one after the other."""
    names = NAMES[: len(quantities)]
    slots = [
        planned(name, [0] * i + [quantity], 1_741_012_200)
        for i, (name, quantity) in enumerate(zip(names, quantities, strict=True))
    ]
    run = EngineUnderTest(strategies=slots, positions=())
    for i in range(1, len(quantities) + 1):
        run.now_ns = (1_741_012_200 + 10 * i) * 10**9
        run.mid(100)
        run.fill(price="100")
    return run.advance(20)


def test_opposite_books_of_a_flat_account_compare_clean() -> None:
    run = two_with(100, -100)
    run.positions = {}  # the broker nets
    portfolio = run.engine.core.state.portfolio
    assert [dict(portfolio.quantities(name)) for name in NAMES[:2]] == [{STOCK.key: 100}, {STOCK.key: -100}]
    before = len(run.records)
    run.reconcile()
    assert [dict(r.payload) for r in run.records[before:] if r.kind in ("fill", "recon_item")] == []
    again = run.restart(strategies=[planned(name, [], 0) for name in NAMES[:2]])
    assert again.engine.core.reconciled
    assert [slot.view.halts for slot in again.engine.core.slots.values()] == [(), ()]
    assert again.engine.core.state.portfolio.digest_state() == portfolio.digest_state()


def test_a_flatten_trades_its_own_quantity_though_the_account_is_flat() -> None:
    run = two_with(100, -100)
    run.positions = {}
    run.mid(100)
    run.command("flatten", strategy_id="one")
    assert (run.last_order.side, run.last_order.quantity) == (Side.SELL, 100)
    run.fill(price="100")
    portfolio = run.engine.core.state.portfolio
    assert dict(portfolio.quantities("one")) == {}
    assert dict(portfolio.quantities("two")) == {STOCK.key: -100}
    run.mid(100)
    assert run.operations("flattened")[-1]["strategy_id"] == "one"


def test_flattening_all_sends_each_strategys_own_quantity_and_nothing_of_others() -> None:
    run = two_with(100, -60, 30)
    run.mid(100)
    run.command("flatten")
    sent = {
        e.request.client_order_id.split("-")[2]: (e.request.side, e.request.quantity) for e in run.placed[3:]
    }
    assert sent == {"one": (Side.SELL, 100), "two": (Side.BUY, 60), "three": (Side.SELL, 30)}


def test_an_event_of_one_strategy_leaves_every_other_book_and_its_standing_alone() -> None:
    run = two_with(100, -60, 30)
    run.engine.core.slots["one"].plugin.plan = {(run.now_ns // 10**9) + 5: 40}
    state = run.engine.core.state
    untouched = {name: (book(run, name), state.strategy(name)) for name in ("two", "three")}
    copies = {name: evolve(own) for name, (_, own) in untouched.items()}
    run.advance(5).mid(100)
    run.hand_over()
    run.ack()
    run.fill(10, price="100")
    run.broker(K.LINK_UP)
    run.command("flatten", strategy_id="one")
    run.handle(StrategyRaised(ts_ns=run.now_ns, strategy_id="one", error="too slow"))
    for name, (books, own) in untouched.items():
        assert book(run, name) == books
        assert own == copies[name]
        assert run.engine.core.slots[name].view.halts == ()
    assert run.slot.view.halts == ("strategy_raised",)


def test_no_strategy_cancels_anothers_order() -> None:
    run = two_with(100, -60)
    run.mid(100)
    run.command("flatten", strategy_id="two")
    run.hand_over()
    run.ack()
    run.command("flatten", strategy_id="one")
    run.command("kill", strategy_id="one")
    run.handle(StrategyRaised(ts_ns=run.now_ns, strategy_id="one", error="too slow"))
    assert [e.request.client_order_id for e in run.cancels] == ["BF-test-one-2"]
