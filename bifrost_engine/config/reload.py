"""What a changed file changes in a running daemon: at once, or only after a restart.

Pure: two configurations in, a plan out. Gates, greeks, order and flatten settings of a
strategy and the account's limits take effect at the next event; all else waits for a
restart and is named. ``paper_trade`` is among the latter, because it says to which
account a running connection may belong.
"""

from __future__ import annotations

from typing import Any

from attrs import evolve, frozen

from bifrost_engine.config.plain import leaves, to_plain
from bifrost_engine.config.schema import Config, GatesConfig, StrategyConfig

HOT = ("gates", "greeks", "order", "flatten")
"""Parts of a strategy that a running one takes."""

_COLD_IN_HOT = "gates.guard.risk.paper_trade"


@frozen(kw_only=True)
class ReloadPlan:
    """What to do with a changed configuration.

    effective       the settings to run with from the next event on: the old ones with what is hot
    strategies      ids of strategies whose settings change
    account         whether the account's limits change
    restart_needed  keys that changed in the file and wait for a restart
    """

    effective: Config
    strategies: tuple[str, ...]
    account: bool
    restart_needed: tuple[str, ...]

    @property
    def changes(self) -> bool:
        """Whether anything takes effect now."""
        return bool(self.strategies) or self.account


def reload_plan(old: Config, new: Config) -> ReloadPlan:
    """Return what to take from ``new`` into a daemon that runs with ``old``."""
    replacements = {strategy.id: strategy for strategy in new.strategies}
    strategies = tuple(_taken(strategy, replacements.get(strategy.id)) for strategy in old.strategies)
    effective = evolve(old, strategies=strategies, account=new.account)
    changed = tuple(now.id for was, now in zip(old.strategies, strategies, strict=True) if was != now)
    return ReloadPlan(
        effective=effective,
        strategies=changed,
        account=old.account != new.account,
        restart_needed=_differences(effective, new),
    )


def _taken(old: StrategyConfig, new: StrategyConfig | None) -> StrategyConfig:
    if new is None or new.use != old.use:
        return old
    taken = evolve(old, **{name: getattr(new, name) for name in HOT})
    return evolve(taken, gates=_with_paper_trade(taken.gates, old.gates.guard.risk.paper_trade))


def _with_paper_trade(gates: GatesConfig, paper: bool) -> GatesConfig:
    risk = evolve(gates.guard.risk, paper_trade=paper)
    return evolve(gates, guard=evolve(gates.guard, risk=risk))


def _differences(effective: Config, new: Config) -> tuple[str, ...]:
    running, wanted = _by_id(effective), _by_id(new)
    keys = [key for key in {**running, **wanted} if running.get(key, _ABSENT) != wanted.get(key, _ABSENT)]
    return tuple(dict.fromkeys(keys))


_ABSENT: Any = object()


def _by_id(config: Config) -> dict[str, Any]:
    """Return every value by its key, those of strategies under ``strategies.<id>``."""
    plain = to_plain(evolve(config, strategies=()), secrets=True)
    values = {f"strategies.{s.id}": to_plain(s, secrets=True) for s in config.strategies}
    found = {}
    for prefix, tree in [("", plain), *values.items()]:
        for key, path in leaves(tree):
            value: Any = tree
            for part in path:
                value = value[part]
            found[f"{prefix}.{key}".removeprefix(".")] = value
    return found
