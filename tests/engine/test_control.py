"""What each command and flag does, what it leaves alone, and what it says it did."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from bifrost_engine.builtin import Gamma
from bifrost_engine.config.strategy import StrategyConfig
from bifrost_engine.domain import BrokerEventKind, Contract, OrderState, Purpose, Right, Side
from bifrost_engine.domain.control import COMMANDS
from bifrost_engine.domain.effects import ConnectBroker, FetchBrokerState, StopHost
from bifrost_engine.domain.events import Reloaded, StrategyRaised
from bifrost_engine.errors import ConfigError
from bifrost_engine.testing.engine import CALL, PUT, STOCK, EngineUnderTest, change, make_slot

K = BrokerEventKind
FAST = {
    "gates.intent.hedge.cooldown_seconds": 0.0,
    "gates.intent.hedge.min_price_move_pct": 0.0,
    "gates.guard.risk.max_daily_hedge_count": 1000,
}


def outcome(run: EngineUnderTest) -> str:
    row = next(row for row in reversed(run.operations()) if "outcome" in row)
    text: str = row["outcome"]
    return text


def effects_of(run: EngineUnderTest, kind: type) -> list[Any]:
    return [effect for effect in run.effects if isinstance(effect, kind)]


def busy_run() -> EngineUnderTest:
    """Return a run that nothing but the operator slows down."""
    return EngineUnderTest(settings=FAST, account_settings={"account.max_orders_per_minute": 1000})


def own_stock(run: EngineUnderTest, strategy_id: str = "gamma") -> Decimal:
    return run.engine.core.state.portfolio.quantities(strategy_id).get(STOCK.key, Decimal(0))


def busy_market(run: EngineUnderTest, seconds: int = 60, *, fill: bool = True) -> int:
    """Let a market pass that would hedge every second; return how many orders left."""
    sent = len(run.placed)
    for i in range(seconds):
        run.wait(0.998)
        before = len(run.placed)
        run.mid(98.4 if i % 2 else 100.2)
        if fill and len(run.placed) > before:
            run.fill(price="100")
    return len(run.placed) - sent


def two_strategies() -> EngineUnderTest:
    """Return two strategies with a leg each."""
    slots = []
    for name, band in (("one", 0.03), ("two", 0.2)):
        config = StrategyConfig(symbol="NVDA", id=name)
        for path, value in {**FAST, "gates.strategy.structure.atm_band_pct": band}.items():
            config = change(config, path, value)
        slots.append(make_slot(config))
    far = Contract.option("NVDA", date(2025, 3, 28), Decimal(110), Right.CALL)
    return EngineUnderTest(strategies=slots, positions=[(CALL, 10), (far, 10)])


# --- any command ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_leaves_one_row_that_says_what_was_done(name: str) -> None:
    run = EngineUnderTest()
    run.mid(99.2)
    run.command(name, command_id="17", requested_by="ann")
    rows = run.operations(name)
    assert len(rows) == 1
    assert rows[0]["outcome"] == rows[0]["state_reason"] != ""
    assert (rows[0]["command_id"], rows[0]["source"], rows[0]["requested_by"]) == ("17", "test", "ann")
    assert not rows[0]["outcome"].startswith("refused: no command")


@pytest.mark.parametrize("name", COMMANDS)
def test_an_expired_command_is_consumed_and_not_executed(name: str) -> None:
    run = EngineUnderTest(settings=FAST).hedge(103)
    before = (run.engine.core.lifecycle, run.engine.core.stopping)
    run.command(name, expired=True)
    assert outcome(run) == "expired: older than 60 s, not executed"
    assert (run.engine.core.lifecycle, run.engine.core.stopping) == before
    assert not run.cancels
    assert not run.engine.core.is_suspended("gamma")
    assert not run.engine.core.is_killed("gamma")
    assert [type(effect).__name__ for effect in run.effects] == ["Record"]


def test_an_unknown_command_is_refused_with_the_known_ones() -> None:
    run = EngineUnderTest()
    run.command("explode")
    assert outcome(run).startswith(
        "refused: no command 'explode'; known: claim, clear_kill, exec, flatten, kill,"
    )


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in ("stop", "retry_ib")])
def test_an_unknown_strategy_is_refused_with_the_running_ones(name: str) -> None:
    run = EngineUnderTest()
    run.command(name, strategy_id="delta")
    assert outcome(run) == "refused: no strategy 'delta'; running: gamma"
    assert not run.engine.core.is_suspended("gamma")


LINES = ("reconcile", "exec bust x0", "claim gamma 'NVDA|STK|||' 5")


@pytest.mark.parametrize("name", [*(name for name in COMMANDS if name != "stop"), *LINES])
def test_while_stopping_nothing_but_a_stop_is_taken(name: str) -> None:
    run = EngineUnderTest(positions=((STOCK, 10),), settings=FAST)
    run.command("stop")
    before = run.engine.core.state.positions_version
    run.command(name, command_id="17")
    assert outcome(run) == "refused: the daemon is stopping"
    row = run.operations()[-1]
    assert (row["type"], row["command_id"]) == (name.split()[0], "17")
    assert run.engine.core.state.positions_version == before
    assert not effects_of(run, FetchBrokerState)


# --- suspend and resume --------------------------------------------------------------------


def test_no_order_leaves_while_suspended_in_a_market_that_would_hedge_every_second() -> None:
    run = busy_run()
    assert busy_market(run, 10) == 10
    run.command("suspend")
    assert run.engine.core.lifecycle == "RUNNING_SUSPENDED"
    assert busy_market(run, 60) == 0
    assert run.slot.last_veto == "suspended"
    run.command("resume")
    assert outcome(run) == "resumed"
    assert busy_market(run, 10) == 10


def test_a_working_order_may_finish_while_suspended() -> None:
    run = EngineUnderTest().hedge(103)
    run.command("suspend")
    assert not run.cancels
    run.fill()
    assert run.order.state is OrderState.FILLED


def test_a_suspension_outlives_a_restart() -> None:
    run = busy_run()
    run.mid(99.2)
    run.command("suspend")
    again = run.restart()
    assert again.engine.core.lifecycle == "RUNNING_SUSPENDED"
    assert busy_market(again, 5) == 0
    again.command("resume")
    assert busy_market(again, 5) == 5


def test_one_strategy_may_be_suspended_alone() -> None:
    run = two_strategies()
    run.command("suspend", strategy_id="one")
    assert run.engine.core.lifecycle == "RUNNING"
    run.mid(103)
    assert [effect.request.client_order_id for effect in run.placed] == ["BF-test-two-1"]


def test_one_strategy_may_be_resumed_out_of_a_suspension_of_all() -> None:
    run = two_strategies()
    run.command("suspend")
    run.command("resume", strategy_id="one")
    assert outcome(run) == "resumed"
    run.mid(103)
    assert [effect.request.client_order_id for effect in run.placed] == ["BF-test-one-1"]
    again = run.restart()
    assert not again.engine.core.is_suspended("one")
    assert again.engine.core.is_suspended("two")


# --- flags ---------------------------------------------------------------------------------


def test_either_source_of_two_suspends_and_both_must_let_go() -> None:
    run = busy_run()
    run.flags(suspended=False, killed=False, source="postgres")
    run.flags(suspended=True, source="local")
    assert busy_market(run, 5) == 0
    run.flags(suspended=True, source="postgres")
    run.flags(suspended=False, source="local")
    assert busy_market(run, 5) == 0
    run.flags(suspended=False, source="postgres")
    assert busy_market(run, 5) == 5


def test_a_resume_says_when_a_flag_still_suspends() -> None:
    run = EngineUnderTest()
    run.flags(suspended=True, source="postgres")
    run.command("resume")
    assert outcome(run) == "resumed, but still suspended by the flag of postgres"
    run.flags(killed=True, source="local")
    run.command("clear_kill")
    assert outcome(run) == "cleared, but still killed by the flag of local"


def test_the_last_flags_hold_over_a_restart_without_their_source() -> None:
    run = busy_run()
    run.flags(suspended=True, killed=False)
    again = run.restart()
    assert busy_market(again, 5) == 0
    again.flags(suspended=False, killed=False)
    assert busy_market(again, 5) == 5


def test_flags_that_are_off_from_the_start_are_no_news() -> None:
    run = EngineUnderTest()
    run.flags(suspended=False, killed=False)
    run.flags(suspended=False, killed=False)
    assert not run.operations("flags")
    run.flags(suspended=True, killed=False)
    assert len(run.operations("flags")) == 1


def test_a_kill_by_flag_cancels_working_orders_and_ends_a_flatten() -> None:
    run = EngineUnderTest().hedge(103)
    run.flags(killed=True)
    assert len(run.cancels) == 1
    run.answer(K.ORDER_CANCELED)
    run.command("flatten")
    run.flags(killed=False)
    run.flags(killed=True)
    assert not run.engine.core.state.flattening


# --- kill ----------------------------------------------------------------------------------


def test_a_kill_cancels_and_stops_everything_until_it_is_cleared() -> None:
    run = busy_run().hedge(103)
    run.command("kill")
    assert outcome(run) == "killed; 1 working orders to be cancelled"
    assert [effect.request.reason for effect in run.cancels] == ["kill"]
    run.answer(K.ORDER_CANCELED)
    assert busy_market(run, 30) == 0
    assert "kill_switch" in run.snapshot["block_reasons"]
    run.command("resume")
    assert outcome(run) == "resumed, but the kill switch is on: resume --clear-kill ends it"
    assert busy_market(run, 5) == 0
    run.command("clear_kill")
    assert outcome(run) == "kill switch cleared"
    assert busy_market(run, 5) == 5


def test_a_kill_outlives_a_restart() -> None:
    run = busy_run()
    run.command("kill")
    again = run.restart()
    assert busy_market(again, 10) == 0
    again.command("clear_kill")
    assert busy_market(again, 5) == 5


def test_only_a_flatten_passes_a_kill() -> None:
    run = EngineUnderTest().hedge(103, filled=True)
    run.command("kill")
    run.command("flatten")
    assert run.last_order.purpose is Purpose.FLATTEN
    assert run.last_order.side is Side.BUY


def test_a_kill_ends_a_flatten() -> None:
    run = EngineUnderTest(settings={"gates.intent.hedge.max_hedge_shares_per_order": 100})
    run.hedge(103, filled=True)
    run.command("flatten")
    run.command("kill")
    assert [effect.request.reason for effect in run.cancels] == ["kill"]
    run.answer(K.ORDER_CANCELED)
    assert busy_market(run, 5) == 0


def test_one_strategy_may_be_killed_and_cleared_alone() -> None:
    run = two_strategies()
    run.command("kill")
    run.command("clear_kill", strategy_id="two")
    run.mid(103)
    assert [effect.request.client_order_id for effect in run.placed] == ["BF-test-two-1"]


# --- flatten -------------------------------------------------------------------------------


def test_a_flatten_trades_the_own_stock_to_zero_and_ends_suspended() -> None:
    run = busy_run().hedge(103, filled=True)
    shares = -own_stock(run)
    run.command("flatten")
    assert (run.last_order.side, run.last_order.quantity) == (Side.BUY, shares)
    assert run.last_order.purpose is Purpose.FLATTEN
    run.fill()
    assert own_stock(run) == 0
    assert run.operations("flattened")[0]["state_reason"] == "zero; suspended"
    assert run.engine.core.lifecycle == "RUNNING_SUSPENDED"
    assert busy_market(run, 10) == 0
    run.command("resume")
    assert busy_market(run, 10) == 10


def test_a_flatten_goes_in_slices() -> None:
    run = EngineUnderTest(settings={**FAST, "gates.intent.hedge.max_hedge_shares_per_order": 90})
    for _ in range(4):
        run.advance(3).hedge(103, filled=True)
    shares = -own_stock(run)
    assert 270 < shares < 360
    run.command("flatten")
    slices = []
    while own_stock(run):
        slices.append(run.last_order.quantity)
        run.advance(1).fill()
    assert slices == [90, 90, 90, shares - 270]
    assert len(run.operations("flattened")) == 1


def test_what_a_flatten_does_comes_after_it_in_the_operations() -> None:
    run = EngineUnderTest().hedge(103)
    run.ack()
    run.command("flatten")
    at = [operation["type"] for operation in run.operations()].index("flatten")
    cancel = next(
        record
        for record in run.records
        if record.kind == "order_event" and record.payload["event"] == "CANCEL_REQ"
    )
    assert cancel.jseq > [record.jseq for record in run.records if record.kind == "operation"][at]


def test_with_nothing_to_flatten_it_is_told_first_and_then_done() -> None:
    run = EngineUnderTest()
    run.command("flatten")
    assert [operation["type"] for operation in run.operations()][-2:] == ["flatten", "flattened"]


def test_a_flatten_waits_for_the_working_hedge_to_end() -> None:
    run = busy_run().hedge(103)
    run.fill(100)
    run.command("flatten")
    assert [effect.request.reason for effect in run.cancels] == ["flatten"]
    assert busy_market(run, 5) == 0  # the cancel isn't answered yet
    run.fill(50)  # and the order fills on
    run.answer(K.ORDER_CANCELED)
    assert (run.last_order.purpose, run.last_order.quantity) == (Purpose.FLATTEN, 150)


def test_a_flatten_never_touches_other_positions() -> None:
    run = EngineUnderTest(positions=[(CALL, 10), (PUT, 10), (STOCK, 77)], settings=FAST)
    run.hedge(103, filled=True)
    run.command("flatten")
    run.fill()
    assert own_stock(run) == 0
    assert run.engine.core.state.portfolio.quantities("EXTERNAL")[STOCK.key] == 77
    assert {effect.request.contract for effect in run.placed} == {STOCK}


def test_a_flatten_of_one_leaves_the_other() -> None:
    run = two_strategies()
    run.mid(103)
    for effect in list(run.placed):
        run.fill(request=effect.request)
    held = own_stock(run, "two")
    run.command("flatten", strategy_id="one")
    assert run.last_order.client_order_id == "BF-test-one-2"
    run.fill()
    assert own_stock(run, "one") == 0
    assert own_stock(run, "two") == held != 0
    assert not run.engine.core.is_suspended("two")


def test_a_flatten_without_stock_is_done_at_once() -> None:
    run = EngineUnderTest()
    run.command("flatten")
    assert len(run.operations("flattened")) == 1
    assert not run.placed
    assert run.engine.core.is_suspended("gamma")


@pytest.mark.parametrize("state", ["SAFE", "PAUSE_LIQ", "NEED_HEDGE"])
def test_a_flatten_works_from_any_trading_state(state: str) -> None:
    run = EngineUnderTest().hedge(103, filled=True)
    if state == "SAFE":
        run.advance(6).beat()
    elif state == "PAUSE_LIQ":
        run.quote(104.5, 105.5)
    else:
        run.mid(104)
    assert run.slot.plugin.state == state
    run.command("flatten")
    run.fill()
    assert own_stock(run) == 0
    run.command("resume")
    for _ in range(20):
        run.advance(10).mid(103.5)
        run.advance(0.5).mid(103.5)
    if state == "SAFE":
        for _ in range(20):
            run.advance(1).mid(103.5)
    assert run.slot.plugin.state == "HEDGING"  # the machine isn't stuck where the flatten met it


def test_a_flatten_waits_for_broker_quote_and_rate() -> None:
    run = EngineUnderTest(account_settings={"account.max_orders_per_minute": 1}).hedge(103, filled=True)
    run.broker(K.LINK_DOWN)
    run.command("flatten")
    assert run.slot.last_veto == "not_reconciled, order_rate, LINK_DOWN"
    run.connect()
    assert run.slot.last_veto == "order_rate"
    run.quote(float("nan"), 103)
    assert run.slot.last_veto == "quote_invalid, quote_stale, order_rate"
    run.advance(60).beat()
    assert run.slot.last_veto == "quote_invalid, quote_stale"
    run.mid(103)
    assert run.last_order.purpose is Purpose.FLATTEN


def test_a_flatten_accepts_a_stale_quote() -> None:
    run = EngineUnderTest().hedge(103, filled=True)
    run.advance(3600)
    run.command("flatten")
    assert run.last_order.purpose is Purpose.FLATTEN


def test_a_flatten_slice_that_keeps_working_is_cancelled_and_sent_again() -> None:
    run = EngineUnderTest().hedge(103, filled=True)
    run.command("flatten")
    run.ack()
    run.wait(5)
    assert len(run.cancels) == 1
    run.answer(K.ORDER_CANCELED)
    assert run.last_order.client_order_id == "BF-test-gamma-3"
    run.fill()
    assert own_stock(run) == 0


def test_a_delta_neutral_flatten_hedges_once_more() -> None:
    run = EngineUnderTest(settings={**FAST, "flatten.to": "delta_neutral"}).hedge(103, filled=True)
    run.advance(1).mid(103.2)
    held = own_stock(run)
    run.answer(K.ORDER_CANCELED)
    sent = len(run.placed)
    run.command("suspend")
    run.advance(10).mid(105)
    run.command("flatten")
    assert len(run.placed) > sent
    while run.order.is_open:
        run.fill(price="105")
    assert abs(run.slot.plugin.shares_wanted(run.slot.view)) == 0
    assert own_stock(run) < held
    assert run.operations("flattened")[0]["state_reason"] == "delta_neutral; suspended"
    assert run.engine.core.is_suspended("gamma")


def test_a_delta_neutral_flatten_doesnt_send_twice_what_was_just_filled() -> None:
    run = EngineUnderTest(
        settings={
            **FAST,
            "flatten.to": "delta_neutral",
            "gates.intent.hedge.max_hedge_shares_per_order": 200,
        }
    )
    run.command("suspend")
    run.mid(103)
    run.command("flatten")
    wanted = -run.slot.plugin.shares_wanted(run.slot.view)
    total = Decimal(0)
    while run.order.is_open:
        total += run.last_order.quantity
        run.fill(price="103")
    assert total == wanted


def test_a_delta_neutral_flatten_waits_for_greeks() -> None:
    run = EngineUnderTest(settings={"flatten.to": "delta_neutral"})
    run.command("flatten")
    assert not run.operations("flattened")
    run.mid(103)
    assert run.last_order.purpose is Purpose.FLATTEN


@pytest.mark.parametrize("how", ["resume", "kill", "restart"])
def test_a_flatten_is_ended_by_resume_kill_or_restart(how: str) -> None:
    run = EngineUnderTest(settings={"gates.intent.hedge.max_hedge_shares_per_order": 100})
    run.hedge(103, filled=True)
    run.command("flatten")
    run.fill(99)
    if how == "restart":
        run = run.restart()
        assert run.engine.core.is_suspended("gamma")
    else:
        run.command(how)
    assert not run.engine.core.state.flattening
    sent = len(run.placed)
    run.answer(K.ORDER_CANCELED)
    run.beat()
    assert [effect.request.purpose for effect in run.placed[sent:]] == []


# --- stop ----------------------------------------------------------------------------------


def test_a_stop_cancels_working_hedges_and_no_order_leaves_afterwards() -> None:
    run = busy_run().hedge(103)
    run.command("stop", requested_by="ann")
    assert [effect.reason for effect in effects_of(run, StopHost)] == ["ann"]
    assert [effect.request.reason for effect in run.cancels] == ["stop"]
    assert not run.engine.is_quiet
    run.answer(K.ORDER_CANCELED)
    assert run.engine.is_quiet
    assert busy_market(run, 60) == 0
    run.command("resume")
    run.command("flatten")
    run.broker(K.LINK_DOWN)
    run.connect()
    assert busy_market(run, 60) == 0
    assert not run.replaces


def test_a_stop_during_a_flatten_sends_no_further_slice() -> None:
    run = EngineUnderTest(settings={"gates.intent.hedge.max_hedge_shares_per_order": 100})
    run.hedge(103, filled=True)
    run.command("flatten")
    sent = len(run.placed)
    run.command("stop")
    run.fill()
    run.beat()
    assert len(run.placed) == sent


@pytest.mark.parametrize(("policy", "cancelled"), [("hedges", 1), ("all", 1), ("none", 0)])
def test_what_a_stop_cancels_is_a_setting(policy: str, cancelled: int) -> None:
    run = EngineUnderTest(account_settings={"oms.stop_cancel_open": policy}).hedge(103)
    run.command("stop")
    assert len(run.cancels) == cancelled


def test_a_second_stop_changes_nothing() -> None:
    run = EngineUnderTest().hedge(103)
    run.command("stop")
    run.command("stop")
    assert len(run.cancels) == 1
    assert not effects_of(run, StopHost)


# --- the rest ------------------------------------------------------------------------------


def test_a_manual_resume_of_the_circuit_breaker_needs_a_raised_limit() -> None:
    run = EngineUnderTest(settings={**FAST, "gates.guard.risk.max_daily_loss_usd": Decimal(1000)})
    run.hedge(103).fill(price="95")
    run.mid(103)
    run.beat()
    assert run.slot.view.halts == ("circuit_breaker",)
    run.command("manual_resume")
    assert outcome(run) == "gamma refused: the day's loss reached max_daily_loss_usd; raise the limit first"
    run.mid(95)  # the loss is gone, the limit is what it was
    assert run.slot.view.day_pnl > -1000
    run.command("manual_resume")
    assert "refused" in outcome(run)
    run.reload(gates__guard__risk__max_daily_loss_usd=Decimal(1500))
    run.mid(103)
    run.command("manual_resume")
    assert "refused" in outcome(run)  # raised, but not enough: over 2000 are lost
    run.reload(gates__guard__risk__max_daily_loss_usd=Decimal(50_000))
    run.command("manual_resume")
    assert outcome(run) == "gamma resumed; lifted: circuit_breaker"
    assert run.slot.view.halts == ()


def test_a_manual_resume_of_one_leaves_the_halts_of_the_other() -> None:
    run = two_strategies()
    slots = run.engine.core.slots
    for slot in slots.values():
        run.handle(StrategyRaised(ts_ns=run.now_ns, strategy_id=slot.id, error="a defect"))
    assert [slot.view.halts for slot in slots.values()] == [("strategy_raised",)] * 2
    run.command("manual_resume", strategy_id="one")
    assert outcome(run) == "one resumed; lifted: strategy_raised"
    assert slots["one"].view.halts == ()
    assert slots["two"].view.halts == ("strategy_raised",)


def test_a_manual_resume_leaves_what_a_finding_keeps_until_it_is_accepted() -> None:
    run = two_strategies()
    run.positions[CALL] = 11
    run.reconcile()
    (item,) = run.engine.core.state.open_items
    run.command("manual_resume")
    assert f"position_difference until finding {item} is accepted" in outcome(run)
    assert "resume all" not in outcome(run)
    run.command("manual_resume", strategy_id="one")
    assert f"bifrost reconcile --accept {item} --note" in outcome(run)
    assert outcome(run).endswith("one resumed; lifted: nothing; still held by position_difference")
    slots = run.engine.core.slots.values()
    assert [slot.view.halts for slot in slots] == [("position_difference",)] * 2


def test_retry_connects_at_once_unless_connected() -> None:
    run = EngineUnderTest()
    run.command("retry_ib")
    assert outcome(run) == "already connected"
    run.broker(K.LINK_DOWN)
    run.command("retry_ib")
    assert len(effects_of(run, ConnectBroker)) == 1


def test_a_refresh_asks_the_broker_if_it_is_there() -> None:
    run = EngineUnderTest()
    run.command("refresh_accounts")
    assert run.fetches[-1][1] == "OPERATOR"
    run.broker(K.LINK_DOWN)
    run.command("refresh_accounts")
    assert outcome(run) == "refused: the broker is not connected; retry-ib tries at once"


def test_accounts_are_refreshed_in_their_interval() -> None:
    run = EngineUnderTest(
        account_settings={"daemon.accounts_refresh_interval": 100.0, "recon.periodic": 86_400.0}
    )
    count = len(run.fetches)
    run.advance(99).beat()
    assert len(run.fetches) == count
    run.advance(1).beat()
    assert len(run.fetches) == count + 1


# --- reload --------------------------------------------------------------------------------


def test_a_changed_threshold_acts_at_the_next_tick() -> None:
    run = EngineUnderTest()
    run.mid(99.0)  # 20 shares: within the threshold of 25
    assert not run.placed
    run.reload(gates__state__delta__threshold_hedge_shares=15.0, gates__intent__hedge__min_hedge_shares=5)
    assert not run.placed
    run.mid(99.0)
    assert run.last_order.quantity == 20
    assert run.operations("config_reloaded")[0]["state_reason"] == "in force"


def test_an_invalid_file_changes_nothing_and_is_told_of() -> None:
    run = EngineUnderTest()
    before = run.slot.config
    run.handle(Reloaded(ts_ns=run.now_ns, config=None, problems=("x.yaml:3: epsilon_band: was -5",)))
    assert run.slot.config is before
    assert run.operations("config_rejected")[0]["state_reason"] == "x.yaml:3: epsilon_band: was -5"
    assert run.operations("config_reloaded") == []


def test_settings_that_the_strategy_refuses_leave_its_old_ones_in_force() -> None:
    class Picky(Gamma):
        def reconfigure(self, config: StrategyConfig) -> None:
            if config.greeks.volatility == 0.5:
                raise ConfigError("greeks.volatility: not this one")
            super().reconfigure(config)

    config = StrategyConfig(symbol="NVDA")
    run = EngineUnderTest(strategies=[make_slot(config, Picky(config))])
    before = run.slot.config
    run.reload(greeks__volatility=0.5)
    assert run.slot.config is run.slot.plugin.config is before
    assert run.operations("config_rejected")[0]["state_reason"] == "greeks.volatility: not this one"
    run.mid(103)
    assert len(run.placed) == 1


def test_a_reload_is_a_new_run_with_its_own_hash() -> None:
    run = EngineUnderTest()
    before = run.snapshot["config_summary"]
    config = change(run.config.strategies[0], "gates.state.delta.epsilon_band", 5.0)
    whole = run.config.with_strategy(config)
    run.handle(Reloaded(ts_ns=run.now_ns, config=whole, run_ids={"gamma": "run-2"}))
    runs = [record.payload for record in run.records if record.kind == "run"]
    assert [row["run_id"] for row in runs] == ["run-gamma", "run-2"]
    assert len({row["config_hash"] for row in runs}) == 2
    assert run.snapshot["config_summary"] != before
