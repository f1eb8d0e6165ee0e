"""How one setting is declared: its default, what is allowed, its unit and one line of help."""

from __future__ import annotations

from typing import Any

from attrs import NOTHING, Factory, field


def setting(help: str, default: Any = NOTHING, **allowed: Any) -> Any:
    """Return an attribute that the file can set.

    allowed  ``unit``; ``ge``, ``gt``, ``le``, ``lt`` for numbers; ``choices``; ``pattern`` (the
             whole text) with ``form``, which says it in words; ``secret``; ``one_or_many`` for a
             list that may be given as its only item; ``in_file=False`` for what the loader fills in
    """
    return field(default=default, metadata={"help": help, **allowed})


def part(cls: type, help: str) -> Any:
    """Return an attribute that holds a section of its own."""
    return field(default=Factory(cls), metadata={"help": help})
