"""YAML text → plain values with the line of each.

Reads the event stream, so that deep nesting and multiplying aliases are stopped while
they are read. Scalars are read as YAML 1.2 has them: ``17:00``, ``on``, ``NO`` and
``010`` are text, and what a key expects decides whether text will do. Nothing here knows
which keys are allowed.
"""

from __future__ import annotations

import re
from typing import Any

from attrs import define, field, frozen

from bifrost_engine.config.section import Document, KeyPath, Problem, dotted
from bifrost_engine.errors import ConfigError

MAX_BYTES = 1 << 20
MAX_DEPTH = 20
MAX_NODES = 20_000
"""Limits of a document; nodes are counted after aliases are followed."""

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,39})")
_NUMBER = re.compile(
    r"[-+]?([0-9]{1,40}\.[0-9]{0,40}|\.[0-9]{1,40}|[0-9]{1,40}(?=[eE]))([eE][-+]?[0-9]{1,4})?"
)
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_TEXT_TAGS = ("tag:yaml.org,2002:str", "!")


def plain_scalar(text: str) -> Any:
    """Return the value of an unquoted scalar: None, bool, int, float, or the text itself."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else text


@frozen
class _Node:
    """A value that was read; ``value`` holds further nodes in a dict or list.

    plain  an unquoted scalar
    """

    value: Any
    line: int
    size: int = 1
    depth: int = 1
    plain: bool = False


@define
class _Frame:
    """A mapping or list that isn't closed yet."""

    line: int
    anchor: str | None
    mapping: bool
    entries: list[tuple[_Node, _Node]] = field(factory=list)
    key: _Node | None = None


class _Unreadable(Exception):
    """The document can't be read on."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


_NO_KEY = _Node(None, 0)


@define
class _Builder:
    """Takes events; ``lines`` says whether a line is part of a problem's source."""

    name: str
    lines: bool = True
    problems: list[Problem] = field(factory=list)
    frames: list[_Frame] = field(factory=list)
    anchors: dict[str, _Node | None] = field(factory=dict)
    root: _Node | None = None
    documents: int = 0

    def take(self, event: Any) -> None:
        action = getattr(self, f"_{type(event).__name__}", None)
        if action is not None:
            action(event, event.start_mark.line + 1)

    def _DocumentStartEvent(self, event: Any, line: int) -> None:  # noqa: N802
        self.documents += 1
        if self.documents > 1:
            raise _Unreadable(line, "expected one document, was a second one (---)")

    def _MappingStartEvent(self, event: Any, line: int) -> None:  # noqa: N802
        self._open(event, line, mapping=True)

    def _SequenceStartEvent(self, event: Any, line: int) -> None:  # noqa: N802
        self._open(event, line, mapping=False)

    def _open(self, event: Any, line: int, mapping: bool) -> None:
        if event.tag not in (None, "!"):
            raise _Unreadable(line, f"expected a value without a tag, was {event.tag}")
        if len(self.frames) >= MAX_DEPTH:
            raise _Unreadable(line, f"expected at most {MAX_DEPTH} levels, was deeper")
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        self.frames.append(_Frame(line, event.anchor, mapping))

    def _ScalarEvent(self, event: Any, line: int) -> None:  # noqa: N802
        if event.tag not in (None, *_TEXT_TAGS):
            raise _Unreadable(line, f"expected a value without a tag, was {event.tag}")
        plain = event.tag is None and event.implicit[0]
        self._add(_Node(plain_scalar(event.value) if plain else event.value, line, plain=plain), event.anchor)

    def _AliasEvent(self, event: Any, line: int) -> None:  # noqa: N802
        if event.anchor not in self.anchors:
            raise _Unreadable(line, f"expected a known anchor, was *{event.anchor}")
        node = self.anchors[event.anchor]
        if node is None:
            raise _Unreadable(line, f"expected a finished value, was *{event.anchor} inside itself")
        self._add(node, None)

    def _MappingEndEvent(self, event: Any, line: int) -> None:  # noqa: N802
        frame = self.frames.pop()
        entries: dict[str, _Node] = {}
        lines: dict[str, int] = {}
        for key, node in frame.entries:
            if not isinstance(key.value, str) or not key.value:
                self._problem(
                    key.line, f"expected a name before the colon, was {_what(key.value)}", *self._path()
                )
            elif key.value in lines:
                first = lines[key.value]
                self._problem(
                    key.line, f"expected once, was given on line {first} too", *self._path(), key.value
                )
            else:
                lines[key.value] = key.line
                entries[key.value] = _Node(node.value, key.line, node.size, node.depth)
        if "<<" in entries:
            entries = {**self._merged(entries.pop("<<")), **entries}
        self._close(frame, entries, list(entries.values()))

    def _merged(self, merge: _Node) -> dict[str, _Node]:
        parts = merge.value if isinstance(merge.value, list) else [merge]
        result: dict[str, _Node] = {}
        for one in reversed(parts):
            if isinstance(one.value, dict):
                result.update(one.value)
            else:
                self._problem(
                    merge.line, f"expected a section to merge, was {_what(one.value)}", *self._path(), "<<"
                )
        return result

    def _SequenceEndEvent(self, event: Any, line: int) -> None:  # noqa: N802
        frame = self.frames.pop()
        items = [node for _, node in frame.entries]
        self._close(frame, items, items)

    def _close(self, frame: _Frame, value: Any, children: list[_Node]) -> None:
        size = 1 + sum(child.size for child in children)
        depth = 1 + max((child.depth for child in children), default=0)
        if size > MAX_NODES:
            raise _Unreadable(frame.line, f"expected at most {MAX_NODES} values, was more, aliases followed")
        if depth + len(self.frames) > MAX_DEPTH + 1:
            raise _Unreadable(
                frame.line, f"expected at most {MAX_DEPTH} levels, was deeper, aliases followed"
            )
        self._add(_Node(value, frame.line, size, depth), frame.anchor)

    def _add(self, node: _Node, anchor: str | None) -> None:
        if anchor is not None:
            self.anchors[anchor] = node
        if not self.frames:
            self.root = node
            return
        frame = self.frames[-1]
        if not frame.mapping:
            frame.entries.append((_NO_KEY, node))
        elif frame.key is None:
            frame.key = node
        else:
            frame.entries.append((frame.key, node))
            frame.key = None

    def _path(self) -> KeyPath:
        """Return the path of the section that is being closed."""
        return tuple(
            str(frame.key.value) if frame.key is not None else len(frame.entries) for frame in self.frames
        )

    def _problem(self, line: int, message: str, *path: str | int) -> None:
        source = f"{self.name}:{line}" if self.lines else self.name
        self.problems.append(Problem(source, dotted(path), message))


def _what(value: Any) -> str:
    kinds = {dict: "a section", list: "a list", type(None): "nothing"}
    return kinds.get(type(value), str(value)[:60])


def parse(text: str, name: str) -> tuple[Document, list[Problem]]:
    """Return a document's values, each with source ``name:line``, and what is wrong with its form.

    Raises ConfigError where it can't be read to its end.
    """
    builder = _Builder(name)
    _read(text, builder)
    root = builder.root or _Node({}, 1)
    if root.value is None:
        root = _Node({}, 1)
    document = Document()
    if isinstance(root.value, dict):
        document.values = _plain(root, (), name, document.sources)
        document.sources[()] = f"{name}:1"
    else:
        builder._problem(root.line, f"expected keys with values, was {_what(root.value)}")
        raise ConfigError(*map(str, builder.problems))
    return document, builder.problems


def parse_value(text: str, name: str) -> tuple[Any, list[Problem]]:
    """Return the value of a snippet such as ``25``, ``NVDA`` or ``[2026-02-25]``; else as ``parse``."""
    builder = _Builder(name, lines=False)
    _read(text, builder)
    return (None if builder.root is None else _plain(builder.root, (), name, {})), builder.problems


def _read(text: str, builder: _Builder) -> None:
    import yaml

    try:
        if len(text) > MAX_BYTES or len(text.encode()) > MAX_BYTES:
            raise _Unreadable(1, f"expected at most {MAX_BYTES} bytes, was more")
        for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            builder.take(event)
        return
    except _Unreadable as error:
        builder._problem(error.line, error.message)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        builder._problem(
            mark.line + 1 if mark else 1, f"expected YAML, was unreadable: {error.problem or error.context}"
        )
    except yaml.reader.ReaderError as error:
        builder._problem(
            text.count("\n", 0, error.position) + 1, "expected printable text, was a control character"
        )
    except UnicodeEncodeError as error:
        builder._problem(text.count("\n", 0, error.start) + 1, "expected text, was half a character")
    raise ConfigError(*map(str, builder.problems))


def _plain(node: _Node, path: KeyPath, name: str, sources: dict[KeyPath, str]) -> Any:
    sources[path] = f"{name}:{node.line}"
    if isinstance(node.value, dict):
        return {key: _plain(child, (*path, key), name, sources) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [_plain(child, (*path, i), name, sources) for i, child in enumerate(node.value)]
    return node.value
