"""A change of settings tried on recorded quotes: both configurations run, and what they did apart.

Each run is a backtest as any other, on the same data, from the same positions. Nothing here
says which one is better.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from contextlib import closing
from itertools import zip_longest
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from bifrost_engine.config.schema import Config
from bifrost_engine.replay.backtest import Driver, Progress, Road, as_backtested, fast, run_backtest
from bifrost_engine.replay.dataset import DataSet
from bifrost_engine.replay.differences import Changed, Compared, changed_settings, compared, compared_figures
from bifrost_engine.replay.fit import check_fit
from bifrost_engine.replay.paper_run import PAPER
from bifrost_engine.replay.parts import sessions_of
from bifrost_engine.replay.result import Result, iso, rounded
from bifrost_engine.replay.watching import Decided, Sent, Watch, Widest

FORMAT = "bifrost-rehearsal-1"
CURRENT, PROPOSED = "current", "proposed"
NS = 1_000_000_000


@frozen(kw_only=True)
class Side:
    """What one configuration came to.

    told    the result, as ``Result.as_json`` tells it
    widest  the widest delta by strategy
    """

    result: Result
    told: Mapping[str, Any]
    widest: Mapping[str, Widest]


@frozen(kw_only=True)
class Parting:
    """The first order of a strategy that only one of the configurations sent so, and what both decided then.

    current, proposed  the orders in question; None where it sent none (any more)
    """

    strategy_id: str
    ts_ns: int
    current: Sent | None
    proposed: Sent | None
    current_decided: Decided | None
    proposed_decided: Decided | None

    @property
    def why(self) -> str:
        """Why they part there, in one line."""
        return why(self)


@frozen(kw_only=True)
class Rehearsal:
    """Two runs side by side.

    changed   settings that differ
    partings  one for each strategy whose orders differ, by time
    """

    current: Side
    proposed: Side
    changed: tuple[Changed, ...]
    partings: tuple[Parting, ...]

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain values, in a fixed order."""
        ours, theirs = self.current, self.proposed
        return {
            "format": FORMAT,
            "provenance": {CURRENT: ours.told["provenance"], PROPOSED: theirs.told["provenance"]},
            "period": {CURRENT: ours.told["period"], PROPOSED: theirs.told["period"]},
            "warnings": {CURRENT: ours.told["warnings"], PROPOSED: theirs.told["warnings"]},
            "settings": [
                {"key": c.key, CURRENT: c.current, PROPOSED: c.proposed, "matters": c.matters}
                for c in self.changed
            ],
            "all": {
                "result": compared_figures(ours.told["result"], theirs.told["result"]),
                "return_pct": compared(ours.told["return_pct"], theirs.told["return_pct"]),
                "drawdown": compared(ours.told["drawdown"]["amount"], theirs.told["drawdown"]["amount"]),
            },
            "strategies": {name: self.of_strategy(name) for name in self.strategies},
            "partings": [_parting_told(parting) for parting in self.partings],
        }

    @property
    def strategies(self) -> tuple[str, ...]:
        """The ids of all strategies, the current ones first."""
        return tuple(dict.fromkeys((*self.current.told["strategies"], *self.proposed.told["strategies"])))

    def of_strategy(self, name: str) -> Compared:
        """Return a strategy's figures side by side."""
        ours, theirs = (side.told["strategies"].get(name) for side in (self.current, self.proposed))
        widest = (side.widest.get(name) for side in (self.current, self.proposed))
        return {**compared_figures(ours, theirs), "worst_delta": _worst(*widest)}


def _worst(ours: Widest | None, theirs: Widest | None) -> Compared:
    """Return two widest deltas side by side; the difference is of their sizes."""
    values = [None if one is None else rounded(one.net_delta) for one in (ours, theirs)]
    sizes = compared(*(None if value is None else abs(value) for value in values))
    times = [None if one is None else iso(one.ts_ns) for one in (ours, theirs)]
    at = dict(zip((CURRENT, PROPOSED), times, strict=True))
    return {CURRENT: values[0], PROPOSED: values[1], "difference": sizes["difference"], "at": at}


def rehearse(
    current: Config,
    proposed: Config,
    data: DataSet,
    *,
    positions: Mapping[str, Any] | None = None,
    capital: float | None = None,
    driver: Callable[[Road], Driver] = fast,
    on_warning: Callable[[str, str], None] = lambda _name, _warning: None,
    on_progress: Callable[[str, Progress], None] | None = None,
) -> Rehearsal:
    """Run both configurations on ``data`` and return what they did, side by side.

    positions    what the account begins with, as in ``run_backtest``; None: what ``current`` begins
                 with, in both runs
    on_warning   told ``current`` or ``proposed``, and what should be looked at: before anything runs,
                 and what only a run shows after it
    on_progress  told ``current`` or ``proposed``, and how far it is

    Raises ConfigError, saying which of the two, or PluginError before anything runs; DataError if
    the data can't be read.
    """
    ours = as_backtested(current, data, positions)
    theirs = _beginning_with(ours.sections[PAPER].positions, as_backtested(proposed, data))
    told = {}
    for name, config in ((CURRENT, ours), (PROPOSED, theirs)):
        told[name] = check_fit(data, config, config.sections[PAPER].positions).warnings
        for warning in told[name]:
            on_warning(name, warning)
    with tempfile.TemporaryDirectory(prefix="bifrost-rehearsal-") as folder:
        sides, watches = [], []
        for name, config in ((CURRENT, ours), (PROPOSED, theirs)):
            with closing(Watch(Path(folder) / name, sessions_of(config))) as watch:
                result = run_backtest(
                    config,
                    data,
                    capital=capital,
                    tables=watch,
                    takers=(watch.take,),
                    keep_trail=False,
                    driver=driver,
                    on_progress=_named(name, on_progress),
                )
            for warning in result.warnings[len(told[name]) :]:
                on_warning(name, warning)
            watches.append(watch)
            sides.append(Side(result=result, told=result.as_json(), widest=watch.widest))
        return Rehearsal(
            current=sides[0],
            proposed=sides[1],
            changed=tuple(changed_settings(current, proposed)),
            partings=_partings(*watches),
        )


def _beginning_with(positions: Any, config: Config) -> Config:
    paper = evolve(config.sections[PAPER], positions=positions)
    return evolve(config, sections={**config.sections, PAPER: paper})


def _named(
    name: str, on_progress: Callable[[str, Progress], None] | None
) -> Callable[[Progress], None] | None:
    return None if on_progress is None else lambda progress: on_progress(name, progress)


# --- where they part -----------------------------------------------------------------------


def _partings(current: Watch, proposed: Watch) -> tuple[Parting, ...]:
    names = dict.fromkeys((*current.sent, *proposed.sent))
    found = [_parting(name, current, proposed) for name in names]
    return tuple(sorted((one for one in found if one is not None), key=lambda one: one.ts_ns))


def _parting(name: str, current: Watch, proposed: Watch) -> Parting | None:
    """Return the first order in which two runs of a strategy differ, None if there is none."""
    for ours, theirs in zip_longest(current.sent.get(name, ()), proposed.sent.get(name, ())):
        if ours is None or theirs is None or ours.terms() != theirs.terms():
            break
    else:
        return None
    ts_ns: int = min(order.ts_ns for order in (ours, theirs) if order is not None)
    # An order that comes later is what the other one would have been compared with, not a part of this.
    ours, theirs = (order if order is not None and order.ts_ns == ts_ns else None for order in (ours, theirs))
    with_order, other = (current, proposed) if ours is not None else (proposed, current)
    decided = with_order.ordering(name, ts_ns) or with_order.decided(name, ts_ns)
    delta = None if decided is None else decided.facts.get("net_delta")
    against = other.decided(name, ts_ns, delta)
    pair = (decided, against) if ours is not None else (against, decided)
    return Parting(
        strategy_id=name,
        ts_ns=ts_ns,
        current=ours,
        proposed=theirs,
        current_decided=pair[0],
        proposed_decided=pair[1],
    )


def _parting_told(parting: Parting) -> dict[str, Any]:
    sides = (
        (CURRENT, parting.current, parting.current_decided),
        (PROPOSED, parting.proposed, parting.proposed_decided),
    )
    return {
        "strategy_id": parting.strategy_id,
        "at": iso(parting.ts_ns),
        "why": parting.why,
        **{name: {"order": _order_told(order), "decided": _decided_told(d)} for name, order, d in sides},
    }


def _order_told(order: Sent | None) -> dict[str, Any] | None:
    if order is None:
        return None
    return {
        "contract_key": order.contract_key,
        "side": order.side,
        "quantity": order.quantity,
        "order_type": order.order_type,
        "limit_price": order.limit_price,
        "purpose": order.purpose,
    }


def _decided_told(decided: Decided | None) -> dict[str, Any] | None:
    if decided is None:
        return None
    return {
        "since": iso(decided.first_ns),
        "because": decided.because,
        "reasons": list(decided.reasons),
        "gates": [
            {"gate": name, "verdict": verdict, "value": value, "limit": limit}
            for name, verdict, value, limit in decided.gates
        ],
        "net_delta": rounded(decided.facts.get("net_delta")),
        "spot": decided.facts.get("spot"),
        "trading_state": decided.facts.get("trading_state"),
    }


# --- in words ------------------------------------------------------------------------------


def why(parting: Parting) -> str:
    """Return why two configurations part, in one line."""
    at_ns = parting.ts_ns
    ours = _in_words(CURRENT, parting.current, parting.current_decided, at_ns)
    theirs = _in_words(PROPOSED, parting.proposed, parting.proposed_decided, at_ns)
    return f"{ours}; {theirs}" if parting.current is not None else f"{theirs}; {ours}"


def _in_words(name: str, order: Sent | None, decided: Decided | None, at_ns: int) -> str:
    if order is None:
        return f"{name} sends nothing: {_obstacles(decided, at_ns)}"
    price = "" if order.limit_price is None else f" at {order.limit_price}"
    text = f"{name} sends {order.side} {order.quantity} {order.contract_key} {order.order_type}{price}"
    return f"{text} ({', '.join(_grounds(decided))})" if decided is not None else text


def _grounds(decided: Decided) -> list[str]:
    delta = decided.facts.get("net_delta")
    shrunk = [f"{_gate(gate)} shrank it" for gate in decided.gates if gate[1] == "shrunk"]
    seen = [] if delta is None else [f"net delta {delta:+.1f}"]
    return [decided.because or "no decision of the strategy", *seen, *shrunk]


def _obstacles(decided: Decided | None, at_ns: int) -> str:
    if decided is None:
        return "nothing was decided yet"
    # Of equal decisions the first one's numbers are on record.
    since = f" (as seen {(at_ns - decided.first_ns) / NS:g} s before)" if decided.first_ns < at_ns else ""
    told = [reason for reason in decided.reasons if not reason.startswith("state ")] or decided.reasons
    vetoes = [_gate(gate) for gate in decided.gates if gate[1] == "vetoed"]
    why_not = ", ".join((*told, *vetoes)) or f"its decision, {decided.because}, was made before"
    return why_not + since


def _gate(gate: tuple[Any, ...]) -> str:
    name, _verdict, value, limit = gate
    return f"{name} ({_short(value)}, limit {_short(limit)})"


def _short(value: Any) -> str:
    try:
        return f"{float(value):g}"
    except (TypeError, ValueError):
        return "–" if value is None else str(value)
