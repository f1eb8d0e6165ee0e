"""The layouts that a file may have → the general one, with a list of strategies.

Three are read: ``strategies:`` as a list; one strategy at top level, which becomes a list
of one; and the flat layout of early versions, whose sections are moved with a warning.
Names that early versions gave to settings stay reserved: they are refused, saying what
replaced them.
"""

from __future__ import annotations

from attrs import define, field

from bifrost_engine.config.schema import StrategyConfig
from bifrost_engine.config.section import Document, KeyPath, Problem, dotted
from bifrost_engine.config.structure import settable

STRATEGY_KEYS = tuple(a.name for a in settable(StrategyConfig))
SINGLE: KeyPath = ("strategies", 0)
"""Where a strategy at top level is moved to."""

MOVED = {
    "risk.trading_hours_only": "gates.strategy.trading_hours_only",
    "trading_hours_only": "gates.strategy.trading_hours_only",
    "structure": "gates.strategy.structure",
    "earnings": "gates.strategy.earnings",
    "delta": "gates.state.delta",
    "market": "gates.state.market",
    "liquidity": "gates.state.liquidity",
    "system": "gates.state.system",
    "hedge": "gates.intent.hedge",
    "risk": "gates.guard.risk",
}
"""Place in the flat layout → place now; the same names stood under ``state_space``, too."""

RESERVED = {
    "gates.state.delta.hedge_threshold": "gates.state.delta.threshold_hedge_shares",
    "gates.strategy.trading_hours": "gates.strategy.trading_hours_only",
    "gates.intent.hedge.cooldown_sec": "gates.intent.hedge.cooldown_seconds",
    "gates.guard.risk.trading_hours_only": "gates.strategy.trading_hours_only",
}
"""Setting of an early version → what replaced it."""


@define
class Layout:
    """A document in the general layout.

    single  the strategy stands at top level in the file, and is shown so
    """

    document: Document
    single: bool
    problems: list[Problem] = field(factory=list)
    warnings: list[str] = field(factory=list)

    def show(self, path: KeyPath) -> str:
        """Return a path as the operator writes it."""
        return dotted(path[2:] if self.single and path[:2] == SINGLE else path)


def general(document: Document) -> Layout:
    """Return ``document`` in the general layout; it is changed in place."""
    layout = Layout(document, "strategies" not in document.values)
    _move_flat(layout)
    own = [key for key in document.values if key in STRATEGY_KEYS]
    if not layout.single:
        _refuse_beside_list(layout, own)
    elif own:
        entry = {key: document.take((key,)) for key in own}
        document.values["strategies"] = [{key: value for key, (value, _) in entry.items()}]
        for key, (_, sources) in entry.items():
            document.sources.update({(*SINGLE, key, *below): source for below, source in sources.items()})
    _refuse_reserved(layout)
    return layout


def _path(text: str) -> KeyPath:
    return tuple(text.split("."))


def _move_flat(layout: Layout) -> None:
    document = layout.document
    for prefix in ("state_space.", ""):
        for old, new in MOVED.items():
            path = _path(prefix + old)
            if document.has(path):
                source = document.source(path)
                for double in document.move(path, _path(new)):
                    message = f"expected once, was given under {dotted(path)} too"
                    layout.problems.append(Problem(source, dotted(double), message))
                layout.warnings.append(
                    f"{source}: {dotted(path)}: read from its old place; write it as {new}"
                )
    if document.values.get("state_space") == {}:
        document.take(("state_space",))


def _refuse_beside_list(layout: Layout, own: list[str]) -> None:
    for key in own:
        _, sources = layout.document.take((key,))
        message = "expected inside an entry of strategies, which this file has, was at top level"
        # A section that was made for keys of the flat layout has no line; what is in it has.
        source = sources.get((), "") or next(iter(sources.values()), "")
        layout.problems.append(Problem(source, key, message))


def _refuse_reserved(layout: Layout) -> None:
    document = layout.document
    entries = document.values.get("strategies")
    for index in range(len(entries) if isinstance(entries, list) else 0):
        for old, new in RESERVED.items():
            path: KeyPath = ("strategies", index, *_path(old))
            if document.has(path):
                message = f"expected {new}, which replaced it, was the name of an early version"
                layout.problems.append(Problem(document.source(path), layout.show(path), message))
                document.take(path)
