"""The tables of a sweep: a row for each point, and for each window of one that walks forward."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bifrost_engine.errors import ConfigError
from bifrost_engine.replay.figures import FIGURES
from bifrost_engine.replay.sweep import Outcome
from bifrost_engine.replay.walking import Step
from bifrost_engine.replay.writing import whole_file

INSTALL = "pip install 'bifrost-engine[backtest]'"
SWEEP, WALK = "sweep.parquet", "walk_forward.parquet"
IN, OUT = "in_", "out_"
"""Before the name of a figure in and out of sample."""


def require_pyarrow() -> None:
    """Raise ConfigError, with what to install, where pyarrow is missing."""
    if find_spec("pyarrow") is None:
        raise ConfigError(f"a sweep's table is a Parquet file, which needs pyarrow: {INSTALL}")


def write_sweep(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Write what came of each point, whole or not at all. Raises OutputError."""
    _write(path, {"point": _whole([outcome.number for outcome in outcomes])} | _told(outcomes))


def write_walk(folder: Path, steps: Sequence[Step]) -> None:
    """Write what came of each window, and of each point in it, whole or not at all. Raises OutputError."""
    rows = [(step, number, outcome) for step in steps for number, outcome in enumerate(step.tried)]
    every = {
        "window": _whole([step.window.number for step, _, _ in rows]),
        "train_first": _dates([step.window.train[0] for step, _, _ in rows]),
        "train_last": _dates([step.window.train[-1] for step, _, _ in rows]),
        "point": _whole([number for _, number, _ in rows]),
    }
    _write(folder / SWEEP, every | _told([outcome for _, _, outcome in rows]))
    spans = [step.window for step in steps]
    chosen = [{} if step.choice is None else step.choice.settings for step in steps]
    columns = {
        "window": _whole([window.number for window in spans]),
        "train_first": _dates([window.train[0] for window in spans]),
        "train_last": _dates([window.train[-1] for window in spans]),
        "test_first": _dates([window.test[0] for window in spans]),
        "test_last": _dates([window.test[-1] for window in spans]),
        **_settings(chosen),
        "changed": _pa().array([step.changed for step in steps], _pa().bool_()),
        **_figures(IN, [step.in_sample for step in steps]),
        **_figures(OUT, [step.out_of_sample for step in steps]),
        "error": _text([step.error for step in steps]),
    }
    _write(folder / WALK, columns)


def _told(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    return {
        **_settings([outcome.settings for outcome in outcomes]),
        **_figures("", [outcome.figures for outcome in outcomes]),
        "error": _text([outcome.error for outcome in outcomes]),
    }


def _write(path: Path, columns: Mapping[str, Any]) -> None:
    from pyarrow import parquet  # type: ignore[import-untyped]

    with whole_file(path) as part:
        parquet.write_table(_pa().table(dict(columns)), part)


def _pa() -> Any:
    import pyarrow

    return pyarrow


def _whole(values: list[int]) -> Any:
    return _pa().array(values, _pa().int64())


def _dates(values: list[Any]) -> Any:
    return _pa().array(values, _pa().date32())


def _text(values: Iterable[Any]) -> Any:
    return _pa().array([None if value is None else str(value) for value in values], _pa().string())


def _settings(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a column for each key: numbers as numbers and all else as text."""
    keys = dict.fromkeys(key for row in rows for key in row)
    return {key: _values([row.get(key) for row in rows]) for key in keys}


def _values(values: list[Any]) -> Any:
    known = [value for value in values if value is not None]
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in known):
        return _pa().array([None if v is None else float(v) for v in values], _pa().float64())
    return _text(values)


def _figures(prefix: str, rows: Sequence[Mapping[str, float | None]]) -> dict[str, Any]:
    found = {name: [row.get(name) for row in rows] for name in FIGURES}
    return {
        prefix + name: _pa().array([None if v is None else float(v) for v in values], _pa().float64())
        for name, values in found.items()
    }
