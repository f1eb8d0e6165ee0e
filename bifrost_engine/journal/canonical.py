"""One text for one value: the JSON that is hashed and stored.

UTF-8, keys sorted, no spaces. Decimals are strings in plain notation without
exponent or trailing zeros, enums are their values, tuples are lists, attrs values
are their attributes by name. There are
no floats: a float is stored as its shortest text and comes back as a string;
NaN and the infinities (of floats and Decimals) become null. Times are RFC 3339
in UTC with nine decimals, so that each nanosecond comes back as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from json.encoder import encode_basestring
from math import isfinite
from typing import Any

from attrs import fields, has

from bifrost_engine.domain.contract import plain

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = 1_000_000_000


def canonical(value: Any) -> str:
    """Return the canonical JSON of ``value``.

    Raises TypeError for a value or key that has no place in a payload.
    """
    return (_WRITERS.get(type(value)) or _writer_of(value))(value)


@lru_cache(maxsize=4096)
def quoted(text: str) -> str:
    """Return ``text`` as a JSON string; states, codes and names come again and again."""
    return encode_basestring(storable(text))


def storable(text: str) -> str:
    """Return ``text`` with "?" for lone surrogates, which UTF-8 can't hold."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


@lru_cache(maxsize=64)
def rfc3339(ts_ns: int) -> str:
    """Return nanoseconds since the epoch as ``2026-11-20T14:30:00.000000001Z``."""
    second, nanos = divmod(ts_ns, _SECOND)
    return f"{_date_and_time(second)}.{nanos:09d}Z"


@lru_cache(maxsize=64)  # the records of one event follow each other
def parse_rfc3339(text: str) -> int:
    """Return the nanoseconds since the epoch that ``rfc3339`` wrote.

    Raises ValueError for any other text.
    """
    if len(text) != 30 or text[19] != "." or text[29] != "Z" or not text[20:29].isdigit():
        raise ValueError(f"time {text!r}: expected YYYY-MM-DDTHH:MM:SS.nnnnnnnnnZ")
    return _seconds(text[:19]) * _SECOND + int(text[20:29])


@lru_cache(maxsize=64)
def _date_and_time(second: int) -> str:
    return (_EPOCH + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S")


@lru_cache(maxsize=64)
def _seconds(text: str) -> int:
    return (datetime.fromisoformat(text).replace(tzinfo=UTC) - _EPOCH) // timedelta(seconds=1)


def _float(value: float) -> str:
    return f'"{value!r}"' if isfinite(value) else "null"


def _decimal(value: Decimal) -> str:
    if not value.is_finite():
        return "null"
    return f'"{plain(value)}"' if value else '"0"'


def _list(value: list[Any] | tuple[Any, ...]) -> str:
    return f"[{','.join([(_WRITERS.get(type(item)) or _writer_of(item))(item) for item in value])}]"


def _mapping(value: Mapping[str, Any]) -> str:
    # The hot loop of every commit, so the lookup of ``canonical`` is written out in it.
    writers = _WRITERS
    parts = []
    for key, written in _shape(tuple(value)):
        item = value[key]
        parts.append(written + (writers.get(type(item)) or _writer_of(item))(item))
    return "{" + ",".join(parts) + "}"


@lru_cache(maxsize=4096)
def _shape(keys: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return a mapping's keys in order, each as it is and as it is written; few shapes come again."""
    for key in keys:
        if not isinstance(key, str):
            raise TypeError(f"a payload's keys are strings, found {key!r}")
    return [(key, f"{quoted(key)}:") for key in sorted(keys)]


_WRITERS: dict[type, Callable[[Any], str]] = {
    str: quoted,
    int: int.__repr__,
    bool: lambda value: "true" if value else "false",
    type(None): lambda value: "null",
    float: _float,
    Decimal: _decimal,
    list: _list,
    tuple: _list,
    dict: _mapping,
}

_SUBCLASSES: tuple[tuple[type, Callable[[Any], str]], ...] = (
    (Enum, lambda value: canonical(value.value)),
    (str, lambda value: quoted(str(value))),
    (int, int.__repr__),
    (float, lambda value: _float(float(value))),
    (Decimal, _decimal),
    (list, _list),
    (tuple, _list),
    (Mapping, _mapping),
    (date, lambda value: quoted(value.isoformat())),
)


def _writer_of(value: Any) -> Callable[[Any], str]:
    """Find the writer of a type that is met for the first time, and keep it."""
    for kind, write in _SUBCLASSES:
        if isinstance(value, kind):
            _WRITERS[type(value)] = write
            return write
    if has(type(value)):
        names = tuple(attribute.name for attribute in fields(type(value)))
        _WRITERS[type(value)] = lambda item: _mapping({name: getattr(item, name) for name in names})
        return _WRITERS[type(value)]
    raise TypeError(f"a payload can't hold {type(value).__name__}: {value!r}")
