"""Values that remember where they came from: paths, a plugin's raw section, and a whole document.

A path is a tuple of keys and list indexes. A source is text such as ``bifrost.yaml:14``,
``environment IB_PORT``, ``database`` or ``command line --broker``. Nothing here knows
YAML or which keys are allowed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from attrs import define, field, frozen

KeyPath = tuple[str | int, ...]

MASK = "•••"
_SECRET_KEY = re.compile(r"(?i)(password|passwd|passphrase|token|secret|api_?key|private_?key)$")
_SECRET_IN_TEXT = re.compile(r"(?i)(?<=://)([^/@:\s]*):[^@\s]*@|(password\s*=\s*)('(?:[^'\\]|\\.)*'|[^\s&]+)")


def dotted(path: KeyPath) -> str:
    """Return a path as it is written in messages: ``strategies[0].gates.state``."""
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
    return text.removeprefix(".")


@lru_cache(maxsize=1024)  # the same keys again and again
def is_secret(key: str | int) -> bool:
    """Return whether a key's name says that its value must not be shown."""
    return isinstance(key, str) and _SECRET_KEY.search(key) is not None


def masked_text(text: str) -> str:
    """Return a connection string without the password in it; other text as it is."""
    return _SECRET_IN_TEXT.sub(lambda m: f"{m[1]}:{MASK}@" if m[2] is None else f"{m[2]}{MASK}", text)


def masked(value: Any) -> Any:
    """Return plain values with all that looks secret replaced by ``•••``."""
    if isinstance(value, Mapping):
        return {k: MASK if is_secret(k) and v is not None else masked(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [masked(item) for item in value]
    return masked_text(value) if isinstance(value, str) else value


@frozen(eq=False, repr=False)
class Section(Mapping[str, Any]):
    """A plugin's section as the file has it, unchecked; equal to any mapping of the same values.

    path     where it stands
    sources  where each value came from, by its whole path
    """

    values_: Mapping[str, Any] = field(factory=dict)
    path: KeyPath = ()
    sources: Mapping[KeyPath, str] = field(factory=dict)

    def __getitem__(self, key: str) -> Any:
        return self.values_[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_)

    def __len__(self) -> int:
        return len(self.values_)

    def __repr__(self) -> str:
        return f"Section({dotted(self.path)}: {masked(self.values_)})"


@frozen(order=False)
class Problem:
    """One thing that is wrong with a configuration.

    source  where it was found; empty if nowhere in particular
    path    the key as the operator wrote it; empty for the document as a whole
    """

    source: str
    path: str
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.source, self.path, self.message) if part)

    @property
    def line(self) -> int:
        """Line in the file; those from elsewhere come last."""
        tail = self.source.rpartition(":")[2]
        return int(tail) if tail.isdecimal() else 1 << 30


@define
class Document:
    """Plain values (dict, list, str, int, float, bool, None) with their sources."""

    values: dict[str, Any] = field(factory=dict)
    sources: dict[KeyPath, str] = field(factory=dict)

    def source(self, path: KeyPath) -> str:
        """Return where the value at ``path``, or the nearest around it, came from."""
        return nearest_source(self.sources, path)

    def get(self, path: KeyPath) -> Any:
        """Return the value at ``path``; KeyError if there is none."""
        node: Any = self.values
        for key in path:
            try:
                node = node[key]
            except (KeyError, IndexError, TypeError):
                raise KeyError(path) from None
        return node

    def has(self, path: KeyPath) -> bool:
        """Return whether there is a value at ``path``, be it null."""
        try:
            self.get(path)
        except KeyError:
            return False
        return True

    def put(self, path: KeyPath, value: Any, source: str) -> bool:
        """Set the value at ``path``; return False, changing nothing, where no section can hold it."""
        parent = self._section_for(path, source)
        if parent is None:
            return False
        self._forget(path)
        parent[str(path[-1])] = value
        self.sources.update((path + below, source) for below in _paths(value))
        return True

    def _section_for(self, path: KeyPath, source: str = "") -> dict[str, Any] | None:
        """Return the section that holds or will hold ``path``, made where there is none.

        source  where a section that is made came from; empty: where the one around it did
        """
        node: Any = self.values
        for at, key in enumerate(path[:-1], start=1):
            if isinstance(node, dict) and node.get(str(key)) is None:
                node[str(key)] = {}
                self.sources.update({path[:at]: source} if source else {})
            try:
                node = node[key]
            except (KeyError, IndexError, TypeError):
                return None
        return node if isinstance(node, dict) else None

    def take(self, path: KeyPath) -> tuple[Any, dict[KeyPath, str]]:
        """Remove and return the value at ``path`` and its sources, by the path below it."""
        parent = self.get(path[:-1])
        return parent.pop(path[-1]), self._forget(path)

    def move(self, old: KeyPath, new: KeyPath) -> list[KeyPath]:
        """Move the value at ``old`` to ``new``, into a section that may be there already.

        Returns the paths at which both had a value; the one at ``new`` stays.
        """
        value, sources = self.take(old)
        return self._graft(new, value, sources, ())

    def _graft(
        self, new: KeyPath, value: Any, sources: Mapping[KeyPath, str], below: KeyPath
    ) -> list[KeyPath]:
        parent = self._section_for(new)
        there = None if parent is None else parent.get(str(new[-1]))
        if isinstance(there, dict) and isinstance(value, dict):
            return [
                double
                for key, child in value.items()
                for double in self._graft((*new, key), child, sources, (*below, key))
            ]
        if parent is None or (there is not None and value is not None):
            return [new]
        if there is None:
            parent[str(new[-1])] = value
            self.sources.update((new + path, nearest_source(sources, below + path)) for path in _paths(value))
        return []

    def _forget(self, path: KeyPath) -> dict[KeyPath, str]:
        gone = [p for p in self.sources if p[: len(path)] == path]
        return {p[len(path) :]: self.sources.pop(p) for p in gone}


def nearest_source(sources: Mapping[KeyPath, str], path: KeyPath) -> str:
    """Return the source of ``path``, or of the nearest section around it; empty without one."""
    for end in range(len(path), -1, -1):
        if path[:end] in sources:
            return sources[path[:end]]
    return ""


def _paths(value: Any) -> Iterator[KeyPath]:
    yield ()
    children: Any = ()
    if isinstance(value, Mapping):
        children = value.items()
    elif isinstance(value, list | tuple):
        children = enumerate(value)
    for key, child in children:
        for below in _paths(child):
            yield (key, *below)
