-- How far each journal has been stored: the cursor moves in the transaction that stores its rows.

CREATE TABLE IF NOT EXISTS drain_checkpoint (
    journal_id text PRIMARY KEY,
    jseq bigint NOT NULL,
    jhash bytea NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE TABLE IF NOT EXISTS drain_checkpoint_log (
    journal_id text NOT NULL,
    jseq bigint NOT NULL,
    jhash bytea NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (journal_id, jseq)
);
