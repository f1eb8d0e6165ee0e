"""Plain values → attrs classes, with every problem collected and placed.

One checker serves Bifrost's own sections and those of plugins: a plugin's ``Config`` is
an ordinary attrs class, whose annotations say the types (str, int, float, bool, Decimal,
date, Path, Enum, Literal, optional and union types, tuple, list, dict, nested attrs
classes) and whose metadata may hold ``ge``, ``gt``, ``le``, ``lt``, ``choices``,
``pattern`` with ``form``, ``one_or_many`` and ``secret``, beside ``help`` and ``unit``.
Numbers must be numbers: no text, no true or false, no NaN, no infinity.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from enum import Enum
from functools import cache, reduce
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import attrs
from attrs import define, field

from bifrost_engine.config.section import (
    MASK,
    KeyPath,
    Problem,
    Section,
    dotted,
    is_secret,
    masked_text,
    nearest_source,
)
from bifrost_engine.errors import ConfigError

T = TypeVar("T")

INVALID: Any = object()
"""Stands for a value that was refused."""

_ITEM_LISTS: dict[Any, Callable[[list[Any]], Any]] = {
    tuple: tuple, list: list, set: set, frozenset: frozenset, Sequence: tuple,
}  # fmt: skip
_LIMITS: dict[str, tuple[Callable[[Any, Any], bool], str]] = {
    "gt": (lambda value, limit: value > limit, "above {}"),
    "ge": (lambda value, limit: value >= limit, "of {} or more"),
    "lt": (lambda value, limit: value < limit, "below {}"),
    "le": (lambda value, limit: value <= limit, "up to {}"),
}


def _whole(value: Any) -> Any:
    return value if isinstance(value, int) and not isinstance(value, bool) else INVALID


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e300:
        return INVALID
    return float(value) if math.isfinite(value) else INVALID


def _decimal(value: Any) -> Any:
    if isinstance(value, Decimal) and value.is_finite():
        return value
    number = _number(value)
    if number is INVALID:
        return INVALID
    return Decimal(int(value)) if number.is_integer() else Decimal(repr(value))


def _date(value: Any) -> Any:
    if not (isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value)):
        return value if type(value) is date else INVALID
    try:
        return date.fromisoformat(value)
    except ValueError:
        return INVALID


_SCALARS: dict[Any, tuple[Callable[[Any], Any], str]] = {
    bool: (lambda value: value if isinstance(value, bool) else INVALID, "true or false"),
    int: (_whole, "a whole number"),
    float: (_number, "a number"),
    Decimal: (_decimal, "a number"),
    str: (lambda value: value if isinstance(value, str) else INVALID, "text"),
    date: (_date, "a date such as 2026-02-25"),
    Path: (lambda value: Path(value) if isinstance(value, str) and value else INVALID, "a path"),
    NoneType: (lambda value: None if value is None else INVALID, "null"),
    Any: (lambda value: value, "any value"),
    object: (lambda value: value, "any value"),
}


@cache
def hints(cls: Any) -> Mapping[str, Any]:
    """Return the type of each attribute of an attrs class."""
    return get_type_hints(cls)


def settable(cls: Any) -> Iterator[attrs.Attribute[Any]]:
    """Yield the attributes of an attrs class that a file can set."""
    return (a for a in attrs.fields(cls) if a.init and a.metadata.get("in_file", True))


def alternatives(kind: Any) -> tuple[Any, ...]:
    """Return the members of a union, or the type itself."""
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def expected(kind: Any, metadata: Mapping[str, Any]) -> str:
    """Return what a setting allows, in words: ``a number above 0``, ``one of market, limit``."""
    texts = [_expected_one(one, metadata) for one in alternatives(kind)]
    return " or ".join(dict.fromkeys(texts))


def _expected_one(kind: Any, metadata: Mapping[str, Any]) -> str:
    if get_origin(kind) is Literal:
        return _one_of(get_args(kind))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _one_of([member.value for member in kind])
    if attrs.has(kind) or (get_origin(kind) or kind) in (dict, Mapping):
        return "a section of keys"
    if (get_origin(kind) or kind) in _ITEM_LISTS:
        items = f"a list, each {expected(_item_kind(kind), metadata)}"
        return f"{items}, or one alone" if metadata.get("one_or_many") else items
    if kind in (NoneType, bool):
        return _SCALARS[kind][1]
    if metadata.get("choices"):
        return _one_of(metadata["choices"])
    text = str(metadata.get("form", _SCALARS[kind][1] if kind in _SCALARS else kind))
    if {"ge", "le"} <= metadata.keys():
        return f"{text} from {metadata['ge']} to {metadata['le']}"
    limits = [words.format(metadata[name]) for name, (_, words) in _LIMITS.items() if name in metadata]
    return " ".join([text, " and ".join(limits)]) if limits else text


def _one_of(values: Sequence[Any]) -> str:
    return ("one of " if len(values) > 1 else "") + ", ".join(map(str, values))


def _item_kind(kind: Any) -> Any:
    return (get_args(kind) or (Any,))[0]


def found(value: Any) -> str:
    """Return a value as a message shows it, without a password in it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return f"the text '{masked_text(value)[:60]}'"
    kinds = ((Mapping, "a section"), (list | tuple, "a list"))
    return next((words for kind, words in kinds if isinstance(value, kind)), str(value)[:60])


@define
class Checker:
    """Builds attrs classes from plain values and keeps what is wrong with them.

    sources  where values came from, by path
    show     how a path is written in messages
    places   where a key belongs that was found elsewhere: name → path
    """

    sources: Mapping[KeyPath, str] = field(factory=dict)
    show: Callable[[KeyPath], str] = dotted
    places: Mapping[str, str] = field(factory=dict)
    problems: list[Problem] = field(factory=list)
    bad: set[KeyPath] = field(factory=set)

    def refuse(self, path: KeyPath, wanted: str, was: str) -> Any:
        """Note that a value isn't what was expected; returns INVALID."""
        self.bad.add(path)
        self.problems.append(
            Problem(nearest_source(self.sources, path), self.show(path), f"expected {wanted}, was {was}")
        )
        return INVALID

    def is_bad(self, path: KeyPath) -> bool:
        """Return whether the value at ``path``, or a section around it, was refused."""
        return any(path[:end] in self.bad for end in range(len(path) + 1))

    def unknown(self, path: KeyPath, allowed: Sequence[str]) -> None:
        """Note a key that isn't one of ``allowed``, with the nearest of them."""
        name = str(path[-1])
        near = difflib.get_close_matches(name, allowed, 1)
        place = self.places.get(name)
        hint = f"; did you mean {near[0]}?" if near else f"; it belongs at {place}" if place else ""
        self.refuse(path, f"{_one_of(allowed)}", f"an unknown key{hint}")

    def structure(self, cls: type[T], value: Any, path: KeyPath) -> T:
        """Return ``value`` as an instance of the attrs class ``cls``; INVALID where it can't be built.

        A setting that is refused has its default in the instance.
        """
        value = {} if value is None else value
        if not isinstance(value, Mapping):
            return self.refuse(path, "a section of keys", found(value))  # type: ignore[no-any-return]
        kinds = hints(cls)  # type: ignore[arg-type]
        known = {a.name: a for a in settable(cls)}
        for key in value:
            if key not in known:
                self.unknown((*path, key), tuple(known))
        ready: dict[str, Any] = {}
        for name, attribute in known.items():
            if name in value:
                result = self.read(kinds[name], value[name], (*path, name), attribute.metadata)
            elif attribute.default is attrs.NOTHING:
                result = self.refuse((*path, name), expected(kinds[name], attribute.metadata), "missing")
            else:
                continue
            if result is not INVALID:
                ready[attribute.alias or name] = result
        return self._build(cls, ready, path)

    def _build(self, cls: type[T], ready: Mapping[str, Any], path: KeyPath) -> T:
        if any(a.default is attrs.NOTHING and a.alias not in ready for a in settable(cls)):
            return INVALID  # type: ignore[no-any-return]
        try:
            return cls(**ready)
        except (ValueError, TypeError) as error:
            secret = [a.alias or a.name for a in settable(cls) if a.metadata.get("secret")]
            hidden = [str(ready[name]) for name in secret if ready.get(name)]
            reason = reduce(lambda text, one: text.replace(one, MASK), hidden, str(error))
            return self.refuse(path, "valid settings", f"refused: {reason}")  # type: ignore[no-any-return]

    def read(self, kind: Any, value: Any, path: KeyPath, metadata: Mapping[str, Any]) -> Any:
        """Return ``value`` as ``kind``, or INVALID after noting why not."""
        kinds = alternatives(kind)
        if value is None and NoneType in kinds:
            return None
        for one in kinds:
            origin = get_origin(one) or one
            if attrs.has(one) and (value is None or isinstance(value, Mapping) or len(kinds) == 1):
                return self.structure(one, value, path)
            if origin in _ITEM_LISTS and (isinstance(value, list | tuple) or metadata.get("one_or_many")):
                return self._items(one, value, path, metadata)
            if origin in (dict, Mapping) and isinstance(value, Mapping):
                return self._mapping(one, value, path, metadata)
            result = _scalar(one, value, metadata)
            if result is not INVALID:
                return result
        secret = metadata.get("secret") or any(map(is_secret, path))
        return self.refuse(path, expected(kind, metadata), MASK if secret else found(value))

    def _items(self, kind: Any, value: Any, path: KeyPath, metadata: Mapping[str, Any]) -> Any:
        one = _item_kind(kind)
        if isinstance(value, list | tuple):
            items = [self.read(one, item, (*path, i), metadata) for i, item in enumerate(value)]
        else:
            items = [self.read(one, value, path, metadata)]
        if any(item is INVALID for item in items):
            return INVALID
        return _ITEM_LISTS[get_origin(kind) or kind](items)

    def _mapping(
        self, kind: Any, value: Mapping[str, Any], path: KeyPath, metadata: Mapping[str, Any]
    ) -> Any:
        item = (get_args(kind) or (str, Any))[1]
        result = {str(key): self.read(item, child, (*path, key), metadata) for key, child in value.items()}
        return INVALID if any(child is INVALID for child in result.values()) else result


def _scalar(kind: Any, value: Any, metadata: Mapping[str, Any]) -> Any:
    """Return ``value`` as ``kind`` within its limits, else INVALID."""
    if get_origin(kind) is Literal:
        return next((a for a in get_args(kind) if a == value and type(a) is type(value)), INVALID)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return next((m for m in kind if m.value == value and type(m.value) is type(value)), INVALID)
    if kind not in _SCALARS:
        return INVALID
    result = _SCALARS[kind][0](value)
    if result is INVALID or result is None or isinstance(result, bool):
        return result
    within = not isinstance(result, int | float | Decimal) or all(
        test(result, metadata[name]) for name, (test, _) in _LIMITS.items() if name in metadata
    )
    allowed = not metadata.get("choices") or result in metadata["choices"]
    pattern = metadata.get("pattern")
    formed = pattern is None or (isinstance(result, str) and re.fullmatch(pattern, result) is not None)
    return result if within and allowed and formed else INVALID


def structure_section(cls: type[T], section: Mapping[str, Any] | None, path: str = "") -> T:
    """Return a plugin's section as an instance of its ``Config`` class.

    section  as the loader left it in ``Config.sections`` or ``Config.status``; None for none
    path     where it stands, for messages; without it the section's own

    Raises ConfigError with every problem, each with file, line and path.
    """
    values = {} if section is None else section
    at: KeyPath = tuple(path.split(".")) if path else ()
    sources: Mapping[KeyPath, str] = {}
    if isinstance(section, Section):
        values, sources, at = section.values_, section.sources, section.path
    checker = Checker(sources)
    result = checker.structure(cls, values, at)
    if checker.problems:
        raise ConfigError(*in_order(checker.problems))
    return result


def in_order(problems: Sequence[Problem]) -> list[str]:
    """Return problems as text, each once, by line."""
    return list(dict.fromkeys(str(p) for p in sorted(problems, key=lambda p: p.line)))
