"""What ``--shadow`` names: a configuration file each, checked before anything has an effect."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from attrs import evolve, frozen

from bifrost_engine.config.loader import LoadedConfig, Override
from bifrost_engine.config.schema import Config
from bifrost_engine.daemon.assemble import RunOptions, feed_name, load_config
from bifrost_engine.errors import ConfigError
from bifrost_engine.plugins import load
from bifrost_engine.replay.paper_run import PAPER, on_paper
from bifrost_engine.replay.parts import check_greeks

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
TAKEN_ALONG = (PAPER, "sim")
"""Sections that a shadow gets: its broker's, and the one with the seed. No other plugin's reach it."""


@frozen(kw_only=True)
class ShadowConfig:
    """One shadow.

    name    its folder's, and what reports call it
    path    the file of its settings
    config  these settings as they are run: on paper, without sinks
    """

    name: str
    path: Path
    config: Config


def load_shadows(given: Sequence[str], live: Config) -> tuple[ShadowConfig, ...]:
    """Return the shadows of a command line, ``CONFIG`` or ``NAME=CONFIG`` each.

    live  the settings of the run whose quotes they get

    Raises ConfigError with all problems, PluginError for a plugin that can't be used.
    """
    shadows: list[ShadowConfig] = []
    problems: list[str] = []
    for text in given:
        try:
            shadows.append(_load(text, live))
        except ConfigError as error:
            problems += error.problems
    problems += _doubled(shadow.name for shadow in shadows)
    if problems:
        raise ConfigError(*problems)
    return tuple(shadows)


def _doubled(names: Iterable[str]) -> list[str]:
    return [
        f"--shadow: {count} are called {name}; give each a name of its own: --shadow NAME=CONFIG"
        for name, count in Counter(names).items()
        if count > 1
    ]


def _load(text: str, live: Config) -> ShadowConfig:
    name, equals, file = text.partition("=")
    path = Path(file if equals else text).expanduser()
    name = name if equals else path.stem
    if not NAME.fullmatch(name):
        raise ConfigError(
            f"--shadow {text}: expected a name of 1 to 32 letters, digits, - and _, was '{name}'; "
            "give one: --shadow NAME=CONFIG"
        )
    overrides = (
        Override("broker", PAPER, "--shadow"),
        Override("feed", f"replay:{name}", "--shadow"),  # stands in for the live run's, which isn't made
        Override("status.sink", [], "--shadow"),
    )
    loaded = load_config(RunOptions(config_path=path, overrides=overrides), {})
    _check_symbols(loaded, path, live)
    config = on_paper(loaded.config, live.feed_name, record="durable", positions={})
    check_greeks(config, load("feeds", feed_name(live)))
    kept = {key: value for key, value in config.sections.items() if key in TAKEN_ALONG}
    return ShadowConfig(name=name, path=path.absolute(), config=evolve(config, sections=kept))


def _check_symbols(loaded: LoadedConfig, path: Path, live: Config) -> None:
    """Refuse a strategy on what the live run has no quotes of. Raises ConfigError."""
    seen = sorted({strategy.symbol for strategy in live.strategies})
    problems = [
        f"{_place(loaded.provenance, path)}: symbol of {strategy.id}: expected one that the live run has "
        f"quotes of ({', '.join(seen)}), was {strategy.symbol}; a shadow sees no others: "
        "change it, or add such a strategy to the live settings"
        for strategy in loaded.config.strategies
        if strategy.symbol not in seen
    ]
    if problems:
        raise ConfigError(*problems)


def _place(provenance: Mapping[str, str], path: Path) -> str:
    """Return where the file says the symbol: with its line where there is one."""
    places = (provenance.get(key, "") for key in ("symbol", "strategies.0.symbol", "strategies"))
    return next((place for place in places if ":" in place), str(path))
