"""The reference has an entry for everything that the code has, and for nothing else."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from datetime import date
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
from bifrost_docs import commands, errors, generated, hooks, settings

import bifrost_engine
from bifrost_engine import hookspecs
from bifrost_engine.cli.main import COMMANDS
from bifrost_engine.config.schema import Config
from bifrost_engine.config.strategy import StrategyConfig
from bifrost_engine.domain.control import COMMANDS as CONTROL_COMMANDS
from bifrost_engine.domain.control import OPERATOR_COMMANDS
from bifrost_engine.domain.rows import SNAPSHOT_DETAIL, SNAPSHOT_FIELDS
from bifrost_engine.engine.blotter import OPERATION_OF
from bifrost_engine.risk.chain import CHAIN
from bifrost_engine.stats.figures import figures
from bifrost_engine.stats.tally import Cell
from bifrost_engine.strategies.gamma.dimensions import WORDS
from bifrost_engine.strategies.gamma.scalper import HEDGEABLE

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
PACKAGE = Path(bifrost_engine.__file__).parent


def page(name: str) -> str:
    return (REFERENCE / f"{name}.md").read_text("utf-8")


def rows(text: str) -> list[list[str]]:
    """Return the cells of every table of a page, header and rule left out."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [
        [cell.strip() for cell in line.replace("\\|", "/").strip("|").split("|")]
        for before, line in zip(["", *lines], lines, strict=False)
    ]
    rules = [i for i, row in enumerate(cells) if set(row[0]) == {"-"}]
    return [row for i, row in enumerate(cells) if i not in rules and i + 1 not in rules]


def section(text: str, heading: str) -> str:
    """Return what stands under ``## heading``."""
    return text.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def unquoted(cell: str) -> str:
    return cell.strip("`*")


def calls(name: str) -> Iterator[ast.Call]:
    """Yield each call of a method or function of that name in the engine."""
    for path in (PACKAGE / "engine").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", None) == name:
                yield node


def first_texts(name: str) -> set[str]:
    """Return the texts that calls of ``name`` are given first."""
    return {
        node.args[0].value for node in calls(name) if node.args and isinstance(node.args[0], ast.Constant)
    }


@cache
def filled(name: str) -> str:
    """Return a page as Sphinx gets it."""
    return generated.filled(page(name))


# --- written by hand --------------------------------------------------------------------


def test_gates_stand_in_the_order_of_the_chain_with_what_bypasses_and_obeys_them():
    told = [
        (int(n), unquoted(gate), forced, flatten)
        for n, gate, _, _, forced, flatten in rows(page("gates").split("\n## ")[0])
    ]
    yes = {True: "yes", False: ""}
    chain = [(n, gate.name, yes[gate.force], yes[gate.flatten]) for n, gate in enumerate(CHAIN, start=1)]
    assert told == chain


def test_the_limit_that_a_gate_names_is_a_key_or_section_of_the_configuration():
    known = {key.path for cls in (StrategyConfig, Config) for key in settings.settings(cls)}
    limits = [
        unquoted(limit)
        for row in rows(page("gates").split("\n## ")[0])
        for limit in row[3].split(", ")
        if limit
    ]
    assert set(limits) <= known | {"gates.strategy.earnings"}


def test_dimensions_have_their_words_and_bold_ones_allow_a_hedge():
    found = rows(page("dimensions"))
    assert {unquoted(code): word for code, word, _ in found} == WORDS
    bold = {unquoted(code) for code, _, _ in found if code.startswith("**")}
    assert bold == set(HEDGEABLE)


def test_each_type_of_operation_is_told_and_no_other():
    told = {unquoted(row[0]) for row in rows(section(page("records"), "Operations"))}
    made = first_texts("operation") | first_texts("order_operation") | set(OPERATION_OF.values())
    assert told == made | set(CONTROL_COMMANDS) | set(OPERATOR_COMMANDS)


def test_each_kind_of_record_is_told_and_no_other():
    told = {unquoted(row[0]) for row in rows(section(page("records"), "The journal"))}
    assert told == first_texts("record") | {"repair"}  # the one that no engine makes


def test_each_figure_of_the_statistics_is_told_and_no_other():
    text = page("statistics")
    heads = [{unquoted(name) for name in row[0].split(", ")} for row in rows(text)]
    told = set().union(*heads)
    empty = figures([Cell("gamma", date(2025, 3, 3))])
    assert told == {"period", "strategy", *empty, *empty["pnl_by_day"]}
    assert [name for name in empty["slippage"] if f"`{name}`" not in text] == []


def test_snapshot_fields_are_named():
    told = section(page("records"), "Snapshots")
    assert [name for name in (*SNAPSHOT_FIELDS, *SNAPSHOT_DETAIL) if f"`{name}`" not in told] == []


def test_the_database_is_described_table_by_table_and_column_by_column():
    migrations = pytest.importorskip("bifrost_pg.migrations", reason="needs bifrost-pg")
    text = page("database")
    expected = {
        table: [tuple(column.split()) for column in columns.split(", ")]
        for table, columns in migrations.TABLES.items()
    }
    told = {
        heading: [(unquoted(column), kind) for column, kind, _ in rows(section(text, heading))]
        for heading in (line[3:] for line in text.splitlines() if line.startswith("## "))
    }
    assert told == expected


# --- generated --------------------------------------------------------------------------


def test_pages_ask_for_all_that_can_be_made_and_for_nothing_else():
    text = "".join(page(path.stem) for path in REFERENCE.glob("*.md"))
    assert set(generated.MARK.findall(text)) == set(generated.MAKERS)
    assert text.count("<!-- generated") == len(generated.MAKERS)


@pytest.mark.parametrize("cls", [StrategyConfig, Config])
def test_every_key_has_its_row_and_says_what_it_is_for(cls):
    keys = [one for one in settings.settings(cls) if one.allowed or one.default]
    told = {unquoted(row[0]) for row in rows(filled("configuration"))}
    assert [key.path for key in keys if key.path.rpartition(".")[2] not in told] == []
    assert [key.path for key in keys if not key.help] == []


def test_every_plugin_section_has_its_heading():
    sections = settings.plugin_sections()
    assert sections
    assert [path for path in sections if f"\n### {path}\n" not in filled("configuration")] == []


def test_there_is_no_key_that_no_code_reads():
    assert settings.idle_keys() == set()


def test_every_metric_is_in_the_table():
    code = ast.parse((PACKAGE / "daemon" / "metrics.py").read_text("utf-8"))
    made = {
        node.args[0].value
        for node in ast.walk(code)
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") in ("_gauge", "_counter", "_histogram")
        and isinstance(node.args[0], ast.Constant)
    }
    told = {unquoted(row[0]) for row in rows(page("metrics"))}
    assert {f"bifrost_{name}" for name in (*made, "net", "day_pnl")} == {
        name for name in told if name.startswith("bifrost_") and not name.startswith("bifrost_monitor_")
    }


def counted_by(plugin: str) -> set[str]:
    """Return the events that the code of an installed plugin counts."""
    found = find_spec(plugin)
    assert found is not None
    assert found.submodule_search_locations
    calls = [
        node
        for path in Path(found.submodule_search_locations[0]).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("self._count", "self._context.count")
    ]
    named = [node for call in calls for node in ast.walk(call.args[0])]
    return {node.value for node in named if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def test_every_event_that_a_plugin_counts_is_in_the_table():
    counted = {(name, event) for name in ("ib", "pg", "paper") for event in counted_by(f"bifrost_{name}")}
    told = {(unquoted(row[0]), unquoted(row[1])) for row in rows(page("metrics")) if len(row) == 3}
    assert ("ib", "handler_error") in counted
    assert counted == {pair for pair in told if not pair[0].startswith("bifrost_")}


def test_every_hook_has_its_heading_and_its_contract():
    names = [name for name, value in vars(hookspecs).items() if hasattr(value, "bifrost_spec")]
    assert names
    for name in names:
        _, found, rest = filled("hooks").partition(f"\n### {name}\n")
        assert found, name
        signature = inspect.signature(getattr(hookspecs, name))
        assert all(f"{parameter}:" in rest.partition("\n### ")[0] for parameter in signature.parameters), name
    assert {f.__name__ for functions in hooks.hooks().values() for f in functions} == set(names)


def test_every_subcommand_has_its_heading():
    assert [name for name in COMMANDS if f"\n## bifrost {name}\n" not in filled("commands")] == []
    walked = [context.command_path for context, _ in commands.walk()]
    assert [path for path in walked if f"## {path}\n" not in filled("commands")] == []


def test_every_error_is_in_the_tree_and_in_the_table():
    names = [cls.__name__ for cls in errors.classes()]
    assert [name for name in names if name not in errors.tree()] == []
    assert [name for name in names if f"| `{name}` |" not in filled("errors")] == []
