"""The tree of errors."""

from __future__ import annotations

import inspect

from bifrost_docs.markdown import block, code, first_line, table
from bifrost_engine import errors


def classes() -> list[type[errors.BifrostError]]:
    """Return every class of the tree, in the order of the source."""
    return [
        value
        for value in vars(errors).values()
        if inspect.isclass(value) and issubclass(value, errors.BifrostError)
    ]


def tree() -> str:
    """Return the tree as ``errors`` draws it."""
    lines = inspect.cleandoc(errors.__doc__ or "").splitlines()
    start = next(i for i, line in enumerate(lines) if line.strip() == "BifrostError")
    end = next(i for i, line in enumerate(lines) if i > start and not line.strip())
    return block(inspect.cleandoc("\n".join(lines[start:end])))


def error_table() -> str:
    """Return each class with what it stands for."""
    rows = [(code(cls.__name__), code(cls.__mro__[1].__name__), first_line(cls.__doc__)) for cls in classes()]
    return table(("error", "is a", "meaning"), rows)
