"""`bulkwriter help TOPIC`: reference text, kept with the code that it is about, and made from it wherever that can be.

`manual` has the texts for people who run the program.  The reply table, settings and exit codes are printed from the
very tables that the program obeys, and the journal's format from the documentation of its module.  `help COMMAND` is
`COMMAND --help`.  A topic's module is imported when it is asked for.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import inspect
import shutil
from collections.abc import Callable

import click

from ..errors import UsageError
from ..settings import Limits, Settings
from . import describe, ending, options
from .stdout import put


@click.command("help")
@click.argument("topic", required=False)
@click.pass_context
def command(ctx: click.Context, /, topic: str | None) -> int:
    """Explain TOPIC: a command, or a topic from the list that `bulkwriter help` prints."""
    group = ctx.find_root().command
    assert isinstance(group, click.Group)
    names = [*TOPICS, *group.list_commands(ctx)]
    width = min(110, shutil.get_terminal_size((80, 24)).columns)
    if topic is None:
        rows = [(name, text) for name, (text, _) in TOPICS.items()]
        put(
            "\n".join(["bulkwriter help TOPIC, where TOPIC is a command or one of", "", *describe.columns(rows, width)])
        )
    elif topic in TOPICS:
        put(TOPICS[topic][1](width))
    elif (named := group.get_command(ctx, topic)) is not None:
        put(named.get_help(click.Context(named, info_name=topic, parent=ctx.parent)))
    else:
        near = difflib.get_close_matches(topic, names, n=1)
        raise UsageError(
            f"no topic {topic!r}" + (f"; did you mean {near[0]!r}?" if near else ""), hint="bulkwriter help"
        )
    return 0


def replies(width: int) -> str:
    """The reply table that decides."""
    table = importlib.import_module("bulkwriter.core.classify").REPLY_TABLE
    head = "What each reply of the server means for its pair; the first line that fits decides."
    return "\n".join([head, "", *describe.columns(table, width)])


def settings(width: int) -> str:
    """Every setting and every limit, with unit, range, default and reason."""
    lines = [
        "Settings of the library; the options of `bulkwriter run` carry the same names (late_apply_s is --late-apply).",
        "",
    ]
    lines += describe.columns([(f.name, options.describe(f)) for f in dataclasses.fields(Settings)], width)
    lines += ["", "Limits (`Settings(limits=Limits(...))`): bounds that no user should need to change.", ""]
    lines += describe.columns([(f.name, options.describe(f)) for f in dataclasses.fields(Limits)], width)
    return "\n".join(lines)


def exit_codes(width: int) -> str:
    """Exit codes in the order in which they apply."""
    head = "Exit codes, in their order: where several apply, the first does."
    return "\n".join([head, "", *describe.columns([(str(code), ending.MEANING[code]) for code in ending.ORDER], width)])


def journal_format(width: int) -> str:
    """The documentation of the module that makes the tables, without what is for its readers alone."""
    text = inspect.getdoc(importlib.import_module("bulkwriter.store.schema")) or ""
    return text.partition("\nNot here:")[0]


def stub(width: int) -> str:
    text: str = importlib.import_module("bulkwriter.stub").HELP
    return text.strip()


def api(width: int) -> str:
    """The library's reference, from its docstrings."""
    text: str = importlib.import_module("bulkwriter.cli.api_page").page(width)
    return text


def manual(name: str, module: str = "manual") -> Callable[[int], str]:
    """A topic of the manual."""

    def text(width: int) -> str:
        found: str = getattr(importlib.import_module(f"bulkwriter.cli.{module}"), name)
        return found.rstrip()

    return text


TOPICS: dict[str, tuple[str, Callable[[int], str]]] = {
    "ids": ("which ids, where they are, and a file from a spreadsheet", manual("IDS")),
    "spreadsheets": ("from a table with e-mails and titles to ids: resolve", manual("SPREADSHEETS")),
    "tokens": (
        "how to sign in, how long a token lives, and which roles are needed",
        manual("TOKENS", "manual_tokens"),
    ),
    "sources": ("formats of SOURCE, and what a bad row is", manual("SOURCES")),
    "journal": ("what makes a run resume, and what to do when it is lost", manual("JOURNAL")),
    "quotas": ("how much may be sent in which time, and how it is counted", manual("QUOTAS")),
    "machines": (
        "several machines that share an account, by a ledger in PostgreSQL",
        manual("MACHINES", "manual_machines"),
    ),
    "jobs": ("one source that several workers share, on any machines", manual("JOBS", "manual_jobs")),
    "long-runs": (
        "how to keep a run of weeks alive: closed terminals, tmux, systemd, cron",
        manual("LONG_RUNS", "manual_operators"),
    ),
    "when": ("when something happens: what it means, what to do", manual("WHEN", "manual_operators")),
    "containers": (
        "a Dockerfile, its volume, and how it is stopped",
        manual("CONTAINERS", "manual_operators"),
    ),
    "logs": ("log files, and a command at the end of a run", manual("LOGS", "manual_operators")),
    "roles": ("which roles the user of the API needs", manual("ROLES", "manual_operators")),
    "verify-and-undo": ("what is on the server, and how to take it back", manual("VERIFY_AND_UNDO")),
    "words": ("words and states, each with its one meaning", manual("WORDS", "manual_reference")),
    "json": ("output for scripts: the object that --json prints", manual("JSON", "manual_reference")),
    "exit-codes": ("exit codes in their order", exit_codes),
    "replies": ("what each reply of the server means", replies),
    "settings": ("every setting and limit: unit, range, default, reason", settings),
    "config": ("bulkwriter.toml: settings in a file, and profiles", manual("CONFIG", "manual_config")),
    "api": ("the library: every name, method and setting, from the docstrings", api),
    "testing": ("fixtures for the tests of a service, with an example", manual("TESTING", "manual_testing")),
    "ci": ("benchmarks in CI, with exit 1 on a step back", manual("CI", "manual_testing")),
    "completion": ("completion in bash, zsh and fish", manual("COMPLETION", "manual_operators")),
    "stub": ("the local server, its scenarios and its truth", stub),
    "journal-format": ("the journal's tables, for whoever reads it with SQLite", journal_format),
    "quota-counting": (
        "windows, the ledger, what throttles teach, and what a wrong clock can do",
        manual("QUOTA_COUNTING", "manual_reference"),
    ),
}
