"""The root of a rising function: Newton's steps, halving the bracket where they would leave it."""

from __future__ import annotations

from collections.abc import Callable

STEPS = 200


def root(
    value_and_slope: Callable[[float], tuple[float, float]], low: float, high: float, guess: float
) -> float:
    """Return x in [low, high] at which the value changes sign, to about 13 digits.

    value_and_slope  value and derivative at x; the value is below 0 at ``low``, above at ``high``.
                     A rough derivative costs steps; the search ends when it promises a step
                     below 1e-14 of x
    """
    x, last_step = guess, high - low
    for _ in range(STEPS):
        value, slope = value_and_slope(x)
        if value == 0.0:
            return x
        low, high = (x, high) if value < 0.0 else (low, x)
        step = -value / slope if slope > 0.0 else high - low
        # A step that isn't half of the one before is no progress: halve the bracket instead.
        if not (low < x + step < high and abs(step) < 0.5 * abs(last_step)):
            step = 0.5 * (low + high) - x
        x, last_step = x + step, step
        if abs(step) <= 1e-14 * abs(x):
            break
    return x
