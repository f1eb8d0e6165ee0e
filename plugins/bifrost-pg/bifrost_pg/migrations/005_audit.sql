-- The audit trail: from each execution back to what was seen, and on to the books.
-- Logs only grow; the role that fills them needs no DELETE on any of these tables. Every key begins with
-- the journal, so that rehearsals may share a database with the live daemon of their account.

-- A strategy under one configuration, from start (or reload) to end.
CREATE TABLE strategy_run (
    run_id text PRIMARY KEY,
    journal_id text NOT NULL,
    jseq bigint NOT NULL,
    strategy_id text NOT NULL,
    mode text NOT NULL CHECK (mode IN ('LIVE','PAPER','REPLAY','BACKTEST')),
    account text NOT NULL,
    inst_id text NOT NULL,
    period text NOT NULL DEFAULT 'tick',
    config_hash text NOT NULL,
    config_json jsonb NOT NULL,
    engine_version text NOT NULL,
    plugin_versions jsonb NOT NULL DEFAULT '{}',
    status text NOT NULL DEFAULT 'RUNNING'
        CHECK (status IN ('RUNNING','STOPPED','FAILED','HALTED','CRASHED')),
    status_reason text,
    start_at timestamptz NOT NULL,
    end_at timestamptz,
    UNIQUE (journal_id, jseq),
    CHECK ((status = 'RUNNING') = (end_at IS NULL))
);
CREATE INDEX strategy_run_strat ON strategy_run (strategy_id, start_at DESC);

-- What a strategy saw and wanted. Equal ones in a row: one row in full, one that counts the rest.
CREATE TABLE signal_snapshot_log (
    journal_id text NOT NULL,
    jseq bigint NOT NULL,
    run_id text NOT NULL REFERENCES strategy_run,
    ts timestamptz NOT NULL,
    last_ts timestamptz,
    n bigint NOT NULL DEFAULT 1 CHECK (n > 0),
    kline_ts bigint,
    inst_id text NOT NULL,
    kind text NOT NULL,
    filtered boolean NOT NULL DEFAULT false,
    filter_reasons jsonb,
    signal_json jsonb NOT NULL,
    PRIMARY KEY (journal_id, jseq),
    CHECK (NOT filtered OR filter_reasons IS NOT NULL)
);
CREATE INDEX signal_run_ts ON signal_snapshot_log (run_id, ts);

-- What each gate said about a signal that wanted something.
CREATE TABLE risk_decision_log (
    journal_id text NOT NULL,
    jseq bigint NOT NULL,
    run_id text NOT NULL REFERENCES strategy_run,
    signal_jseq bigint NOT NULL,
    ts timestamptz NOT NULL,
    kline_ts bigint,
    decision text NOT NULL CHECK (decision IN ('ALLOW','REDUCE','BLOCK')),
    reason text,
    risk_json jsonb NOT NULL,
    PRIMARY KEY (journal_id, jseq),
    FOREIGN KEY (journal_id, signal_jseq) REFERENCES signal_snapshot_log,
    CHECK (jseq > signal_jseq),
    CHECK (decision = 'ALLOW' OR reason IS NOT NULL)
);
CREATE INDEX risk_run_ts ON risk_decision_log (run_id, ts);
CREATE INDEX risk_signal ON risk_decision_log (journal_id, signal_jseq);

-- The order that was meant to follow, before it existed.
CREATE TABLE order_decision_log (
    journal_id text NOT NULL,
    jseq bigint NOT NULL,
    run_id text NOT NULL REFERENCES strategy_run,
    risk_jseq bigint NOT NULL,
    ts timestamptz NOT NULL,
    kline_ts bigint,
    decision text NOT NULL CHECK (decision IN ('PLACE','SKIP','CANCEL','REPLACE')),
    inst_id text NOT NULL,
    side text CHECK (side IN ('BUY','SELL')),
    size numeric(30,10) CHECK (size >= 0),
    price numeric(30,10),
    ref_price numeric(30,10),
    decision_json jsonb NOT NULL,
    PRIMARY KEY (journal_id, jseq),
    FOREIGN KEY (journal_id, risk_jseq) REFERENCES risk_decision_log,
    CHECK (jseq > risk_jseq)
);
CREATE INDEX decision_run_ts ON order_decision_log (run_id, ts);
CREATE INDEX decision_risk ON order_decision_log (journal_id, risk_jseq);

-- Each order as it is now. An order of a strategy or an operator can't be without its decision.
CREATE TABLE orders (
    journal_id text NOT NULL,
    client_order_id text NOT NULL,
    run_id text REFERENCES strategy_run,
    strategy_id text NOT NULL,
    account text NOT NULL,
    decision_jseq bigint,
    origin text NOT NULL CHECK (origin IN ('STRATEGY','OPERATOR','EXTERNAL','RECOVERED')),
    purpose text NOT NULL,
    inst_id text NOT NULL,
    side text NOT NULL CHECK (side IN ('BUY','SELL')),
    qty numeric(30,10) NOT NULL CHECK (qty > 0),
    order_type text NOT NULL,
    price numeric(30,10),
    stop_price numeric(30,10),
    tif text NOT NULL,
    status text NOT NULL CHECK (status IN ('NEW','DENIED','SUBMITTED','ACCEPTED',
        'PARTIALLY_FILLED','CANCEL_REQUESTED','REPLACE_REQUESTED','UNKNOWN',
        'FILLED','CANCELED','REJECTED','EXPIRED')),
    acked boolean NOT NULL DEFAULT false,
    pending_cancel boolean NOT NULL DEFAULT false,
    pending_replace jsonb,
    cum_qty numeric(30,10) NOT NULL DEFAULT 0,
    avg_px numeric(30,10),
    overfill_qty numeric(30,10) NOT NULL DEFAULT 0,
    broker_order_id text,
    perm_id text,
    broker_client_id integer,
    reason_code text,
    reason_text text,
    version integer NOT NULL,
    created_at timestamptz NOT NULL,
    submitted_at timestamptz,
    acked_at timestamptz,
    closed_at timestamptz,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (journal_id, client_order_id),
    FOREIGN KEY (journal_id, decision_jseq) REFERENCES order_decision_log,
    CHECK (origin IN ('EXTERNAL','RECOVERED') OR (decision_jseq IS NOT NULL AND run_id IS NOT NULL)),
    CHECK (status NOT IN ('REJECTED','DENIED') OR cum_qty = 0),
    CHECK (status <> 'FILLED' OR cum_qty >= qty)
);
CREATE UNIQUE INDEX orders_perm ON orders (journal_id, perm_id) WHERE perm_id IS NOT NULL;
CREATE INDEX orders_open ON orders (strategy_id, inst_id)
    WHERE status NOT IN ('DENIED','FILLED','CANCELED','REJECTED','EXPIRED');
CREATE INDEX orders_coid ON orders (client_order_id);
CREATE INDEX orders_run ON orders (run_id, created_at);
CREATE INDEX orders_decision ON orders (journal_id, decision_jseq);

-- All that was heard of orders or done to them, whatever came of it.
CREATE TABLE order_event_log (
    journal_id text NOT NULL,
    jseq bigint NOT NULL,
    client_order_id text,
    ts timestamptz NOT NULL,
    broker_ts timestamptz,
    event text NOT NULL,
    source text NOT NULL CHECK (source IN ('STRATEGY','OPERATOR','RISK','HOOK','BROKER','TIMER','RECON','RECOVERY')),
    source_event_id text,
    outcome text NOT NULL CHECK (outcome IN ('APPLIED','NOOP','REFUSED','ILLEGAL','CONTRADICTION','DUPLICATE','PARKED')),
    incident text,
    payload jsonb NOT NULL,
    PRIMARY KEY (journal_id, jseq),
    FOREIGN KEY (journal_id, client_order_id) REFERENCES orders
);
CREATE INDEX order_event_order ON order_event_log (journal_id, client_order_id, jseq);
CREATE UNIQUE INDEX order_event_src ON order_event_log (journal_id, source, source_event_id)
    WHERE source_event_id IS NOT NULL AND outcome NOT IN ('DUPLICATE','PARKED');

-- The events that changed a state.
CREATE TABLE order_state_log (
    journal_id text NOT NULL,
    jseq bigint NOT NULL,
    client_order_id text NOT NULL,
    from_state text NOT NULL,
    to_state text NOT NULL,
    event text NOT NULL,
    source text NOT NULL,
    reason text,
    broker_order_id text,
    ts timestamptz NOT NULL,
    PRIMARY KEY (journal_id, jseq),
    FOREIGN KEY (journal_id, jseq) REFERENCES order_event_log,
    FOREIGN KEY (journal_id, client_order_id) REFERENCES orders,
    CHECK (from_state <> to_state)
);
CREATE INDEX order_state_order ON order_state_log (journal_id, client_order_id, jseq);

-- Executions as booked; of one exec_base_id the highest revision counts. Only commission and superseded_by
-- are ever changed.
CREATE TABLE fills (
    journal_id text NOT NULL,
    account text NOT NULL,
    exec_base_id text NOT NULL,
    exec_rev integer NOT NULL,
    jseq bigint NOT NULL,
    client_order_id text,
    owner text NOT NULL,
    inst_id text NOT NULL,
    side text NOT NULL CHECK (side IN ('BUY','SELL')),
    qty numeric(30,10) NOT NULL CHECK (qty >= 0),
    price numeric(30,10) NOT NULL,
    multiplier numeric(20,10) NOT NULL,
    currency text NOT NULL,
    commission numeric(30,10),
    commission_ccy text,
    kind text NOT NULL CHECK (kind IN ('TRADE','CORRECTION','BUST','INFERRED','ADJUST','TRANSFER','ASSIGNMENT','EXPIRY')),
    source text NOT NULL CHECK (source IN ('LIVE','RECON','OPERATOR','REPLAY')),
    superseded_by text,
    late_fill boolean NOT NULL DEFAULT false,
    prior_day boolean NOT NULL DEFAULT false,
    exec_ts timestamptz NOT NULL,
    booked_at timestamptz NOT NULL,
    trading_day date NOT NULL,
    PRIMARY KEY (journal_id, account, exec_base_id, exec_rev),
    FOREIGN KEY (journal_id, client_order_id) REFERENCES orders
);
CREATE INDEX fills_order ON fills (journal_id, client_order_id);
CREATE INDEX fills_owner_day ON fills (owner, trading_day, inst_id);

-- What each book holds now, folded from fills.
CREATE TABLE positions (
    journal_id text NOT NULL,
    account text NOT NULL,
    owner text NOT NULL,
    inst_id text NOT NULL,
    run_id text REFERENCES strategy_run,
    side text NOT NULL CHECK (side IN ('LONG','SHORT','FLAT')),
    qty numeric(30,10) NOT NULL,
    cost numeric(30,10) NOT NULL,
    avg_price numeric(30,10),
    multiplier numeric(20,10) NOT NULL,
    currency text NOT NULL,
    realized_pnl numeric(30,10) NOT NULL DEFAULT 0,
    commission numeric(30,10) NOT NULL DEFAULT 0,
    cash numeric(30,10) NOT NULL DEFAULT 0,
    mark numeric(30,10),
    unrealized_pnl numeric(30,10),
    stale_mark boolean NOT NULL DEFAULT false,
    status text NOT NULL CHECK (status IN ('OPEN','CLOSED')),
    last_jseq bigint NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (journal_id, account, owner, inst_id),
    CHECK (qty <> 0 OR cost = 0),
    CHECK (cash + cost = realized_pnl)
);

-- What each book, and the account, was worth at times.
CREATE TABLE portfolio_snapshot_log (
    journal_id text NOT NULL,
    jseq bigint NOT NULL,
    run_id text REFERENCES strategy_run,
    account text NOT NULL,
    owner text NOT NULL,
    trading_day date NOT NULL,
    total_equity numeric(30,10),
    available numeric(30,10),
    margin numeric(30,10),
    realized_pnl numeric(30,10),
    unrealized_pnl numeric(30,10),
    commission numeric(30,10),
    pnl numeric(30,10),
    day_pnl numeric(30,10),
    pnl_restatement numeric(30,10) NOT NULL DEFAULT 0,
    stale boolean NOT NULL DEFAULT false,
    missing jsonb,
    trigger text NOT NULL CHECK (trigger IN ('INTERVAL','FILL','ROLL','RECON','RUN_END')),
    ts timestamptz NOT NULL,
    PRIMARY KEY (journal_id, jseq)
);
CREATE INDEX snapshot_owner_ts ON portfolio_snapshot_log (owner, ts);

-- Comparisons with the broker, also those that found nothing.
CREATE TABLE reconciliation_run (
    recon_id text PRIMARY KEY,
    journal_id text NOT NULL,
    jseq bigint NOT NULL,
    account text NOT NULL,
    trigger text NOT NULL CHECK (trigger IN ('STARTUP','RECONNECT','DATA_RESTORED','TARGETED','PERIODIC','OPERATOR')),
    started_at timestamptz NOT NULL,
    ended_at timestamptz,
    attempts integer NOT NULL,
    snapshot_complete boolean NOT NULL,
    snapshot_stable boolean NOT NULL,
    broker_state jsonb NOT NULL,
    result text CHECK (result IN ('CLEAN','REPAIRED','OPEN_ITEMS','INCOMPLETE','HALT')),
    UNIQUE (journal_id, jseq)
);

-- What the comparisons found, and what was done about it.
CREATE TABLE reconciliation_item (
    journal_id text NOT NULL,
    jseq bigint NOT NULL,
    recon_id text NOT NULL REFERENCES reconciliation_run,
    rule text NOT NULL,
    severity text NOT NULL CHECK (severity IN ('INFO','WARNING','ERROR','CRITICAL')),
    client_order_id text,
    perm_id text,
    exec_base_id text,
    inst_id text,
    ours jsonb,
    theirs jsonb,
    action text NOT NULL,
    status text NOT NULL CHECK (status IN ('DONE','OPEN','ACKNOWLEDGED')),
    ack_by text,
    ack_at timestamptz,
    ack_note text,
    PRIMARY KEY (journal_id, jseq)
);
CREATE INDEX recon_item_open ON reconciliation_item (status) WHERE status = 'OPEN';

-- Journals that aren't here from their first record on in the usual way.
--   again  operations and history are here up to this record, from a release without the tables above: the
--          records come once more from the start, and up to this number for the tables above only
--   first  the records before this one were pruned before they came; 0 if none were
CREATE TABLE drain_start (
    journal_id text PRIMARY KEY,
    again bigint NOT NULL DEFAULT 0,
    first bigint NOT NULL DEFAULT 0
);
INSERT INTO drain_start (journal_id, again) SELECT journal_id, jseq FROM drain_checkpoint WHERE jseq > 0;
UPDATE drain_checkpoint SET jseq = 0, jhash = sha256(convert_to(journal_id, 'UTF8'));
