"""Scenarios by number, and the smallest one that fails like a given one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random

Act = tuple[str, int]


def scenario(seed: int, weights: Mapping[str, int], most: int) -> tuple[int, list[Act]]:
    """Return the set-up and the acts of a scenario; the same for the same seed."""
    rng = Random(seed)
    names = rng.choices(list(weights), list(weights.values()), k=rng.randint(10, most))
    return rng.randrange(1000), [(name, rng.randrange(10_000)) for name in names]


def smallest(
    setup: int, acts: Sequence[Act], fails: Callable[[int, Sequence[Act]], bool]
) -> tuple[int, list[Act]]:
    """Return a scenario that still fails, though no act of it can be left out or made plainer."""
    acts = list(acts)
    size = len(acts)
    while size:
        start = 0
        while start < len(acts):
            fewer = acts[:start] + acts[start + size :]
            if fails(setup, fewer):
                acts = fewer
            else:
                start += size
        size //= 2
    for simpler in _plainer(setup):
        if fails(simpler, acts):
            setup = simpler
            break
    for index, (name, n) in enumerate(acts):
        for less in _plainer(n):
            changed = [*acts[:index], (name, less), *acts[index + 1 :]]
            if fails(setup, changed):
                acts = changed
                break
    return setup, acts


def _plainer(n: int) -> Iterable[int]:
    return range(min(n, 60))
