"""What the engines are measured on: quotes, the terms of the hedges, and our configuration for the same.

A workload is a folder: ``quotes.parquet`` as ``bifrost record`` writes it, ``quotes.npy`` and
``times.npy`` with the same for engines without a reader for that, ``terms.json``, ``bifrost.yaml``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml
from attrs import frozen
from peers.hedging import Terms, Trade, hedge_all
from pyarrow import parquet

from bifrost_engine.calendar import ExchangeSessions
from bifrost_engine.domain import Contract, Quote, Right
from bifrost_engine.replay.readers import COLUMNS, NS_PER_MS, read_quotes

OPTIONS_EACH = 10
NEVER, ALWAYS = 10**9, 0.0
SYMBOL, SPOT, CENT = "NVDA", 100.0, 0.01
GAP_NS = 20_000_000
WARM_ROWS = 2_000
OPEN_NS = 1_741_012_200_000_000_000
"""Monday 2025-03-03, 09:30 in New York."""

PEERS_GATES: dict[str, Any] = {
    "strategy": {"structure": {"min_dte": 0, "max_dte": 60}},
    "state": {
        "delta": {"epsilon_band": 24.999},
        "market": {"stale_ts_threshold_ms": 3_600_000},
        "system": {"safe_recovery_seconds": ALWAYS},
    },
    "intent": {"hedge": {"cooldown_seconds": ALWAYS, "min_price_move_pct": ALWAYS}},
    "guard": {
        "risk": {
            "max_daily_hedge_count": NEVER,
            "max_position_shares": NEVER,
            "max_daily_loss_usd": NEVER,
        }
    },
}
"""Everything open but the threshold, as in the others, which have no such gates and no band below it."""


@frozen(kw_only=True)
class Kind:
    """What is asked of the strategy.

    gates  what our configuration says in addition to the defaults
    terms  the same for the others
    """

    gates: Mapping[str, Any]
    terms: Mapping[str, Any]


KINDS = {
    "peers' strategy": Kind(gates=PEERS_GATES, terms={}),
    "default gates": Kind(
        gates={"guard": {"risk": {"max_daily_loss_usd": NEVER}}},
        terms={"cooldown_ns": 60_000_000_000, "min_move_pct": 0.2, "max_hedges": 50},
    ),
    "no orders": Kind(
        gates={
            **PEERS_GATES,
            "state": {"delta": {"epsilon_band": 10.0, "threshold_hedge_shares": 5e5, "max_delta_limit": 1e6}},
        },
        terms={"threshold": 5e5},
    ),
}


@frozen(kw_only=True)
class Workload:
    """A folder with its facts.

    at_once, late  trades and cash with fills at the touch of the quote that was decided on, and of the next
    """

    folder: Path
    quotes: int
    at_once: tuple[list[Trade], float]
    late: tuple[list[Trade], float]


def generated(count: int, *, step: float = 0.011, seed: int = 1) -> dict[str, Any]:
    """Return a random walk in columns: a cent either side of the mid, 20 ms apart, all in one session.

    step  standard deviation of a quote's move, USD
    """
    moves = np.random.default_rng(seed).normal(0.0, step, count)
    mid = np.round(SPOT + moves.cumsum(), 2)
    ts_ns = OPEN_NS + GAP_NS * np.arange(1, count + 1)
    size = np.full(count, 500.0)
    return {
        "ts_ns": ts_ns,
        "bid": np.round(mid - CENT, 2),
        "ask": np.round(mid + CENT, 2),
        "bid_size": size,
        "ask_size": size,
    }


def recorded(path: Path) -> tuple[str, dict[str, Any]]:
    """Return a recording's symbol and its good quotes of the regular session, in columns.

    Those with bid equal to ask are left out: hftbacktest's book can't hold them.
    """
    sessions = ExchangeSessions()
    kept, seen_ns = [], 0
    for quote in read_quotes(path, Counter()):
        good = 0.0 < quote.bid < quote.ask and quote.bid_size > 0 and quote.ask_size > 0
        if good and quote.ts_ns > seen_ns and sessions.session_at(quote.ts_ns) is not None:
            kept.append(quote)
            seen_ns = quote.ts_ns
    return kept[0].contract_key.partition("|")[0], columns(kept)


def columns(quotes: Iterable[Quote]) -> dict[str, Any]:
    """Return quotes of one contract in columns."""
    rows = list(quotes)
    made = {
        name: np.array([getattr(row, name) for row in rows])
        for name in ("bid", "ask", "bid_size", "ask_size")
    }
    return {"ts_ns": np.array([row.ts_ns for row in rows]), **made}


def make(folder: Path, kind: Kind, data: Mapping[str, Any], symbol: str = SYMBOL) -> Workload:
    """Write a workload, and its beginning into a folder in it, for a run before the clock."""
    first_ns = int(data["ts_ns"][0])
    spot = float(data["bid"][0] + data["ask"][0]) / 2.0
    day = datetime.fromtimestamp(first_ns / 1e9, UTC).date()
    strike, expiry = round(spot), expiry_after(day)
    terms = terms_of(strike, expiry, first_ns, kind)
    config = configuration(symbol, strike, expiry, terms, kind)
    for place, rows in ((folder, None), (folder / "warm", WARM_ROWS)):
        place.mkdir(parents=True)
        (place / "terms.json").write_text(json.dumps(terms._asdict()))
        (place / "bifrost.yaml").write_text(yaml.safe_dump(config))
        write_quotes(place, symbol, {name: column[:rows] for name, column in data.items()})
    at_once, late = (hedge_all(terms, told(data), late=late) for late in (False, True))
    return Workload(
        folder=folder,
        quotes=len(data["ts_ns"]),
        at_once=(at_once.trades, at_once.cash),
        late=(late.trades, late.cash),
    )


def expiry_after(day: date) -> date:
    """Return the day on which the options expire, four weeks out."""
    return day + timedelta(weeks=4)


def told(data: Mapping[str, Any]) -> Iterator[tuple[int, float, float]]:
    """Yield what a strategy is told of each quote."""
    return zip(*(data[name].tolist() for name in ("ts_ns", "bid", "ask")), strict=True)


def terms_of(strike: float, expiry: date, first_ns: int, kind: Kind) -> Terms:
    """Return what the other engines go by."""
    sessions = ExchangeSessions()
    session = sessions.session_at(first_ns)
    assert session is not None
    return Terms(
        strike=float(strike),
        expiry_ns=sessions.last_session_on_or_before(expiry).close_ns,
        open_ns=session.open_ns,
        close_ns=session.close_ns,
        **kind.terms,
    )


def configuration(symbol: str, strike: int, expiry: date, terms: Terms, kind: Kind) -> dict[str, Any]:
    """Return what Bifrost goes by: the same book, fills at once and at the touch."""
    legs = [Contract.option(symbol, expiry, strike, right).key for right in Right]
    return {
        "symbol": symbol,
        "broker": "paper",
        "greeks": {"risk_free_rate": terms.rate, "volatility": terms.volatility},
        "gates": dict(kind.gates),
        "account": {"max_orders_per_minute": NEVER, "max_orders_per_day": NEVER},
        "paper": {
            "positions": dict.fromkeys(legs, OPTIONS_EACH),
            "latency_ms": 0,
            "latency_jitter_ms": 0,
            "leverage": None,
            "commission_per_share": terms.commission,
            "commission_min": 0,
            "commission_max_pct": 100,
        },
    }


def write_quotes(folder: Path, symbol: str, data: Mapping[str, Any]) -> None:
    """Write quotes as ``bifrost record`` does, and as numpy reads them fastest."""
    parquet.write_table(quotes_table(symbol, data), folder / "quotes.parquet")
    np.save(folder / "quotes.npy", np.column_stack([data[name].astype("f8") for name in COLUMNS[2:]]))
    np.save(folder / "times.npy", data["ts_ns"])


def quotes_table(symbol: str, data: Mapping[str, Any]) -> pa.Table:
    """Return quotes of a stock in the columns of a recording."""
    rows = len(data["ts_ns"])
    key = pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), [Contract.stock(symbol).key])
    numbers = {name: data[name].astype("f8") for name in COLUMNS[2:]}
    return pa.table({"ts_ms": data["ts_ns"] // NS_PER_MS, "contract_key": key.cast(pa.string()), **numbers})
