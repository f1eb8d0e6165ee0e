"""What two configurations, or two results, differ in: key by key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import evolve, frozen

from bifrost_engine.config.plain import is_single, leaves, to_plain
from bifrost_engine.config.schema import Config
from bifrost_engine.replay.identity import ELSEWHERE
from bifrost_engine.replay.result import rounded

UNSET = "unset"
COUNTED = ("states_s", "gates", "reasons")
"""Parts of a strategy's figures in which a name that is missing stands for 0."""


@frozen(kw_only=True)
class Changed:
    """A setting that differs; ``UNSET`` where a file doesn't have the key.

    matters  whether a run on recorded quotes goes by it
    """

    key: str
    current: Any
    proposed: Any
    matters: bool


def changed_settings(current: Config, proposed: Config) -> list[Changed]:
    """Return the settings that differ, in the order of a file; secrets are compared as ``•••``."""
    layout = is_single(current) and is_single(proposed)
    ours, theirs = _settings(current, layout), _settings(proposed, layout)
    return [
        Changed(
            key=key,
            current=ours.get(key, UNSET),
            proposed=theirs.get(key, UNSET),
            matters=not key.startswith((*ELSEWHERE, "paper.positions", "daemon.state_dir")),
        )
        for key in dict.fromkeys((*ours, *theirs))
        if ours.get(key, UNSET) != theirs.get(key, UNSET)
    ]


def _settings(config: Config, is_flat: bool) -> dict[str, Any]:
    strategies = {strategy.id: to_plain(strategy) for strategy in config.strategies}
    own: Any = next(iter(strategies.values())) if is_flat else {"strategies": strategies}
    values = own | to_plain(evolve(config, strategies=()))
    found = {}
    for key, path in leaves(values):
        value: Any = values
        for step in path:
            value = value[step]
        found[key] = value
    return found


Compared = dict[str, Any]
"""``current``, ``proposed`` and their ``difference``; None where there is none."""


def compared(current: Any, proposed: Any) -> Compared:
    """Return two figures side by side."""
    known = isinstance(current, int | float) and isinstance(proposed, int | float)
    return {
        "current": current,
        "proposed": proposed,
        "difference": rounded(proposed - current) if known else None,
    }


def compared_figures(current: Mapping[str, Any] | None, proposed: Mapping[str, Any] | None) -> Compared:
    """Return a strategy's figures side by side, as ``Result.as_json`` tells them, key by key.

    One that only one configuration has is compared with nothing.
    """
    return _compared(current, proposed, missing=None)


def _compared(
    current: Mapping[str, Any] | None, proposed: Mapping[str, Any] | None, missing: Any
) -> Compared:
    ours, theirs = current or {}, proposed or {}
    found: Compared = {}
    for name in dict.fromkeys((*ours, *theirs)):
        values = ours.get(name), theirs.get(name)
        if any(isinstance(value, Mapping) for value in values):
            both = current is not None and proposed is not None
            found[name] = _compared(*values, missing=0 if both and name in COUNTED else missing)
        else:
            found[name] = compared(*(missing if value is None else value for value in values))
    return found
