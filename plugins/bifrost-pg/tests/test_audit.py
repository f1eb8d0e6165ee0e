"""The audit trail of a day in the tables of a real database."""

from __future__ import annotations

import re
from enum import StrEnum
from hashlib import sha256

import psycopg
import pytest
from attrs import evolve
from bifrost_pg import drain, migrations, writes

from bifrost_engine.audit import TABLES, Row, rows_of
from bifrost_engine.domain.fill import FillKind, FillSource
from bifrost_engine.domain.order import OrderState, Origin, Side
from bifrost_engine.errors import SinkRejected, SinkUnavailable
from bifrost_engine.oms.event import EventSource, OutcomeKind
from bifrost_engine.testing.audit import batches, eventful_records

JOURNAL = "journal-a"


@pytest.fixture(scope="module")
def records():
    return eventful_records()


def stored(conn, table):
    """Return a table's rows by what names them, as plain texts."""
    key = ", ".join(TABLES[table].key)
    query = f"SELECT to_jsonb(t) - 'updated_at' FROM {table} t ORDER BY {key}"
    return [row[0] for row in conn.execute(query)]


def everything(conn):
    return {table: stored(conn, table) for table in TABLES}


def drain_all(conn, records, size):
    for batch in batches(records, size):
        assert drain.write_audit(conn, batch).last_jseq == batch.last_jseq


def test_every_table_gets_the_rows_that_the_records_make(conn, records):
    (batch,) = batches(records)
    drain_all(conn, records, size=500)
    keys = {table: set() for table in TABLES}
    for record in batch.rows:
        for row in rows_of(record, JOURNAL):
            if isinstance(row, Row):
                keys[row.table].add(tuple(row.values[name] for name in TABLES[row.table].key))
    for table, expected in keys.items():
        found = set(conn.execute(f"SELECT {', '.join(TABLES[table].key)} FROM {table}"))
        assert expected, table
        assert found == expected, table


def test_the_size_of_batches_changes_nothing(connect, records):
    conn = connect()
    found = []
    for size in (500, 7, 1):
        conn.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        migrations.refresh(conn)
        drain_all(conn, records, size)
        found.append(everything(conn))
    for table in TABLES:
        assert found[1][table] == found[0][table], table
        assert found[2][table] == found[0][table], table


def test_current_rows_are_the_newest_and_keep_what_was_learnt_without_an_event(conn, records):
    drain_all(conn, records, size=5)
    orders = conn.execute(
        "SELECT status, origin, broker_order_id IS NOT NULL, decision_jseq IS NOT NULL FROM orders"
        " ORDER BY created_at"
    ).fetchall()
    assert orders == [
        ("FILLED", "STRATEGY", True, True),
        ("REJECTED", "STRATEGY", False, True),
        ("FILLED", "STRATEGY", True, True),
        ("CANCELED", "STRATEGY", True, True),
        ("ACCEPTED", "OPERATOR", True, True),
    ]


def test_an_older_row_never_replaces_a_newer_one(conn, records):
    (batch,) = batches(records)
    drain_all(conn, records, size=500)
    before = stored(conn, "orders")
    first = next(record for record in batch.rows if record.kind == "order_event")
    old = next(iter(rows_of(first, JOURNAL)))
    write = writes._insertion(old, first.jseq, first.kind)
    conn.execute(write.statement, write.values)
    assert stored(conn, "orders") == before


def test_changes_reach_the_rows_that_they_are_about(conn, records):
    drain_all(conn, records, size=500)
    one = conn.execute
    fills = "SELECT exec_rev, commission, superseded_by FROM fills WHERE exec_base_id = %s ORDER BY exec_rev"
    assert [(r, float(c), s) for r, c, s in one(fills, ("x0",))] == [(1, 1.25, None)]
    assert [(r, s) for r, _, s in one(fills, ("x1",))] == [(1, "x1:2"), (2, None)]
    assert one("SELECT status, status_reason FROM strategy_run").fetchall() == [("STOPPED", "asked to")]
    items = "SELECT rule, ack_by, ack_note FROM reconciliation_item WHERE status = 'ACKNOWLEDGED'"
    assert one(items).fetchall() == [("R14", "test", "looked at")]
    passes = one("SELECT trigger, result, ended_at IS NOT NULL FROM reconciliation_run ORDER BY jseq")
    told = passes.fetchall()
    assert told[0] == ("STARTUP", "REPAIRED", True)
    assert ("OPERATOR", "OPEN_ITEMS", True) in told


def test_one_query_follows_the_chain_from_the_signal_to_the_fills(conn, records):
    drain_all(conn, records, size=500)
    chains = conn.execute(
        "SELECT o.client_order_id, s.jseq, r.jseq, d.jseq, min(e.jseq), min(f.jseq)"
        " FROM orders o JOIN order_decision_log d ON (d.journal_id, d.jseq) = (o.journal_id, o.decision_jseq)"
        " JOIN risk_decision_log r ON (r.journal_id, r.jseq) = (d.journal_id, d.risk_jseq)"
        " JOIN signal_snapshot_log s ON (s.journal_id, s.jseq) = (r.journal_id, r.signal_jseq)"
        " JOIN order_event_log e ON (e.journal_id, e.client_order_id) = (o.journal_id, o.client_order_id)"
        " LEFT JOIN fills f ON (f.journal_id, f.client_order_id) = (o.journal_id, o.client_order_id)"
        " GROUP BY 1, 2, 3, 4 ORDER BY 2"
    ).fetchall()
    assert len(chains) == 5
    for _, *numbers in chains:
        told = [number for number in numbers if number is not None]
        assert told == sorted(set(told))
    assert [chain[-1] is not None for chain in chains] == [True, False, True, False, False]


def test_an_order_of_ours_without_its_decision_is_refused_by_its_record(conn, records):
    changed = []
    for batch in batches(records, size=1):
        (row,) = batch.rows
        if row.kind == "order_event":
            row.payload["order"]["decision_jseq"] = None
            with pytest.raises(SinkRejected, match="orders_check") as caught:
                drain.write_audit(conn, batch)
            assert caught.value.jseq == row.jseq
            changed.append(row.jseq)
            break
        drain.write_audit(conn, batch)
    assert changed
    assert conn.execute("SELECT count(*) FROM orders").fetchone() == (0,)
    assert drain.cursor_of(conn, JOURNAL) == changed[0] - 1


def test_a_record_that_is_there_already_is_refused_and_never_passed_over(conn, records):
    (batch,) = batches(records)
    drain_all(conn, records, size=500)
    conn.execute("UPDATE drain_checkpoint SET jseq = 0; TRUNCATE status_history, operations")
    with pytest.raises(SinkRejected, match="duplicate key") as caught:
        drain.write_audit(conn, batch)
    assert batch.rows[caught.value.jseq - 1].kind == "recon"  # the first that isn't a current row


def test_a_record_that_is_not_of_its_kinds_form_is_named(conn, records):
    (batch,) = batches(records)
    row = next(row for row in batch.rows if row.kind == "risk")
    del row.payload["gates"]
    with pytest.raises(SinkRejected, match=r"\(risk\): KeyError: 'gates'") as caught:
        drain.write_audit(conn, batch)
    assert caught.value.jseq == row.jseq
    assert everything(conn) == {table: [] for table in TABLES}


def test_what_a_broker_says_is_stored_even_if_it_holds_a_nul(conn, records):
    drain_all(conn, records, size=500)
    parked = conn.execute(
        "SELECT client_order_id, payload->>'text' FROM order_event_log WHERE outcome = 'PARKED'"
    ).fetchall()
    assert parked == [(None, "a\ufffdb")]


def test_a_session_that_dies_at_its_commit_leaves_no_row_out_and_none_twice(make_sink, conn, records):
    drain_all(conn, records, size=500)
    expected = everything(conn)
    conn.execute(
        f"TRUNCATE {', '.join(TABLES)}, operations, status_history, drain_checkpoint, drain_checkpoint_log;"
        "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN IF random() < 0.4 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;"
        " RETURN NULL; END $$;"
        "CREATE CONSTRAINT TRIGGER die AFTER INSERT ON drain_checkpoint_log DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION die()"
    )
    sink, died, at = make_sink(), 0, 0
    parts = {batch.first_jseq: batch for batch in batches(records, size=4)}
    while at < len(records):
        try:
            at = sink.write_audit(parts[at + 1]).last_jseq
        except SinkUnavailable:
            died += 1
    assert died > 0
    found = everything(conn)
    assert [table for table in TABLES if found[table] != expected[table]] == []


# --- rights and earlier releases -----------------------------------------------------------


def test_a_role_that_may_not_delete_drains_and_cannot_take_anything_back(conn, connect, records):
    role = f"drain_{sha256(str(id(conn)).encode()).hexdigest()[:8]}"
    conn.execute(
        f"CREATE ROLE {role}; GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO {role};"
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}"
    )
    own = connect()
    own.execute(f"SET ROLE {role}")
    drain_all(own, records, size=20)
    assert own.execute("SELECT count(*) FROM fills").fetchone()[0] > 0
    for table in TABLES:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            own.execute(f"DELETE FROM {table}")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            own.execute(f"TRUNCATE {table} CASCADE")


@pytest.fixture
def earlier_release(connect, monkeypatch):
    """A database of a release without the audit tables."""
    conn = connect()
    conn.execute(
        "CREATE TABLE schema_migration"
        " (version integer PRIMARY KEY, applied_at timestamptz NOT NULL, checksum text NOT NULL)"
    )
    for migration in migrations.migrations()[:4]:
        conn.execute(migration.sql)
        conn.execute(
            "INSERT INTO schema_migration VALUES (%s, now(), %s)", (migration.version, migration.checksum)
        )
    return conn


@pytest.mark.parametrize("stored_before", [30, 60])
def test_an_upgrade_takes_the_trail_from_the_start_and_operations_once(
    earlier_release, records, stored_before
):
    conn = earlier_release
    (batch,) = batches(records)
    operations = [row for row in batch.rows if row.kind == "operation"]
    for row in operations:
        if row.jseq <= stored_before:
            conn.execute("INSERT INTO operations (journal_id, jseq) VALUES (%s, %s)", (JOURNAL, row.jseq))
    conn.execute("INSERT INTO status_history (symbol) SELECT 'before'")
    conn.execute("INSERT INTO drain_checkpoint VALUES (%s, %s, 'x', now())", (JOURNAL, stored_before))
    conn.execute("INSERT INTO drain_checkpoint_log VALUES (%s, %s, 'x', now())", (JOURNAL, stored_before))
    migrations.refresh(conn)
    assert drain.cursor_of(conn, JOURNAL) == 0
    drain_all(conn, records, size=10)
    numbers = [row[0] for row in conn.execute("SELECT jseq FROM operations ORDER BY jseq")]
    assert numbers == [row.jseq for row in operations]
    histories = sum(row.kind == "history" and row.jseq > stored_before for row in batch.rows)
    assert conn.execute("SELECT count(*) FROM status_history").fetchone() == (1 + histories,)
    assert len(stored(conn, "orders")) == 5


def test_a_journal_that_was_pruned_before_it_came_is_taken_with_rows_that_stand_in(conn, records):
    (batch,) = batches(records)
    first = 1 + next(row.jseq for row in batch.rows if row.payload.get("event") == "DOUBT")
    kept = evolve(batch, first_jseq=first, rows=batch.rows[first - 1 :])
    assert drain.write_audit(conn, kept).last_jseq == 0
    assert drain.write_audit(conn, evolve(kept, restart=True)).last_jseq == batch.last_jseq
    run = conn.execute("SELECT jseq < %s, config_json FROM strategy_run", (first,)).fetchall()
    assert run == [(True, {"pruned": True})]
    chains = conn.execute(
        "SELECT o.client_order_id, decision_json ? 'pruned' FROM orders o JOIN order_decision_log d"
        " ON (d.journal_id, d.jseq) = (o.journal_id, o.decision_jseq) ORDER BY 1"
    ).fetchall()
    assert chains == [(f"BF-test-gamma-{n}", n == 3) for n in (3, 4, 5)]


@pytest.mark.parametrize("lost", [5, 40])
def test_a_gap_in_the_middle_keeps_what_is_there_and_goes_on(conn, records, lost):
    (batch,) = batches(records)
    cut = next(row.jseq for row in batch.rows if row.payload.get("event") == "DOUBT")
    before = evolve(batch, last_jseq=cut - lost, rows=batch.rows[: cut - lost])
    after = evolve(batch, first_jseq=cut + 1, rows=batch.rows[cut:], restart=True)
    assert drain.write_audit(conn, before).last_jseq == cut - lost
    assert drain.write_audit(conn, after).last_jseq == batch.last_jseq
    runs = conn.execute("SELECT jseq, mode, status_reason FROM strategy_run").fetchall()
    assert runs == [(1, "PAPER", "asked to")]


def test_the_words_of_the_engine_are_those_that_the_tables_admit():
    sql = next(m.sql for m in migrations.migrations() if m.version == 5)

    def admitted(table, column):
        body = re.search(rf"CREATE TABLE {table} \((.*?)\n\);", sql, re.DOTALL).group(1)
        found = re.search(rf"CHECK \({column} IN \(([^)]*)\)\)", body)
        return set(re.findall(r"'([A-Z_]+)'", found.group(1)))

    columns: dict[tuple[str, str], type[StrEnum]] = {
        ("orders", "status"): OrderState,
        ("orders", "origin"): Origin,
        ("orders", "side"): Side,
        ("order_event_log", "source"): EventSource,
        ("order_event_log", "outcome"): OutcomeKind,
        ("fills", "kind"): FillKind,
        ("fills", "source"): FillSource,
    }
    for (table, column), words in columns.items():
        assert {str(word) for word in words} <= admitted(table, column), (table, column)
