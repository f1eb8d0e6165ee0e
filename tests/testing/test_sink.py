"""The suite for sinks must fail for each way in which a sink can be wrong."""

from __future__ import annotations

import json

import pytest
from sqlite_sink import SqliteAuditSink, SqliteSink, opened

from bifrost_engine.domain import AuditAck
from bifrost_engine.hookspecs import hookimpl
from bifrost_engine.testing import SinkConformance


class Doubling(SqliteSink):
    @hookimpl
    def write_operation(self, operation):
        with opened(self.path) as database:
            number = database["operations"].count + 1
            key = {"journal_id": str(number), "jseq": operation["jseq"]}
            database["operations"].insert(key | {"body": dict(operation)})


class IgnoringJournal(SqliteSink):
    @hookimpl
    def write_operation(self, operation):
        super().write_operation(operation | {"journal_id": "always"})


class Forgetting(SqliteAuditSink):
    def __init__(self, config, context):
        super().__init__(config, context)
        self.path.unlink(missing_ok=True)


class KeepingTheFirst(SqliteSink):
    @hookimpl
    def write_snapshot(self, snapshot, append_history):
        with opened(self.path) as database:
            row = {"strategy_id": snapshot["strategy_id"], "body": dict(snapshot)}
            database["snapshot"].insert(row, ignore=True)


class NeedingASpot(SqliteSink):
    @hookimpl
    def write_snapshot(self, snapshot, append_history):
        super().write_snapshot(snapshot | {"spot": float(snapshot["spot"])}, append_history)


class KeepingAllHistory(SqliteSink):
    @hookimpl
    def write_snapshot(self, snapshot):
        super().write_snapshot(snapshot, True)


class BoundToItsThread(SqliteSink):
    def __init__(self, config, context):
        super().__init__(config, context)
        self.opened = opened(self.path)
        self.database = self.opened.__enter__()

    @hookimpl
    def write_operation(self, operation):
        self.database["operations"].insert({"journal_id": "a", "jseq": 1, "body": {}})


class Swallowing(SqliteAuditSink):
    @hookimpl
    def write_audit(self, batch):
        super().write_audit(batch)
        return AuditAck(last_jseq=batch.last_jseq)


class Blind(SqliteAuditSink):
    @hookimpl
    def write_audit(self, batch):
        with opened(self.path) as database:
            for row in batch.rows:
                key = {"journal_id": batch.journal_id, "jseq": row.jseq}
                database["operations"].upsert(key | {"body": {}}, pk=("journal_id", "jseq"))
        return AuditAck(last_jseq=batch.last_jseq)


class Answering(SqliteSink):
    @hookimpl
    def poll_control(self):
        return None


class Unversioned(SqliteSink):
    hook_version = None


class Idle:
    hook_version = SqliteSink.hook_version

    def __init__(self, config, context): ...


def suite_for(sink):
    """Return the suite for this class of sinks."""

    class Suite(SinkConformance):
        def make(self, context):
            return sink(None, context)

        def rows(self, subject, what):
            with opened(subject.plugin.path) as database:
                return [row | json.loads(row["body"]) for row in database[what].rows]

    return Suite()


@pytest.mark.parametrize(
    ("sink", "test", "arguments"),
    [
        (Doubling, "test_an_operation_that_comes_twice_is_kept_once_also_by_a_new_process", ()),
        (IgnoringJournal, "test_the_numbers_of_another_journal_are_other_operations", ()),
        (KeepingTheFirst, "test_a_newer_snapshot_takes_the_place_of_the_one_before", ()),
        (NeedingASpot, "test_a_snapshot_may_lack_a_value", ("spot",)),
        (KeepingAllHistory, "test_only_a_snapshot_for_the_history_is_kept_as_a_row_too", ()),
        (BoundToItsThread, "test_it_is_made_in_one_thread_and_written_to_in_another", ()),
        (Swallowing, "test_a_batch_that_does_not_follow_the_cursor_is_answered_by_it_alone", (5, 6)),
        (Blind, "test_a_batch_that_does_not_follow_the_cursor_is_answered_by_it_alone", (2, 5)),
        (Forgetting, "test_the_cursor_outlives_the_process", ()),
        (Blind, "test_an_empty_batch_only_asks_for_the_cursor", ()),
        (Answering, "test_the_control_source_answers_with_flags_and_no_command_that_nobody_gave", ()),
        (Unversioned, "test_it_states_a_hook_version_that_this_engine_takes", ()),
        (Idle, "test_every_marked_method_is_a_hook_and_some_fit_this_kind", ()),
    ],
)
def test_a_wrong_sink_fails(tmp_path, sink, test, arguments):
    suite = suite_for(sink)
    with pytest.raises(Exception) as failed:  # noqa: PT011 - in whatever way, as long as it fails
        getattr(suite, test)(tmp_path, *arguments)
    assert failed.type is not pytest.skip.Exception
