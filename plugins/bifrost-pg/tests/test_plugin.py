"""The sink as a host sees it, and its readers."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import pluggy
import pytest
from bifrost_pg.plugin import PostgresSink

from bifrost_engine import hookspecs
from bifrost_engine.errors import SinkUnavailable


def test_every_hook_fits_the_contract(make_sink):
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(make_sink())
    manager.check_pending()
    assert PostgresSink.hook_version.split(".")[0] == hookspecs.HOOK_VERSION.split(".")[0]


@pytest.mark.parametrize(
    ("group", "name", "loaded"),
    [("bifrost.sinks", "postgres", "PostgresSink"), ("bifrost.commands", "db", "db")],
)
def test_the_entry_points_load(group, name, loaded):
    (entry,) = [point for point in entry_points(group=group) if point.name == name]
    plugin = entry.load()
    assert loaded in (plugin.__name__ if isinstance(plugin, type) else plugin.name)


def test_importing_the_plugin_loads_no_database_library():
    program = "import sys, bifrost_pg.plugin, bifrost_pg.commands; print('psycopg' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def test_the_schema_is_made_at_the_first_call(make_sink, connect):
    make_sink().poll_control()
    assert connect().execute("SELECT count(*) FROM status_current").fetchone() == (0,)


def test_a_schema_that_is_not_ours_to_manage_is_only_verified(make_sink, connect, database_uri):
    sink = make_sink(dsn=database_uri, manage_schema=False)
    with pytest.raises(SinkUnavailable, match="table accounts is missing; run: bifrost db refresh"):
        sink.poll_control()
    assert connect().execute("SELECT to_regclass('status_current')").fetchone() == (None,)


def test_tables_that_vanish_are_made_again(make_sink, conn):
    sink = make_sink()
    sink.poll_control()
    conn.execute("DROP TABLE daemon_control; DELETE FROM schema_migration WHERE version = 2")
    with pytest.raises(SinkUnavailable, match="bifrost db refresh"):
        sink.poll_control()
    assert sink.poll_control().command is None


def test_a_sink_that_was_disconnected_connects_again_when_used(make_sink, conn):
    sink = make_sink()
    sink.poll_control()
    sink.disconnect()
    sink.disconnect()
    assert sink.poll_control().command is None


# --- readers -------------------------------------------------------------------------------


def test_a_reader_sees_the_state_beside_a_running_daemon(make_sink, conn, make_batch):
    sink = make_sink()
    sink.write_snapshot({"symbol": "NVDA", "strategy_id": "gamma", "hedge_state": "EXEC_IDLE"})
    sink.write_heartbeat({"last_ts_ns": 0, "daemon_state": "RUNNING"})
    position = {"contract_key": "NVDA|STK|||", "position": 5}
    sink.write_accounts([{"account_id": "A", "summary": {"total_cash": 1}, "positions": [position]}])
    sink.write_prices([{"contract_key": "NVDA|STK|||", "last": 2.0}])
    with make_sink().reader() as reader:
        status = reader.status()
    assert status["strategies"][0]["detail"] == {"hedge_state": "EXEC_IDLE"}
    assert status["heartbeat"]["hedge_running"] is True
    assert status["run_status"] is None
    assert status["accounts"][0]["positions"][0]["position"] == 5.0
    assert status["prices"][0]["mid"] == 2.0
    assert status["now"].utcoffset().total_seconds() == 0


def test_operations_come_newest_first_within_bounds(make_sink, conn, make_batch):
    sink = make_sink()
    sink.write_audit(make_batch(1, 5))
    sink.write_audit(make_batch(6, 6, type="cancel"))
    base = 1_700_000_000
    with sink.reader() as reader:
        assert [row["jseq"] for row in reader.operations()] == [6, 5, 4, 3, 2, 1]
        assert [row["jseq"] for row in reader.operations(since=base + 2, until=base + 4)] == [4, 3, 2]
        assert [row["jseq"] for row in reader.operations(type="fill", limit=2)] == [5, 4]


def test_a_command_sent_by_a_reader_is_followed_to_its_outcome(make_sink, conn):
    sink = make_sink()
    with sink.reader() as reader:
        command_id = reader.send_command("suspend", requested_by="ann")
        assert reader.command_outcome(command_id)["consumed_at"] is None
        state = sink.poll_control()
        assert (state.command.name, state.suspended) == ("suspend", True)
        report = {"type": "suspend", "command_id": state.command.command_id, "source": "postgres"}
        sink.write_operation(report | {"outcome": "suspended"})
        assert reader.command_outcome(command_id)["outcome"] == "suspended"
        assert reader.command_outcome(99) is None


def test_a_reader_tells_what_is_wrong_with_the_tables(make_sink, conn):
    sink = make_sink()
    sink.load_settings()
    with sink.reader() as reader:
        assert reader.check() == []
        conn.execute("ALTER TABLE operations DROP COLUMN trace_id")
        assert reader.check() == ["column operations.trace_id is missing; run: bifrost db refresh"]
