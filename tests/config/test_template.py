"""A written file loads back to what it was written from; what can't be loaded is told, never raised raw."""

# ruff: noqa: E501 - a case is easier to read on one line

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal, get_args, get_origin

import attrs
import pytest
import yaml
from attrs import evolve, field, frozen
from hypothesis import HealthCheck, assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from bifrost_engine.config.loader import from_values, load
from bifrost_engine.config.plain import leaves, to_plain
from bifrost_engine.config.schema import ORDER_RULES, Config, StrategyConfig
from bifrost_engine.config.structure import alternatives, hints, settable
from bifrost_engine.config.template import commented_file, inline, settings
from bifrost_engine.errors import ConfigError

TIED = {"daemon.lock_silence_seconds", "daemon.takeover_wait_seconds"}
ORDERED = TIED | {path for rule in ORDER_RULES for path in (rule.lower, rule.upper)}
PATTERNED = {
    "id": ["a", "spy-2", "gamma"],
    "use": ["gamma"],
    "symbol": ["SPY", "BRK B", "ON", "1"],
    "instance": ["x", "A-1"],
    "roll_time": ["00:00", "23:59"],
    "roll_tz": ["UTC", "Europe/Berlin"],
    "instrument": ["NVDA|STK|||", "NVDA|OPT|20260116|72.5|C"],
    "claims": [[], ["old", "older"]],
}
RAW = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1, max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
NO_MERGE = RAW.filter(lambda value: "<<" not in repr(value))


def values_of(kind: Any, metadata: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    """Return what the schema says that a setting allows."""
    kinds = alternatives(kind)
    if len(kinds) > 1:
        return st.one_of(*(values_of(one, metadata) for one in kinds))
    if kind is type(None):
        return st.none()
    if get_origin(kind) is Literal:
        return st.sampled_from(get_args(kind))
    if get_origin(kind) is tuple:
        return st.lists(values_of(get_args(kind)[0], metadata), max_size=3)
    if attrs.has(kind):
        return section_of(kind)
    low, high = metadata.get("ge", metadata.get("gt", -1000)), metadata.get("le", metadata.get("lt", 10**6))
    open_low = "gt" in metadata
    scalars = {
        bool: st.booleans(),
        int: st.integers(low + open_low, high),
        float: st.floats(low, high, exclude_min=open_low)
        | st.integers(int(low) + 1, max(int(high), int(low) + 1)),
        Decimal: st.integers(1, 10**9) | st.floats(0.01, 1e6),
        str: st.text(max_size=12),
    }
    return scalars.get(kind, st.dates().map(str))


@st.composite
def section_of(draw: Any, cls: type, path: str = "") -> dict[str, Any]:
    """Return some settings of an attrs class, those apart that rules tie together."""
    drawn = {}
    for attribute in settable(cls):
        at = f"{path}.{attribute.name}".removeprefix(".")
        if at in ORDERED or (attribute.default is not attrs.NOTHING and draw(st.booleans())):
            continue
        kind = hints(cls)[attribute.name]
        if attribute.name in PATTERNED:
            drawn[attribute.name] = draw(st.sampled_from(PATTERNED[attribute.name]))
        elif attrs.has(kind):
            drawn[attribute.name] = draw(section_of(kind, at))
        else:
            drawn[attribute.name] = draw(values_of(kind, attribute.metadata))
    return drawn


@st.composite
def files(draw: Any) -> dict[str, Any]:
    """Return plain values in the layout of a file."""
    values = draw(section_of(Config))
    values.pop("broker", None)
    entries = draw(st.lists(section_of(StrategyConfig), min_size=1, max_size=3))
    for index, entry in enumerate(entries):
        entry.pop("claims", None)
        entry.update(symbol=entry.get("symbol", "SPY"), id=f"s{index}" if index else entry.get("id", "gamma"))
    if draw(st.booleans()):
        entries[0].update(use="dips", **{"depth of it": draw(NO_MERGE)})
    values["strategies"] = entries
    values["status"] = {"sink": draw(st.lists(st.sampled_from(["postgres", "file"]), unique=True))}
    values["status"]["postgres"] = draw(
        st.dictionaries(st.text(min_size=1, max_size=9), NO_MERGE, max_size=3)
    )
    values["sim"] = draw(st.dictionaries(st.text(min_size=1, max_size=9), NO_MERGE, max_size=3))
    assume("<<" not in repr(values))
    return values


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(files())
def test_a_written_file_loads_back_to_the_same_configuration(values):
    config = from_values(values).config
    loaded = load(commented_file(config), name="f")
    assert loaded.config == config
    assert loaded.warnings == ()
    assert from_values(to_plain(config, secrets=True)).config == config


def test_the_defaults_load_back_and_other_readers_of_yaml_read_the_same():
    text = commented_file({"symbol": "NVDA", "gates": {"strategy": {"earnings": {"dates": []}}}})
    config = load(text).config
    assert config == load("symbol: NVDA\nstatus: {sink: []}").config
    read = yaml.safe_load(text)
    assert read["gates"]["state"]["delta"] == {
        "epsilon_band": 10,
        "threshold_hedge_shares": 25,
        "max_delta_limit": 500,
    }
    assert read["portfolio"]["roll_time"] == "17:00"


def test_thresholds_that_are_tied_together_load_back():
    values = {"symbol": "SPY", "gates": {"guard": {"risk": {"max_net_delta_shares": 11.5}}, "state": {"delta": {"epsilon_band": 0.1}}}}  # fmt: skip
    config = from_values(values).config
    assert load(commented_file(config)).config == config


def test_every_key_stands_in_the_file_with_its_help():
    text = commented_file({"symbol": "NVDA"})
    lines = text.splitlines()
    for _, path in leaves(to_plain(Config(strategies=(StrategyConfig(),)))):
        name = path[-1]
        at = next(i for i, line in enumerate(lines) if line.strip().startswith((f"{name}:", f"# {name}:")))
        assert lines[at - 1].strip().startswith("# ")
    assert (
        "      # Up to this |net delta| nothing is done (a number of 0 or more; shares; default 10)" in lines
    )


def test_a_setting_that_is_not_set_is_left_as_a_comment():
    text = commented_file({"symbol": "NVDA"})
    assert "      # max_net_delta_shares:\n" in text
    assert "      max_net_delta_shares: 40\n" in commented_file(
        {"symbol": "NVDA", "gates": {"guard": {"risk": {"max_net_delta_shares": 40}}}}
    )


def test_several_strategies_are_written_as_a_list():
    config = from_values({"strategies": [{"id": "a", "symbol": "SPY"}, {"id": "b", "symbol": "QQQ"}]}).config
    text = commented_file(config)
    assert text.count("\n  -\n") == 2
    assert load(text).config == config


def test_values_that_make_no_configuration_are_refused():
    with pytest.raises(ConfigError, match="symbol"):
        commented_file({"greeks": {}})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("no", '"no"'),
        ("NVDA", "NVDA"),
        ("17:00", '"17:00"'),
        ("2026-02-25", "2026-02-25"),
        ("a: b", '"a: b"'),
        ("", '""'),
        ('say "\\"', '"say \\"\\\\\\""'),
        ("\x85\U0001f600", '"\\u0085\\U0001f600"'),
        (None, "null"),
        (True, "true"),
        ([1, {"a b": 0.5}], '[1, {"a b": 0.5}]'),
    ],
)
def test_values_are_written_so_that_they_are_read_as_they_are(value, text):
    assert inline(value) == text
    assert yaml.safe_load(f"x: {text}")["x"] == value or value == "2026-02-25"


def test_the_reference_lists_every_key_with_type_unit_and_default():
    rows = {row.path: row for row in settings(StrategyConfig)}
    row = rows["gates.strategy.structure.atm_band_pct"]
    assert (row.allowed, row.unit, row.default) == ("a number above 0 and up to 1", "fraction", "0.03")
    assert rows["greeks.volatility"].allowed == "a number above 0 and up to 5 or implied"
    assert rows["gates"].default == ""
    assert rows["claims_external"].allowed == "a list, each a section of keys, or one alone"
    assert {row.path for row in settings(Config)} >= {"oms.ack_timeout", "account.max_repeats", "feed"}
    assert all(row.help for row in [*rows.values(), *settings(Config)])


def test_the_reference_serves_a_plugins_class():
    @frozen
    class Own:
        host: str = field(metadata={"help": "Where it is"})
        port: int = 5

    assert [(s.path, s.help, s.default) for s in settings(Own, "own")] == [
        ("own.host", "Where it is", "required"),
        ("own.port", "", "5"),
    ]


# --- anything may be in a file -------------------------------------------------------------


SEED = commented_file(
    evolve(
        from_values(
            {"strategies": [{"id": "a", "symbol": "SPY"}, {"id": "b", "use": "dips", "x": [1]}]}
        ).config,
        feed="sim",
    )
)
PIECES = st.sampled_from(
    ["*a", "&a ", "<<: ", "- ", "? ", ": ", "{", "}", "[", "]", "'", '"', "!!int ", "---\n", "\t", "null", "yes", ".nan",
     "1e999", "9" * 60, "\x00", "\ud800", "\u2028", "strategies", "gates:", "state_space:", "delta: 5\n", "#", "|\n", "%"]
)  # fmt: skip


@st.composite
def mutated(draw: Any) -> str:
    text = SEED if draw(st.booleans()) else "\n".join(line for line in SEED.splitlines() if "#" not in line)
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 40)))
        text = text[:start] + draw(PIECES | st.text(max_size=6) | st.just(text[end : end + 60])) + text[end:]
    return text


def problems_of(read: Any, *what: Any, **how: Any) -> tuple[str, ...]:
    try:
        read(*what, **how)
    except ConfigError as error:
        return error.problems
    return ()


@hypothesis_settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(mutated())
def test_a_mutated_file_raises_nothing_but_a_configuration_error(text):
    assert all(problem.startswith("f:") for problem in problems_of(load, text, name="f"))


@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.dictionaries(
        st.sampled_from([a.name for a in [*settable(StrategyConfig), *settable(Config)]] + ["strategies", "status", "ib", "delta", "risk", "state_space"]),
        NO_MERGE | st.dictionaries(st.sampled_from(["risk", "delta", "sink", "state", "guard", "port", "dates"]), NO_MERGE, max_size=3),
        max_size=6,
    )
)  # fmt: skip
def test_any_values_raise_nothing_but_a_configuration_error(values):
    assert all(": expected " in problem for problem in problems_of(from_values, values))


def test_an_old_key_beside_a_list_of_strategies_is_refused_with_its_line():
    text = "delta: 5\nstrategies:\n  - {id: a, symbol: SPY}\n"
    (problem,) = problems_of(load, text, name="f")
    assert problem.startswith("f:1: gates: expected inside an entry of strategies")
