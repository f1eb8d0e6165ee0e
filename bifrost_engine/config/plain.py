"""A configuration as plain values: for ``config show``, for its hash, for a file.

Plain values are what YAML and JSON have: dict, list, str, int, float, bool, None. What
looks secret is shown as ``•••``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from datetime import date
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

import attrs

from bifrost_engine.config.schema import Config, StrategyConfig
from bifrost_engine.config.section import MASK, KeyPath, Section, dotted, masked
from bifrost_engine.config.structure import settable
from bifrost_engine.domain.contract import plain


def to_plain(config: Any, *, secrets: bool = False, secret_paths: Collection[str] = ()) -> dict[str, Any]:
    """Return a configuration, or a part of one, as plain values in the layout of a file.

    secrets       show them instead of ``•••``
    secret_paths  further keys to hide, such as ``ib.account``
    """
    values: dict[str, Any] = (
        _file_layout(config, secrets) if isinstance(config, Config) else _plain(config, secrets)
    )
    if secrets:
        return values
    for path in secret_paths:
        _hide(values, path.split("."))
    return masked(values)  # type: ignore[no-any-return]


def is_single(config: Config) -> bool:
    """Return whether the configuration's strategy is written at top level."""
    return [(s.id, s.use) for s in config.strategies] == [("gamma", "gamma")]


def _file_layout(config: Config, secrets: bool) -> dict[str, Any]:
    entries = [_plain(strategy, secrets) for strategy in config.strategies]
    single = is_single(config)
    values = {k: v for k, v in entries[0].items() if k not in ("id", "use")} if single else {}
    own = _plain(config, secrets)
    values |= {"broker": own.pop("broker"), "feed": own.pop("feed")}
    values["status"] = {"sink": list(config.sinks), **_plain(config.status, secrets)}
    values |= own | _plain(config.sections, secrets)
    return values if single or not entries else {"strategies": entries} | values


def _plain(value: Any, secrets: bool) -> Any:
    if type(value) in _PLAIN:
        return value
    if isinstance(value, Section | dict):
        return {key: _plain(child, secrets) for key, child in value.items()}
    if attrs.has(type(value)):
        own = {a.name: _setting(a, getattr(value, a.name), secrets) for a in settable(type(value))}
        return own | _plain(value.options, secrets) if isinstance(value, StrategyConfig) else own
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item, secrets) for item in value]
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, Enum):
        return value.value
    return value.isoformat() if isinstance(value, date) else str(value) if isinstance(value, Path) else value


_PLAIN = (str, int, bool, float, type(None))
"""What most settings are."""


def _setting(attribute: attrs.Attribute[Any], value: Any, secrets: bool) -> Any:
    if attribute.metadata.get("secret") and value is not None and not secrets:
        return MASK
    return plain_value(value, secrets)


def plain_value(value: Any, secrets: bool = True) -> Any:
    """Return a setting's value as a file would have it: a whole number without a point."""
    whole = isinstance(value, float) and value.is_integer() and abs(value) < 1e15
    return int(value) if whole else _plain(value, secrets)


def _hide(values: Any, keys: list[str]) -> None:
    for key in keys[:-1]:
        values = values.get(key) if isinstance(values, dict) else None
    if isinstance(values, dict) and values.get(keys[-1]) is not None:
        values[keys[-1]] = MASK


def leaves(values: Mapping[str, Any], path: KeyPath = ()) -> Iterator[tuple[str, KeyPath]]:
    """Yield each key that holds a value, as text and as path; a list is one value, but for strategies."""
    for key, value in values.items():
        at = (*path, key)
        if isinstance(value, Mapping) and value:
            yield from leaves(value, at)
        elif at == ("strategies",) and isinstance(value, list):
            for index, entry in enumerate(value):
                yield from leaves(entry, (*at, index))
        else:
            yield dotted(at), at


def config_hash(strategy: StrategyConfig) -> str:
    """Return 12 hexadecimal digits that stand for a strategy's effective settings, secrets aside."""
    canonical = json.dumps(to_plain(strategy), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def config_summary(strategy: StrategyConfig, digest: str) -> str:
    """Return a strategy's ``config_hash``, given as ``digest``, and its key thresholds in one short line."""
    gates = strategy.gates
    delta, spread, risk = gates.state.delta, gates.state.liquidity, gates.guard.risk
    return (
        f"{digest} {strategy.symbol}"
        f" delta {delta.epsilon_band:g}/{delta.threshold_hedge_shares:g}/{delta.max_delta_limit:g}"
        f" spread {spread.wide_spread_pct:g}/{spread.extreme_spread_pct:g}%"
        f" order {gates.intent.hedge.min_hedge_shares}-{gates.intent.hedge.max_hedge_shares_per_order}"
        f" cooldown {gates.intent.hedge.cooldown_seconds:g}s hedges {risk.max_daily_hedge_count}/day"
        f" loss {plain(risk.max_daily_loss_usd)} {'paper' if risk.paper_trade else 'live'}"
    )
