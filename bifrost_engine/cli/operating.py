"""Commands of more than one word: given to the daemon, or applied to its journal while none runs."""

from __future__ import annotations

import getpass
import os
import shlex
import socket
from pathlib import Path

import click


def say(ctx: click.Context, config_path: Path | None, as_json: bool, *words: str) -> None:
    """Give a command, tell its outcome, and end with the exit code: 1 if it was refused or not taken."""
    from bifrost_engine.cli.control import tell
    from bifrost_engine.daemon.instance import Instance
    from bifrost_engine.daemon.offline import apply
    from bifrost_engine.daemon.ordering import give
    from bifrost_engine.daemon.standing import runs

    instance = Instance.find_running(config_path, os.environ)
    by = f"{getpass.getuser()}@{socket.gethostname()}"
    text = shlex.join(words)
    if runs(instance):
        given = give(instance, text, None, by)
    elif instance.has_journal:
        given = apply(instance, text, by)
    else:
        raise click.ClickException(
            f"{instance.folder}: no journal on this host, and no daemon runs that could be told;"
            " 'bifrost run' starts one"
        )
    tell([given], as_json)
    ctx.exit(0 if given.done else 1)
