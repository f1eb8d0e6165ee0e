"""Every key of the configuration: Bifrost's own and those of the installed plugins."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args

import attrs
import bifrost_monitor

import bifrost_engine
from bifrost_docs.markdown import block, code, prose, table
from bifrost_engine.config.layers import ENVIRONMENT
from bifrost_engine.config.layout import MOVED, RESERVED
from bifrost_engine.config.reload import HOT
from bifrost_engine.config.schema import Config
from bifrost_engine.config.section import dotted
from bifrost_engine.config.strategy import ORDER_RULES, StrategyConfig
from bifrost_engine.config.structure import alternatives, hints, settable
from bifrost_engine.config.template import Setting, settings
from bifrost_engine.plugins import installed, load

HEADER = ("key", "default", "unit", "allowed", "meaning")
READ_AS = {
    "max_orders_per_minute": r"config\.max_orders_per_minute",
    "portfolio.roll_time": r"portfolio\.roll_time",
    "status_server.host": r"\"host\", HOST",
    "status_server.port": r"\"port\", PORT",
}
"""Key → how the code reads it, where other things have an attribute of that name too."""
EXAMPLE = "bifrost-example"
SECTION_OF = {"brokers": "", "feeds": "", "sinks": "status."}
"""Kind of plugin → what stands before its name in the path of its section."""


def strategy_keys() -> str:
    """Return the keys of one strategy."""
    return _sections(StrategyConfig, "", "Keys of the strategy")


def daemon_keys() -> str:
    """Return the keys beside the strategies."""
    return _sections(Config, "", "Keys at the top")


def plugin_keys() -> str:
    """Return the keys of each installed plugin's section."""
    return "\n".join(_plugin_section(path, *found) for path, found in plugin_sections().items())


def plugin_sections() -> dict[str, tuple[type, list[str]]]:
    """Return path of a plugin's section → its ``Config`` class and who reads it."""
    found: dict[str, tuple[type, list[str]]] = {}
    for info in installed(SECTION_OF):
        if info.distribution == EXAMPLE:
            continue
        cls = getattr(load(info.kind, info.name), "Config", None)
        if cls is not None:
            path = SECTION_OF[info.kind] + info.name
            found.setdefault(path, (cls, []))[1].append(
                f"{info.kind.removesuffix('s')} of {info.distribution}"
            )
    return found


def _plugin_section(path: str, cls: type, readers: list[str]) -> str:
    parts = [f"### {path}\n", f"Read by the {' and the '.join(readers)}.\n", _sections(cls, path, "")]
    if not all(one.help for one in settings(cls)):
        parts.append(block(prose(cls.__doc__)))
    return "\n".join(parts)


def _sections(cls: type, path: str, title: str) -> str:
    """Return a table for each section of ``cls``; ``path`` is where the class itself stands."""
    rows: dict[str, list[Setting]] = defaultdict(list)
    helps = {}
    for one in settings(cls, path):
        is_section = not (one.allowed or one.default)
        helps[one.path] = one.help
        if not is_section:
            rows[one.path.rpartition(".")[0]].append(one)
    parts = []
    for section, keys in rows.items():
        if section != path:
            parts += [f"### {section}\n", f"{helps[section]}.{_hot(section)}\n"]
        elif title:
            parts.append(f"### {title}\n")
        parts.append(table(HEADER, map(_row, keys)))
    for at, nested in _items(cls, path):
        parts += [f"Each item of `{at}`:\n", table(HEADER, map(_row, settings(nested)))]
    return "\n".join(parts)


def _row(one: Setting) -> tuple[str, ...]:
    meaning = one.help.replace("``", "`")
    return code(one.path.rpartition(".")[2]), code(one.default), one.unit, one.allowed, meaning


@cache
def idle_keys() -> frozenset[str]:
    """Return Bifrost's own keys that no code reads: a file may have them, and they change nothing."""
    root = Path(bifrost_engine.__file__).parent
    files = [path for path in root.rglob("*.py") if "config" not in path.relative_to(root).parts]
    files += Path(bifrost_monitor.__file__).parent.rglob("*.py")
    code_text = "\n".join(path.read_text("utf-8") for path in files)
    keys = [
        one.path for cls in (StrategyConfig, Config) for one in settings(cls) if one.allowed or one.default
    ]
    return frozenset(key for key in keys if not re.search(_reading(key), code_text))


def _reading(key: str) -> str:
    return READ_AS.get(key, rf"\.{key.rpartition('.')[2]}\b")


def _hot(section: str) -> str:
    """Return whether a running daemon takes changes of a section."""
    return " A running daemon takes changes." if section.partition(".")[0] in (*HOT, "account") else ""


def _items(cls: type, path: str) -> Iterator[tuple[str, type]]:
    """Yield path and class of the sections that stand in a list or under free names."""
    for attribute in settable(cls):
        kind = hints(cls)[attribute.name]
        at = f"{path}.{attribute.name}".removeprefix(".")
        for one in _classes_within(kind):
            yield at, one


def _classes_within(kind: Any) -> Iterator[type]:
    for outer in alternatives(kind):
        for inner in get_args(outer):
            for one in alternatives(inner):
                if isinstance(one, type) and attrs.has(one):
                    yield one


def rules() -> str:
    """Return the rules between keys."""
    rows = [(code(r.lower), "<" if r.strict else "≤", code(r.upper)) for r in ORDER_RULES]
    return table(("key", "", "key"), rows)


def old_names() -> str:
    """Return the places and names of early versions with what replaced them."""
    moved = [(code(old), "moved, with a warning", code(new)) for old, new in MOVED.items()]
    refused = [(code(old), "refused", code(new)) for old, new in RESERVED.items()]
    return table(("early name", "", "now"), moved + refused)


def environment() -> str:
    """Return the variables that override keys."""
    rows = [(code(variable), code(dotted(path))) for variable, path in ENVIRONMENT.items()]
    return table(("variable", "key"), rows)
