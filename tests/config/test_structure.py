"""A plugin's section is checked by its own class, as strictly as Bifrost's sections."""

# ruff: noqa: E501 - a case is easier to read on one line

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import pytest
from attrs import field, frozen, validators

from bifrost_engine.config.loader import load
from bifrost_engine.config.section import Section
from bifrost_engine.config.structure import structure_section
from bifrost_engine.errors import ConfigError


class Library(StrEnum):
    AUTO = "auto"
    INSYNC = "ib_insync"


@frozen
class Pacing:
    rate: int = field(default=35, metadata={"gt": 0})
    burst: int = 10


@frozen
class Link:
    host: str
    port: int = field(default=7497, metadata={"ge": 1, "le": 65535})
    fee: Decimal = Decimal("0.35")
    since: date | None = None
    library: Library = Library.AUTO
    mode: Literal["fast", "safe"] = "safe"
    kind: int = field(default=1, metadata={"choices": (1, 2, 3, 4)})
    pacing: Pacing = field(factory=Pacing)
    symbols: tuple[str, ...] = ()
    days: list[int] = field(factory=list)
    stale: dict[str, float] = field(factory=dict)
    extra: Mapping[str, Any] = field(factory=dict)
    folder: Path | None = None
    wait: float | Literal["never"] = "never"
    live: bool = False
    password: str = field(default="", metadata={"secret": True})
    code: int = field(default=0, metadata={"secret": True})


@frozen
class Validated:
    low: int = 1
    high: int = field(default=5, validator=validators.ge(3))
    key: str = field(default="", metadata={"secret": True})

    def __attrs_post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError(f"low is above high, key {self.key}")


def problems_of(cls: type, values: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        structure_section(cls, values, "link")
    return list(caught.value.problems)


def test_every_kind_of_annotation_is_understood():
    link = structure_section(
        Link,
        {
            "host": "h",
            "port": 1,
            "fee": 0.1,
            "since": "2026-02-25",
            "library": "ib_insync",
            "mode": "fast",
            "kind": 4,
            "pacing": {"rate": 5},
            "symbols": ["A", "B"],
            "days": [1, 2],
            "stale": {"stock": 15},
            "extra": {"any": [1, {"deep": None}]},
            "folder": "/x",
            "wait": 2,
            "live": True,
        },
    )
    assert link == Link(
        host="h",
        port=1,
        fee=Decimal("0.1"),
        since=date(2026, 2, 25),
        library=Library.INSYNC,
        mode="fast",
        kind=4,
        pacing=Pacing(rate=5),
        symbols=("A", "B"),
        days=[1, 2],
        stale={"stock": 15.0},
        extra={"any": [1, {"deep": None}]},
        folder=Path("/x"),
        wait=2.0,
        live=True,
    )


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({}, "link.host: expected text, was missing"),
        ({"host": 1}, "link.host: expected text, was 1"),
        ({"host": "h", "port": 0}, "link.port: expected a whole number from 1 to 65535, was 0"),
        ({"host": "h", "port": True}, "link.port: expected a whole number from 1 to 65535, was true"),
        ({"host": "h", "port": "7497"}, "link.port: expected a whole number from 1 to 65535, was the text '7497'"),
        ({"host": "h", "fee": "0.1"}, "link.fee: expected a number, was the text '0.1'"),
        ({"host": "h", "fee": float("nan")}, "link.fee: expected a number, was nan"),
        ({"host": "h", "since": "today"}, "link.since: expected a date such as 2026-02-25 or null, was the text 'today'"),
        ({"host": "h", "library": "none"}, "link.library: expected one of auto, ib_insync, was the text 'none'"),
        ({"host": "h", "mode": "slow"}, "link.mode: expected one of fast, safe, was the text 'slow'"),
        ({"host": "h", "kind": 5}, "link.kind: expected one of 1, 2, 3, 4, was 5"),
        ({"host": "h", "pacing": {"rate": 0}}, "link.pacing.rate: expected a whole number above 0, was 0"),
        ({"host": "h", "pacing": {"rat": 1}}, "link.pacing.rat: expected one of rate, burst, was an unknown key; did you mean rate?"),
        ({"host": "h", "pacing": 5}, "link.pacing: expected a section of keys, was 5"),
        ({"host": "h", "symbols": "A"}, "link.symbols: expected a list, each text, was the text 'A'"),
        ({"host": "h", "symbols": ["A", 2]}, "link.symbols[1]: expected text, was 2"),
        ({"host": "h", "stale": {"stock": "x"}}, "link.stale.stock: expected a number, was the text 'x'"),
        ({"host": "h", "stale": []}, "link.stale: expected a section of keys, was a list"),
        ({"host": "h", "wait": "ever"}, "link.wait: expected a number or never, was the text 'ever'"),
        ({"host": "h", "live": 1}, "link.live: expected true or false, was 1"),
        ([], "link: expected a section of keys, was a list"),
    ],
)  # fmt: skip
def test_a_problem_says_what_is_expected_and_what_was_found(values, problem):
    assert problems_of(Link, values) == [problem]


def test_no_section_is_a_section_of_defaults():
    assert structure_section(Pacing, None) == Pacing()
    assert structure_section(Pacing, Section()) == Pacing()


def test_the_lines_of_the_file_are_told():
    section = load(
        "symbol: SPY\nib:\n  host: h\n  port: 0\n  pacing:\n    rate: x\n", name="f"
    ).config.sections["ib"]
    with pytest.raises(ConfigError) as caught:
        structure_section(Link, section)
    assert caught.value.problems == (
        "f:4: ib.port: expected a whole number from 1 to 65535, was 0",
        "f:6: ib.pacing.rate: expected a whole number above 0, was the text 'x'",
    )


def test_a_missing_key_is_placed_at_its_section():
    config = load("symbol: SPY\nstatus:\n  postgres: {port: 5}\n", name="f").config
    with pytest.raises(ConfigError) as caught:
        structure_section(Link, config.status["postgres"])
    assert caught.value.problems == ("f:3: status.postgres.host: expected text, was missing",)


def test_options_of_a_strategy_plugin_are_placed_in_their_entry():
    config = load("strategies:\n- {id: a, use: dips}\n- id: b\n  use: dips\n  rate: 0\n", name="f").config
    assert structure_section(Pacing, config.strategies[0].options) == Pacing()
    with pytest.raises(ConfigError) as caught:
        structure_section(Pacing, config.strategies[1].options)
    assert caught.value.problems == ("f:5: strategies[1].rate: expected a whole number above 0, was 0",)


def test_classes_given_to_the_loader_are_checked_together_with_the_rest():
    with pytest.raises(ConfigError) as caught:
        load(
            "symbol: SPY\nib: {port: 0}\nstatus: {postgres: {rate: 0}}\nbroker: 5",
            name="f",
            section_classes={"ib": Link, "status.postgres": Pacing, "sim": Link},
        )
    assert [line.split(": ")[:2] for line in caught.value.problems] == [
        ["f:2", "ib.host"],
        ["f:2", "ib.port"],
        ["f:3", "status.postgres.rate"],
        ["f:4", "broker"],
    ]


def test_a_class_may_refuse_what_its_types_allow():
    assert problems_of(Validated, {"low": 9}) == [
        "link: expected valid settings, was refused: low is above high, key "
    ]
    (problem,) = problems_of(Validated, {"high": 2})
    assert "'high' must be >= 3: 2" in problem


def test_no_problem_shows_a_secret():
    assert problems_of(Link, {"host": "h", "password": 12345}) == ["link.password: expected text, was •••"]
    assert problems_of(Link, {"host": "h", "code": "12345"}) == [
        "link.code: expected a whole number, was •••"
    ]
    assert problems_of(Pacing, {"rate": "postgresql://me:hunter2@db/x"}) == [
        "link.rate: expected a whole number above 0, was the text 'postgresql://me:•••@db/x'"
    ]
    assert problems_of(Validated, {"low": 9, "key": "hunter2"}) == [
        "link: expected valid settings, was refused: low is above high, key •••"
    ]


def test_a_section_shows_no_secret_and_equals_its_values():
    section = Section(
        {"host": "h", "password": "hunter2", "dsn": "host=db password=hunter2"}, ("status", "postgres")
    )
    assert "hunter2" not in repr(section)
    assert section == {"host": "h", "password": "hunter2", "dsn": "host=db password=hunter2"}
    assert section != {"host": "h"}
