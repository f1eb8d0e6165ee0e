"""``bifrost completion``."""

from __future__ import annotations

import click

WHERE = {
    "bash": '~/.bashrc:                      eval "$(bifrost completion bash)"',
    "zsh": '~/.zshrc, after compinit:       eval "$(bifrost completion zsh)"',
    "fish": "bifrost completion fish > ~/.config/fish/completions/bifrost.fish",
}


@click.command(
    name="completion", epilog="\b\n" + "\n".join(f"{shell:<5} {how}" for shell, how in WHERE.items())
)
@click.argument("shell", type=click.Choice(list(WHERE)))
def command(shell: str) -> None:
    """Print the script that lets a shell complete commands and options.

    Load it where your shell reads its settings:
    """
    from click.shell_completion import get_completion_class

    from bifrost_engine.cli.main import bifrost

    made = get_completion_class(shell)
    assert made is not None
    click.echo(made(bifrost, {}, "bifrost", "_BIFROST_COMPLETE").source())
