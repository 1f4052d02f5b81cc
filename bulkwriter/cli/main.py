"""The group of commands, its lazy table, and the way an exception becomes a message and an exit code.

`GROUPS` is the whole table: a name, the module that holds `command`, and the line that `--help` shows.  The module is
imported when the command is used, so that `--help` imports click and nothing heavy.  A command returns its exit
code.

Exit codes are those of `errors.Exit` and of signals; `help exit-codes` shows them in their order.  A bug of ours
prints one line and exits with 70; its traceback is shown with `-v` only, and never with a secret of the environment
in it.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from ..errors import BulkwriterError, Exit
from ..shell import visible
from .secret import Secrets, secrets_of
from .stdout import Stdout

GROUPS: dict[str, dict[str, tuple[str, str]]] = {
    "Before the first write": {
        "login": ("login", "sign in once for all runs of this user"),
        "resolve": ("resolve", "turn a table of e-mails and titles into a SOURCE of ids"),
        "check": ("check", "check settings, token, roles, clock, disk and SOURCE"),
        "plan": ("plan", "show how many writes SOURCE needs and how many days they take"),
    },
    "Write, and watch": {
        "run": ("run", "write every pair of SOURCE; the same command again resumes"),
        "work": ("work", "be one of several workers of a job, on any machine"),
        "status": ("status", "show how a run stands, from its journal"),
        "report": ("report", "make one HTML page of a run, to look at or to pass on"),
        "explain": ("explain", "show what happened to one record, attempt by attempt"),
        "runs": ("runs", "show all runs of this user, and how each stands"),
    },
    "Afterwards": {
        "verify": ("verify", "find pairs that are missing or doubled on the server"),
        "export": ("export", "write pairs of a journal by state to a CSV, which is a SOURCE again"),
        "undo": ("undo", "delete the records that a run created"),
    },
    "Settings, trials and help": {
        "logout": ("logout", "remove the stored sign-in"),
        "ledger": ("ledger", "make the tables in PostgreSQL that several machines share"),
        "config": ("config", "show every setting with its origin, and where configuration files lie"),
        "demo": ("demo", "show a run against the local server; needs no account"),
        "stub": ("stub", "start a local server that behaves like the real one"),
        "completion": ("completion", "print what makes your shell complete commands with Tab"),
        "help": ("topics", "explain a command or a topic, such as when, quotas or exit-codes"),
    },
}
"""What `--help` shows, in the order in which a user comes to need it."""
COMMANDS = {name: entry for commands in GROUPS.values() for name, entry in commands.items()}
EXAMPLES = (
    ("bulkwriter demo", "a local server, 5,000 made-up pairs, a run; no account needed"),
    ("bulkwriter login", "signs in once for all runs of this user"),
    ("bulkwriter check pairs.csv", "looks at everything before the first write"),
    ("bulkwriter run pairs.csv", "writes every pair; after a stop the same command goes on"),
    ("bulkwriter help long-runs", "tmux, systemd, cron, and what resumes how"),
)

NEED_RESOURCES = frozenset({"login", "run", "work", "resolve", "plan", "check", "verify", "undo", "stub", "demo"})
"""Commands that run an event loop: see `resource_limits`."""
TRUE = frozenset({"1", "true", "t", "yes", "y", "on"})
"""What click takes for yes in an environment variable."""


class LazyGroup(click.Group):
    """A group that imports a command's module only when that command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"{__package__}.{COMMANDS[cmd_name][0]}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            ctx.fail(f"no command {args[0]!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
        return super().resolve_command(ctx, args)

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_help_text(ctx, formatter)
        show_examples(EXAMPLES, formatter)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands by groups, each name in the same width; then the options of the group itself."""
        width = max(map(len, COMMANDS))
        for title, commands in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), text) for name, (_, text) in commands.items()])
        click.Command.format_options(self, ctx, formatter)


def show_examples(examples: Sequence[tuple[str, str]], formatter: click.HelpFormatter) -> None:
    """Command lines, each with what it does below it."""
    with formatter.section("Examples"):
        for line, what in examples:
            formatter.write(f"  {line}\n")
            formatter.write(textwrap.indent(textwrap.fill(what, formatter.width - 6), " " * 6) + "\n")


def show_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        from importlib.metadata import PackageNotFoundError, version

        try:
            click.echo(f"bulkwriter {version('bulkwriter')}")
        except PackageNotFoundError:
            click.echo("bulkwriter, from a source tree that is not installed")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=show_version, help="Show the version."
)
def group() -> None:
    """Write (lesson, member) pairs into the Nexudus REST API: durable, resumable, each exactly once."""


def main(args: Sequence[str], env: Mapping[str, str] | None = None) -> int:
    """Run one command line and return its exit code; everything has been said by then, and stdout is written."""
    stdout = Stdout(sys.stdout)
    with contextlib.redirect_stdout(stdout):
        code = invoke(args, os.environ if env is None else env)
        code, trouble = stdout.settle(code, is_run=args[:1] == ["run"])
    if trouble:
        put_stderr(trouble)
    return code


def invoke(args: Sequence[str], env: Mapping[str, str]) -> int:
    """Run the command; everything for people has been said when it returns."""
    try:
        if args and args[0] in NEED_RESOURCES and not {"-h", "--help"} & set(args):
            from .resource_limits import require_resources

            require_resources()
        code = group.main(list(args), prog_name="bulkwriter", standalone_mode=False, obj=tuple(args))
    except click.ClickException as e:
        show(e)
        code = e.exit_code if e.exit_code != 1 else int(Exit.USAGE)
    except SystemExit as e:  # click leaves so where a shell asked for completions
        return e.code if isinstance(e.code, int) else int(Exit.OK)
    except (click.Abort, KeyboardInterrupt):
        put_stderr("interrupted")
        code = 130
    except BulkwriterError as e:
        put_stderr(f"error: {e.typed()}")
        code = int(e.exit_code)
    except Exception as e:
        put_stderr(bug(e, is_verbose="-v" in args or "--verbose" in args, secrets=secrets_of(env)))
        code = int(Exit.BUG)
    else:
        return code if isinstance(code, int) else int(Exit.OK)
    if "--json" in args or env.get("BULKWRITER_JSON", "").lower() in TRUE:
        answer(args[0] if args else "", code)
    return code


def answer(command: str, code: int) -> None:
    """The object that `--json` promises in every ending, where the command itself did not come to give it."""
    from .ending import empty_summary
    from .stdout import put_json

    facts = empty_summary(None).to_json() if command == "run" else {}
    put_json({**facts, "exit_code": code})


def bug(error: BaseException, *, is_verbose: bool, secrets: Sequence[str]) -> str:
    """One line about a bug of ours, or its traceback; secrets are struck out."""
    import traceback

    if is_verbose:
        return Secrets(secrets).strike("".join(traceback.format_exception(error)))
    last = traceback.extract_tb(error.__traceback__)[-1:]
    place = f" at {Path(last[0].filename).name}:{last[0].lineno}" if last else ""
    return f"bug: {type(error).__name__}{place}; our fault, please report it; -v, where a command has it, shows more"


def show(error: click.ClickException) -> None:
    """What click has to say of a command line, in which anything may stand."""
    text = io.StringIO()
    error.show(text)
    put_stderr(text.getvalue().rstrip("\n"))


def put_stderr(text: str) -> None:
    """A line on stderr, or nothing where stderr is gone."""
    try:
        sys.stderr.write(visible(text) + "\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        return
