-- What an auditor asks, each as one query on the tables of the audit trail (docs/reference/database.md).
--
--   psql -v order=BF-p007-gamma-1 -v day=2025-03-03 -v owner=gamma -v instrument='SPY|STK|||' \
--        -v at='2025-03-03 10:31-05' -v number=1000 -v zone=America/New_York -f audit_queries.sql
--
-- A database may hold several journals; the one that grew last is taken. Another: drop the next line, and
-- give it with -v journal=….
SELECT journal_id AS journal FROM drain_checkpoint ORDER BY updated_at DESC LIMIT 1 \gset

-- Q1  Why does an order exist? Its chain in the order of its numbers, a line for each gate, event and fill.
WITH o AS (SELECT * FROM orders WHERE journal_id = :'journal' AND client_order_id = :'order'),
d AS (SELECT d.* FROM order_decision_log d JOIN o ON (d.journal_id, d.jseq) = (o.journal_id, o.decision_jseq)),
r AS (SELECT r.* FROM risk_decision_log r JOIN d ON (r.journal_id, r.jseq) = (d.journal_id, d.risk_jseq)),
s AS (SELECT s.* FROM signal_snapshot_log s JOIN r ON (s.journal_id, s.jseq) = (r.journal_id, r.signal_jseq))
SELECT jseq, step, ts, what
FROM (
    SELECT jseq, 0 AS part, 'signal' AS step, ts, jsonb_build_object('kind', kind) || signal_json AS what FROM s
    UNION ALL
    SELECT jseq, 1, 'risk', ts, jsonb_build_object('decision', decision, 'reason', reason) FROM r
    UNION ALL
    SELECT r.jseq, 1 + g.n, 'gate', r.ts, g.gate
    FROM r, jsonb_array_elements(r.risk_json) WITH ORDINALITY AS g (gate, n)
    UNION ALL
    SELECT jseq, 0, 'decision', ts, decision_json || jsonb_build_object('ref_price', ref_price) FROM d
    UNION ALL
    SELECT e.jseq, 0, 'event', e.ts, jsonb_build_object('event', e.event, 'source', e.source, 'outcome', e.outcome,
        'from', t.from_state, 'to', t.to_state, 'reason', t.reason, 'incident', e.incident)
    FROM o JOIN order_event_log e ON (e.journal_id, e.client_order_id) = (o.journal_id, o.client_order_id)
    LEFT JOIN order_state_log t ON (t.journal_id, t.jseq) = (e.journal_id, e.jseq)
    UNION ALL
    SELECT f.jseq, 0, 'fill', f.booked_at, jsonb_build_object('side', f.side, 'quantity', f.qty, 'price', f.price,
        'commission', f.commission, 'kind', f.kind, 'superseded_by', f.superseded_by)
    FROM o JOIN fills f ON (f.journal_id, f.client_order_id) = (o.journal_id, o.client_order_id)
) AS chain
ORDER BY jseq, part;

-- Q2  Which signals were blocked on a day, by which gates, and what would the order have been?
SELECT s.jseq, s.ts, r.reason AS first_gate,
    (SELECT string_agg(g->>'gate' || ' ' || coalesce(g->>'value', '') || ' against ' || coalesce(g->>'limit', '-'), '; ')
     FROM jsonb_array_elements(r.risk_json) AS g WHERE g->>'verdict' = 'vetoed') AS gates,
    s.inst_id, s.signal_json->>'side' AS side, (s.signal_json->>'quantity')::numeric AS quantity, s.kind AS purpose,
    s.n + coalesce((SELECT sum(a.n) FROM signal_snapshot_log a
                    WHERE a.journal_id = s.journal_id AND (a.signal_json->>'of_jseq')::bigint = s.jseq), 0) AS times
FROM risk_decision_log r
JOIN signal_snapshot_log s ON (s.journal_id, s.jseq) = (r.journal_id, r.signal_jseq)
WHERE r.journal_id = :'journal' AND r.decision = 'BLOCK' AND (s.ts AT TIME ZONE :'zone')::date = :'day'::date
ORDER BY s.jseq;

-- Q3  Which orders lack their chain? None with origin STRATEGY or OPERATOR may be here.
SELECT o.client_order_id, o.origin, o.decision_jseq, d.risk_jseq, r.signal_jseq
FROM orders o
LEFT JOIN order_decision_log d ON (d.journal_id, d.jseq) = (o.journal_id, o.decision_jseq)
LEFT JOIN risk_decision_log r ON (r.journal_id, r.jseq) = (d.journal_id, d.risk_jseq)
LEFT JOIN signal_snapshot_log s ON (s.journal_id, s.jseq) = (r.journal_id, r.signal_jseq)
WHERE o.journal_id = :'journal' AND s.jseq IS NULL
ORDER BY o.created_at;

-- Q4  What did a book hold of an instrument at a moment, by its fills; and is what they add up to now what is stored?
WITH f AS (
    SELECT *, booked_at <= :'at'::timestamptz AS by_then, CASE side WHEN 'BUY' THEN qty ELSE -qty END AS signed
    FROM fills WHERE journal_id = :'journal' AND owner = :'owner' AND inst_id = :'instrument'
), at_last AS (
    SELECT DISTINCT ON (account, exec_base_id) * FROM f ORDER BY account, exec_base_id, exec_rev DESC
), at_moment AS (
    SELECT DISTINCT ON (account, exec_base_id) * FROM f WHERE by_then ORDER BY account, exec_base_id, exec_rev DESC
)
SELECT (SELECT coalesce(sum(signed), 0) FROM at_moment) AS quantity_then, sum(l.signed) AS quantity_now, p.qty AS stored,
    -sum(round(l.signed * l.price * l.multiplier, 10)) AS cash_now, p.cash AS cash_stored,
    sum(l.signed) = p.qty AND -sum(round(l.signed * l.price * l.multiplier, 10)) = p.cash AS equal
FROM at_last l
LEFT JOIN positions p USING (journal_id, account, owner, inst_id)
GROUP BY p.qty, p.cash;

-- Q5  Realized result, commission and net of each strategy on each trading day; do they add up to the snapshots?
WITH RECURSIVE latest AS (
    SELECT DISTINCT ON (account, exec_base_id) *,
        min(jseq) OVER (PARTITION BY account, exec_base_id) AS first_jseq,
        min(trading_day) OVER (PARTITION BY account, exec_base_id) AS day
    FROM fills WHERE journal_id = :'journal' ORDER BY account, exec_base_id, exec_rev DESC
), steps AS (
    SELECT owner, inst_id, day, price, multiplier, CASE side WHEN 'BUY' THEN qty ELSE -qty END AS d,
        -- A correction that tells no commission leaves the one that is known.
        coalesce((SELECT c.commission FROM fills c WHERE (c.journal_id, c.account, c.exec_base_id)
            = (l.journal_id, l.account, l.exec_base_id) AND c.commission IS NOT NULL ORDER BY c.exec_rev DESC LIMIT 1), 0)
            * (qty > 0)::int AS commission,
        row_number() OVER (PARTITION BY owner, inst_id ORDER BY first_jseq, exec_base_id) AS n
    FROM latest l
), fold AS (
    SELECT owner, inst_id, 0::bigint AS n, NULL::date AS day, 0::numeric AS qty, 0::numeric AS cost,
        0::numeric AS gained, 0::numeric AS commission
    FROM steps WHERE n = 1
    UNION ALL
    SELECT f.owner, f.inst_id, s.n, s.day, f.qty + s.d,
        -- What is closed takes its part of the cost along; what goes beyond is opened at the new price.
        f.cost - c.released + round((s.d - c.closed) * s.price * s.multiplier, 10),
        -round(c.closed * s.price * s.multiplier, 10) - c.released, s.commission
    FROM fold f JOIN steps s ON (s.owner, s.inst_id, s.n) = (f.owner, f.inst_id, f.n + 1),
    LATERAL (SELECT CASE WHEN f.qty * s.d < 0 THEN sign(s.d) * least(abs(s.d), abs(f.qty)) ELSE 0 END AS closed) k,
    LATERAL (SELECT k.closed, CASE WHEN k.closed = 0 THEN 0 WHEN abs(k.closed) = abs(f.qty) THEN f.cost
        ELSE round(f.cost * abs(k.closed) / abs(f.qty), 10) END AS released) c
), days AS (
    SELECT owner, day, sum(gained) AS realized, sum(commission) AS commission FROM fold WHERE n > 0 GROUP BY owner, day
), snapshots AS (
    SELECT DISTINCT ON (owner, trading_day) owner, trading_day AS day, realized_pnl, commission AS paid
    FROM portfolio_snapshot_log WHERE journal_id = :'journal' ORDER BY owner, trading_day, jseq DESC
)
SELECT d.owner, d.day, d.realized, d.commission, d.realized - d.commission AS net,
    s.realized_pnl AS snapshot_realized, s.paid AS snapshot_commission,
    abs(sum(d.realized) OVER so_far - s.realized_pnl) < 0.000001
        AND abs(sum(d.commission) OVER so_far - s.paid) < 0.000001 AS equal
FROM days d LEFT JOIN snapshots s USING (owner, day)
WINDOW so_far AS (PARTITION BY d.owner ORDER BY d.day)
ORDER BY d.day, d.owner;

-- Q6  Which orders were ever UNKNOWN, for how long, what ended it, and by which evidence?
SELECT u.client_order_id, u.ts AS since, u.reason AS why, e.ts - u.ts AS lasted, e.event AS ended_by, e.source,
    e.to_state, l.source_event_id, l.payload AS evidence
FROM order_state_log u
LEFT JOIN LATERAL (
    SELECT * FROM order_state_log n
    WHERE n.journal_id = u.journal_id AND n.client_order_id = u.client_order_id AND n.jseq > u.jseq
    ORDER BY n.jseq LIMIT 1
) e ON true
LEFT JOIN order_event_log l ON (l.journal_id, l.jseq) = (e.journal_id, e.jseq)
WHERE u.journal_id = :'journal' AND u.to_state = 'UNKNOWN'
ORDER BY u.jseq;

-- Q7  What did each fill lose to the mid at its decision, and how long did the order take, step by step (medians and
--     95th percentiles of all orders beside it)?
WITH times AS (
    SELECT o.journal_id, o.client_order_id, d.ref_price, o.submitted_at - d.ts AS to_submit,
        o.acked_at - o.submitted_at AS to_ack, min(f.exec_ts) - coalesce(o.acked_at, o.submitted_at) AS to_fill
    FROM orders o
    JOIN order_decision_log d ON (d.journal_id, d.jseq) = (o.journal_id, o.decision_jseq)
    LEFT JOIN fills f ON (f.journal_id, f.client_order_id) = (o.journal_id, o.client_order_id)
    WHERE o.journal_id = :'journal'
    GROUP BY 1, 2, 3, 4, 5
), spread AS (
    SELECT percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY to_submit) AS submit_p50_p95,
        percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY to_ack) AS ack_p50_p95,
        percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY to_fill) AS fill_p50_p95
    FROM times
)
SELECT f.client_order_id, f.exec_base_id, f.side, f.qty, t.ref_price, f.price,
    CASE f.side WHEN 'BUY' THEN f.price - t.ref_price ELSE t.ref_price - f.price END AS slippage,
    CASE f.side WHEN 'BUY' THEN f.price - t.ref_price ELSE t.ref_price - f.price END * f.qty * f.multiplier AS cost,
    t.to_submit, t.to_ack, t.to_fill, spread.*
FROM fills f JOIN times t USING (journal_id, client_order_id), spread
WHERE f.superseded_by IS NULL AND f.qty > 0
ORDER BY f.jseq;

-- Q8  How many orders of each strategy were rejected or denied, why, and how many in a row at most?
WITH ended AS (
    SELECT strategy_id, reason_code, status IN ('REJECTED', 'DENIED') AS refused, status,
        row_number() OVER (PARTITION BY strategy_id ORDER BY closed_at, created_at)
            - row_number() OVER (PARTITION BY strategy_id, status IN ('REJECTED', 'DENIED')
                                 ORDER BY closed_at, created_at) AS island
    FROM orders WHERE journal_id = :'journal' AND closed_at IS NOT NULL
), rows_of AS (
    SELECT strategy_id, max(length) AS most_in_a_row
    FROM (SELECT strategy_id, island, count(*) AS length FROM ended WHERE refused GROUP BY 1, 2) AS runs
    GROUP BY strategy_id
)
SELECT e.strategy_id, e.status, e.reason_code, count(*) AS orders,
    round(100.0 * count(*) / (SELECT count(*) FROM ended a WHERE a.strategy_id = e.strategy_id), 2) AS percent,
    r.most_in_a_row
FROM ended e LEFT JOIN rows_of r USING (strategy_id)
WHERE e.refused
GROUP BY e.strategy_id, e.status, e.reason_code, r.most_in_a_row
ORDER BY e.strategy_id, orders DESC;

-- Q9  What did operators do and acknowledge?
SELECT jseq, to_timestamp(ts) AS at, 'operation' AS what, type AS action, strategy_id, client_order_id, state_reason AS outcome
FROM operations
WHERE journal_id = :'journal' AND type IN ('stop', 'flatten', 'suspend', 'resume', 'kill', 'clear_kill', 'manual_resume',
    'retry_ib', 'refresh_accounts', 'command', 'ack', 'release', 'flags')
UNION ALL
SELECT jseq, ts, 'order', event, NULL, client_order_id, outcome
FROM order_event_log WHERE journal_id = :'journal' AND source = 'OPERATOR'
UNION ALL
SELECT jseq, ack_at, 'finding', 'acknowledged by ' || coalesce(ack_by, '?'), NULL, client_order_id, ack_note
FROM reconciliation_item WHERE journal_id = :'journal' AND ack_at IS NOT NULL
ORDER BY 2, 1;

-- Q10  Which fills were inferred, adjusted, corrected, undone or late, and by which evidence?
SELECT f.jseq, f.exec_base_id, f.exec_rev, f.kind, f.source, f.late_fill, f.owner, f.inst_id, f.side, f.qty, f.price,
    before.qty AS qty_before, before.price AS price_before, e.event, e.outcome, e.incident, e.payload AS evidence,
    (SELECT jsonb_agg(jsonb_build_object('rule', i.rule, 'ours', i.ours, 'theirs', i.theirs, 'action', i.action))
     FROM reconciliation_item i
     WHERE i.journal_id = f.journal_id AND i.exec_base_id = f.exec_base_id) AS findings
FROM fills f
LEFT JOIN fills before ON (before.journal_id, before.account, before.exec_base_id)
    = (f.journal_id, f.account, f.exec_base_id) AND before.exec_rev = f.exec_rev - 1
LEFT JOIN LATERAL (
    SELECT * FROM order_event_log e
    WHERE e.journal_id = f.journal_id AND e.client_order_id = f.client_order_id AND e.jseq < f.jseq
    ORDER BY e.jseq DESC LIMIT 1
) e ON true
WHERE f.journal_id = :'journal'
    AND (f.late_fill OR f.kind IN ('INFERRED', 'ADJUST', 'CORRECTION', 'BUST', 'ASSIGNMENT', 'EXPIRY'))
ORDER BY f.jseq, f.exec_base_id;

-- Q11  With which settings, code and plugins was an order made?
SELECT o.client_order_id, r.run_id, r.mode, r.start_at, r.config_hash, r.engine_version, r.plugin_versions, r.config_json
FROM orders o JOIN strategy_run r USING (run_id)
WHERE o.journal_id = :'journal' AND o.client_order_id = :'order';

-- Q12  Is the journal here, whole and unaltered, up to a number? The database has its part of the proof: that no record
--      before the cursor was left out, and the hashes that the journal must have. `bifrost audit verify` compares them.
SELECT c.journal_id, c.jseq AS stored_up_to, c.jseq >= :'number'::bigint AS has_it, coalesce(s.first, 0) AS gap_before,
    n.jseq AS proven_by, encode(n.jhash, 'hex') AS its_hash,
    NOT EXISTS (SELECT 1 FROM drain_checkpoint_log l WHERE l.journal_id = c.journal_id AND l.jseq = c.jseq
                AND l.jhash <> c.jhash) AND l.last = c.jseq AS cursor_fits_its_log,
    greatest(e.last, d.last) <= c.jseq AS nothing_beyond
FROM drain_checkpoint c
LEFT JOIN drain_start s USING (journal_id)
LEFT JOIN LATERAL (SELECT jseq, jhash FROM drain_checkpoint_log l
    WHERE l.journal_id = c.journal_id AND l.jseq >= :'number'::bigint ORDER BY jseq LIMIT 1) n ON true
LEFT JOIN LATERAL (SELECT max(jseq) AS last FROM drain_checkpoint_log l WHERE l.journal_id = c.journal_id) l ON true
LEFT JOIN LATERAL (SELECT max(jseq) AS last FROM order_event_log e WHERE e.journal_id = c.journal_id) e ON true
LEFT JOIN LATERAL (SELECT max(jseq) AS last FROM signal_snapshot_log d WHERE d.journal_id = c.journal_id) d ON true
WHERE c.journal_id = :'journal';

-- Q13  Which comparisons with the broker were there, what is still open, and since when?
SELECT r.recon_id, r.trigger, r.started_at, r.ended_at, r.attempts, r.snapshot_complete, r.snapshot_stable, r.result,
    count(i.jseq) AS items, count(*) FILTER (WHERE i.status = 'OPEN') AS open_items,
    (SELECT max(x.started_at) FROM reconciliation_run x WHERE x.journal_id = r.journal_id)
        - min(r.started_at) FILTER (WHERE i.status = 'OPEN') AS oldest_open
FROM reconciliation_run r
LEFT JOIN reconciliation_item i USING (recon_id)
WHERE r.journal_id = :'journal'
GROUP BY r.recon_id, r.journal_id, r.jseq
ORDER BY r.jseq;
