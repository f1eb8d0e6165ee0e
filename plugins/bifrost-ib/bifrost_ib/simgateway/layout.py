"""The one encoder and decoder: a message's layout is a table, read in either direction.

A layout is a list of fields, written as words: ``name:kind=default@since<until``. Kinds are
``s`` text (if none is given), ``i`` integer, ``n`` number and ``b`` flag; ``since`` and ``until``
are server versions. A bare number is a field that always has this value. Blocks that are
there only sometimes, or several times, stand between the words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Protocol

from bifrost_ib.simgateway.framing import WireError, text

Values = dict[str, Any]

FIRST, LAST = 0, 10_000
WORD = re.compile(
    r"(?P<name>[A-Za-z]\w*)(:(?P<kind>\w))?(=(?P<default>[^@<]*))?(@(?P<since>\d+))?(<(?P<until>\d+))?"
)
MAX_INT = 1 << 62
MAX_EXPONENT = 300
"""A power of ten from which on a number counts as not given."""


class Fields:
    """The fields of one message, read from left to right."""

    def __init__(self, fields: Sequence[str]) -> None:
        self._fields = fields
        self._at = 0

    @property
    def is_over(self) -> bool:
        """Return whether no field is left."""
        return self._at >= len(self._fields)

    def next(self) -> str:
        """Return the next field. Raises WireError if there is none."""
        if self.is_over:
            raise WireError(f"only {len(self._fields)} fields")
        self._at += 1
        return self._fields[self._at - 1]


class Item(Protocol):
    """A part of a layout."""

    def write(self, values: Mapping[str, Any], version: int, out: list[str]) -> None:
        """Append the part's fields."""

    def read(self, fields: Fields, version: int, values: Values) -> None:
        """Take the part's fields into ``values``."""


def _number(word: str) -> Decimal | None:
    try:
        number = Decimal(word)
    except InvalidOperation:
        if word.startswith("Infin"):
            return None
        raise WireError(f"{word[:40]!r} is not a number") from None
    if number.is_nan():
        raise WireError("a number is NaN")
    if number.is_infinite() or number.adjusted() > MAX_EXPONENT:
        return None
    if number.adjusted() < -MAX_EXPONENT or len(number.as_tuple().digits) > MAX_EXPONENT:
        raise WireError(f"{word[:40]!r} has too many digits")
    return number


def _integer(word: str) -> int | None:
    try:
        number = int(word)
    except ValueError:
        raise WireError(f"{word[:40]!r} is not an integer") from None
    if abs(number) > MAX_INT:
        raise WireError(f"{word[:40]} is too large")
    return None if number == (1 << 31) - 1 else number


READ: dict[str, Callable[[str], Any]] = {
    "s": str,
    "i": lambda word: _integer(word) if word else None,
    "n": lambda word: _number(word) if word else None,
    "b": lambda word: word not in ("", "0", "false", "False"),
}


@dataclass(frozen=True)
class Field:
    """One field; without a name one that always has its default."""

    name: str
    kind: str = "s"
    default: str = ""
    since: int = FIRST
    until: int = LAST

    def write(self, values: Mapping[str, Any], version: int, out: list[str]) -> None:
        """Append the value, or the default where there is none."""
        if self.since <= version < self.until:
            value = values.get(self.name)
            out.append(self.default if value is None else text(value))

    def read(self, fields: Fields, version: int, values: Values) -> None:
        """Take the value. Raises WireError, naming the field."""
        if not self.since <= version < self.until:
            return
        word = fields.next()
        if self.name:
            try:
                values[self.name] = READ[self.kind](word)
            except WireError as error:
                raise WireError(f"{self.name}: {error}") from None


@dataclass(frozen=True)
class When:
    """Fields that are there only if a field before them is as ``holds`` says."""

    name: str
    holds: Callable[[Any], bool]
    items: tuple[Item, ...]

    def write(self, values: Mapping[str, Any], version: int, out: list[str]) -> None:
        """Append the block if it is there."""
        if self.holds(values.get(self.name)):
            _write(self.items, values, version, out)

    def read(self, fields: Fields, version: int, values: Values) -> None:
        """Take the block if it is there."""
        if self.holds(values.get(self.name)):
            _read(self.items, fields, version, values)


@dataclass(frozen=True)
class Many:
    """A count, and as many rows."""

    name: str
    items: tuple[Item, ...]

    def write(self, values: Mapping[str, Any], version: int, out: list[str]) -> None:
        """Append the count and the rows; a row of one field may be its bare value."""
        rows = values.get(self.name) or ()
        out.append(str(len(rows)))
        for row in rows:
            _write(self.items, row if isinstance(row, Mapping) else {"value": row}, version, out)

    def read(self, fields: Fields, version: int, values: Values) -> None:
        """Take the rows. Raises WireError if there are fewer than counted."""
        count = READ["i"](fields.next()) or 0
        rows = values[self.name] = []
        for _ in range(count):
            row: Values = {}
            _read(self.items, fields, version, row)
            rows.append(row)


@dataclass(frozen=True)
class Layout:
    """One message: its number, its parts, and those behind which a client may stop."""

    name: str
    number: int
    items: tuple[Item, ...]
    tail: tuple[Item, ...] = ()


def parts(*given: str | Item | tuple[Item, ...]) -> tuple[Item, ...]:
    """Return words and blocks as parts of a layout."""
    items: list[Item] = []
    for part in given:
        if isinstance(part, str):
            items += [_field(word) for word in part.split()]
        elif isinstance(part, tuple):
            items += part
        else:
            items.append(part)
    return tuple(items)


def _field(word: str) -> Field:
    if word.lstrip("-").isdigit():
        return Field("", default=word)
    found = WORD.fullmatch(word)
    if found is None:
        raise ValueError(f"layout: {word!r} is not a field")
    bound = {key: int(found[key]) for key in ("since", "until") if found[key]}
    return Field(found["name"], found["kind"] or "s", found["default"] or "", **bound)


def _write(items: Sequence[Item], values: Mapping[str, Any], version: int, out: list[str]) -> None:
    for item in items:
        item.write(values, version, out)


def _read(items: Sequence[Item], fields: Fields, version: int, values: Values) -> None:
    for item in items:
        item.read(fields, version, values)


def encode(layout: Layout, values: Mapping[str, Any], version: int) -> list[str]:
    """Return the message's fields, its number first."""
    out = [str(layout.number)]
    _write(layout.items, values, version, out)
    _write(layout.tail, values, version, out)
    return out


def decode(layout: Layout, fields: Sequence[str], version: int) -> Values:
    """Return the values of a message whose number was taken off. Raises WireError."""
    values: Values = {}
    rest = Fields(fields)
    _read(layout.items, rest, version, values)
    for item in layout.tail:
        if rest.is_over:
            break
        item.read(rest, version, values)
    return values


def is_given(value: Any) -> bool:
    """Return whether a field isn't empty, nor a flag that is off."""
    return bool(value)


def is_positive(value: Any) -> bool:
    """Return whether a field is a number above 0."""
    return value is not None and value > 0
