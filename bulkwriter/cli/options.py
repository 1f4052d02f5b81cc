"""Options that commands share, made from the metadata of `Settings`, so that help, range and default are said once.

`option(FLAG, FIELD)` makes a click option whose help is the setting's own reason.  Each option of `run` is also read
from `BULKWRITER_<NAME>` (`--in-flight` from `BULKWRITER_IN_FLIGHT`); an empty variable counts as not set.  What is
given in neither way comes from a file (`config_files`), which the eager `--profile` reads.  Secrets have no option at
all: a flag's value shows in the process list.  Ranges are checked by `Settings`, not here.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from ..entities.completed_lessons import COMPLETED_LESSONS
from ..errors import UsageError
from ..postgres.address import Address, is_postgres, refuse_password
from ..settings import Settings, amount

ENV = "BULKWRITER_"
METADATA = {f.name: f for f in dataclasses.fields(Settings)}

Decorator = Callable[[Any], Any]


SECONDS = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3_600, "hour": 3_600, "d": 86_400, "day": 86_400}


def rate(text: str) -> float:
    """A rate in attempts a second from `50/s`, `0.2/s`, `30/min`, `1000/h`, `2500/day`, or a bare number a second."""
    count, slash, unit = text.strip().partition("/")
    try:
        return float(count) / SECONDS[unit.strip().lower() if slash else "s"]
    except (ValueError, KeyError):
        raise click.BadParameter(f"{text!r} is not like 50/s, 0.2/s or 30/min") from None


class Seconds(click.types.FloatParamType):
    """A number of seconds, or a time such as 3s, 2min or 1h."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        text = str(value).strip()
        number = text.rstrip("abcdefghijklmnopqrstuvwxyz")
        with contextlib.suppress(ValueError):
            return float(text)
        try:
            return float(number) * SECONDS[text[len(number) :]]
        except (ValueError, KeyError):
            self.fail(f"{text!r} is not a number of seconds, such as 3, or a time such as 3s or 2min", param, ctx)


SECONDS_OR_TIME = Seconds()


class Option(click.Option):
    """A click option whose errors name the environment variable when the value came from there.

    `title`: what help shows it under; set by `several`.
    """

    title = ""

    def get_error_hint(self, ctx: click.Context | None) -> str:
        hint = super().get_error_hint(ctx)
        source = ctx.get_parameter_source(self.name) if ctx is not None and self.name else None
        is_env = source is click.core.ParameterSource.ENVIRONMENT or (source is None and self.is_in_environment(ctx))
        if ctx is not None and source is click.core.ParameterSource.DEFAULT_MAP:
            from .config_files import found_in

            return f"{hint} (from {found_in(ctx).chosen[self.name or ''].origin})"
        return f"{hint} (from {self.envvar})" if is_env else hint

    def is_in_environment(self, ctx: click.Context | None) -> bool:
        return ctx is not None and self.resolve_envvar_value(ctx) is not None


def variable(flag: str) -> str:
    """The environment variable of a flag."""
    return ENV + flag.removeprefix("--").replace("-", "_").upper()


def option(flag: str, field: str, **how: Any) -> Decorator:
    """An option for one field of `Settings`; its value is None where it was not given."""
    return plain(flag, describe(METADATA[field]), field, **how)


def plain(flag: str, text: str, name: str, *extra: str, **how: Any) -> Decorator:
    """An option of the command line alone, under parameter `name`."""
    return click.option(flag, *extra, name, cls=Option, envvar=variable(flag), help=text, **how)


def column_help(which: int) -> str:
    """What help says of the column of a pair's first (0) or second (1) id."""
    return f"column of the {COMPLETED_LESSONS.words[which]} ids [default {COMPLETED_LESSONS.fields[which]}]"


def describe(f: dataclasses.Field[Any]) -> str:
    """A setting's reason with its range and default, as help shows it."""
    facts = []
    if "low" in f.metadata:
        unit = "" if f.metadata["unit"] == "a second" else f" {f.metadata['unit']}"
        facts.append(f"{amount(f.metadata['low'])} to {amount(f.metadata['high'])}{unit}")
    if f.default not in (None, False, (), dataclasses.MISSING):
        facts.append(f"default {amount(f.default)}")
    why: str = f.metadata["why"]
    return why + (f" [{', '.join(facts)}]" if facts else "")


def several(*decorators: Decorator, title: str = "") -> Decorator:
    """Options together, shown by help in the order given and under `title`, unless they have a narrower one."""

    def apply(command: Any) -> Any:
        before = list(getattr(command, "__click_params__", ()))
        for decorate in reversed(decorators):
            command = decorate(command)
        for param in command.__click_params__:
            if isinstance(param, Option) and param not in before:
                param.title = param.title or title
        return command

    return apply


class CommandWithExamples(click.Command):
    """A command whose help begins with `examples`, each a line and what it does, and shows options by their titles."""

    def __init__(self, *args: Any, examples: Sequence[tuple[str, str]] = (), **how: Any) -> None:
        super().__init__(*args, **how)
        self.examples = examples

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_help_text(ctx, formatter)
        if self.examples:
            from .main import show_examples

            show_examples(self.examples, formatter)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {"Options": []}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
            if record is not None:
                groups.setdefault(getattr(param, "title", "") or "Options", []).append(record)
        own = groups.pop("Options")
        for title, records in [*groups.items(), ("Other options" if groups else "Options", own)]:
            with formatter.section(title):
                formatter.write_dl(records)


def read_files(ctx: click.Context, param: click.Parameter, profile: str | None) -> None:
    """Take the values of configuration files, before any other option is read."""
    from . import config_files

    config_files.load(ctx, profile)


profile_option = plain(
    "--profile", "table [profile.NAME] of bulkwriter.toml to use (see: help config)", "profile",
    metavar="NAME", is_eager=True, expose_value=False, callback=read_files,
)  # fmt: skip


class PathOrAddress(click.Path):
    """A path, or the URL of a database.  A URL of the command line may hold no password, since others can read it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str) or not is_postgres(value):
            return super().convert(value, param, ctx)
        address = Address.parse(value)
        if ctx and param and ctx.get_parameter_source(param.name or "") is click.core.ParameterSource.COMMANDLINE:
            refuse_password(address)
        return address


class JournalOrJob(PathOrAddress):
    """The path of a journal, or the URL of a job in a database."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        place = super().convert(value, param, ctx)
        if isinstance(place, Address) and not place.job:
            raise UsageError(
                f"{place} names a database and no job in it", hint="add its name: postgresql://HOST/DATABASE/JOB"
            )
        return place


PATH = click.Path(path_type=Path)
PLACE = PathOrAddress(path_type=Path)
JOURNAL = JournalOrJob(path_type=Path)
SOURCE = click.Path(allow_dash=True)
"""Stays the text that was given; a shell completes names of files."""

connection_options = several(
    profile_option,
    option("--base-url", "base_url", metavar="URL"),
    option("--token-file", "token_file", metavar="PATH|-", type=click.Path(path_type=Path, allow_dash=True)),
    option("--username", "username", metavar="NAME"),
    option("--password-file", "password_file", metavar="PATH", type=PATH),
    option("--totp-file", "totp_file", metavar="PATH", type=PATH),
    option("--client-id", "client_id", metavar="NAME"),
    option("--ca-file", "ca_file", metavar="PATH", type=PATH),
    option("--proxy", "proxy", metavar="URL"),
    option("--timeout", "timeout_s", metavar="S", type=SECONDS_OR_TIME),
    title="Server and sign-in",
)
"""Where the server is and who we are: for every command that talks to it."""

quota_options = several(
    option("--quota", "quota", metavar="SPEC", multiple=True),
    option("--quota-share", "quota_share", metavar="SHARE", type=float),
    option("--on-quota", "on_quota", type=click.Choice(["wait", "stop"])),
    option("--account", "account", metavar="NAME"),
    option("--ledger", "ledger", metavar="PATH|URL", type=PLACE),
    title="Quotas",
)

pace_options = several(
    option("--in-flight", "in_flight", metavar="N", type=int),
    option("--rate", "rate", metavar="N/s", type=rate),
    option("--min-rate", "min_rate", metavar="N/s", type=rate),
    title="Pace",
)

wait_options = several(
    plain("--doubt-wait", "sets --late-apply and --list-lag together", "doubt_wait", metavar="S", type=SECONDS_OR_TIME),
    option("--late-apply", "late_apply_s", metavar="S", type=SECONDS_OR_TIME),
    option("--list-lag", "list_lag_s", metavar="S", type=SECONDS_OR_TIME),
    option("--give-up-after", "give_up_after_s", metavar="S", type=SECONDS_OR_TIME),
    title="Waits",
)
"""How long to wait for what cannot be known sooner: for every command that looks."""

after_loss_option = option("--after-loss", "after_loss", is_flag=True)

care_options = several(
    option("--existing", "existing", type=click.Choice(["check", "skip"])),
    after_loss_option,
    option("--lease", "lease_s", metavar="S", type=SECONDS_OR_TIME),
    wait_options,
    option("--max-attempts", "max_attempts", metavar="N", type=int),
    option("--max-same-rejections", "max_same_rejections", metavar="N", type=int),
    option("--stop-rejected", "stop_rejected", metavar="SHARE", type=float),
    plain("--retry", "send pairs again that an earlier start saw rejected", "retry", type=click.Choice(["rejected"])),
    title="What exists, and what the server refuses",
)

reading_options = several(
    plain("--header-line", "line or row that names the columns [default 1]", "header_line", metavar="N", type=int),
    plain("--sheet", "sheet of a workbook, by name or number [default the first]", "sheet", metavar="NAME|N"),
    plain(
        "--hidden-rows", "what to do with hidden or filtered rows of a sheet", "hidden_rows",
        type=click.Choice(["include", "skip"]),
    ),
    plain("--query", "query of a database, with ORDER BY [default its only table]", "query", metavar="SQL"),
)  # fmt: skip
"""How a table is to be read, where it does not tell itself; `choose.READING` has their names."""

column_options = several(
    plain("--lesson-column", column_help(0), "lesson_column", metavar="NAME"),
    plain("--member-column", column_help(1), "member_column", metavar="NAME"),
    reading_options,
    title="Source and journal",
)
"""Where in a source the pairs are."""

source_options = several(
    plain(
        "--journal",
        "where to keep what is done: a file, or a job in PostgreSQL (see: help jobs) [default SOURCE.journal]",
        "journal",
        metavar="PATH|URL",
        type=JOURNAL,
    ),
    column_options,
    option("--strict", "strict", is_flag=True),
    option("--limit", "limit", metavar="N", type=int),
    plain(
        "--dry-run", "read and check the source, show what would be sent, and write nothing", "dry_run", is_flag=True
    ),
    title="Source and journal",
)

job_options = several(
    plain("--parts", "into how many parts a job is loaded [1 to 256, default 4]", "parts", metavar="N", type=int),
    plain("--load-only", "load the job, and leave the work to `bulkwriter work`", "load_only", is_flag=True),
    plain(
        "--on", "place workers on a Ray cluster: ray for one on this machine, or ray:HOST:PORT", "on",
        metavar="ray[:ADDRESS]",
    ),
    plain("--workers", "how many workers to place [1 to 1000, default 2]", "workers", metavar="N", type=int),
    title="Several machines",
)  # fmt: skip
"""For a source whose journal is a job in a database."""

json_option = plain("--json", "print one JSON object as the last line of stdout", "as_json", is_flag=True)

output_options = several(
    json_option,
    plain(
        "--log-format", "format of stderr: text, or JSON lines", "log_format",
        type=click.Choice(["text", "json"]), default="text",
    ),
    plain(
        "--log-file", "append all that is said to this file as well, each line with date, time and zone", "log_file",
        metavar="PATH", type=PATH,
    ),
    plain("--verbose", "show every event, and a traceback for a bug", "verbose", "-v", is_flag=True),
    plain("--yes", "answer yes to every question", "yes", is_flag=True),
    title="Output",
)  # fmt: skip
"""What is printed, and how: for every command that asks the server."""

report_option = plain(
    "--report", "keep an HTML page of the run in this file, made anew about once a minute", "report",
    metavar="PATH", type=PATH,
)  # fmt: skip

worker_output_options = several(
    plain(
        "--progress", "how to show progress [default auto: rich on a terminal, else plain]", "progress",
        type=click.Choice(["auto", "rich", "plain", "none"]), default="auto",
    ),
    plain(
        "--metrics-file", "keep the run's metrics in this file, NAME.prom, for node_exporter's textfile collector",
        "metrics_file", metavar="PATH", type=PATH,
    ),
    click.option(  # not from the environment: whoever can set a variable there is not thereby asked to run commands
        "--on-end", "on_end", cls=Option, metavar="COMMAND",
        help="run this shell command at the end, with the object of --json on its stdin (see: help logs)",
    ),
    output_options,
    title="Output",
)  # fmt: skip
"""For commands that run until their work is done."""

run_output_options = several(report_option, worker_output_options, title="Output")


def variables_of(command: click.Command) -> set[str]:
    """The environment variables that a command reads."""
    return {p.envvar for p in command.params if isinstance(p.envvar, str)}
