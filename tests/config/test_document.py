"""YAML text → values with lines."""

# ruff: noqa: E501 - a case is easier to read on one line

from __future__ import annotations

import time

import pytest

from bifrost_engine.config.document import MAX_BYTES, parse, parse_value
from bifrost_engine.errors import ConfigError


def problems_of(text: str) -> list[str]:
    try:
        return [str(problem) for problem in parse(text, "f")[1]]
    except ConfigError as error:
        return list(error.problems)


def test_every_value_knows_its_line():
    document, problems = parse("a: 1\nb:\n  c: [x,\n    y]\n", "f.yaml")
    assert problems == []
    assert document.values == {"a": 1, "b": {"c": ["x", "y"]}}
    assert document.sources[("a",)] == "f.yaml:1"
    assert document.sources[("b", "c")] == "f.yaml:3"
    assert document.sources[("b", "c", 1)] == "f.yaml:4"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("25", 25),
        ("-3", -3),
        ("0.5", 0.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("true", True),
        ("null", None),
        ("~", None),
        ("", None),
        ("17:00", "17:00"),
        ("yes", "yes"),
        ("ON", "ON"),
        ("010", "010"),
        ("1_000", "1_000"),
        ("2026-02-25", "2026-02-25"),
        ("'25'", "25"),
        ("!!str 25", "25"),
        ("[2026-02-25, 7]", ["2026-02-25", 7]),
    ],
)
def test_scalars_are_read_as_yaml_1_2_has_them(text, value):
    assert parse_value(text, "f") == (value, [])
    assert type(parse_value(text, "f")[0]) is type(value)


def test_a_ticker_that_older_yaml_takes_for_a_truth_value_stays_text():
    assert parse("symbol: ON\n", "f")[0].values == {"symbol": "ON"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\na: 2\n", "f:2: a: expected once, was given on line 1 too"),
        ("x:\n  b: 1\n  c: 2\n  b: 3\n", "f:4: x.b: expected once, was given on line 2 too"),
        ("x:\n- a: 1\n- a: 1\n  a: 2\n", "f:4: x[1].a: expected once, was given on line 3 too"),
        ("a: 1\nb: *nothing\n", "f:2: expected a known anchor, was *nothing"),
        ("a: &x\n  b: *x\n", "f:2: expected a finished value, was *x inside itself"),
        ("a: 1\n---\nb: 2\n", "f:2: expected one document, was a second one (---)"),
        ("a: 1\nb: !!python/name:os.system x\n", "f:2: expected a value without a tag, was tag:yaml.org,2002:python/name:os.system"),
        ("a: !env {b: 1}\n", "f:1: expected a value without a tag, was !env"),
        ("1: 2\n", "f:1: expected a name before the colon, was 1"),
        ("a: 1\n? [b]\n: 2\n", "f:2: expected a name before the colon, was a list"),
        ("- a\n", "f:1: expected keys with values, was a list"),
        ("just text\n", "f:1: expected keys with values, was just text"),
        ("a: 1\nb: {c: 2\n", "f:3: expected YAML, was unreadable: did not find expected ',' or '}'"),
        ("a: b: c\n", "f:1: expected YAML, was unreadable: mapping values are not allowed in this context"),
        ("a: 1\nb: \x07\n", "f:2: expected printable text, was a control character"),
        ("a: 1\nb: \ud800\n", "f:2: expected text, was half a character"),
        ("a: 1\n<<: 3\n", "f:2: <<: expected a section to merge, was 3"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_told_with_its_line(text, problem):
    assert problems_of(text) == [problem]


def test_nested_too_deeply_is_refused_at_once():
    started = time.perf_counter()
    assert problems_of("a: " + "[" * 500_000) == ["f:1: expected at most 20 levels, was deeper"]
    assert time.perf_counter() - started < 5
    assert problems_of("a: " + "[" * 19 + "]" * 19) == []


def test_aliases_cannot_nest_more_deeply_than_the_text_may():
    lines = ["a0: &a0 [1]"] + [f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 30)]
    assert problems_of("\n".join(lines)) == ["f:20: expected at most 20 levels, was deeper, aliases followed"]


def test_multiplying_aliases_are_refused():
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    # 10 values in a0, 111 with the lists in a1, 1 111, 11 111 in a3, 111 111 in a4 on line 5.
    assert problems_of("\n".join(lines)) == ["f:5: expected at most 20000 values, was more, aliases followed"]


def test_a_document_beyond_the_size_limit_is_refused():
    assert problems_of("a: " + "x" * MAX_BYTES) == ["f:1: expected at most 1048576 bytes, was more"]
    assert problems_of("a: " + "é" * (MAX_BYTES // 2)) == ["f:1: expected at most 1048576 bytes, was more"]


def test_aliases_and_merges_are_followed():
    document, problems = parse("base: &b {x: 1, y: 2}\nmore:\n  <<: *b\n  y: 3\nsame: *b\n", "f")
    assert problems == []
    assert document.values == {"base": {"x": 1, "y": 2}, "more": {"x": 1, "y": 3}, "same": {"x": 1, "y": 2}}
    assert document.sources[("more", "y")] == "f:4"
    assert document.sources[("more", "x")] == "f:1"


def test_of_several_merged_sections_the_first_wins():
    document, _ = parse("a: &a {x: 1}\nb: &b {x: 2, y: 2}\nc: {<<: [*a, *b]}\n", "f")
    assert document.values["c"] == {"x": 1, "y": 2}


def test_an_empty_document_has_no_values():
    for text in ("", "# nothing\n", "---\n", "null\n"):
        assert parse(text, "f")[0].values == {}


def test_an_error_of_yaml_shows_nothing_of_the_text():
    assert "hunter2" not in problems_of("password: hunter2\nb: {c: hunter2\n")[0]
