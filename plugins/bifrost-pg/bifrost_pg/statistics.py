"""The rows that statistics are made of, read a batch at a time in one transaction that can't write.

What belongs together is joined here, and equal decisions in a row are made one row; figures are
not made here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import date, datetime
from types import TracebackType
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row

from bifrost_engine.errors import SinkError
from bifrost_pg.connection import Link

Record = dict[str, Any]
BATCH = 2_000
PATIENCE_S = 3_600.0
"""How long a first batch may take: sorting the decisions of years takes a while."""

_BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 0"

_JOURNALS = """
SELECT c.journal_id, coalesce(r.modes, '{}') AS modes, coalesce(r.has_no_end, false) AS has_no_end
FROM drain_checkpoint c
LEFT JOIN LATERAL (SELECT array_agg(DISTINCT mode) AS modes, bool_or(end_at IS NULL) AS has_no_end
    FROM strategy_run r
    WHERE r.journal_id = c.journal_id) r ON true
WHERE c.jseq > 0
ORDER BY coalesce(r.modes, '{}') && ARRAY['BACKTEST', 'REPLAY'], c.updated_at DESC
"""

_SEEN = """
SELECT least(r.first, p.first) AS first, greatest(r.last, r.ended, p.last) AS last
FROM (SELECT min(start_at) AS first, max(start_at) AS last, max(end_at) AS ended FROM strategy_run
    WHERE journal_id = %(journal)s) r,
(SELECT min(ts) AS first, max(ts) AS last FROM portfolio_snapshot_log WHERE journal_id = %(journal)s) p
"""

_IS_REPEAT = "(s.kind = 'repeated' OR s.signal_json ? 'of_jseq')"

_STRETCHES = f"""
WITH newest AS (
    -- What is in force has stood until the newest thing that is known.
    SELECT greatest(
        (SELECT max(coalesce(last_ts, ts)) FROM signal_snapshot_log WHERE journal_id = %(journal)s),
        (SELECT max(ts) FROM portfolio_snapshot_log WHERE journal_id = %(journal)s),
        (SELECT max(ts) FROM order_event_log WHERE journal_id = %(journal)s)) AS ts
), standing AS (
    -- The last decision of each strategy before the span is still in force as it begins.
    SELECT min(jseq) AS jseq FROM (
        SELECT max(l.jseq) AS jseq FROM strategy_run r
        CROSS JOIN LATERAL (SELECT s.jseq FROM signal_snapshot_log s
            WHERE s.run_id = r.run_id AND s.ts < %(since)s AND NOT {_IS_REPEAT}
            ORDER BY s.ts DESC, s.jseq DESC LIMIT 1) l
        WHERE r.journal_id = %(journal)s GROUP BY r.strategy_id) each
), ending AS (
    -- Repeats of the last ones within it may be told after its end, but before the next ones.
    SELECT max(jseq) AS jseq FROM (
        SELECT min(l.jseq) AS jseq FROM strategy_run r
        CROSS JOIN LATERAL (SELECT s.jseq FROM signal_snapshot_log s
            WHERE s.run_id = r.run_id AND s.ts >= %(until)s AND NOT {_IS_REPEAT}
            ORDER BY s.ts, s.jseq LIMIT 1) l
        WHERE r.journal_id = %(journal)s GROUP BY r.strategy_id) each
), signals AS (
    SELECT s.jseq, r.strategy_id, r.end_at, s.ts, s.n, s.filter_reasons, {_IS_REPEAT} AS is_repeat,
        s.signal_json->'facts'->>'trading_state' AS state,
        count(*) FILTER (WHERE NOT {_IS_REPEAT}) OVER (PARTITION BY r.strategy_id ORDER BY s.jseq) AS stretch
    FROM signal_snapshot_log s JOIN strategy_run r USING (run_id)
    WHERE s.journal_id = %(journal)s AND s.jseq >= coalesce((SELECT jseq FROM standing), 0)
        AND s.jseq <= coalesce((SELECT jseq FROM ending), s.jseq)
), stretches AS (
    SELECT strategy_id, min(jseq) AS jseq, min(ts) FILTER (WHERE NOT is_repeat) AS ts, sum(n) AS n,
        max(end_at) FILTER (WHERE NOT is_repeat) AS end_at, max(state) FILTER (WHERE NOT is_repeat) AS state,
        (array_agg(filter_reasons ORDER BY jseq))[1] AS reasons
    FROM signals WHERE stretch > 0 GROUP BY strategy_id, stretch
)
SELECT t.strategy_id, t.ts, t.n, t.state, t.reasons,
    greatest(t.ts, least(
        lead(t.ts) OVER (PARTITION BY t.strategy_id ORDER BY t.jseq), t.end_at, newest.ts)) AS until_ts,
    CASE WHEN k.jseq IS NOT NULL THEN ARRAY(SELECT g->>'gate'
        FROM jsonb_array_elements(k.risk_json) WITH ORDINALITY AS gates (g, n)
        WHERE g->>'verdict' = 'vetoed' ORDER BY gates.n) END AS vetoes,
    EXISTS (SELECT FROM order_decision_log d
        WHERE (d.journal_id, d.risk_jseq) = (%(journal)s, k.jseq)) AS ordered
FROM stretches t CROSS JOIN newest
LEFT JOIN risk_decision_log k ON (k.journal_id, k.signal_jseq) = (%(journal)s, t.jseq)
"""

_HEDGES = """
SELECT strategy_id, submitted_at AS ts FROM orders
WHERE journal_id = %(journal)s AND purpose = 'HEDGE'
    AND submitted_at >= %(since)s AND submitted_at < %(until)s
"""

_EXECUTIONS = """
SELECT f.jseq, f.owner AS strategy_id, f.first AS ts, f.client_order_id, f.exec_base_id, f.inst_id,
    f.side, f.qty, f.price, f.multiplier, f.commission, o.purpose, d.ref_price
FROM (SELECT *, min(booked_at) OVER (PARTITION BY account, exec_base_id) AS first FROM fills
    WHERE journal_id = %(journal)s AND owner <> 'EXTERNAL' AND client_order_id IS NOT NULL) f
JOIN orders o USING (journal_id, client_order_id)
LEFT JOIN order_decision_log d ON (d.journal_id, d.jseq) = (o.journal_id, o.decision_jseq)
WHERE f.first >= %(since)s AND f.first < %(until)s
ORDER BY f.jseq
"""

_RESULTS = """
SELECT jseq, owner, trading_day, daily_pnl, trigger FROM portfolio_snapshot_log p
WHERE journal_id = %(journal)s AND trading_day BETWEEN %(since)s AND %(until)s
    AND EXISTS (SELECT FROM strategy_run r WHERE (r.journal_id, r.strategy_id) = (p.journal_id, p.owner))
ORDER BY jseq
"""


class Statistics:
    """A context in which the database is seen as it is at the first question.

    Every call may raise SinkUnavailable.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._opened = 0

    def __enter__(self) -> Statistics:
        self._link.run(lambda conn: conn.execute(_BEGIN))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(SinkError):
            self._link.run(lambda conn: conn.execute("ROLLBACK"))

    def journals(self) -> list[Record]:
        """Return ``journal_id`` and ``modes`` of each, the one that grew last first; backtests last.

        ``has_no_end`` tells that no end of some run of a strategy is stored. A journal of which
        nothing is stored yet is none.
        """
        return list(self._rows(_JOURNALS, {}))

    def seen(self, journal_id: str) -> Record:
        """Return the times of the ``first`` and the ``last`` that is known of a journal, None without any."""
        return next(self._rows(_SEEN, {"journal": journal_id}))

    def stretches(self, journal_id: str, since: datetime, until: datetime) -> Iterator[Record]:
        """Yield equal decisions in a row; see ``bifrost_engine.stats.database``."""
        return self._between(_STRETCHES, journal_id, since, until)

    def hedges(self, journal_id: str, since: datetime, until: datetime) -> Iterator[Record]:
        """Yield the hedges that were sent."""
        return self._between(_HEDGES, journal_id, since, until)

    def executions(self, journal_id: str, since: datetime, until: datetime) -> Iterator[Record]:
        """Yield the executions of strategies' orders, each revision."""
        return self._between(_EXECUTIONS, journal_id, since, until)

    def results(self, journal_id: str, since: date, until: date) -> Iterator[Record]:
        """Yield what strategies' days had come to; of both trading days, too."""
        return self._between(_RESULTS, journal_id, since, until)

    def _between(self, query: str, journal_id: str, since: date, until: date) -> Iterator[Record]:
        return self._rows(query, {"journal": journal_id, "since": since, "until": until})

    def _rows(self, query: str, values: Record) -> Iterator[Record]:
        """Yield rows by a cursor of the server's: neither end holds them all."""
        self._opened += 1
        name = f"statistics_{self._opened}"

        def declare(conn: Connection[Any]) -> Any:
            return conn.cursor(name, row_factory=dict_row).execute(query, values)

        cursor = self._link.run(declare, PATIENCE_S)
        while batch := self._link.run(lambda _conn: cursor.fetchmany(BATCH), PATIENCE_S):
            yield from batch
        self._link.run(lambda _conn: cursor.close())
