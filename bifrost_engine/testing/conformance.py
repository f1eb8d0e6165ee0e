"""What the suites share: how a plugin is made, checked against the hooks and called.

A suite's tests call a plugin as the daemon does, through a ``PluginSet``; so what the
daemon would refuse at start, the tests refuse too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from bifrost_engine.hookspecs import HOOK_VERSION
from bifrost_engine.plugins import PluginSet
from bifrost_engine.testing.build import RecordingContext, make_context

T = TypeVar("T")
DEADLINE_S = 10.0


class Subject:
    """The plugin under test with its context.

    plugin   as ``make`` returned it
    context  what it was given; ``context.events`` is what it emitted
    """

    def __init__(self, kind: str, plugin: Any, context: RecordingContext) -> None:
        self.plugin = plugin
        self.context = context
        self._kind = kind
        self._registered = PluginSet()
        self._registered.register(kind, "subject", plugin)

    def has(self, hook: str) -> bool:
        """Return whether the plugin implements ``hook``."""
        return self._registered.implementation(self._kind, "subject", hook) is not None

    def call(self, hook: str, *arguments: Any) -> Any:
        """Call ``hook`` with all its arguments; skips the test if the plugin doesn't implement it."""
        implementation = self._registered.implementation(self._kind, "subject", hook)
        if implementation is None:
            pytest.skip(f"{type(self.plugin).__name__} doesn't implement {hook}")
        return implementation(*arguments)


class PluginConformance:
    """What every plugin must do. Not for use by itself: take the suite of the plugin's kind."""

    kind = ""
    """The plugin's kind, a key of ``hookspecs.GROUPS``."""

    needs_one_of: tuple[str, ...] = ()
    """A plugin of this kind without any of these hooks does nothing."""

    def make(self, context: RecordingContext) -> Any:
        """Return a new plugin; give this one in the subclass."""
        raise NotImplementedError(f"{type(self).__name__}.make: return the plugin, made with this context")

    def subject(self, tmp_path: Path, *, seed: int = 0) -> Subject:
        """Return a new plugin on ``tmp_path``, ready to be called."""
        context = make_context(tmp_path, seed=seed)
        return Subject(self.kind, self.make(context), context)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work`` on an event loop, for ten seconds at most."""
        return asyncio.run(asyncio.wait_for(work, DEADLINE_S))

    def test_every_marked_method_is_a_hook_and_some_fit_this_kind(self, tmp_path: Path) -> None:
        subject = self.subject(tmp_path)
        assert any(subject.has(hook) for hook in self.needs_one_of)

    def test_it_states_a_hook_version_that_this_engine_takes(self, tmp_path: Path) -> None:
        stated = getattr(self.subject(tmp_path).plugin, "hook_version", None)
        assert isinstance(stated, str)
        assert stated.partition(".")[0] == HOOK_VERSION.partition(".")[0]

    def test_making_it_emits_nothing_and_needs_no_event_loop(self, tmp_path: Path) -> None:
        assert self.subject(tmp_path).context.events == []
