"""A document in the general layout → ``Config``, with every problem of its values noted.

Single keys first, then the rules between two keys (a table), then checks over several
parts (a table). Nothing is raised here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from operator import attrgetter
from typing import Any
from zoneinfo import ZoneInfo

from attrs import evolve

from bifrost_engine.config.layout import STRATEGY_KEYS, Layout
from bifrost_engine.config.plain import leaves, to_plain
from bifrost_engine.config.schema import (
    LIVE_PORTS,
    ORDER_RULES,
    PAPER_PORTS,
    Config,
    OrderRule,
    StrategyConfig,
)
from bifrost_engine.config.section import KeyPath, Problem, Section, nearest_source
from bifrost_engine.config.structure import INVALID, Checker, found, hints, settable

PLUGIN_SECTIONS = ("ib", "paper", "sim", "replay", "monitor")
"""Top-level keys that belong to plugins, installed or not."""

SINK_SECTIONS = ("postgres",)

SectionClasses = Callable[[Config], Mapping[str, type]]
"""Gives, for what a configuration chooses, the ``Config`` class of each section by its path."""


def _places() -> dict[str, str]:
    paths = [path for path, _ in leaves(to_plain(Config(strategies=(StrategyConfig(),))))]
    names = [path.rpartition(".")[2] for path in paths]
    return {
        name: path for name, path in zip(names, paths, strict=True) if names.count(name) == 1 and name != path
    }


def check(
    layout: Layout,
    plugin_names: Collection[str],
    section_classes: SectionClasses,
    need_strategy: bool,
) -> tuple[Config, list[Problem]]:
    """Return the configuration, with defaults in place of what was refused, and the problems.

    Arguments as ``loader.load``.
    """
    document = layout.document
    checker = Checker(document.sources, layout.show, _places())
    config = _structure(checker, layout, plugin_names, need_strategy)
    for index, strategy in enumerate(config.strategies):
        _check_order(checker, strategy, ("strategies", index))
    for cross_check in CROSS_CHECKS:
        cross_check(config, checker)
    for path, cls in section_classes(config).items():
        keys = tuple(path.split("."))
        if document.has(keys):
            checker.structure(cls, document.get(keys), keys)
    return config, checker.problems


def _structure(
    checker: Checker, layout: Layout, plugin_names: Collection[str], need_strategy: bool
) -> Config:
    values = dict(layout.document.values)
    known: dict[str, Any] = {}
    for attribute in settable(Config):
        if attribute.name in values:
            kind = hints(Config)[attribute.name]
            result = checker.read(kind, values.pop(attribute.name), (attribute.name,), attribute.metadata)
            if result is not INVALID:
                known[attribute.name] = result
    strategies = _strategies(checker, values.pop("strategies", []))
    if need_strategy and not strategies and not checker.is_bad(("strategies",)):
        at: KeyPath = ("symbol",) if layout.single else ("strategies",)
        checker.refuse(
            at, "the ticker of the underlying, such as NVDA" if layout.single else "an entry", "missing"
        )
    sinks, status = _status(checker, values.pop("status", None), plugin_names)
    sections = {}
    for key in values:
        if key in PLUGIN_SECTIONS or key in plugin_names:
            sections[key] = _raw(checker, (key,), values[key])
        else:
            own = STRATEGY_KEYS if layout.single else ("strategies",)
            names = [*own, *(a.name for a in settable(Config)), "status", *PLUGIN_SECTIONS, *plugin_names]
            checker.unknown((key,), list(dict.fromkeys(names)))
    return Config(strategies=strategies, sinks=sinks, status=status, sections=sections, **known)


def _raw(checker: Checker, path: KeyPath, value: Any) -> Section:
    if value is not None and not isinstance(value, Mapping):
        checker.refuse(path, "a section of keys", found(value))
        value = None
    sources = {p: s for p, s in checker.sources.items() if p[: len(path)] == path}
    return Section(value or {}, path, sources)


def _strategies(checker: Checker, value: Any) -> tuple[StrategyConfig, ...]:
    if not isinstance(value, list):
        checker.refuse(("strategies",), "a list of strategies", found(value))
        return ()
    result = []
    for index, entry in enumerate(value):
        path: KeyPath = ("strategies", index)
        result.append(_strategy(checker, entry, path))
        first = next((i for i, s in enumerate(result[:-1]) if s.id == result[-1].id), None)
        if first is not None and not checker.is_bad((*path, "id")):
            checker.refuse((*path, "id"), f"an id of its own, unlike strategies[{first}]", result[-1].id)
    return tuple(result)


def _strategy(checker: Checker, entry: Any, path: KeyPath) -> StrategyConfig:
    options: dict[str, Any] = {}
    own = entry
    if isinstance(entry, dict) and entry.get("use", "gamma") != "gamma":
        own = {key: value for key, value in entry.items() if key in STRATEGY_KEYS}
        options = {key: value for key, value in entry.items() if key not in STRATEGY_KEYS}
    strategy = checker.structure(StrategyConfig, own, path)
    if strategy is INVALID:
        return StrategyConfig()
    if strategy.use == "gamma":
        if not strategy.symbol and not checker.is_bad((*path, "symbol")):
            checker.refuse((*path, "symbol"), "the ticker of the underlying, such as NVDA", "missing")
        return strategy
    sources = {p: s for p, s in checker.sources.items() if p[: len(path)] == path}
    return evolve(strategy, options=Section(options, path, sources))


def _status(
    checker: Checker, value: Any, plugin_names: Collection[str]
) -> tuple[tuple[str, ...], dict[str, Section]]:
    path: KeyPath = ("status",)
    if value is not None and not isinstance(value, dict):
        checker.refuse(path, "a section of keys", found(value))
    section = dict(value) if isinstance(value, dict) else {}
    sink = section.pop("sink", None)
    metadata = {"one_or_many": True, "form": "the name of a sink"}
    none = sink is None or sink == "none"
    sinks = () if none else checker.read(tuple[str, ...], sink, (*path, "sink"), metadata)
    names = {*SINK_SECTIONS, *plugin_names}
    for key in [key for key in section if key not in names]:
        checker.unknown((*path, key), ["sink", *sorted(names)])
        del section[key]
    raw = {key: _raw(checker, (*path, key), section[key]) for key in section}
    return (() if sinks is INVALID else tuple(dict.fromkeys(sinks))), raw


def _check_order(checker: Checker, strategy: StrategyConfig, path: KeyPath) -> None:
    for rule in ORDER_RULES:
        lower, upper = attrgetter(rule.lower)(strategy), attrgetter(rule.upper)(strategy)
        at_lower, at_upper = (*path, *rule.lower.split(".")), (*path, *rule.upper.split("."))
        if lower is None or upper is None or checker.is_bad(at_lower) or checker.is_bad(at_upper):
            continue
        if lower > upper or (rule.strict and lower == upper):
            _refuse_order(checker, rule, (at_lower, lower), (at_upper, upper))


def _refuse_order(
    checker: Checker, rule: OrderRule, low: tuple[KeyPath, Any], high: tuple[KeyPath, Any]
) -> None:
    """Blame the key that the operator set; of two, the lower."""
    words = ("below", "above") if rule.strict else ("at most", "at least")
    blame_low = low[0] in checker.sources or high[0] not in checker.sources
    (blamed, value), (other, limit) = (low, high) if blame_low else (high, low)
    word = words[0] if blame_low else words[1]
    # Noted after all keys were read, and without marking them bad: one rule's breach doesn't hide another's.
    checker.problems.append(
        Problem(
            nearest_source(checker.sources, blamed),
            checker.show(blamed),
            f"expected {word} {checker.show(other)} ({limit:g}), was {value:g}",
        )
    )


def _check_ports(config: Config, checker: Checker) -> None:
    """A port of IB's usual ones must fit ``paper_trade``."""
    port = config.sections.get("ib", {}).get("port")
    if config.broker != "ib" or not isinstance(port, int):
        return
    for index, strategy in enumerate(config.strategies):
        paper = strategy.gates.guard.risk.paper_trade
        key = checker.show(("strategies", index, "gates", "guard", "risk", "paper_trade"))
        if paper and port in LIVE_PORTS:
            wanted, change = f"a paper port (7497 or 4002) while {key} is true", f"set {key}: false"
        elif not paper and port in PAPER_PORTS:
            wanted, change = f"a live port (7496 or 4001) while {key} is false", f"set {key}: true"
        else:
            continue
        checker.refuse(("ib", "port"), wanted, f"{port}; change ib.port, or {change}")
        return


def _check_live(config: Config, checker: Checker) -> None:
    """``ib.live`` allows what ``paper_trade`` refuses; without it, a run may still say yes."""
    if config.broker != "ib" or config.sections.get("ib", {}).get("live") is not True:
        return
    for index, strategy in enumerate(config.strategies):
        if strategy.gates.guard.risk.paper_trade:
            key = checker.show(("strategies", index, "gates", "guard", "risk", "paper_trade"))
            checker.refuse(("ib", "live"), f"false while {key} is true", f"true; or set {key}: false")
            return


def _check_claims(config: Config, checker: Checker) -> None:
    """A claimed book belongs to no strategy of the file, and is claimed once."""
    taken: dict[str, str] = {s.id: "a strategy of this file" for s in config.strategies}
    for index, strategy in enumerate(config.strategies):
        for claim in strategy.claims:
            if claim in taken:
                path = ("strategies", index, "claims")
                checker.refuse(path, "the id of a removed strategy", f"{claim}, {taken[claim]}")
            taken[claim] = f"claimed by {strategy.id} already"


def _check_lock_times(config: Config, checker: Checker) -> None:
    """Who takes over waits until the other is silent, and as long again for what may be late."""
    daemon = config.daemon
    if daemon.takeover_wait_seconds < 2 * daemon.lock_silence_seconds:
        least = f"at least twice daemon.lock_silence_seconds ({daemon.lock_silence_seconds:g})"
        checker.refuse(("daemon", "takeover_wait_seconds"), least, f"{daemon.takeover_wait_seconds:g}")


def _check_zone(config: Config, checker: Checker) -> None:
    """The trading day's zone is known."""
    try:
        ZoneInfo(config.portfolio.roll_tz)
    except (KeyError, OSError, ValueError):  # a name, or a path, that isn't one
        checker.refuse(
            ("portfolio", "roll_tz"), "a time zone such as America/New_York", found(config.portfolio.roll_tz)
        )


CROSS_CHECKS = (_check_ports, _check_live, _check_claims, _check_zone, _check_lock_times)
"""Checks over several keys of a configuration whose single keys were read."""
