"""The Sphinx extension: a line ``<!-- generated: NAME -->`` in a page gives way to what NAME makes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from bifrost_docs import commands, errors, hooks, machines, settings

MARK = re.compile(r"^<!-- generated: (\S+) -->$", re.MULTILINE)
MAKERS: dict[str, Callable[[], str]] = {
    "strategy-keys": settings.strategy_keys,
    "daemon-keys": settings.daemon_keys,
    "plugin-keys": settings.plugin_keys,
    "key-rules": settings.rules,
    "old-names": settings.old_names,
    "environment": settings.environment,
    "hooks": hooks.hook_pages,
    "context": hooks.context,
    "values": hooks.values,
    "commands": commands.command_pages,
    "lifecycle": partial(machines.machine, "lifecycle"),
    "trading": partial(machines.machine, "trading"),
    "hedge": partial(machines.machine, "hedge"),
    "safe-causes": machines.causes,
    "execution": machines.execution,
    "order-states": machines.order_states,
    "order-table": machines.order_table,
    "order-diagram": machines.order_diagram,
    "error-tree": errors.tree,
    "error-table": errors.error_table,
}
"""Name in a page → what makes its text."""


def filled(text: str) -> str:
    """Return a page with everything generated in it. Raises KeyError for a name that nothing makes."""
    return MARK.sub(lambda match: MAKERS[match[1]](), text)


def setup(app: Any) -> dict[str, Any]:
    """Register with Sphinx."""

    def fill(app: Any, docname: str, source: list[str]) -> None:
        source[0] = filled(source[0])

    def outdated(app: Any, env: Any, *_: Any) -> Iterable[str]:
        # The code may have changed though the page has not.
        return [name for name in env.found_docs if MARK.search(env.doc2path(name).read_text("utf-8"))]

    app.connect("source-read", fill)
    app.connect("env-get-outdated", outdated)
    return {"parallel_read_safe": True}
