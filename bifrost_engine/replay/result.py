"""What came of a backtest: its figures, what they were made from, and the trail behind them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from attrs import frozen

from bifrost_engine.audit import Collected
from bifrost_engine.replay.attribution import Attribution
from bifrost_engine.replay.performance import Performance
from bifrost_engine.replay.trading import NS, Trading
from bifrost_engine.replay.worth import Sample

Plain = dict[str, Any]
DIGITS = 10


@frozen(kw_only=True)
class Part:
    """One strategy's share of a result.

    last  its books at the end; None if it never came so far
    """

    last: Sample | None
    attribution: Attribution
    trading: Trading


@frozen(kw_only=True)
class Result:
    """A backtest that has ended.

    provenance   versions, configuration with its hash, data files with their digests, seed, ids
    first_ns, last_ns  event time of the first quote and of the end
    quotes       how many were taken
    skipped      rows left out by the reader, by reason; ``rejected`` quotes refused by the market
    late         rows taken that go back in time by over half an hour
    capital      quote currency, what returns are of
    parts        by strategy
    ended        why it ended
    audit_trail  the tables of the audit trail; None where they weren't to be kept
    """

    provenance: Mapping[str, Any]
    first_ns: int
    last_ns: int
    quotes: int
    skipped: Mapping[str, int]
    rejected: Mapping[str, int]
    late: int
    warnings: tuple[str, ...]
    capital: float
    performance: Performance
    parts: Mapping[str, Part]
    ended: str
    audit_trail: Collected | None = None

    def as_json(self) -> Plain:
        """Return all figures as plain values, in a fixed order."""
        performance = self.performance
        return {
            "provenance": dict(self.provenance),
            "period": {
                "first": iso(self.first_ns),
                "last": iso(self.last_ns),
                "ended": self.ended,
                "quotes": self.quotes,
                "rows_left_out": dict(sorted(self.skipped.items())),
                "quotes_rejected": dict(sorted(self.rejected.items())),
                "quotes_late": self.late,
            },
            "warnings": list(self.warnings),
            "capital": rounded(self.capital),
            "result": _sum_of([_money(part) for part in self.parts.values()]),
            "return_pct": rounded(performance.return_pct),
            "drawdown": {
                "amount": rounded(performance.drawdown),
                "pct": rounded(performance.drawdown_pct),
                "from": iso(performance.drawdown_from_ns),
                "to": iso(performance.drawdown_to_ns),
            },
            "daily": {
                **{name: rounded(value) for name, value in performance.ratios().items()},
                "pnl": {day: rounded(pnl) for day, pnl in performance.by_day().items()},
            },
            "strategies": {
                name: {"result": _money(part), **_told(part.trading)} for name, part in self.parts.items()
            },
        }


def iso(ts_ns: int | None) -> str | None:
    """Return a time as text, UTC, to the microsecond."""
    if ts_ns is None:
        return None
    second, nanos = divmod(ts_ns, NS)
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}.{nanos // 1000:06d}Z"


def rounded(value: Any) -> Any:
    """Return a number without the last digits, which say nothing; a whole one stays whole."""
    return round(value, DIGITS) if isinstance(value, float) else value


def _money(part: Part) -> Plain:
    """Return the result and what it was made of; ``None`` while a mark was missing at the end."""
    last, made = part.last, part.attribution
    options = stock = pnl = None
    commission = 0.0
    if last is not None:
        options, stock, pnl, commission = last.options, last.stock, last.pnl, last.commission
    explained = made.gamma + made.theta + made.vega + made.delta + made.spread - commission
    gross = None if options is None or stock is None else options + stock
    return {
        "total": rounded(pnl),
        "gross": rounded(gross),
        "net": rounded(pnl),
        "options": rounded(options),
        "stock": rounded(stock),
        "commission": rounded(commission),
        "attribution": {
            "gamma": rounded(made.gamma),
            "theta": rounded(made.theta),
            "vega": rounded(made.vega),
            "delta": rounded(made.delta),
            "spread": rounded(made.spread),
            "commission": rounded(0.0 - commission),
            "residual": None if pnl is None else rounded(pnl - explained),
        },
    }


def _sum_of(parts: list[Plain]) -> Plain:
    """Return the sums over strategies; what is unknown of one is unknown of all."""
    names = [name for name in parts[0] if name != "attribution"]
    total: Plain = {name: _total([part[name] for part in parts]) for name in names}
    total["attribution"] = {
        name: _total([part["attribution"][name] for part in parts]) for name in parts[0]["attribution"]
    }
    return total


def _total(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return rounded(sum(known)) if len(known) == len(values) else None


def _told(trading: Trading) -> Plain:
    count = trading.slipped
    return {
        "decisions": trading.decisions,
        "orders": trading.orders,
        "hedges": trading.hedges,
        "fills": trading.fills,
        "shares": rounded(trading.shares),
        "slippage": {
            "fills": count,
            "total_usd": rounded(trading.slippage_usd),
            "mean_usd": rounded(trading.slippage_usd / count) if count else None,
            "worst_usd": rounded(trading.worst_usd),
            "mean_bps": rounded(trading.slippage_bps / count) if count else None,
            "worst_bps": rounded(trading.worst_bps),
        },
        "states_s": {state: rounded(ns / NS) for state, ns in sorted(trading.states.items())},
        "gates": {
            name: {
                "vetoes": gate.vetoes,
                "shrinks": gate.shrinks,
                "blocked_s": rounded(gate.blocked_ns / NS),
            }
            for name, gate in sorted(trading.gates.items())
        },
        "reasons": {
            code: {"decisions": reason.decisions, "blocked_s": rounded(reason.blocked_ns / NS)}
            for code, reason in sorted(trading.reasons.items())
        },
    }
