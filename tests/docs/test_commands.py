"""Each command that the documents show exists, with its options; so does each target of make."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from bifrost_engine.cli.main import bifrost

ROOT = Path(__file__).parents[2]
WRITTEN = ("*.md", "docs/**/*.md", "plugins/*/README.md", "examples/plugins/*/README.md")
PAGES = sorted(page for pattern in WRITTEN for page in ROOT.glob(pattern))
COMMAND = re.compile(r"(?:^\$? *(?:\S*/)?|`)bifrost (-?[a-z][^`\n]*)", re.MULTILINE)
MAKE = re.compile(r"(?:^\$ |`)make ([a-z]+)", re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)")


def shown(pattern: re.Pattern[str]) -> list[object]:
    """Return a parameter for each place in a document that ``pattern`` finds."""
    return [
        pytest.param(found, page, id=f"{page.relative_to(ROOT)}-{found}")
        for page in PAGES
        for found in dict.fromkeys(pattern.findall(page.read_text("utf-8")))
    ]


def fault(words: list[str]) -> str | None:
    """Return the first word that the command line doesn't know, None if it knows them all."""
    command: click.Command = bifrost
    context = click.Context(command, info_name="bifrost")
    takes_value = False
    for word in words:
        options = {name: p for p in command.params if isinstance(p, click.Option) for name in p.opts}
        if takes_value:
            takes_value = False
        elif word.startswith("-"):
            option = options.get(word.partition("=")[0])
            if option is None:
                return f"{context.command_path} has no option {word}"
            takes_value = not option.is_flag and "=" not in word
        elif isinstance(command, click.Group):
            child = command.get_command(context, word)
            if child is None:
                return f"{context.command_path} has no command {word}"
            command, context = child, click.Context(child, parent=context, info_name=word)
        elif not any(_takes(p, word) for p in command.params if isinstance(p, click.Argument)):
            return f"{context.command_path} takes no {word}"
    return None


def _takes(argument: click.Argument, word: str) -> bool:
    return not isinstance(argument.type, click.Choice) or word in argument.type.choices


@pytest.mark.parametrize(("line", "page"), shown(COMMAND))
def test_a_command_in_a_document_is_one_that_bifrost_takes(line, page):
    alone = re.split(r" > | {2,}", line)[0]  # without where its output goes, or an explanation beside it
    assert fault(shlex.split(alone, comments=True)) is None


@pytest.mark.parametrize(("target", "page"), shown(MAKE))
def test_a_target_of_make_in_a_document_is_in_the_makefile(target, page):
    assert re.search(rf"^[a-z ]*\b{target}\b[a-z ]*:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)


@pytest.mark.parametrize(("link", "page"), shown(LINK))
def test_a_link_to_a_file_leads_there(link, page):
    assert (page.parent / link).exists()


def test_what_is_wrong_is_found():
    assert fault(["nonsense"]) is not None
    assert fault(["run", "--nonsense"]) is not None
    assert fault(["run", "--broker", "paper", "more"]) is not None
    assert fault(["run", "--broker", "paper"]) is None
