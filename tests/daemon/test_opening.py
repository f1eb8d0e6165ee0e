"""What a run is refused for before it begins."""

from __future__ import annotations

import pytest
from attrs import evolve
from daemon_under_test import eager

from bifrost_engine.config.schema import Config
from bifrost_engine.config.strategy import StrategyConfig
from bifrost_engine.daemon.opening import check_limits, check_orphans
from bifrost_engine.domain import BrokerCaps, BrokerEventKind
from bifrost_engine.errors import ConfigError
from bifrost_engine.testing.engine import EngineUnderTest

LIVE = BrokerCaps(paper=False)


def test_real_money_needs_every_limit_of_the_account_by_name():
    with pytest.raises(ConfigError) as caught:
        check_limits(Config(), LIVE, "U123")
    for name in (
        "max_order_shares",
        "max_order_notional",
        "max_daily_notional",
        "max_gross_notional",
        "max_net_notional",
        "max_account_loss_usd",
    ):
        assert f"account.{name}" in str(caught.value)
    some = Config(account=evolve(Config().account.or_generous, max_order_shares=None))
    with pytest.raises(ConfigError, match=r"needs account\.max_order_shares: "):
        check_limits(some, LIVE, "U123")


def test_paper_trading_and_a_full_set_of_limits_may_begin():
    check_limits(Config(), BrokerCaps(paper=True), "U123")
    with pytest.raises(ConfigError, match="live trading on account D123"):
        check_limits(Config(), LIVE, "D123")
    check_limits(Config(account=Config().account.or_generous), LIVE, "U123")


def test_a_removed_strategys_book_is_claimed_or_parked_or_nothing_begins():
    state = EngineUnderTest().hedge(103, filled=True).engine.core.state
    successor = StrategyConfig(symbol="NVDA", id="next")
    gone = Config(strategies=(successor,))
    with pytest.raises(ConfigError, match=r"ORPHAN_BOOK: strategy gamma .*NVDA\|STK.*claims: \[gamma\]"):
        check_orphans(gone, state, False)
    check_orphans(gone, state, True)
    check_orphans(Config(strategies=(evolve(successor, claims=("gamma",)),)), state, False)
    check_orphans(Config(strategies=(StrategyConfig(symbol="NVDA"),)), state, False)


def test_a_removed_strategy_that_holds_nothing_and_works_nothing_is_no_orphan():
    run = EngineUnderTest().hedge(103)
    gone = Config(strategies=(StrategyConfig(symbol="NVDA", id="next"),))
    with pytest.raises(ConfigError, match="BF-test-gamma-1"):
        check_orphans(gone, run.engine.core.state, False)
    run.answer(BrokerEventKind.ORDER_CANCELED)
    check_orphans(gone, run.engine.core.state, False)


def test_a_strategy_that_wants_the_brokers_greeks_needs_a_feed_that_brings_them(home):
    here = home(strategies=[eager(greeks={"use_broker_greeks": True})])
    with pytest.raises(ConfigError, match=r"use_broker_greeks of eager: expected a feed .*, was wave"):
        here.run()
