-- What the daemon reports: its newest state, the state at hedge operations, and the operations.

CREATE TABLE IF NOT EXISTS status_current (
    id integer PRIMARY KEY DEFAULT 1,
    daemon_state text,
    trading_state text,
    symbol text,
    spot double precision,
    bid double precision,
    ask double precision,
    net_delta double precision,
    stock_position integer,
    option_legs_count integer,
    daily_hedge_count integer,
    daily_pnl double precision,
    data_lag_ms double precision,
    config_summary text,
    ts double precision
);
ALTER TABLE status_current ADD COLUMN IF NOT EXISTS strategy_id text;
ALTER TABLE status_current ADD COLUMN IF NOT EXISTS detail jsonb;

CREATE TABLE IF NOT EXISTS status_history (
    id bigserial PRIMARY KEY,
    daemon_state text,
    trading_state text,
    symbol text,
    spot double precision,
    bid double precision,
    ask double precision,
    net_delta double precision,
    stock_position integer,
    option_legs_count integer,
    daily_hedge_count integer,
    daily_pnl double precision,
    data_lag_ms double precision,
    config_summary text,
    ts double precision
);
ALTER TABLE status_history ADD COLUMN IF NOT EXISTS strategy_id text;
ALTER TABLE status_history ADD COLUMN IF NOT EXISTS detail jsonb;
CREATE INDEX IF NOT EXISTS status_history_ts ON status_history (ts);

CREATE TABLE IF NOT EXISTS operations (
    id bigserial PRIMARY KEY,
    ts double precision,
    type text,
    side text,
    quantity integer,
    price double precision,
    state_reason text
);
ALTER TABLE operations ADD COLUMN IF NOT EXISTS strategy_id text;
ALTER TABLE operations ADD COLUMN IF NOT EXISTS client_order_id text;
ALTER TABLE operations ADD COLUMN IF NOT EXISTS trace_id text;
ALTER TABLE operations ADD COLUMN IF NOT EXISTS journal_id text;
ALTER TABLE operations ADD COLUMN IF NOT EXISTS jseq bigint;
CREATE INDEX IF NOT EXISTS operations_ts ON operations (ts);
CREATE INDEX IF NOT EXISTS operations_type_ts ON operations (type, ts);
CREATE UNIQUE INDEX IF NOT EXISTS operations_journal ON operations (journal_id, jseq);
