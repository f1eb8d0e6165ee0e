"""The command line as click knows it, plugins' commands included."""

from __future__ import annotations

from collections.abc import Iterator

import click

from bifrost_docs.markdown import block, code, prose, table
from bifrost_engine.cli.main import bifrost


def walk(
    command: click.Command = bifrost, parent: click.Context | None = None, name: str = "bifrost"
) -> Iterator[tuple[click.Context, click.Command]]:
    """Yield each command with a context that knows its whole name, groups before their commands."""
    context = click.Context(command, parent=parent, info_name=name)
    yield context, command
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            if found is not None and not found.hidden:
                yield from walk(found, context, child)


def command_pages() -> str:
    """Return a section for each command."""
    return "\n".join(_page(context, command) for context, command in walk())


def _page(context: click.Context, command: click.Command) -> str:
    usage = command.get_usage(context).removeprefix("Usage: ")
    parts = [
        f"## {context.command_path}\n",
        prose(command.help).replace("\b", "") + "\n",
        block(usage, "console"),
    ]
    records = [record for p in command.get_params(context) if (record := p.get_help_record(context))]
    if records:
        parts.append(table(("option", "meaning"), [(code(names), text) for names, text in records]))
    return "\n".join(parts)
