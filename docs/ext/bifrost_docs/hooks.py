"""The hooks as ``hookspecs`` has them, and the values that pass through them."""

from __future__ import annotations

import inspect
import re
from collections import defaultdict
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any

import attrs

import bifrost_engine
from bifrost_docs.markdown import block, prose, table
from bifrost_docs.settings import EXAMPLE
from bifrost_engine import domain, hookspecs
from bifrost_engine.plugins import inspect as report_on
from bifrost_engine.plugins import installed

SECTION = re.compile(r"^# --- (.+?) -+$|^def (\w+)", re.MULTILINE)


def hooks() -> dict[str, list[Callable[..., Any]]]:
    """Return section → its hooks, in the order of the source."""
    found: dict[str, list[Callable[..., Any]]] = defaultdict(list)
    section = ""
    for heading, name in SECTION.findall(inspect.getsource(hookspecs)):
        section = heading or section
        function = getattr(hookspecs, name, None) if name else None
        if hasattr(function, f"{hookspecs.PROJECT}_spec"):
            found[section].append(function)
    return found


def hook_pages() -> str:
    """Return a section for each hook: signature, contract, who implements it."""
    users = _implementers()
    parts = []
    for section, functions in hooks().items():
        parts.append(f"## {section.capitalize()}\n")
        for function in functions:
            name = function.__name__
            parts += [f"### {name}\n", block(_signature(function), "python"), prose(function.__doc__) + "\n"]
            if name in uncalled():
                parts.append("*Nothing in this release calls it.*\n")
            if users[name]:
                parts.append(f"Implemented by {', '.join(users[name])}.\n")
    return "\n".join(parts)


def uncalled() -> list[str]:
    """Return the hooks that no host asks for by name."""
    root = Path(bifrost_engine.__file__).parent
    hosts = "\n".join(
        path.read_text("utf-8") for part in ("daemon", "replay") for path in (root / part).glob("*.py")
    )
    names = [function.__name__ for functions in hooks().values() for function in functions]
    return [name for name in names if f'"{name}"' not in hosts]


def _signature(function: Callable[..., Any]) -> str:
    signature = str(inspect.signature(function)).replace("'", "")
    awaited = re.fullmatch(r"(.*) -> Awaitable\[(.*)\]", signature)
    if awaited:
        return f"async def {function.__name__}{awaited[1]} -> {awaited[2]}"
    return f"def {function.__name__}{signature}"


def _implementers() -> dict[str, list[str]]:
    users: dict[str, list[str]] = defaultdict(list)
    for info in installed(("brokers", "feeds", "sinks", "strategies")):
        if info.distribution == EXAMPLE:
            continue
        for hook in report_on(info).hooks:
            users[hook].append(
                f"{info.kind.removesuffix('s').replace('strategie', 'strategy')} `{info.name}`"
            )
    return users


def context() -> str:
    """Return what a plugin gets from its host."""
    return "\n".join(_value(cls, "###") for cls in (hookspecs.PluginContext, hookspecs.Clock))


def values() -> str:
    """Return the values of the domain, each with its fields."""
    found = [value for name in sorted(domain.__all__) if isinstance(value := getattr(domain, name), type)]
    return "\n".join(_value(cls, "##") for cls in found)


def _value(cls: type, heading: str) -> str:
    parts = [f"{heading} {cls.__name__}\n"]
    first, _, rest = prose(cls.__doc__).partition("\n\n")
    parts.append(first + "\n")
    if issubclass(cls, Enum):
        parts.append(", ".join(f"`{member.value}`" for member in cls) + "\n")
    elif attrs.has(cls):
        rows = [(f"`{a.name}`", f"`{_kind(a.type)}`", _default(a)) for a in attrs.fields(cls) if a.init]
        parts.append(table(("field", "type", "default"), rows))
    if rest:
        parts.append(block(rest))
    return "\n".join(parts)


def _kind(kind: Any) -> str:
    return kind if isinstance(kind, str) else getattr(kind, "__name__", str(kind))


def _default(attribute: attrs.Attribute[Any]) -> str:
    default = attribute.default
    if default is attrs.NOTHING:
        return ""
    factory = getattr(default, "factory", None)
    if factory is not None:
        return "empty"
    return f"`{default.value if isinstance(default, Enum) else default}`"
