from __future__ import annotations

import json

import pytest
from bifrost_example.jsonl import JsonlSink

from bifrost_engine.errors import ConfigError, SinkUnavailable
from bifrost_engine.testing import SinkConformance, make_config, make_context, make_operation


class TestJsonlSink(SinkConformance):
    def make(self, context):
        return JsonlSink(JsonlSink.Config(), context)

    def rows(self, subject, what):
        return [json.loads(line) for line in subject.plugin.path.read_text().splitlines()]


def sink_in(folder, **section):
    return JsonlSink(make_config(JsonlSink.Config, **section), make_context(folder))


def written(sink):
    return [json.loads(line)["jseq"] for line in sink.path.read_text().splitlines()]


def test_a_line_torn_by_a_crash_is_written_again_whole(tmp_path):
    sink = sink_in(tmp_path)
    sink.write_operation(make_operation(1))
    with sink.path.open("a") as file:
        file.write('{"journal_id": "journal-a", "js')
    again = sink_in(tmp_path)
    again.write_operation(make_operation(1))
    again.write_operation(make_operation(2))
    assert written(again) == [1, 2]


def test_an_unwritable_file_is_offered_the_same_operation_later(tmp_path):
    sink = sink_in(tmp_path, path="later/operations.jsonl")
    with pytest.raises(SinkUnavailable, match="later"):
        sink.write_operation(make_operation(1))
    sink.path.parent.mkdir()
    sink.write_operation(make_operation(1))
    assert written(sink) == [1]


def test_the_file_can_be_elsewhere(tmp_path):
    elsewhere = tmp_path / "elsewhere.jsonl"
    assert sink_in(tmp_path / "state", path=str(elsewhere)).path == elsewhere


def test_an_empty_path_is_refused():
    with pytest.raises(ConfigError, match="path"):
        make_config(JsonlSink.Config, path="")
