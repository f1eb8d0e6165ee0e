"""The effective configuration is shown, hashed and summed up."""

# ruff: noqa: E501 - a case is easier to read on one line

from __future__ import annotations

import json

from attrs import evolve, field, frozen

from bifrost_engine.config.loader import load
from bifrost_engine.config.plain import config_hash, config_summary, leaves, to_plain
from bifrost_engine.config.schema import Config, StrategyConfig

SPY = StrategyConfig(symbol="SPY")


def with_band(strategy: StrategyConfig, band: float) -> StrategyConfig:
    gates = strategy.gates
    delta = evolve(gates.state.delta, epsilon_band=band)
    return evolve(strategy, gates=evolve(gates, state=evolve(gates.state, delta=delta)))


def test_one_strategy_is_shown_at_top_level_and_several_in_a_list():
    one = to_plain(Config(strategies=(SPY,)))
    assert one["symbol"] == "SPY"
    assert "strategies" not in one
    two = to_plain(Config(strategies=(SPY, evolve(SPY, id="b"))))
    assert [entry["id"] for entry in two["strategies"]] == ["gamma", "b"]
    assert "symbol" not in two


def test_plain_values_are_what_json_and_yaml_have():
    text = "symbol: SPY\ngates: {strategy: {earnings: {dates: [2026-02-25]}}, guard: {risk: {max_daily_loss_usd: 99.5}}}"
    plain = to_plain(load(text).config)
    assert json.loads(json.dumps(plain)) == plain
    assert plain["gates"]["strategy"]["earnings"]["dates"] == ["2026-02-25"]
    assert plain["gates"]["guard"]["risk"]["max_daily_loss_usd"] == 99.5
    assert repr(plain["gates"]["state"]["delta"]["epsilon_band"]) == "10"


def test_secrets_are_hidden_unless_asked_for():
    text = (
        "symbol: SPY\nstatus:\n  postgres: {password: hunter2, host: db}\n"
        "  web: {api_key: hunter2, dsn: 'postgresql://me:hunter2@db/x', deep: [{token: hunter2}], Password: null}\n"
        "monitor: {pin: 1234}\n"
    )
    config = load(text, plugin_names=["web"]).config
    shown = to_plain(config, secret_paths=["monitor.pin", "monitor.none.x"])
    assert "hunter2" not in json.dumps(shown)
    assert shown["status"]["postgres"] == {"password": "•••", "host": "db"}
    assert shown["status"]["web"]["dsn"] == "postgresql://me:•••@db/x"
    assert shown["status"]["web"]["Password"] is None
    assert shown["monitor"] == {"pin": "•••"}
    assert to_plain(config, secrets=True)["status"]["postgres"]["password"] == "hunter2"
    assert "hunter2" not in repr(config)


def test_secrets_of_a_plugins_own_class_are_hidden():
    @frozen
    class Own:
        phrase: str = field(default="hunter2", metadata={"secret": True})

    assert to_plain(Own()) == {"phrase": "•••"}
    assert to_plain(Own(), secrets=True) == {"phrase": "hunter2"}


def test_connection_strings_keep_all_but_the_password():
    def shown(dsn: str) -> str:
        return to_plain(Wrapped(dsn))["dsn"]

    assert shown("host=db password='a b' user=me") == "host=db password=••• user=me"
    assert shown("postgresql://db/x?password=abc&user=me") == "postgresql://db/x?password=•••&user=me"
    assert shown("redis://:abc@cache:6379/0") == "redis://:•••@cache:6379/0"
    assert shown("http://host:80/path") == "http://host:80/path"


@frozen
class Wrapped:
    dsn: str


def test_leaves_are_the_keys_that_hold_values():
    paths = [path for path, _ in leaves({"a": {"b": [1, 2], "c": {}}, "strategies": [{"id": "x"}]})]
    assert paths == ["a.b", "a.c", "strategies[0].id"]


def test_the_hash_stands_for_the_settings_of_the_strategy_alone():
    assert config_hash(SPY) == config_hash(load("symbol: SPY\ndaemon: {instance: x}").config.strategies[0])
    assert config_hash(SPY) == config_hash(
        load("strategies: [{id: gamma, symbol: SPY}]").config.strategies[0]
    )
    assert config_hash(SPY) != config_hash(with_band(SPY, 11))
    assert config_hash(SPY) != config_hash(evolve(SPY, symbol="QQQ"))
    assert config_hash(SPY) != config_hash(evolve(SPY, options={"x": 1}))


def test_the_hash_is_twelve_hexadecimal_digits_of_canonical_json():
    # Pinned: a change here breaks the link from stored runs to their settings.
    tiny = to_plain(SPY)
    assert list(tiny) == [
        "id", "use", "symbol", "enabled", "gates", "greeks", "order", "flatten", "claims", "claims_external",
        "max_notional", "max_orders_per_minute", "max_consecutive_rejects", "allowed_instruments",
    ]  # fmt: skip
    assert len(config_hash(SPY)) == 12
    assert int(config_hash(SPY), 16) >= 0


def test_ten_and_ten_point_nought_are_the_same_setting():
    one, other = (
        load(f"symbol: SPY\ngates: {{state: {{delta: {{epsilon_band: {n}}}}}}}").config
        for n in ("10", "10.0")
    )
    assert config_hash(one.strategies[0]) == config_hash(other.strategies[0])


def test_the_summary_is_the_hash_and_the_key_thresholds():
    assert config_summary(SPY, config_hash(SPY)) == (
        f"{config_hash(SPY)} SPY delta 10/25/500 spread 0.1/0.5% order 10-500 cooldown 60s"
        " hedges 50/day loss 5000 paper"
    )
