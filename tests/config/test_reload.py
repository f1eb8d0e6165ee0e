"""What a changed file changes at once, and what waits for a restart."""

from __future__ import annotations

import pytest

from bifrost_engine.config.loader import load
from bifrost_engine.config.reload import reload_plan
from bifrost_engine.config.schema import Config

BASE = "strategies:\n- {id: a, symbol: SPY}\n- {id: b, symbol: QQQ}\n"


def config_of(text: str) -> Config:
    return load(text, plugin_names=["dips"]).config


def test_an_unchanged_file_changes_nothing():
    plan = reload_plan(config_of(BASE), config_of(BASE + "# a comment\n"))
    assert (plan.strategies, plan.account, plan.restart_needed, plan.changes) == ((), False, (), False)
    assert plan.effective == config_of(BASE)


@pytest.mark.parametrize(
    "setting",
    [
        "gates: {state: {delta: {epsilon_band: 5}}}",
        "gates: {strategy: {structure: {min_dte: 7}}}",
        "greeks: {volatility: 0.2}",
        "order: {order_type: limit}",
        "flatten: {to: delta_neutral}",
    ],
)
def test_gates_greeks_order_and_flatten_take_effect_for_their_strategy(setting):
    new = config_of(BASE.replace("symbol: QQQ", f"symbol: QQQ, {setting}"))
    plan = reload_plan(config_of(BASE), new)
    assert (plan.strategies, plan.restart_needed) == (("b",), ())
    assert plan.effective == new


def test_limits_of_the_account_take_effect():
    new = config_of(BASE + "account: {max_order_shares: 100}\n")
    plan = reload_plan(config_of(BASE), new)
    assert (plan.strategies, plan.account, plan.restart_needed) == ((), True, ())
    assert plan.effective.account.max_order_shares == 100


@pytest.mark.parametrize(
    ("old", "new", "keys"),
    [
        (BASE, BASE + "daemon: {heartbeat_interval: 20}\n", ("daemon.heartbeat_interval",)),
        (BASE, BASE + "broker: other\n", ("broker",)),
        (BASE, BASE + "status: {sink: postgres}\n", ("status.sink",)),
        (BASE, BASE + "sim: {seed: 4}\n", ("sim.seed",)),
        (BASE + "sim: {seed: 4}\n", BASE + "sim: {seed: 5}\n", ("sim.seed",)),
        (BASE + "sim: {seed: 4}\n", BASE, ("sim.seed",)),
        (BASE, BASE + "oms: {ack_timeout: 5}\n", ("oms.ack_timeout",)),
        (BASE, BASE.replace("SPY", "IWM"), ("strategies.a.symbol",)),
        (BASE, BASE.replace("id: a", "id: a, max_notional: 5"), ("strategies.a.max_notional",)),
        (BASE, BASE.replace("id: a", "id: a, enabled: false"), ("strategies.a.enabled",)),
    ],
)
def test_everything_else_waits_for_a_restart_and_is_named(old, new, keys):
    plan = reload_plan(config_of(old), config_of(new))
    assert (plan.strategies, plan.account, plan.restart_needed) == ((), False, keys)
    assert plan.effective == config_of(old)


def test_hot_and_cold_changes_of_one_file_are_told_apart():
    new = config_of(BASE.replace("symbol: SPY", "symbol: IWM, order: {order_type: limit}"))
    plan = reload_plan(config_of(BASE), new)
    assert (plan.strategies, plan.restart_needed) == (("a",), ("strategies.a.symbol",))
    assert plan.effective.strategy("a").symbol == "SPY"
    assert plan.effective.strategy("a").order.order_type == "limit"


def test_leaving_paper_trading_waits_for_a_restart():
    new = config_of(BASE.replace("id: a", "id: a, gates: {guard: {risk: {paper_trade: false}}}"))
    plan = reload_plan(config_of(BASE), new)
    assert plan.restart_needed == ("strategies.a.gates.guard.risk.paper_trade",)
    assert plan.strategies == ()
    assert plan.effective.strategy("a").gates.guard.risk.paper_trade is True


def test_strategies_that_come_or_go_wait_for_a_restart():
    more = config_of(BASE + "- {id: c, symbol: IWM}\n")
    plan = reload_plan(config_of(BASE), more)
    assert "strategies.c.symbol" in plan.restart_needed
    assert plan.effective == config_of(BASE)
    back = reload_plan(more, config_of(BASE))
    assert "strategies.c.symbol" in back.restart_needed
    assert back.effective == more


def test_another_strategy_plugin_under_the_same_id_waits_for_a_restart():
    new = config_of(BASE.replace("id: a", "id: a, use: dips, order: {order_type: limit}, depth: 3"))
    plan = reload_plan(config_of(BASE), new)
    assert plan.strategies == ()
    assert {"strategies.a.use", "strategies.a.depth", "strategies.a.order.order_type"} <= set(
        plan.restart_needed
    )


def test_no_value_of_a_changed_secret_is_in_the_plan():
    old, new = (config_of(BASE + f"status: {{postgres: {{password: {p}}}}}\n") for p in ("one", "two"))
    plan = reload_plan(old, new)
    assert plan.restart_needed == ("status.postgres.password",)
    assert "two" not in repr(plan)
