"""A commented file from a configuration, and the table of settings that documentation is made from.

What is written loads back to the same configuration. Comments come from the schema:
help, what is allowed, unit, default.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import attrs
from attrs import frozen

from bifrost_engine.config.loader import from_values
from bifrost_engine.config.plain import plain_value, to_plain
from bifrost_engine.config.schema import Config, StrategyConfig
from bifrost_engine.config.structure import alternatives, expected, hints, settable

HEADER = """\
# Configuration of Bifrost. Every key may be left out; then it has the default that stands beside it.
# `bifrost config check` finds what is wrong with this file, `bifrost config show` shows what is in force.
"""
_PLAIN_TEXT = re.compile(r"[A-Za-z_/][A-Za-z0-9_./+-]*")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_WORDS = ("true", "false", "null", "yes", "no", "on", "off", "y", "n")


@frozen(kw_only=True)
class Setting:
    """One key of the configuration, for a reference.

    path     dotted key; for a section without a default of its own
    allowed  what it may be, in words
    default  as a file would have it; empty for a section, ``required`` without one
    """

    path: str
    help: str
    allowed: str = ""
    unit: str = ""
    default: str = ""


_REST = (
    Setting(path="strategies", help="Strategy instances, each with an id of its own"),
    Setting(path="status", help="Where state and operations are written; a section for each sink"),
    Setting(
        path="status.sink", help="Sinks, none for []", allowed="a list, each the name of a sink, or one alone"
    ),
)


def settings(cls: type, path: str = "") -> Iterator[Setting]:
    """Yield every section and key of an attrs class, in order; works for plugins' ``Config`` too."""
    for attribute in settable(cls):
        kind = hints(cls)[attribute.name]
        at = f"{path}.{attribute.name}".removeprefix(".")
        help = str(attribute.metadata.get("help", ""))
        nested = next((one for one in alternatives(kind) if attrs.has(one)), None)
        if nested is not None:
            yield Setting(path=at, help=help)
            yield from settings(nested, at)
        else:
            yield _setting(attribute, kind, at, help)


def _setting(attribute: attrs.Attribute[Any], kind: Any, path: str, help: str) -> Setting:
    given = attribute.default is not attrs.NOTHING
    default = _plain_default(attribute) if given else None
    return Setting(
        path=path,
        help=help,
        allowed=expected(kind, attribute.metadata),
        unit=str(attribute.metadata.get("unit", "")),
        default=inline(default) if given else "required",
    )


def _plain_default(attribute: attrs.Attribute[Any]) -> Any:
    """Return an attribute's default as a file would have it."""
    factory = getattr(attribute.default, "factory", None)
    return plain_value(attribute.default if factory is None else factory())


def commented_file(config: Config | Mapping[str, Any], *, plugin_names: Collection[str] = ()) -> str:
    """Return a commented YAML file of a configuration, or of plain values in a file's layout.

    Passwords are written as they are. Raises ConfigError for values that don't make a configuration.
    """
    if isinstance(config, Mapping):
        config = from_values(config, plugin_names=plugin_names).config
    known = {setting.path: setting for setting in [*settings(StrategyConfig), *settings(Config), *_REST]}
    lines = [HEADER.rstrip()]
    for key, value in to_plain(config, secrets=True).items():
        lines += [
            "",
            *(_strategies(value, known) if key == "strategies" else _entry(key, value, key, known, 0)),
        ]
    return "\n".join(lines) + "\n"


def _strategies(entries: Sequence[Mapping[str, Any]], known: Mapping[str, Setting]) -> list[str]:
    lines = [*_comment(known["strategies"], 0), "strategies:"]
    for entry in entries:
        lines.append("  -")
        for key, value in entry.items():
            lines += _entry(key, value, key, known, 4)
        known = {}
    return lines


def _entry(key: str, value: Any, path: str, known: Mapping[str, Setting], indent: int) -> list[str]:
    setting = known.get(path)
    lines = _comment(setting, indent)
    margin = " " * indent
    if isinstance(value, Mapping) and value:
        lines.append(f"{margin}{_text(key)}:")
        for child, below in value.items():
            lines += _entry(child, below, f"{path}.{child}", known, indent + 2)
    elif value is None and setting is not None and setting.default == "null":
        lines.append(f"{margin}# {key}:")
    else:
        lines.append(f"{margin}{_text(key)}: {inline(value)}")
    return lines


def _comment(setting: Setting | None, indent: int) -> list[str]:
    if setting is None or not setting.help:
        return []
    facts = [setting.allowed, setting.unit, setting.default and f"default {setting.default}"]
    known = "; ".join(fact for fact in facts if fact)
    return [f"{' ' * indent}# {setting.help}{f' ({known})' if known else ''}"]


def inline(value: Any) -> str:
    """Return a plain value as YAML on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_text(str(key))}: {inline(child)}" for key, child in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(inline, value)) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return _text(value) if isinstance(value, str) else repr(value)


def _text(text: str) -> str:
    """Return text so that it is read as this text, by other readers of YAML too."""
    if _DATE.fullmatch(text) or (_PLAIN_TEXT.fullmatch(text) and text.lower() not in _WORDS):
        return text
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    if " " <= char <= "~" or char.isalnum():
        return char
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"
