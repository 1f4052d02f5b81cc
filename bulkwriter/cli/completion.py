"""`bulkwriter completion bash|zsh|fish`: the script that a shell reads once to complete commands, options and files.

click makes the scripts; what they ask at each Tab is answered by `main` from the same table of commands and options.
The script is printed and nothing is written: where it belongs is the user's business, and `help completion` says it.

Not here: what is completed (click), and the variable by which a shell asks (`VARIABLE`).
"""

from __future__ import annotations

from typing import Final

import click

from . import options
from .stdout import put

VARIABLE: Final = "_BULKWRITER_COMPLETE"
EXAMPLES = (
    ('eval "$(bulkwriter completion bash)"', "in ~/.bashrc; for zsh in ~/.zshrc, with zsh in the place of bash"),
    ("bulkwriter completion fish > ~/.config/fish/completions/bulkwriter.fish", "once, for fish"),
)


@click.command("completion", cls=options.CommandWithExamples, examples=EXAMPLES)
@click.argument("shell", metavar="bash|zsh|fish", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, /, shell: str) -> int:
    """Print what makes a shell complete commands, options and file names with Tab."""
    from click.shell_completion import get_completion_class

    made = get_completion_class(shell)
    assert made is not None
    completion = made(ctx.find_root().command, {}, "bulkwriter", VARIABLE)
    put(completion.source_template % completion.source_vars())  # `source()` would look which bash is there
    return 0
