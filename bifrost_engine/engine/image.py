"""A whole state to and from plain values; the types of its fields say how.

A mapping is a list of pairs, so that any key will do and its order stays.
Numbers are written as the journal writes them, so equal states have equal texts.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping, Set
from datetime import date
from decimal import Decimal
from functools import cache
from typing import Any, get_args, get_origin

from attrs import fields
from cattrs import Converter

from bifrost_engine.domain.contract import plain
from bifrost_engine.engine.state import State


def state_to_plain(state: State) -> dict[str, Any]:
    """Return all of a state as lists, dicts by name, texts, integers, booleans and None."""
    made: dict[str, Any] = _converter().unstructure(state)
    return made


def state_from_plain(values: Mapping[str, Any]) -> State:
    """Return the state that ``state_to_plain`` wrote.

    Raises ValueError for one of other fields than this release's, TypeError, KeyError or
    ValueError for what isn't a state at all.
    """
    names = {attribute.name for attribute in fields(State)}
    if values.keys() != names:
        raise ValueError(f"a state of other fields: {sorted(values.keys() ^ names)}")
    return _converter().structure(values, State)


@cache
def _converter() -> Converter:
    converter = Converter(detailed_validation=False)
    converter.register_structure_hook(Decimal, lambda text, _type: Decimal(text))
    converter.register_structure_hook(date, lambda text, _type: date.fromisoformat(text))
    converter.register_structure_hook_factory(_is_mapping, lambda of: _reader_of_pairs(converter, of))
    converter.register_unstructure_hook(Decimal, lambda number: plain(number) if number else "0")
    converter.register_unstructure_hook(date, date.isoformat)
    converter.register_unstructure_hook_factory(_is_mapping, lambda of: _writer_of_pairs(converter, of))
    converter.register_unstructure_hook_factory(_is_set, lambda of: _writer_of_set(converter, of))
    converter.register_unstructure_hook_factory(_is_deque, lambda of: _writer_of_list(converter, of))
    return converter


def _is_a(kind: type, wanted: Any) -> bool:
    found = get_origin(wanted) or wanted
    return isinstance(found, type) and issubclass(found, kind)


def _is_mapping(wanted: Any) -> bool:
    return _is_a(Mapping, wanted)


def _is_set(wanted: Any) -> bool:
    return _is_a(Set, wanted)


def _is_deque(wanted: Any) -> bool:
    return _is_a(deque, wanted)


def _types(mapping: Any) -> tuple[Any, Any]:
    given = get_args(mapping)
    return (given[0], int) if _is_a(Counter, mapping) else (given[0], given[1])


def _reader_of_pairs(converter: Converter, mapping: Any) -> Callable[[Any, Any], Any]:
    key_type, value_type = _types(mapping)
    keys, values = converter.get_structure_hook(key_type), converter.get_structure_hook(value_type)
    make = Counter if _is_a(Counter, mapping) else dict
    return lambda pairs, _type: make({keys(k, key_type): values(v, value_type) for k, v in pairs})


def _writer_of_pairs(converter: Converter, mapping: Any) -> Callable[[Any], Any]:
    keys, values = map(converter.get_unstructure_hook, _types(mapping))
    return lambda items: [[keys(k), values(v)] for k, v in items.items()]


def _writer_of_set(converter: Converter, of: Any) -> Callable[[Any], Any]:
    item = converter.get_unstructure_hook(get_args(of)[0])
    return lambda items: sorted(item(i) for i in items)


def _writer_of_list(converter: Converter, of: Any) -> Callable[[Any], Any]:
    item = converter.get_unstructure_hook(get_args(of)[0])
    return lambda items: [item(i) for i in items]
