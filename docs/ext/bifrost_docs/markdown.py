"""The few forms of Markdown that generated pages use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from inspect import cleandoc


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; cells are Markdown, but for ``|``, which is escaped here."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def code(text: str) -> str:
    """Return ``text`` set as code within a line; nothing for an empty one."""
    return f"`{text}`" if text else ""


def block(text: str, language: str = "text") -> str:
    """Return a block of code."""
    return f"```{language}\n{text.strip()}\n```\n"


def prose(docstring: str | None) -> str:
    """Return a docstring as Markdown."""
    return cleandoc(docstring or "").replace("``", "`")


def first_line(docstring: str | None) -> str:
    """Return a docstring's first paragraph on one line."""
    return " ".join(prose(docstring).partition("\n\n")[0].split())
