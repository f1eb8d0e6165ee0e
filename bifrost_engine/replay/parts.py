"""The parts of a run that every host makes alike: plugins' sections, strategies, the calendar, the seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import time as time_of_day
from typing import Any

from bifrost_engine.calendar import ExchangeSessions
from bifrost_engine.config.schema import Config
from bifrost_engine.config.strategy import StrategyConfig
from bifrost_engine.config.structure import structure_section
from bifrost_engine.domain.broker import BrokerCaps
from bifrost_engine.engine.slot import Slot
from bifrost_engine.errors import ConfigError, PluginError
from bifrost_engine.hookspecs import PluginContext
from bifrost_engine.plugins import PluginSet
from bifrost_engine.plugins import load as load_plugin
from bifrost_engine.replay.misfit import fitting

STRATEGY_HOOKS = ("on_tick", "on_heartbeat", "on_order")
BROKER_HOOKS = ("place_order", "cancel_order", "replace_order", "fetch_broker_state")

Hook = Callable[..., Any] | None


def new_slot(
    strategy: StrategyConfig,
    plugins: PluginSet,
    context: PluginContext,
    wrap: Callable[[str, Hook], Hook] = lambda _name, hook: hook,
) -> Slot:
    """Make one strategy instance and its place in the engine.

    wrap  gets each hook by name, None where there is none, and returns what is called in its place
    """
    factory = load_plugin("strategies", strategy.use)
    chosen = factory.Config
    value = (
        strategy
        if chosen is StrategyConfig
        else structure_section(chosen, strategy.options, f"strategies.{strategy.id}")
    )
    plugin = factory(value, context)
    plugins.register("strategies", strategy.id, plugin)
    hooks = {hook: plugins.implementation("strategies", strategy.id, hook) for hook in STRATEGY_HOOKS}
    if hooks["on_tick"] is None and hooks["on_heartbeat"] is None:
        raise ConfigError(
            f"strategies.{strategy.id}: {strategy.use} implements neither on_tick nor on_heartbeat"
        )
    hooks = {name: wrap(name, hook) for name, hook in hooks.items()}
    return Slot(strategy, plugin, hooks["on_tick"], hooks["on_heartbeat"], hooks["on_order"])


def section_value(kind: str, name: str, raw: Any) -> Any:
    """Return a plugin's section as a value of its ``Config`` class; the raw section if it has none."""
    chosen = getattr(load_plugin(kind, name), "Config", None)
    if chosen is None or isinstance(raw, chosen):
        return raw
    return structure_section(chosen, raw or {}, name)


def seed_of(config: Config) -> int:
    """Return the seed of a rehearsal: that of the simulated market, else 0."""
    section = config.sections.get("sim")
    seed = section.get("seed") if isinstance(section, Mapping) else getattr(section, "seed", None)
    return int(seed or 0)


def sessions_of(config: Config) -> ExchangeSessions:
    """Return the exchange's calendar, with the trading day's roll of a configuration."""
    roll_time = time_of_day.fromisoformat(config.portfolio.roll_time)
    return ExchangeSessions(zone=config.portfolio.roll_tz, roll_time=roll_time)


def caps_of(plugins: PluginSet, broker: str, account: str) -> BrokerCaps:
    """Return what the broker says it can do. Raises PluginError if it doesn't say it properly."""
    ask = plugins.implementation("brokers", broker, "broker_caps")
    if ask is None:
        return BrokerCaps()
    try:
        return fitting(ask(account), BrokerCaps, "broker_caps")
    except Exception as error:
        raise PluginError(f"brokers:{broker} doesn't say what it can do: {error}") from error


def check_greeks(config: Config, feed: Any) -> None:
    """Refuse strategies that want the broker's greeks from a feed that has none. Raises ConfigError."""
    wanting = [s.id for s in config.strategies if s.greeks.use_broker_greeks]
    if wanting and not getattr(feed, "gives_greeks", False):
        raise ConfigError(
            f"greeks.use_broker_greeks of {', '.join(wanting)}: expected a feed that brings the broker's "
            f"greeks, such as ib, was {config.feed_name}; set it to false"
        )
