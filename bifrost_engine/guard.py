"""The one place where a plugin is called and where all that it may raise is caught.

A guard stands before one plugin. It knows nothing of hooks or of what a failure means:
its caller decides by ``failed`` and ``consecutive``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from bifrost_engine.errors import BifrostError

Implementation = Callable[..., Any]


class Guard:
    """Calls one plugin and keeps what it raises from everybody else.

    failures     how often each hook raised
    consecutive  calls that raised since the last one that didn't
    last_error   what the last failing call raised, or None once a call went well
    log          where failures are told of
    """

    def __init__(self, key: str, log: Any) -> None:
        self.key = key
        self.failures: Counter[str] = Counter()
        self.consecutive = 0
        self.last_error: Exception | None = None
        self.log = log

    def call(self, hook: str, implementation: Implementation, *arguments: Any, failed: Any = None) -> Any:
        """Return what the call returns, or ``failed`` if it raised."""
        try:
            result = implementation(*arguments)
        except Exception as error:  # noqa: BLE001 - here a plugin's failure is kept from the others
            self.note(hook, error)
            return failed
        self._went_well()
        return result

    async def wait(
        self, hook: str, implementation: Implementation, *arguments: Any, failed: Any = None
    ) -> Any:
        """Await the call; return what it returns, or ``failed`` if it raised."""
        try:
            answer: Awaitable[Any] = implementation(*arguments)
            result = await answer
        except Exception as error:  # noqa: BLE001 - here a plugin's failure is kept from the others
            self.note(hook, error)
            return failed
        self._went_well()
        return result

    def note(self, hook: str, error: Exception) -> None:
        """Log and count a failure, with a traceback for the first in a row, if it wasn't to be expected."""
        self.failures[hook] += 1
        self.consecutive += 1
        self.last_error = error
        self.log.warning(
            "plugin_failed",
            plugin=self.key,
            hook=hook,
            error=f"{type(error).__name__}: {error}",
            consecutive=self.consecutive,
            exc_info=error if self.consecutive == 1 and not isinstance(error, BifrostError) else None,
        )

    def _went_well(self) -> None:
        self.consecutive = 0
        self.last_error = None
