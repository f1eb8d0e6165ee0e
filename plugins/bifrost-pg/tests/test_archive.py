"""A backtest's audit trail in the database: all of it, once, beside a daemon that goes on."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from generated_day import LEGS, market, write_config, write_quotes

from bifrost_engine.audit import TABLES
from bifrost_engine.cli.main import run
from bifrost_engine.daemon.assemble import RunOptions, load_config
from bifrost_engine.errors import ConfigError, SinkError, SinkUnavailable
from bifrost_engine.replay.archiving import Archiving
from bifrost_engine.replay.backtest import run_backtest
from bifrost_engine.replay.dataset import DataSet
from bifrost_engine.replay.holdings import positions_at, positions_of

OF_A_DAEMON = ("operations", "status_current", "status_history", "daemon_heartbeat", "daemon_control")


@pytest.fixture
def backtest(tmp_path):
    """Runs the same generated minutes, with an archive or without."""
    config = load_config(RunOptions(config_path=write_config(tmp_path / "bifrost.yaml")), {}).config
    data = write_quotes(tmp_path / "day.csv", market(10))

    def run(archive=None):
        return run_backtest(config, DataSet(data), archive=archive)

    return run


def counts(conn, tables):
    return {name: conn.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in tables}


def test_the_tables_hold_what_the_result_says_and_nothing_of_a_daemons(conn, make_sink, backtest):
    before = counts(conn, OF_A_DAEMON)
    with Archiving(make_sink().archive()) as archive:
        trail = backtest(archive).audit_trail
    assert counts(conn, TABLES) == {name: len(trail.rows(name)) for name in TABLES}
    assert trail.rows("orders")
    assert counts(conn, OF_A_DAEMON) == before
    modes = conn.execute("SELECT DISTINCT mode FROM strategy_run").fetchall()
    assert [tuple(row) for row in modes] == [("BACKTEST",)]


def test_a_repeated_run_adds_nothing_and_an_interrupted_one_is_gone_on_from(conn, make_sink, backtest):
    class Breaks:
        def __init__(self, inner):
            self.inner, self.left = inner, 3  # the cursor's and two batches

        def write_audit(self, batch):
            self.left -= 1
            if self.left < 0:
                raise SinkUnavailable("gone")
            return self.inner.write_audit(batch)

        def close(self):
            self.inner.close()

    with pytest.raises(SinkError, match="gone"), Archiving(Breaks(make_sink().archive())) as archive:
        archive_in_small_batches(backtest, archive)
    first = counts(conn, TABLES)
    with Archiving(make_sink().archive()) as archive:
        trail = backtest(archive).audit_trail
    whole = counts(conn, TABLES)
    assert (
        first["signal_snapshot_log"] < whole["signal_snapshot_log"] == len(trail.rows("signal_snapshot_log"))
    )
    with Archiving(make_sink().archive()) as archive:
        backtest(archive)
        assert archive.written == 0
    assert counts(conn, TABLES) == whole


def archive_in_small_batches(backtest, archive):
    archive.batch = 20
    backtest(archive)


def test_a_daemon_keeps_its_lock_and_stays_the_one_that_readers_find(conn, make_sink, make_batch, backtest):
    daemon = make_sink()
    daemon.load_settings()
    daemon.write_audit(make_batch(1, 3, "live"))
    with Archiving(make_sink().archive()) as archive:
        journal_id = backtest(archive).provenance["journal_id"]
    daemon.load_settings()
    reader = make_sink().reader()
    assert reader.journals() == ["live", journal_id]
    assert reader.status()["account_day"] is None
    reader.close()


def test_tables_that_are_missing_are_named_before_the_run(connect, make_sink, backtest):
    with (
        pytest.raises(SinkUnavailable, match="bifrost db refresh"),
        Archiving(make_sink().archive()) as archive,
    ):
        backtest(archive)


def told(tmp_path, capsys, *arguments):
    """Return what ``bifrost backtest`` says of its positions and its orders."""
    config, data = str(tmp_path / "bifrost.yaml"), str(tmp_path / "day.csv")
    assert run(["backtest", "--config", config, "--data", data, "--json", *arguments]) == 0
    result = json.loads(capsys.readouterr().out)
    held = result["provenance"]["config"]["paper"]["positions"]
    return {key: (Decimal(str(one["quantity"])), one["average_cost"]) for key, one in held.items()}


def test_positions_to_begin_with_come_from_the_database_as_it_is_or_was(
    conn, make_sink, backtest, database_uri, tmp_path, capsys
):
    write_config(tmp_path / "bifrost.yaml", status={"sink": [], "postgres": {"dsn": database_uri}})
    with Archiving(make_sink().archive()) as archive:
        trail = backtest(archive).audit_trail
    position = {"contract_key": LEGS[0], "position": 5.0, "avg_cost": 410.5, "symbol": "NVDA"}
    make_sink().write_accounts(
        [{"account_id": "U1", "complete": True, "summary": {"total_cash": 1}, "positions": [position]}]
    )
    assert told(tmp_path, capsys, "--positions", "postgres") == {LEGS[0]: (5, 410.5)}
    begun = told(tmp_path, capsys, "--positions", "postgres@2025-03-03T09:30:00.5")
    assert begun == dict.fromkeys(LEGS, (10, None))
    ended = told(tmp_path, capsys, "--positions", "postgres@2025-03-03T12:00")
    fills = [row for row in trail.rows("fills") if row["inst_id"] == "NVDA|STK|||"]
    shares = sum(row["qty"] if row["side"] == "BUY" else -row["qty"] for row in fills)
    assert shares
    assert ended == begun | {"NVDA|STK|||": (shares, None)}


def test_a_revised_execution_counts_once():
    row = {"account": "U1", "exec_base_id": "e1", "inst_id": LEGS[0], "side": "BUY", "qty": Decimal(3)}
    revised = row | {"qty": Decimal(2)}
    other = row | {"exec_base_id": "e2", "side": "SELL", "qty": Decimal(1)}
    assert positions_at([row, other, revised]) == {LEGS[0]: {"quantity": Decimal(1)}}


def test_of_several_accounts_one_has_to_be_named():
    accounts = [{"account_id": name, "positions": []} for name in ("U1", "U2")]
    with pytest.raises(ConfigError, match="which has U1, U2"):
        positions_of(accounts, None)
    assert positions_of(accounts, "U2") == {}
