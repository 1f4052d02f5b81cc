"""`bulkwriter config show` and `config path`: which settings a run would have here, and where each comes from.

Secrets are told as "set", never shown; a proxy is shown without its password.  Values are shown as they stand, and a
wrong one is told as `run` would tell it.  Nothing is opened but the configuration files.

Not here: reading the files, and which value counts (`config_files`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import click

from ..errors import ConfigurationStop, UsageError
from ..postgres.address import Address, is_postgres
from ..settings import DEFAULT_BASE_URL, amount
from ..shell import visible
from ..wording import typed
from . import config_files, describe, options
from .choose import without_password
from .secret import SECRET_ENV
from .stdout import put, put_json

NOT_SHOWN = "(set, not shown)"


class Shown(NamedTuple):
    """A setting as it would be; `origin` is a file, a variable or "default"."""

    key: str
    value: str
    origin: str


@click.group("config")
def command() -> None:
    """Show the settings that a command would have in this folder, and the files that they come from."""


@command.command("show")
@options.profile_option
@options.json_option
@click.pass_context
def show(ctx: click.Context, /, as_json: bool) -> int:
    """Show every setting, its value, and where the value comes from: the environment, a file, or the default."""
    rows = list(settings_here(ctx))
    for note in config_files.notes_for(ctx):
        click.echo(f"note: {note}", err=True)
    if as_json:
        facts: dict[str, Any] = {row.key: {"value": row.value, "origin": row.origin} for row in rows}
        put_json({"settings": facts, "exit_code": 0})
    else:
        put("\n".join(describe.aligned(rows)))
    return 0


@command.command("path")
def path() -> int:
    """Show where configuration files are looked for, the first of them first."""
    here, own = config_files.paths(os.environ)
    put("\n".join(f"{name}  ({'read' if name.is_file() else 'not there'})" for name in (here, own) if name))
    if own is None:
        raise UsageError("there is no home folder", hint="set HOME or XDG_CONFIG_HOME to an absolute path")
    return 0


def settings_here(ctx: click.Context) -> Iterator[Shown]:
    """Every setting that a file may set, as `run` would have it here, and the secrets of the environment."""
    back = config_files.kept_back(ctx)
    chosen = {name: found for name, found in config_files.found_in(ctx).chosen.items() if name not in back}
    for key, option in config_files.options_of(ctx.command).items():
        name = option.name or ""
        given = option.value_from_envvar(ctx)
        if given not in (None, ()):
            yield Shown(key, shown(name, given), str(option.envvar))
        elif name in chosen:
            yield Shown(key, shown(name, chosen[name].value), str(chosen[name].origin))
        else:
            yield Shown(key, default_of(option), "default")
    for variable in SECRET_ENV:
        if os.environ.get(variable):
            yield Shown(variable.removeprefix(options.ENV).lower(), NOT_SHOWN, variable)
    yield stored_here(ctx, chosen)


def stored_here(ctx: click.Context, chosen: Mapping[str, config_files.FromFile]) -> Shown:
    """The stored sign-in of the server and account that a run would have here."""
    from ..store.sign_in_file import SignInFile

    def setting(name: str) -> str | None:
        found = os.environ.get(options.variable(f"--{name.replace('_', '-')}")) or (
            chosen[name].value if name in chosen else None
        )
        return str(found) if found else None

    if config_files.foreign_host(ctx):
        return Shown("stored-sign-in", "not used for a server that only the folder names", "-")
    try:
        file = SignInFile.of(setting("base_url") or DEFAULT_BASE_URL, setting("account"))
        stored = file.load()
    except ConfigurationStop as error:
        return Shown("stored-sign-in", typed(error.message), "-")
    except ValueError:
        return Shown("stored-sign-in", "not known: the base URL is no URL", "-")
    return Shown("stored-sign-in", NOT_SHOWN if stored else "-", visible(str(file.path)) if stored else "default")


def shown(name: str, value: Any) -> str:
    """A value as people read it."""
    if name == "token_command":
        return NOT_SHOWN
    if name == "proxy":
        return without_password(str(value))
    if is_postgres(str(value)):
        return Address.parse(str(value)).shown
    if isinstance(value, bool):
        return "true" if value else "false"
    return ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def default_of(option: click.Option) -> str:
    """The default of an option, which stands in `Settings` where that has a field of its name; "-" for none."""
    field = options.METADATA.get(option.name or "")
    value = field.default if field is not None else option.default
    is_named = isinstance(value, str | int | float) and value != ""
    return "false" if value is False else amount(value) if is_named else "-"
