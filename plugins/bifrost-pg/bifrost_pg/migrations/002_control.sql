-- What operators write for the daemon, and the daemon's sign of life.

CREATE TABLE IF NOT EXISTS daemon_control (
    id bigserial PRIMARY KEY,
    command text NOT NULL,
    created_at timestamptz DEFAULT now(),
    consumed_at timestamptz
);
ALTER TABLE daemon_control ADD COLUMN IF NOT EXISTS strategy_id text;
ALTER TABLE daemon_control ADD COLUMN IF NOT EXISTS requested_by text;
ALTER TABLE daemon_control ADD COLUMN IF NOT EXISTS outcome text;
CREATE INDEX IF NOT EXISTS daemon_control_waiting ON daemon_control (id) WHERE consumed_at IS NULL;

CREATE TABLE IF NOT EXISTS daemon_run_status (
    id integer PRIMARY KEY DEFAULT 1,
    suspended boolean NOT NULL DEFAULT false,
    updated_at timestamptz
);
ALTER TABLE daemon_run_status ALTER COLUMN suspended SET DEFAULT false;
ALTER TABLE daemon_run_status ADD COLUMN IF NOT EXISTS killed boolean NOT NULL DEFAULT false;
ALTER TABLE daemon_run_status ADD COLUMN IF NOT EXISTS heartbeat_interval_sec smallint
    CONSTRAINT daemon_run_status_interval CHECK (heartbeat_interval_sec BETWEEN 5 AND 120);

CREATE TABLE IF NOT EXISTS daemon_heartbeat (
    id integer PRIMARY KEY DEFAULT 1,
    last_ts timestamptz NOT NULL,
    hedge_running boolean NOT NULL,
    ib_connected boolean DEFAULT false,
    ib_client_id integer,
    next_retry_ts timestamptz,
    seconds_until_retry smallint,
    graceful_shutdown_at timestamptz
);
ALTER TABLE daemon_heartbeat ADD COLUMN IF NOT EXISTS interval_s double precision;
ALTER TABLE daemon_heartbeat ADD COLUMN IF NOT EXISTS hostname text;
ALTER TABLE daemon_heartbeat ADD COLUMN IF NOT EXISTS pid integer;
ALTER TABLE daemon_heartbeat ADD COLUMN IF NOT EXISTS version text;
ALTER TABLE daemon_heartbeat ADD COLUMN IF NOT EXISTS role text;

CREATE TABLE IF NOT EXISTS settings (
    id integer PRIMARY KEY DEFAULT 1,
    ib_host text NOT NULL DEFAULT '127.0.0.1',
    ib_port_type text NOT NULL DEFAULT 'tws_paper'
);
ALTER TABLE settings ADD COLUMN IF NOT EXISTS updated_at timestamptz;

-- Earlier forms may allow only id 1, or not know every kind of port.
DO $$
DECLARE old record;
BEGIN
    FOR old IN
        SELECT c.conrelid::regclass AS of_table, c.conname
        FROM pg_constraint c
        JOIN pg_attribute a ON a.attrelid = c.conrelid AND c.conkey = ARRAY[a.attnum]
        WHERE c.contype = 'c'
          AND (a.attname = 'id' AND c.conrelid IN ('status_current'::regclass, 'daemon_heartbeat'::regclass)
               OR a.attname = 'ib_port_type' AND c.conrelid = 'settings'::regclass)
    LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', old.of_table, old.conname);
    END LOOP;
END $$;
ALTER TABLE settings ADD CONSTRAINT settings_ib_port_type
    CHECK (ib_port_type IN ('tws_live', 'tws_paper', 'gateway', 'gateway_live')) NOT VALID;
