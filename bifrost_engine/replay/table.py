"""The table of a sweep: a row for each point, its settings, its figures, its error."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bifrost_engine.errors import ConfigError
from bifrost_engine.replay.figures import FIGURES
from bifrost_engine.replay.sweep import Outcome

INSTALL = "pip install 'bifrost-engine[backtest]'"


def require_pyarrow() -> None:
    """Raise ConfigError, with what to install, where pyarrow is missing."""
    if find_spec("pyarrow") is None:
        raise ConfigError(f"a sweep's table is a Parquet file, which needs pyarrow: {INSTALL}")


def write_sweep(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Write the table, whole or not at all."""
    import pyarrow as pa  # type: ignore[import-untyped]
    from pyarrow import parquet

    keys = dict.fromkeys(key for outcome in outcomes for key in outcome.settings)
    columns: dict[str, Any] = {"point": pa.array([outcome.number for outcome in outcomes], pa.int64())}
    for key in keys:
        columns[key] = _column(pa, [outcome.settings.get(key) for outcome in outcomes])
    for figure in FIGURES:
        values = [outcome.figures.get(figure) for outcome in outcomes]
        columns[figure] = pa.array([None if v is None else float(v) for v in values], pa.float64())
    columns["error"] = pa.array([outcome.error for outcome in outcomes], pa.string())
    part = path.with_suffix(".partial")
    parquet.write_table(pa.table(columns), part)
    part.replace(path)


def _column(pa: Any, values: list[Any]) -> Any:
    """Return numbers as numbers and all else as text."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return pa.array([float(value) for value in values], pa.float64())
    return pa.array([None if value is None else str(value) for value in values], pa.string())
