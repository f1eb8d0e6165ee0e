"""A plugin's context whose reports go another way."""

from __future__ import annotations

from typing import Any

from bifrost_engine.hookspecs import PluginContext


def reporting_to(context: PluginContext, emit: Any) -> PluginContext:
    """Return the same context, but for ``emit``."""
    return PluginContext(
        name=context.name,
        log=context.log,
        clock=context.clock,
        state_dir=context.state_dir,
        emit=emit,
        count=context.count,
        seed=context.seed,
    )
