"""Bifrost: a plugin-based trading engine.

``Engine.handle(event) -> effects`` is the whole program; hosts feed it and carry
out what it says. Plugin authors need ``bifrost_engine.hookspecs``,
``bifrost_engine.domain``, ``bifrost_engine.errors`` and ``bifrost_engine.testing``.
"""

from __future__ import annotations

from typing import Any

__all__ = ["HOOK_VERSION", "__version__", "hookimpl"]


def __getattr__(name: str) -> Any:
    # Reading metadata and building the hook markers cost more than all the rest of the
    # import; most users of the package want neither.
    if name == "__version__":
        from importlib.metadata import version

        globals()[name] = found = version("bifrost-engine")
        return found
    if name in ("HOOK_VERSION", "hookimpl"):
        from bifrost_engine import hookspecs

        return getattr(hookspecs, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
