-- A strategy's result of the day with its managed legs, in whichever book they lie; null for other owners, and
-- in rows of earlier releases.
ALTER TABLE portfolio_snapshot_log ADD COLUMN daily_pnl numeric(30,10);
