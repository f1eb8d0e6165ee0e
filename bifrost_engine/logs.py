"""Structured logs: a line for people on the console, or JSON lines; beside a live display, in a file.

Never on standard output unless somebody asks for that: there stand a command's answers.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, TextIO

import structlog

LEVELS = ("debug", "info", "warning", "error")


def configure(
    as_json: bool,
    level: str = "info",
    file: TextIO | None = None,
    event_time: Callable[[], str] = lambda: "",
) -> Any:
    """Set structlog up and return the logger.

    file        None: standard error
    event_time  returns the market's time, which then stands in each line; empty for none
    """

    def in_event_time(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
        at = event_time()
        return {"event_time": at, **event} if at else event

    renderer: Callable[[Any, str, MutableMapping[str, Any]], str | bytes] = (
        structlog.processors.JSONRenderer(default=str) if as_json else _Line()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            in_event_time,
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(file=file or sys.stderr),
        cache_logger_on_first_use=True,
    )
    return structlog.get_logger("bifrost")


def console_log() -> Any:
    """Return a logger; where nobody has set logs up yet, its lines go to standard error."""
    return structlog.get_logger("bifrost") if structlog.is_configured() else configure(as_json=False)


class _Line:
    """Time (the market's where it has its own), level, event, then what is known, as it reads."""

    def __call__(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
        level, name, wall = event.pop("level"), event.pop("event"), event.pop("timestamp")
        time = event.pop("event_time", f"{wall[:23]}Z")
        trace = event.pop("exception", None)
        facts = (f"{key}={_shown(value)}" for key, value in event.items() if value not in (None, "", [], ()))
        line = "  ".join([time, f"{level:<7}", f"{name:<14}", " ".join(facts)]).rstrip()
        return line if trace is None else f"{line}\n{trace}"


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{'; '.join(map(str, value))}]"
    text = f"{value:.10g}" if isinstance(value, float) else str(value)
    return f"'{text}'" if " " in text else text
