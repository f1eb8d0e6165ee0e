"""A configuration is read whole, with every problem told at its line."""

# ruff: noqa: E501 - a case is easier to read on one line

from __future__ import annotations

import subprocess
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType

import pytest
from attrs import field, frozen

from bifrost_engine.config.loader import (
    Override,
    find_config,
    from_values,
    load,
    missing_live_limits,
    parse_override,
)
from bifrost_engine.config.schema import ORDER_RULES, Config, StrategyConfig
from bifrost_engine.errors import ConfigError

WHOLE = """\
symbol: NVDA
broker: ib
ib: {host: 127.0.0.1, port: 7497, client_id: 1, connect_timeout: 60}
status:
  sink: postgres
  postgres: {host: db, port: 5432, database: bifrost, user: bifrost, password: hunter2}
status_server: {port: 8765}
daemon: {instance: default, heartbeat_interval: 10, ib_retry_interval: 30, accounts_refresh_interval: 3600, state_dir: /x}
greeks: {risk_free_rate: 0.05, volatility: 0.35}
order: {order_type: market}
gates:
  strategy:
    structure: {min_dte: 21, max_dte: 35, atm_band_pct: 0.03}
    earnings: {blackout_days_before: 3, blackout_days_after: 1, dates: []}
    trading_hours_only: true
  state:
    delta: {epsilon_band: 10, threshold_hedge_shares: 25, max_delta_limit: 500}
    market: {vol_window_min: 5, stale_ts_threshold_ms: 5000, gap_open_pct: 2, gap_step_pct: 1,
             choppy_stdev_pct: 2, choppy_slope_pct: 0.1, trend_slope_pct: 0.5, quiet_stdev_pct: 0.5}
    liquidity: {wide_spread_pct: 0.1, extreme_spread_pct: 0.5}
    system: {data_lag_threshold_ms: 1000}
  intent:
    hedge: {min_hedge_shares: 10, cooldown_seconds: 60, max_hedge_shares_per_order: 500, min_price_move_pct: 0.2}
  guard:
    risk: {max_daily_hedge_count: 50, max_position_shares: 2000, max_daily_loss_usd: 5000.0,
           max_net_delta_shares: null, max_spread_pct: null, paper_trade: true}
account: {}
"""


def config_of(text: str, **how) -> Config:
    return load(text, name="f", **how).config


def problems_of(text: str, **how) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(text, name="f", **how)
    return list(caught.value.problems)


# --- what is read ------------------------------------------------------------------------


def test_the_documented_layout_with_its_defaults_is_the_default_configuration():
    config = config_of(WHOLE)
    assert config.strategies == (StrategyConfig(symbol="NVDA"),)
    assert (config.broker, config.feed_name, config.sinks) == ("ib", "ib", ("postgres",))
    assert config.sections["ib"] == {"host": "127.0.0.1", "port": 7497, "client_id": 1, "connect_timeout": 60}
    assert config.status["postgres"]["password"] == "hunter2"
    assert config.account == Config().account
    assert config.daemon.state_dir == "/x"


def test_a_ticker_alone_is_a_configuration():
    config = config_of("symbol: SPY\n")
    assert config.strategies == (StrategyConfig(symbol="SPY"),)
    assert (config.broker, config.feed_name, config.sinks) == ("paper", "sim", ())


def test_numbers_take_the_type_of_their_key():
    strategy = config_of(
        "symbol: SPY\ngates: {guard: {risk: {max_daily_loss_usd: 0.1}}, state: {delta: {epsilon_band: 5}}}"
    ).strategies[0]
    assert strategy.gates.guard.risk.max_daily_loss_usd == Decimal("0.1")
    assert type(strategy.gates.state.delta.epsilon_band) is float


def test_volatility_is_a_number_or_implied():
    assert (
        config_of("symbol: SPY\ngreeks: {volatility: implied}").strategies[0].greeks.volatility == "implied"
    )
    assert problems_of("symbol: SPY\ngreeks: {volatility: 35}") == [
        "f:2: greeks.volatility: expected a number above 0 and up to 5 or implied, was 35"
    ]


def test_dates_are_read_with_and_without_quotes():
    text = "symbol: SPY\ngates: {strategy: {earnings: {dates: [2026-02-25, '2026-05-27']}}}"
    dates = config_of(text).strategies[0].gates.strategy.earnings.dates
    assert dates == (date(2026, 2, 25), date(2026, 5, 27))


def test_a_time_of_day_needs_no_quotes():
    assert config_of("symbol: SPY\nportfolio: {roll_time: 16:15}").portfolio.roll_time == "16:15"


def test_an_empty_section_is_a_section_of_defaults():
    assert config_of("symbol: SPY\naccount:\ndaemon: {}\nib:\n").account == Config().account


def test_several_strategies_have_books_of_their_own():
    config = config_of("strategies:\n- {id: a, symbol: SPY}\n- {id: b, symbol: QQQ, enabled: false}\n")
    assert [(s.id, s.symbol, s.enabled) for s in config.strategies] == [
        ("a", "SPY", True),
        ("b", "QQQ", False),
    ]
    assert config.strategy("b").symbol == "QQQ"


def test_strategies_can_share_settings_by_an_alias():
    text = "strategies:\n- {id: a, symbol: SPY, gates: &g {state: {delta: {epsilon_band: 4}}}}\n- {id: b, symbol: QQQ, gates: *g}\n"
    assert [s.gates.state.delta.epsilon_band for s in config_of(text).strategies] == [4.0, 4.0]


def test_keys_of_a_strategy_plugin_are_kept_for_it_with_their_lines():
    strategy = config_of("strategies:\n- id: buyer\n  use: dips\n  depth: 3\n").strategies[0]
    assert strategy.options == {"depth": 3}
    assert strategy.options.sources[("strategies", 0, "depth")] == "f:4"


def test_an_external_claim_may_be_given_alone():
    text = "symbol: NVDA\nclaims_external: {instrument: NVDA|STK|||, qty: 100}\n"
    claim = config_of(text).strategies[0].claims_external[0]
    assert (claim.instrument, claim.qty) == ("NVDA|STK|||", Decimal(100))


@pytest.mark.parametrize(
    ("status", "environ", "sinks"),
    [
        ("", {}, ()),
        ("status: {postgres: {host: db}}", {}, ("postgres",)),
        ("", {"PGHOST": "db"}, ("postgres",)),
        ("", {"PGHOST": ""}, ()),
        ("", {"PGDATA": "/var/lib"}, ()),
        ("status: {sink: none}", {"PGHOST": "db"}, ()),
        ("status: {sink: []}", {"PGHOST": "db"}, ()),
        ("status: {sink: }", {"PGHOST": "db"}, ("postgres",)),
        ("status: {sink: [postgres, file]}", {}, ("postgres", "file")),
        ("status: {sink: file, postgres: {}}", {}, ("file",)),
    ],
)
def test_sinks_are_those_named_else_postgres_where_a_server_is_named(status, environ, sinks):
    assert config_of(f"symbol: SPY\n{status}", environ=environ).sinks == sinks


# --- where it comes from -----------------------------------------------------------------


def test_the_environment_overrides_the_file_the_database_that_and_the_command_line_all():
    text = "symbol: SPY\nib:\n  host: a\n  port: 7497\n  client_id: 1\ndaemon: {instance: x}\n"
    loaded = load(
        text,
        name="f",
        environ={"IB_HOST": "b", "IB_PORT": "4002", "IB_CLIENT_ID": "7"},
        database={"ib": {"host": "c", "port": 7497}},
        overrides=[Override("ib.host", "d", "--ib-host"), Override("broker", "paper", "--broker")],
    )
    assert loaded.config.sections["ib"] == {"host": "d", "port": 7497, "client_id": 7}
    assert loaded.config.broker == "paper"
    assert loaded.provenance["ib.host"] == "command line --ib-host"
    assert loaded.provenance["ib.port"] == "database"
    assert loaded.provenance["ib.client_id"] == "environment IB_CLIENT_ID"
    assert loaded.provenance["broker"] == "command line --broker"
    assert loaded.provenance["daemon.instance"] == "f:6"
    assert loaded.provenance["symbol"] == "f:1"
    assert loaded.provenance["daemon.heartbeat_interval"] == "default"
    assert loaded.provenance["gates.state.delta.epsilon_band"] == "default"


def test_every_effective_key_has_a_source():
    provenance = load(WHOLE, name="f").provenance
    assert provenance["gates.state.market.choppy_stdev_pct"] == "f:19"
    assert provenance["status.postgres.password"] == "f:6"
    assert provenance["gates.guard.risk.max_spread_pct"] == "f:26"
    assert provenance["recon.proof_gap"] == "default"


def test_sources_of_several_strategies_are_told_apart():
    provenance = load("strategies:\n- {id: a, symbol: SPY}\n- id: b\n  symbol: QQQ\n", name="f").provenance
    assert provenance["strategies[0].symbol"] == "f:2"
    assert provenance["strategies[1].symbol"] == "f:4"
    assert provenance["strategies[1].order.order_type"] == "default"


def test_the_state_directory_of_the_environment_only_stands_in():
    environ = {"BIFROST_STATE_DIR": "/env"}
    assert config_of("symbol: SPY\n", environ=environ).daemon.state_dir == "/env"
    assert config_of("symbol: SPY\ndaemon: {state_dir: /file}", environ=environ).daemon.state_dir == "/file"


def test_an_address_in_environment_or_database_alone_does_not_choose_the_live_broker():
    config = config_of("symbol: SPY\n", environ={"IB_HOST": "h"}, database={"ib": {"port": 7496}})
    assert config.broker == "paper"


def test_an_override_goes_to_the_only_strategy_or_to_the_one_that_it_names():
    override = parse_override("gates.state.delta.epsilon_band=7")
    assert config_of("symbol: SPY", overrides=[override]).strategies[0].gates.state.delta.epsilon_band == 7
    two = "strategies: [{id: a, symbol: SPY}, {id: b, symbol: QQQ}]"
    named = parse_override("strategies.b.gates.state.delta.epsilon_band=7")
    bands = [s.gates.state.delta.epsilon_band for s in config_of(two, overrides=[named]).strategies]
    assert bands == [10, 7]
    assert problems_of(two, overrides=[override]) == [
        "command line --set: gates.state.delta.epsilon_band: expected a key, with strategies.<id> before it "
        "where there are several, was this"
    ]


def test_an_override_may_make_the_strategy():
    assert config_of("", overrides=[Override("symbol", "SPY")]).strategies[0].symbol == "SPY"


def test_the_value_of_an_override_is_read_as_the_files():
    assert parse_override("a.b=[2026-02-25, 7]") == Override("a.b", ["2026-02-25", 7])
    assert parse_override("url=x=y").value == "x=y"


@pytest.mark.parametrize("text", ["nothing", "=5", "a={"])
def test_an_override_that_cannot_be_read_is_refused(text):
    with pytest.raises(ConfigError, match=r"^command line --set: "):
        parse_override(text)


def test_problems_name_the_layer_that_they_came_from():
    assert problems_of("symbol: SPY\nib: {}", environ={"IB_PORT": "x"}, section_classes={"ib": Link}) == [
        "environment IB_PORT: ib.port: expected a whole number from 1 to 65535, was the text 'x'"
    ]
    assert problems_of("symbol: SPY", overrides=[Override("daemon.heartbeat_interval", 3)]) == [
        "command line --set: daemon.heartbeat_interval: expected a whole number from 5 to 120, was 3"
    ]
    (problem,) = problems_of("symbol: SPY", overrides=[parse_override("portfolia.roll_tz=x")])
    assert problem.startswith("command line --set: portfolia: expected one of ")
    assert problem.endswith("was an unknown key; did you mean portfolio?")
    assert problems_of("symbol: SPY", database={"daemon": {"instance": 5}}) == [
        "database: daemon.instance: expected 1 to 32 letters, digits, _ and -, was 5"
    ]


@pytest.mark.parametrize(
    ("option", "environ", "files", "found"),
    [
        ("a.yaml", {"BIFROST_CONFIG": "b.yaml"}, ["bifrost.yaml"], "a.yaml"),
        (None, {"BIFROST_CONFIG": "b.yaml"}, ["bifrost.yaml"], "b.yaml"),
        (None, {}, ["bifrost.yaml", "config/config.yaml"], "config/config.yaml"),
        (None, {}, ["bifrost.yaml"], "bifrost.yaml"),
        (None, {}, [], None),
    ],
)
def test_the_file_is_the_one_named_else_one_of_two_places(tmp_path, option, environ, files, found):
    (tmp_path / "config").mkdir()
    for file in files:
        (tmp_path / file).write_text("symbol: SPY")
    result = find_config(option, environ, tmp_path)
    assert result == (
        None if found is None else Path(found) if found in ("a.yaml", "b.yaml") else tmp_path / found
    )


# --- what is refused ---------------------------------------------------------------------


@frozen
class Link:
    """A plugin's section."""

    port: int = field(default=1, metadata={"ge": 1, "le": 65535})
    token: str = field(default="", metadata={"secret": True})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "f:1: symbol: expected the ticker of the underlying, such as NVDA, was missing"),
        ("gates: {}", "f:1: symbol: expected the ticker of the underlying, such as NVDA, was missing"),
        (
            "symbol: SPY\ngreeks: {model: bsm}",
            "f:2: greeks.model: expected one of black_scholes, baw, was the text 'bsm'",
        ),
        (
            "symbol: SPY\norder:\n  order_typ: limit",
            "f:3: order.order_typ: expected one of order_type, limit_offset_ticks, working_timeout_seconds, max_reprices, was an unknown key; did you mean order_type?",
        ),
        (
            "symbol: SPY\ngates:\n  state:\n    epsilon_band: 5",
            "f:4: gates.state.epsilon_band: expected one of delta, market, liquidity, system, was an unknown key; it belongs at gates.state.delta.epsilon_band",
        ),
        (
            "symbol: SPY\ngates:\n  strategy:\n    trading_hours_only: yes",
            "f:4: gates.strategy.trading_hours_only: expected true or false, was the text 'yes'",
        ),
        ("symbol: SPY\ngates: 5", "f:2: gates: expected a section of keys, was 5"),
        (
            "symbol: SPY\ngates: {strategy: {earnings: {dates: [2026-02-30]}}}",
            "f:2: gates.strategy.earnings.dates[0]: expected a date such as 2026-02-25, was the text '2026-02-30'",
        ),
        (
            "symbol: SPY\ngates: {strategy: {earnings: {dates: 2026-02-25}}}",
            "f:2: gates.strategy.earnings.dates: expected a list, each a date such as 2026-02-25, was the text '2026-02-25'",
        ),
        ("symbol: [SPY]", "f:1: symbol: expected a ticker such as NVDA, was a list"),
        ("symbol: SP|Y", "f:1: symbol: expected a ticker such as NVDA, was the text 'SP|Y'"),
        (
            "symbol: SPY\nstatus: {redis: {}}",
            "f:2: status.redis: expected one of sink, postgres, was an unknown key",
        ),
        ("symbol: SPY\nstatus: {sink: [1]}", "f:2: status.sink[0]: expected the name of a sink, was 1"),
        ("symbol: SPY\nstatus: on", "f:2: status: expected a section of keys, was the text 'on'"),
        ("symbol: SPY\nib: 7497", "f:2: ib: expected a section of keys, was 7497"),
        ("symbol: SPY\nbroker: 3", "f:2: broker: expected text, was 3"),
        ("strategies: []", "f:1: strategies: expected an entry, was missing"),
        (
            "symbol: SPY\nstrategies: [{id: a, symbol: QQQ}]",
            "f:1: symbol: expected inside an entry of strategies, which this file has, was at top level",
        ),
        ("strategies: SPY", "f:1: strategies: expected a list of strategies, was the text 'SPY'"),
        ("strategies:\n- SPY", "f:2: strategies[0]: expected a section of keys, was the text 'SPY'"),
        (
            "strategies:\n- {id: Gamma, symbol: SPY}",
            "f:2: strategies[0].id: expected 1 to 16 of a-z, 0-9 and -, beginning with a letter, was the text 'Gamma'",
        ),
        (
            "strategies:\n- {id: a-name-too-long-1, symbol: SPY}",
            "f:2: strategies[0].id: expected 1 to 16 of a-z, 0-9 and -, beginning with a letter, was the text 'a-name-too-long-1'",
        ),
        (
            "strategies:\n- {id: a, symbol: SPY}\n- symbol: QQQ\n  id: a",
            "f:4: strategies[1].id: expected an id of its own, unlike strategies[0], was a",
        ),
        (
            "strategies:\n- {id: a}",
            "f:2: strategies[0].symbol: expected the ticker of the underlying, such as NVDA, was missing",
        ),
        (
            "strategies:\n- {id: a, symbol: SPY, gaits: {}}",
            "f:2: strategies[0].gaits: expected one of id, use, symbol, enabled, gates, greeks, order, flatten, claims, claims_external, max_notional, max_orders_per_minute, max_consecutive_rejects, allowed_instruments, was an unknown key; did you mean gates?",
        ),
        (
            "symbol: SPY\nclaims_external: [{instrument: NVDA, qty: 1}]",
            "f:2: claims_external[0].instrument: expected a contract key such as NVDA|STK|||, was the text 'NVDA'",
        ),
        (
            "symbol: SPY\nclaims_external: [{instrument: NVDA|STK|||}]",
            "f:2: claims_external[0].qty: expected a number, was missing",
        ),
        (
            "symbol: SPY\nclaims: [gamma]",
            "f:2: claims: expected the id of a removed strategy, was gamma, a strategy of this file",
        ),
        (
            "strategies:\n- {id: a, symbol: SPY, claims: [old]}\n- {id: b, symbol: SPY, claims: [old]}",
            "f:3: strategies[1].claims: expected the id of a removed strategy, was old, claimed by a already",
        ),
        (
            "symbol: SPY\nportfolio: {roll_tz: America/Gotham}",
            "f:2: portfolio.roll_tz: expected a time zone such as America/New_York, was the text 'America/Gotham'",
        ),
        (
            "symbol: SPY\nportfolio: {roll_tz: ../../etc/passwd}",
            "f:2: portfolio.roll_tz: expected a time zone such as America/New_York, was the text '../../etc/passwd'",
        ),
        (
            "symbol: SPY\nportfolio: {roll_time: 25:00}",
            "f:2: portfolio.roll_time: expected a time such as 17:00, was the text '25:00'",
        ),
        (
            "symbol: SPY\ngates: {state: {delta: {hedge_threshold: 20}}}",
            "f:2: gates.state.delta.hedge_threshold: expected gates.state.delta.threshold_hedge_shares, which replaced it, was the name of an early version",
        ),
        (
            "symbol: SPY\nstatus: {sink: postgres}\ngates: {guard: {risk: {trading_hours_only: true}}}",
            "f:3: gates.guard.risk.trading_hours_only: expected gates.strategy.trading_hours_only, which replaced it, was the name of an early version",
        ),
        (
            "symbol: SPY\nib:\n  port: 7496",
            "f:3: ib.port: expected a paper port (7497 or 4002) while gates.guard.risk.paper_trade is true, was 7496; change ib.port, or set gates.guard.risk.paper_trade: false",
        ),
        (
            "symbol: SPY\nib:\n  port: 4001",
            "f:3: ib.port: expected a paper port (7497 or 4002) while gates.guard.risk.paper_trade is true, was 4001; change ib.port, or set gates.guard.risk.paper_trade: false",
        ),
        (
            "symbol: SPY\ngates: {guard: {risk: {paper_trade: false}}}\nib:\n  port: 4002",
            "f:4: ib.port: expected a live port (7496 or 4001) while gates.guard.risk.paper_trade is false, was 4002; change ib.port, or set gates.guard.risk.paper_trade: true",
        ),
        (
            "symbol: SPY\nib:\n  live: true",
            "f:3: ib.live: expected false while gates.guard.risk.paper_trade is true, was true; or set gates.guard.risk.paper_trade: false",
        ),
        (
            "strategies:\n- {id: a, symbol: SPY}\nib: {port: 7496}",
            "f:3: ib.port: expected a paper port (7497 or 4002) while strategies[0].gates.guard.risk.paper_trade is true, was 7496; change ib.port, or set strategies[0].gates.guard.risk.paper_trade: false",
        ),
    ],
)
def test_a_problem_is_told_with_line_key_what_is_allowed_and_what_was_found(text, problem):
    assert problems_of(text) == [problem]


@pytest.mark.parametrize(
    "text", ["true", ".nan", ".inf", "-.inf", "'5'", "1e999", "[5]", "{a: 5}", "null", "5x"]
)
@pytest.mark.parametrize(
    "key",
    ["gates.state.delta.epsilon_band", "gates.guard.risk.max_daily_loss_usd", "account.max_orders_per_day"],
)
def test_a_number_must_be_a_finite_number(key, text):
    override = parse_override(f"{key}={text}")
    (problem,) = problems_of("symbol: SPY", overrides=[override])
    assert problem.startswith(f"command line --set: {key}: expected a")


def test_whole_numbers_have_no_point():
    assert problems_of("symbol: SPY\naccount: {max_repeats: 3.0}") == [
        "f:2: account.max_repeats: expected a whole number of 1 or more, was 3.0"
    ]


def test_an_unknown_top_level_key_is_refused_unless_a_plugin_has_its_name():
    (problem,) = problems_of("symbol: SPY\nbybit: {}\n")
    assert problem.startswith("f:2: bybit: expected one of id, use, symbol, ")
    assert problem.endswith(", was an unknown key")
    assert config_of("symbol: SPY\nbybit: {testnet: true}\n", plugin_names=["bybit"]).sections == {
        "bybit": {"testnet": True}
    }
    (problem,) = problems_of("symbol: SPY\ndeamon: {}\n")
    assert problem.endswith("; did you mean daemon?")


@pytest.mark.parametrize(
    ("name", "allowed"), [("redis", ["redis"]), ("postgres", []), ("file", MappingProxyType({"file": 1}))]
)
def test_a_section_of_an_installed_sink_is_allowed_under_status(name, allowed):
    config = config_of(f"symbol: SPY\nstatus: {{sink: {name}, {name}: {{x: 1}}}}", plugin_names=allowed)
    assert config.status[name] == {"x": 1}


def test_all_problems_are_told_at_once_by_line():
    text = (
        "symbol: SPY\ndaemon: {heartbeat_interval: 3}\ndaemon: {}\norder: {order_type: stop}\nfoo: 1\n"
        "ib: {port: 7496}\ngates: {strategy: {structure: {min_dte: 40}}}\n"
    )
    assert [line.split(": ")[0:2] for line in problems_of(text)] == [
        ["f:2", "daemon.heartbeat_interval"],
        ["f:3", "daemon"],
        ["f:4", "order.order_type"],
        ["f:5", "foo"],
        ["f:6", "ib.port"],
        ["f:7", "gates.strategy.structure.min_dte"],
    ]


BREACHES = {
    ("gates.state.delta.epsilon_band", "gates.state.delta.threshold_hedge_shares"): (25, 25),
    ("gates.state.delta.threshold_hedge_shares", "gates.state.delta.max_delta_limit"): (500, 500),
    ("gates.state.liquidity.wide_spread_pct", "gates.state.liquidity.extreme_spread_pct"): (0.5, 0.5),
    ("gates.strategy.structure.min_dte", "gates.strategy.structure.max_dte"): (36, 35),
    ("gates.intent.hedge.min_hedge_shares", "gates.state.delta.threshold_hedge_shares"): (26, 25),
    ("gates.intent.hedge.min_hedge_shares", "gates.intent.hedge.max_hedge_shares_per_order"): (12, 11),
    ("gates.state.delta.epsilon_band", "gates.guard.risk.max_net_delta_shares"): (15, 15),
}


def nested(values: dict[str, object]) -> dict[str, object]:
    tree: dict[str, object] = {"symbol": "SPY"}
    for path, value in values.items():
        node = tree
        for key in path.split(".")[:-1]:
            node = node.setdefault(key, {})
        node[path.rpartition(".")[2]] = value
    return tree


def test_every_order_rule_has_its_case():
    assert {(rule.lower, rule.upper) for rule in ORDER_RULES} == set(BREACHES)


@pytest.mark.parametrize("rule", ORDER_RULES, ids=lambda rule: f"{rule.lower}-{rule.upper}")
def test_thresholds_in_the_wrong_order_are_refused(rule):
    lower, upper = BREACHES[rule.lower, rule.upper]
    with pytest.raises(ConfigError) as caught:
        from_values(nested({rule.lower: lower, rule.upper: upper}))
    word = "below" if rule.strict else "at most"
    expected = f"values: {rule.lower}: expected {word} {rule.upper} ({upper:g}), was {lower:g}"
    assert caught.value.problems == (expected,)


@pytest.mark.parametrize("rule", ORDER_RULES, ids=lambda rule: f"{rule.lower}-{rule.upper}")
def test_equal_thresholds_are_allowed_where_the_rule_says_so(rule):
    upper = BREACHES[rule.lower, rule.upper][1]
    values = nested({rule.lower: upper, rule.upper: upper})
    if rule.strict:
        with pytest.raises(ConfigError):
            from_values(values)
    else:
        assert from_values(values).config.strategies[0].symbol == "SPY"


def test_of_two_thresholds_the_one_in_the_file_is_blamed():
    assert problems_of("symbol: SPY\ngates:\n  state:\n    delta:\n      max_delta_limit: 20") == [
        "f:5: gates.state.delta.max_delta_limit: expected above gates.state.delta.threshold_hedge_shares (25), was 20"
    ]
    assert problems_of("symbol: SPY\ngates: {strategy: {structure: {max_dte: 20}}}") == [
        "f:2: gates.strategy.structure.max_dte: expected at least gates.strategy.structure.min_dte (21), was 20"
    ]


def test_a_value_that_is_no_number_breaks_no_order_rule():
    assert (
        len(
            problems_of("symbol: SPY\ngates: {state: {delta: {epsilon_band: x, threshold_hedge_shares: 10}}}")
        )
        == 1
    )


def test_the_paper_broker_takes_any_file():
    text = "symbol: SPY\nib: {port: 7496}\n"
    assert config_of(text, overrides=[Override("broker", "paper", "--broker")]).broker == "paper"


def test_a_live_port_is_allowed_where_paper_trade_is_false():
    assert (
        config_of("symbol: SPY\nib: {port: 7496}\ngates: {guard: {risk: {paper_trade: false}}}").broker
        == "ib"
    )


def test_an_account_that_trades_live_names_the_limits_that_are_missing():
    assert missing_live_limits(config_of("symbol: SPY\naccount: {max_order_shares: 500}")) == (
        "account.max_order_notional",
        "account.max_daily_notional",
        "account.max_gross_notional",
        "account.max_net_notional",
        "account.max_account_loss_usd",
    )


def test_a_file_without_a_strategy_serves_a_host_that_only_looks():
    config = config_of("status: {postgres: {host: db}}", need_strategy=False)
    assert (config.strategies, config.sinks) == ((), ("postgres",))


# --- older layouts -------------------------------------------------------------------------


FLAT = """\
symbol: NVDA
structure: {min_dte: 7}
delta: {epsilon_band: 5}
hedge: {cooldown_seconds: 30}
risk: {max_daily_hedge_count: 9, trading_hours_only: false}
earnings: {dates: [2026-02-25]}
"""


def test_the_flat_layout_is_read_with_a_note_for_each_section():
    loaded = load(FLAT, name="f")
    gates = loaded.config.strategies[0].gates
    assert gates.strategy.structure.min_dte == 7
    assert gates.state.delta.epsilon_band == 5
    assert gates.intent.hedge.cooldown_seconds == 30
    assert gates.guard.risk.max_daily_hedge_count == 9
    assert gates.strategy.trading_hours_only is False
    assert gates.strategy.earnings.dates == (date(2026, 2, 25),)
    assert loaded.warnings == (
        "f:5: risk.trading_hours_only: read from its old place; write it as gates.strategy.trading_hours_only",
        "f:2: structure: read from its old place; write it as gates.strategy.structure",
        "f:6: earnings: read from its old place; write it as gates.strategy.earnings",
        "f:3: delta: read from its old place; write it as gates.state.delta",
        "f:4: hedge: read from its old place; write it as gates.intent.hedge",
        "f:5: risk: read from its old place; write it as gates.guard.risk",
    )
    assert loaded.provenance["gates.intent.hedge.cooldown_seconds"] == "f:4"


def test_the_same_sections_are_read_from_under_state_space():
    head, *rest = FLAT.splitlines()
    nested_text = "\n".join([head, "state_space:", *("  " + line for line in rest)])
    assert config_of(nested_text) == config_of(FLAT)


def test_problems_in_an_old_section_keep_their_line():
    assert problems_of("symbol: SPY\ndelta:\n  epsilon_band: -1") == [
        "f:3: gates.state.delta.epsilon_band: expected a number of 0 or more, was -1"
    ]
    assert problems_of("symbol: SPY\nstate_space: {foo: 1}")[0].startswith(
        "f:2: state_space: expected one of id,"
    )


def test_a_setting_in_its_old_and_its_new_place_is_refused():
    text = "symbol: SPY\ndelta: {epsilon_band: 5}\ngates: {state: {delta: {epsilon_band: 6, max_delta_limit: 90}}}"
    assert problems_of(text) == [
        "f:2: gates.state.delta.epsilon_band: expected once, was given under delta too"
    ]
    assert config_of(text.replace("epsilon_band: 6, ", "")).strategies[0].gates.state.delta.epsilon_band == 5


def test_an_empty_old_section_leaves_the_new_one_as_it_is():
    text = "symbol: SPY\ndelta:\ngates: {state: {delta: {epsilon_band: 6}}}"
    assert config_of(text).strategies[0].gates.state.delta.epsilon_band == 6


def test_configurations_of_current_layout_give_no_warning():
    assert load(WHOLE, name="f").warnings == ()


# --- files ---------------------------------------------------------------------------------


def test_a_file_is_named_as_it_was_given(tmp_path):
    path = tmp_path / "hedge.yaml"
    path.write_text("symbol: SPY\nbroker: 5\n")
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert caught.value.problems == (f"{path}:2: broker: expected text, was 5",)


def test_a_file_that_cannot_be_read_is_one_problem(tmp_path):
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"symbol: SPY\nx: \xff\n")
    for path, problem in [
        (tmp_path / "none.yaml", "expected a file, was missing"),
        (tmp_path, "expected a file, was a folder"),
        (binary, ":2: expected text in UTF-8, was other bytes"),
    ]:
        with pytest.raises(ConfigError) as caught:
            load(path)
        assert problem in caught.value.problems[0]


def test_plain_values_are_not_changed_by_reading_them():
    values = {"symbol": "SPY", "delta": {"epsilon_band": 5}}
    assert from_values(values).config.strategies[0].gates.state.delta.epsilon_band == 5
    assert values == {"symbol": "SPY", "delta": {"epsilon_band": 5}}


def test_importing_the_package_loads_neither_yaml_nor_pluggy():
    code = (
        "import sys, bifrost_engine.config, bifrost_engine.config.loader\n"
        "print([m for m in ('yaml', 'pluggy', 'cattrs', 'asyncio', 'sqlite3') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "[]"


def test_a_cancel_is_given_as_long_as_one_takes():
    assert problems_of("symbol: SPY\noms: {cancel_timeout: 1.9}") == [
        "f:2: oms.cancel_timeout: expected a number from 2 to 600, was 1.9"
    ]
    assert from_values({"symbol": "SPY", "oms": {"cancel_timeout": 2}}).config.oms.cancel_timeout == 2
