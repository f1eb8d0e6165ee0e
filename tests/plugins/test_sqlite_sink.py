from __future__ import annotations

import json

from sqlite_sink import SqliteAuditSink, SqliteSink, opened

from bifrost_engine.testing import SinkConformance, make_context


class TestSqliteSink(SinkConformance):
    sink = SqliteSink

    def make(self, context):
        return self.sink(self.sink.Config(), context)

    def rows(self, subject, what):
        with opened(subject.plugin.path) as database:
            return [row | json.loads(row["body"]) for row in database[what].rows]


class TestSqliteAuditSink(TestSqliteSink):
    sink = SqliteAuditSink


def test_a_command_is_taken_once_and_the_oldest_first(tmp_path):
    sink = SqliteSink(SqliteSink.Config(), make_context(tmp_path))
    with opened(sink.path) as database:
        database["control"].insert_all([{"command": "suspend"}, {"command": "stop"}])
    taken = [sink.poll_control().command for _ in range(3)]
    assert [command and command.name for command in taken] == ["suspend", "stop", None]
