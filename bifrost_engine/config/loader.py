"""A file, the environment, the database and the command line → one checked configuration.

The only module of the configuration that opens a file. Later wins: default, file,
environment, database, command line; where each value came from is kept. Every problem
is collected before anything is raised.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from bifrost_engine.config.check import SectionClasses, check
from bifrost_engine.config.document import MAX_BYTES, parse
from bifrost_engine.config.layers import Layers, Override, parse_override
from bifrost_engine.config.layout import STRATEGY_KEYS, general
from bifrost_engine.config.plain import leaves, to_plain
from bifrost_engine.config.schema import Config
from bifrost_engine.config.section import Document, Problem
from bifrost_engine.config.structure import in_order, settable
from bifrost_engine.errors import ConfigError

__all__ = [
    "LoadedConfig",
    "Override",
    "find_config",
    "from_values",
    "load",
    "missing_live_limits",
    "parse_override",
]

PLACES = ("config/config.yaml", "bifrost.yaml")
"""Where a file is looked for that nobody named."""


@frozen(kw_only=True)
class LoadedConfig:
    """A configuration with its history.

    provenance  each key of ``to_plain(config)`` (lists as a whole) → ``default``, ``file:14``,
                ``environment IB_PORT``, ``database`` or ``command line --broker``
    warnings    what works but should be changed
    """

    config: Config
    provenance: Mapping[str, str]
    warnings: tuple[str, ...] = ()


def find_config(option: str | Path | None, environ: Mapping[str, str], cwd: Path) -> Path | None:
    """Return the file to load: ``--config``, ``BIFROST_CONFIG``, else one that exists, else None.

    A file that was named is returned whether it exists or not.
    """
    named = option or environ.get("BIFROST_CONFIG")
    if named:
        return Path(named)
    return next((cwd / place for place in PLACES if (cwd / place).is_file()), None)


def load(
    source: str | Path,
    *,
    overrides: Iterable[Override] = (),
    environ: Mapping[str, str] | None = None,
    database: Mapping[str, Any] | None = None,
    plugin_names: Collection[str] = (),
    section_classes: SectionClasses | Mapping[str, type] | None = None,
    need_strategy: bool = True,
    name: str = "configuration",
) -> LoadedConfig:
    """Return the configuration of a file (a Path) or of a YAML text (a str).

    environ          environment variables; None for none
    database         settings saved in the database: {section: {key: value}}
    plugin_names     installed plugins, whose names are allowed as sections
    section_classes  ``Config`` classes to check sections with: ``ib``, ``status.postgres``; or what gives
                     them for what was chosen
    need_strategy    refuse a file without a strategy
    name             what messages call a text

    Raises ConfigError with every problem, one line each.
    """
    text, name = (_read(source), str(source)) if isinstance(source, Path) else (source, name)
    document, problems = parse(text, name)
    layers = Layers(overrides, environ or {}, database or {})
    given = section_classes or {}
    classes = given if callable(given) else lambda _config: given
    return _built(document, problems, layers, plugin_names, classes, need_strategy)


def from_values(
    values: Mapping[str, Any],
    *,
    overrides: Iterable[Override] = (),
    plugin_names: Collection[str] = (),
    need_strategy: bool = True,
) -> LoadedConfig:
    """Return the configuration of plain values in the layout of a file; otherwise as ``load``."""
    document = Document()
    for key, value in values.items():
        document.put((key,), _copied(value), "values")
    return _built(document, [], Layers(overrides, {}, {}), plugin_names, lambda _config: {}, need_strategy)


def missing_live_limits(config: Config) -> tuple[str, ...]:
    """Return the keys of the account's limits that live trading needs and that aren't set."""
    needed = [a.name for a in settable(type(config.account)) if a.metadata.get("live")]
    return tuple(f"account.{name}" for name in needed if getattr(config.account, name) is None)


def live_warnings(config: Config) -> tuple[str, ...]:
    """Return a line if a run on a live account would be refused for want of limits."""
    means_live = any(not strategy.gates.guard.risk.paper_trade for strategy in config.strategies)
    missing = missing_live_limits(config)
    if config.broker == "paper" or not means_live or not missing:
        return ()
    return (f"broker {config.broker}: a live account is refused without {', '.join(missing)}",)


def _read(path: Path) -> str:
    try:
        if not path.is_file():
            raise ConfigError(f"{path}: expected a file, was {'a folder' if path.is_dir() else 'missing'}")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: expected text in UTF-8, was other bytes") from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: expected a readable file, was {error}") from error


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copied(child) for key, child in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list | tuple) else value


def _built(
    document: Document,
    problems: list[Problem],
    layers: Layers,
    plugin_names: Collection[str],
    section_classes: SectionClasses,
    need_strategy: bool,
) -> LoadedConfig:
    layout = general(document)
    layers.apply(layout)
    config, found = check(layout, plugin_names, section_classes, need_strategy)
    problems = [*problems, *layout.problems, *found]
    if problems:
        raise ConfigError(*in_order(problems))
    provenance = _provenance(config, document)
    return LoadedConfig(config=config, provenance=provenance, warnings=tuple(layout.warnings))


def _provenance(config: Config, document: Document) -> dict[str, str]:
    """Return where each key of ``to_plain(config)`` came from."""
    single = "strategies" not in to_plain(config)
    result = {}
    for path, keys in leaves(to_plain(config)):
        at = ("strategies", 0, *keys) if single and keys[0] in STRATEGY_KEYS else keys
        result[path] = document.sources.get(at, "default")
    return result
