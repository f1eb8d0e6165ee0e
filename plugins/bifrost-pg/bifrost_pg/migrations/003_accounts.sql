-- The broker's accounts, their positions, and the latest prices.

CREATE TABLE IF NOT EXISTS accounts (
    account_id text PRIMARY KEY,
    updated_at timestamptz,
    net_liquidation double precision,
    total_cash double precision,
    buying_power double precision,
    summary_extra jsonb
);

CREATE TABLE IF NOT EXISTS account_positions (
    account_id text NOT NULL,
    contract_key text NOT NULL,
    symbol text,
    sec_type text,
    exchange text,
    currency text,
    position double precision,
    avg_cost double precision,
    expiry text,
    strike double precision,
    option_right text,
    updated_at timestamptz,
    PRIMARY KEY (account_id, contract_key)
);
ALTER TABLE account_positions ADD COLUMN IF NOT EXISTS multiplier double precision;

CREATE TABLE IF NOT EXISTS instrument_prices (
    contract_key text PRIMARY KEY,
    symbol text,
    sec_type text,
    expiry text,
    strike double precision,
    option_right text,
    last double precision,
    bid double precision,
    ask double precision,
    mid double precision,
    updated_at timestamptz
);
