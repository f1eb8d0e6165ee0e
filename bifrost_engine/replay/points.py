"""The points of a sweep: which settings are tried together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from math import prod
from random import Random
from typing import Any

from attrs import frozen

from bifrost_engine.config.loader import Override, parse_override
from bifrost_engine.errors import ConfigError

Axes = Mapping[str, Sequence[Any]]
"""Key of the configuration → values that are tried."""


@frozen
class Point:
    """Settings that are tried together.

    settings  (key, value) in the order in which the keys were given
    span      part of the recording, from and to, nanoseconds since the epoch; None: all of it
    """

    number: int
    settings: tuple[tuple[str, Any], ...]
    span: tuple[int, int] | None = None

    def overrides(self) -> tuple[Override, ...]:
        """Return the settings as they lie over a file."""
        return tuple(Override(key, value) for key, value in self.settings)


def parse_axes(texts: Iterable[str]) -> Axes:
    """Return the axes that ``KEY=VALUE,VALUE,…`` stand for.

    Raises ConfigError for a text that isn't of that form, and a key or a value that is given twice.
    """
    axes: dict[str, Sequence[Any]] = {}
    for text in texts:
        key, equals, values = text.partition("=")
        axis = parse_override(f"{key}{equals}[{values}]" if equals else text)
        if axis.path in axes:
            raise ConfigError(f"--set {axis.path}: expected once, with all its values, was given twice")
        if not axis.value:
            raise ConfigError(f"--set {axis.path}: expected a value at least, found none")
        twice = [value for value, count in Counter(map(_known_by, axis.value)).items() if count > 1]
        if twice:
            given = ", ".join(map(str, twice))
            raise ConfigError(f"--set {axis.path}: expected each value once, {given} is given twice")
        axes[axis.path] = axis.value
    return axes


def _known_by(value: Any) -> Any:
    """Return what two values share that make the same point: 25 and 25.0 do, 1 and true don't."""
    return value if type(value) in (int, float) else str(value)


def grid(axes: Axes) -> Iterator[Point]:
    """Yield every combination; the last key's values change fastest."""
    for number, values in enumerate(product(*axes.values())):
        yield Point(number, tuple(zip(axes, values, strict=True)))


def sample(axes: Axes, count: int, seed: int) -> Iterator[Point]:
    """Yield ``count`` combinations drawn without repetition, or all if there aren't more; by seed."""
    sizes = [len(values) for values in axes.values()]
    drawn = Random(seed).sample(range(prod(sizes)), min(count, prod(sizes)))
    for number, index in enumerate(drawn):
        settings = []
        for key, values in reversed(list(axes.items())):
            index, place = divmod(index, len(values))
            settings.append((key, values[place]))
        yield Point(number, tuple(reversed(settings)))
