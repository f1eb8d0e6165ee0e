"""The limits of account and strategy at work: judged at worst, over all strategies, over restarts."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from attrs import define, evolve

from bifrost_engine.config.strategy import StrategyConfig
from bifrost_engine.domain import BrokerCaps, BrokerEventKind, BrokerState, Decision, Intent, OrderType, Side
from bifrost_engine.domain.events import BrokerStateReceived, Placed
from bifrost_engine.engine.slot import Slot
from bifrost_engine.testing.engine import CALL, STOCK, EngineUnderTest, change, make_slot

K = BrokerEventKind


@define(slots=False)
class Trader:
    """A strategy that wants ``intent`` at each tick, and says of itself that it wants ``wanted`` shares."""

    intent: Intent | None = None
    wanted: Decimal | None = None

    def on_tick(self, quote: Any, view: Any) -> Decision:
        return Decision(intent=self.intent)

    def shares_wanted(self, view: Any) -> Decimal | None:
        return self.wanted


def trader(name: str, **settings: Any) -> Slot:
    config = StrategyConfig(symbol="NVDA", id=name)
    settings = {
        "gates.intent.hedge.cooldown_seconds": 0.0,
        "order.working_timeout_seconds": 600.0,
        "gates.intent.hedge.min_price_move_pct": 0.0,
        **{path.replace("__", "."): value for path, value in settings.items()},
    }
    for path, value in settings.items():
        config = change(config, path, value)
    return make_slot(config, Trader())


def two(*slots: Slot, **account: Any) -> EngineUnderTest:
    """Return a run of two traders; ``account`` are its limits, or paths with dots for ``__``."""
    limits = {
        path.replace("__", ".") if "__" in path else f"account.{path}": v for path, v in account.items()
    }
    return EngineUnderTest(
        strategies=slots or [trader("one"), trader("two")], positions=(), account_settings=limits
    )


def wants(run: EngineUnderTest, name: str, quantity: int, limit: int | None = None) -> str:
    """Let a strategy want to buy (below 0: sell); return who vetoed it, empty if the order left."""
    slot = run.engine.core.slots[name]
    side = Side.BUY if quantity > 0 else Side.SELL
    intent = Intent(contract_key=STOCK.key, side=side, quantity=Decimal(abs(quantity)), net_delta=-quantity)
    if limit is not None:
        intent = evolve(intent, order_type=OrderType.LIMIT, limit_offset_ticks=limit)
    slot.plugin.intent = intent
    before = len(run.placed)
    run.advance(3).mid(100)
    slot.plugin.intent = None
    assert bool(slot.last_veto) is (len(run.placed) == before)
    return slot.last_veto


def answer_questions(run: EngineUnderTest) -> None:
    """Let the first questions about an order in doubt be asked, and answered once; the next comes in 10 s."""
    run.advance(2.1).beat()
    run.advance(3.1).beat()
    run.reconcile()


def test_limits_are_judged_as_if_all_orders_of_all_strategies_filled_one_of_unknown_state_whole() -> None:
    run = two(max_gross_notional=Decimal(25_001), max_net_notional=Decimal(10**6))
    assert wants(run, "one", 100) == ""
    run.hand_over()
    run.fill(40, price="100")
    run.handle(Placed(ts_ns=run.now_ns, client_order_id=run.last_order.client_order_id, error="no answer"))
    run.answer(K.ORDER_DOUBT)
    answer_questions(run)
    assert run.order.state == "UNKNOWN"
    # 40 bought and 60 that may be: 10,000 of the 25,001.
    assert wants(run, "two", 151) == "max_gross_notional"
    again = run.restart(strategies=[trader("one"), trader("two")])
    again.mid(100)
    answer_questions(again)
    assert wants(again, "two", 151) == "max_gross_notional"
    assert wants(again, "two", 150) == ""


def test_short_and_long_books_add_up_without_signs_and_offset_with_them() -> None:
    run = two(max_gross_notional=Decimal(10**6), max_net_notional=Decimal(20_001))
    assert wants(run, "one", 200) == ""
    run.fill(price="100")
    assert wants(run, "two", 10) == "max_net_notional"
    assert wants(run, "two", -300) == ""
    run.fill(price="100")
    assert wants(run, "two", -101) == "max_net_notional"
    assert wants(run, "two", -100) == ""


def test_what_is_out_counts_until_it_is_over_first_come_first_served() -> None:
    run = two(max_gross_notional=Decimal(15_000), max_net_notional=Decimal(15_000))
    buy = Intent(contract_key=STOCK.key, side=Side.BUY, quantity=Decimal(100), net_delta=-100.0)
    for slot in run.engine.core.slots.values():
        slot.plugin.intent = buy
    run.mid(100)
    assert [effect.request.client_order_id for effect in run.placed] == ["BF-test-one-1"]
    run.engine.core.slots["one"].plugin.intent = None
    run.answer(K.ORDER_REJECTED)
    run.advance(3).mid(100)
    assert run.last_order.client_order_id == "BF-test-two-1"


def test_the_values_of_a_days_orders_are_counted_filled_or_not_over_a_restart() -> None:
    run = two(max_daily_notional=Decimal(20_001))
    assert wants(run, "one", 100) == ""
    run.answer(K.ORDER_REJECTED)
    assert wants(run, "two", 101) == "max_daily_notional"
    run = run.restart(strategies=[trader("one"), trader("two")])
    run.mid(100)
    assert wants(run, "two", 101) == "max_daily_notional"
    run.now_ns += 24 * 3600 * 10**9
    assert wants(run, "two", 101) == ""


def test_an_option_counts_with_its_multiplier() -> None:
    run = EngineUnderTest(
        strategies=[trader("one")],
        positions=[(CALL, 10)],
        account_settings={"account.max_gross_notional": Decimal(13_999)},
    )
    run.quote(3.99, 4.01, contract=CALL)
    assert wants(run, "one", 100) == "max_gross_notional"  # 10 × 100 × 4 and 100 × 100
    assert wants(run, "one", 99) == ""


@pytest.mark.parametrize(
    ("theirs", "ours", "policy", "veto"),
    [
        (None, None, "deny", "self_cross"),
        (None, None, "allow", ""),
        (0, None, "deny", "self_cross"),
        (0, 0, "deny", "self_cross"),
        (-5, -5, "deny", ""),  # buys at 99.95, sells at 100.05
        (5, 5, "deny", "self_cross"),
        (-5, 5, "deny", "self_cross"),  # buys at 99.95, sells at 99.95
        (-5, 3, "deny", ""),
    ],
)
def test_an_order_that_could_trade_with_one_of_another_strategy_is_denied(
    theirs: int | None, ours: int | None, policy: str, veto: str
) -> None:
    run = two(oms__self_cross=policy)
    assert wants(run, "one", 100, theirs) == ""
    run.hand_over()
    run.ack()
    assert wants(run, "two", 50) == ""  # the same side never crosses
    run.answer(K.ORDER_REJECTED)
    assert wants(run, "two", -100, ours) == veto
    if veto:
        run.broker(K.ORDER_CANCELED, client_order_id="BF-test-one-1")
        assert wants(run, "two", -100, ours) == ""


def test_orders_count_against_the_strategys_rate_and_not_against_anothers() -> None:
    run = two(trader("one", max_orders_per_minute=2), trader("two"))
    for _ in range(2):
        assert wants(run, "one", 10) == ""
        run.fill(price="100")
    assert wants(run, "one", 10) == "max_orders_per_minute"
    assert wants(run, "one", -20) == "max_orders_per_minute"  # a reduction, too
    assert wants(run, "two", 10) == ""
    run.fill(price="100")
    run.advance(60)
    assert wants(run, "one", 10) == ""


def test_a_strategys_value_is_limited_and_a_reduction_passes() -> None:
    run = two(trader("one", max_notional=Decimal(10_000)), trader("two"))
    assert wants(run, "one", 101) == "max_notional"
    assert wants(run, "one", 100) == ""
    run.fill(price="100")
    assert wants(run, "one", 10) == "max_notional"
    assert wants(run, "two", 101) == ""
    run.fill(price="100")
    assert wants(run, "one", -100) == ""


def test_an_instrument_that_is_not_allowed_is_vetoed_and_no_failure() -> None:
    run = two(trader("one", allowed_instruments=("SPY|STK|||",)), trader("two"))
    assert wants(run, "one", 10) == "allowed_instruments"
    assert run.slot.view.halts == ()


def test_three_rejections_in_a_row_by_the_broker_hold_a_strategy_over_restarts_until_a_resume() -> None:
    run = two()
    for quantity in (10, 11):
        assert wants(run, "one", quantity) == ""
        run.answer(K.ORDER_REJECTED)
    assert wants(run, "one", 12) == ""
    run.hand_over()
    run.ack()
    run.fill(price="100")  # not in a row
    run = run.advance(10).restart(strategies=[trader("one"), trader("two")])
    run.mid(100)
    for quantity in (10, 11, 13):
        assert wants(run, "one", quantity) == ""
        assert run.slot.view.halts == ()
        run.handle(Placed(ts_ns=run.now_ns, client_order_id=run.last_order.client_order_id, not_sent=True))
    for quantity in (10, 11):
        assert wants(run, "one", quantity) == ""
        run.answer(K.ORDER_REJECTED)
        run = run.restart(strategies=[trader("one"), trader("two")])
        run.mid(100)
    assert wants(run, "one", 13) == ""
    run.answer(K.ORDER_REJECTED)
    assert run.slot.view.halts == ("consecutive_rejects",)
    assert wants(run, "one", 10) == "HOLD"
    assert wants(run, "one", -12) == ""
    run.fill(price="100")
    assert wants(run, "two", 10) == ""
    run.fill(price="100")
    run.command("manual_resume", strategy_id="one")
    assert wants(run, "one", 10) == ""
    assert run.slot.view.halts == ()


def test_hedges_that_fill_and_change_nothing_halt_their_strategy() -> None:
    run = two()
    for slot in run.engine.core.slots.values():
        slot.plugin.wanted = Decimal(50)  # whatever it bought
    for count in range(3):
        assert run.slot.view.halts == ()
        assert run.slot.repeats == count
        assert wants(run, "one", 10) == ""
        run.fill(4, price="100")
        run.fill(6, price="100")
    assert run.slot.view.halts == ("no_progress",)
    assert wants(run, "one", 10) == "no_progress, HALTED"
    assert wants(run, "two", 10) == ""
    run.fill(price="100")
    run.command("manual_resume", strategy_id="one")
    assert wants(run, "one", 10) == ""


def test_a_hedge_that_brings_the_delta_nearer_ends_the_row() -> None:
    run = two()
    plugin = run.slot.plugin
    plugin.__class__ = type(
        "Right", (Trader,), {"shares_wanted": lambda self, view: 50 - view.own_positions().get(STOCK.key, 0)}
    )
    for _ in range(4):
        assert wants(run, "one", 10) == ""
        run.fill(price="100")
    assert run.slot.repeats == 0
    for _ in range(2):  # beyond what it wants
        assert wants(run, "one", 30) == ""
        run.fill(price="100")
    assert run.slot.repeats == 2
    assert wants(run, "one", -10) == ""
    run.fill(price="100")
    assert run.slot.repeats == 0


def test_a_loss_of_one_strategy_stops_it_alone_and_the_accounts_stops_all() -> None:
    slots = [trader("one", gates__guard__risk__max_daily_loss_usd=Decimal(1000)), trader("two")]
    run = two(*slots, max_account_loss_usd=Decimal(1500))
    for name in ("one", "two"):
        assert wants(run, name, 100) == ""
        run.fill(price="100")
    run.advance(5).mid(89.9)  # both lose 1010: 2020 in all
    run.beat()
    assert run.engine.core.slots["one"].view.halts == ("circuit_breaker", "account_loss")
    assert run.engine.core.slots["two"].view.halts == ("account_loss",)
    assert wants_at(run, "two", -100, 89.9) == "account_loss, HALTED"
    assert "refused" in resume(run)
    assert wants_at(run, "two", -100, 89.9) == "account_loss, HALTED"
    run.config = change(run.config, "account.max_account_loss_usd", Decimal(4000))
    run.reload()
    assert "two resumed" in resume(run)
    assert wants_at(run, "two", -10, 89.9) == ""
    run.fill(price="89.9")
    assert "circuit_breaker" in wants_at(run, "one", -10, 89.9)


def wants_at(run: EngineUnderTest, name: str, quantity: int, mid: float) -> str:
    run.mid(mid)
    slot = run.engine.core.slots[name]
    side = Side.BUY if quantity > 0 else Side.SELL
    slot.plugin.intent = Intent(
        contract_key=STOCK.key, side=side, quantity=Decimal(abs(quantity)), net_delta=-quantity
    )
    run.advance(3).mid(mid)
    slot.plugin.intent = None
    return slot.last_veto


def resume(run: EngineUnderTest) -> str:
    run.command("manual_resume")
    return str(run.operations("manual_resume")[-1]["state_reason"])


def test_a_small_loss_of_each_is_the_accounts_loss_at_the_next_beat_or_intent() -> None:
    for judged_by in ("beat", "intent"):
        run = two(max_account_loss_usd=Decimal(1500))
        for name in ("one", "two"):
            assert wants(run, name, 100) == ""
            run.fill(price="100")
        run.advance(5).mid(92.6)
        assert run.slot.view.halts == ()
        if judged_by == "beat":
            run.beat()
            assert run.slot.view.halts == ()  # 1480 and commissions
        run.advance(5).mid(92.4)
        if judged_by == "beat":
            run.beat()
        else:
            wants_at(run, "two", -10, 92.4)
        assert run.slot.view.halts == ("account_loss",)
        again = run.restart(strategies=[trader("one"), trader("two")])
        assert again.slot.view.halts == ("account_loss",)


def test_the_account_counts_what_it_holds_outside_in_its_strategies_instruments() -> None:
    run = EngineUnderTest(
        strategies=[trader("one")],
        positions=[(STOCK, 300)],
        account_settings={"account.max_account_loss_usd": Decimal(900)},
    )
    run.mid(100)
    run.advance(5).mid(97.01)
    run.beat()
    assert run.slot.view.halts == ()
    run.advance(5).mid(96.99)
    run.beat()
    assert run.slot.view.halts == ("account_loss",)


def test_known_buying_power_limits_orders_and_unknown_does_not() -> None:
    run = two()
    assert wants(run, "one", 100) == ""
    run.hand_over()
    run.ack()
    summary = {"buying_power": Decimal(15_000)}
    state = BrokerState(
        account=run.account,
        as_of_start_ns=run.now_ns,
        as_of_end_ns=run.now_ns,
        summary=summary,
        incomplete=frozenset({"open_orders", "positions"}),
    )
    run.handle(BrokerStateReceived(ts_ns=run.now_ns, trigger="PERIODIC", state=state))
    assert wants(run, "two", 50) == "buying_power"  # 10,000 are on their way
    assert wants(run, "two", 49) == ""


def test_a_live_account_without_limits_lets_nothing_out() -> None:
    class Live(EngineUnderTest):
        account = "U123"

    slots = [trader("one", gates__guard__risk__paper_trade=False)]
    run = Live(strategies=slots, positions=(), caps=BrokerCaps(paper=False), mode="LIVE")
    assert wants(run, "one", 10) == (
        "max_order_shares, max_order_notional, max_daily_notional, max_gross_notional, max_net_notional, "
        "account_loss"
    )
