"""Settings that stand in files: `bulkwriter.toml` of the working folder, and the user's own one.

    base-url = "https://spaces.nexudus.com"      # keys are the options of `run` without their dashes
    quota = ["write:60/min", "write:2500/day"]
    [profile.night]                              # counts where --profile night is given
    rate = "30/min"

An option goes before the environment, and the environment before a file.  Of the files the first that has a key counts:

    [profile.NAME] of the working folder, the same of the user's file, top of the working folder's, top of the user's

The user's own file is the user's word.  A file that lies in a working folder may come from anybody, with an archive or
a checkout.  So it may name no certificates, no proxy, no command, and no file to write.  It may name a host, which is
then told, as is each setting that makes a run less careful.  Such a *foreign* host, that nobody else names, never gets
the stored sign-in, one that stands in the user's own file, one of the environment, or a file from outside of the
folder, whether it is this machine or not.  What is given on the command line is the user's word.

Secrets stand in no such file: it names the file that holds one.  The URL of a database may hold a password, in the
user's own file that nobody else may read.  A path is relative to the file it stands in.  An
unknown key or a value of the wrong type is a `UsageError` that says where it stands.

Not here: the values' ranges (`Settings`), and what one command line may decide alone (`OF_ONE_CALL`).
"""

from __future__ import annotations

import difflib
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import click

from ..errors import UsageError
from ..postgres.address import Address, is_postgres
from ..settings import DEFAULT_BASE_URL
from ..shell import visible
from .options import PathOrAddress

NAME: Final = "bulkwriter.toml"
NO_FILES: Final = "BULKWRITER_CONFIG"
"""Set to "none", no file is read: for tests, and for a demo that shall be the same everywhere."""
OF_ONE_CALL: Final = frozenset(
    {"journal", "limit", "dry_run", "retry", "after_loss", "as_json", "yes", "verbose", "header_line"}
)
"""Parameters that a file may not set, since they concern one source or one call."""
OF_THE_USER: Final = frozenset(
    {"ca_file", "proxy", "token_command", "on_end", "log_file", "metrics_file", "report", "ledger"}
)
"""Parameters that the working folder's file may not set: who sets these can read what is sent, run a command, or write
into any file."""
OF_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
COMMANDS: Final = frozenset({"token_command", "on_end"})
WEAKENING: Final = frozenset(
    {"account", "existing", "quota", "quota_share", "late_apply_s", "list_lag_s", "doubt_wait", "max_same_rejections"}
)
"""Parameters that decide what is looked up, waited for and counted: told where the working folder's file sets them."""
MOST_BYTES: Final = 1 << 20
"""Of a file.  Far more than all settings take; what a link leads to may have no end."""
SIGN_IN: Final = frozenset({"token_file", "username", "password_file", "totp_file", "client_id", "token_command"})
HOST_OF_FOLDER: Final = "host_of_folder"
"""Among the options that `given` returns: whether only the working folder's file names the server.  Then it gets
neither the stored sign-in nor a secret of the environment.
"""
FILE_ONLY: Final = (
    click.Option(["--token-command"], help="command that prints a token in its first line, such as that of a keyring"),
)
"""Settings that have no option and no variable."""
RIVALS: Final = (
    (frozenset({"token_file"}), frozenset({"username", "token_command"})),
    (frozenset({"doubt_wait"}), frozenset({"late_apply_s", "list_lag_s"})),
)
"""Ways to say the same.  Where an option or the environment says it one way, a file does not say it the other way."""
SECRETS: Final = {"token": "token-file", "password": "password-file", "totp": "totp-file"}
META: Final = "bulkwriter.config"
"""Where a click context keeps what `load` found."""


class Origin(NamedTuple):
    """Where a value stands: a file, and the name of its table, "" for the top."""

    path: Path
    is_own: bool
    profile: str = ""

    def __str__(self) -> str:
        return visible(f"{self.path} [profile.{self.profile}]" if self.profile else str(self.path))


class FromFile(NamedTuple):
    """A value from a file, as click takes it, and where it stands."""

    value: Any
    origin: Origin


class Layer(NamedTuple):
    """Values of one table of one file, by parameter name."""

    origin: Origin
    values: dict[str, Any]


class FileSettings(NamedTuple):
    """What the files say.  `host`: the server that the working folder's file names.  `is_foreign`: nobody else names
    it, as far as files tell.
    """

    chosen: dict[str, FromFile]
    host: FromFile | None = None
    is_foreign: bool = False


def paths(env: Mapping[str, str]) -> tuple[Path, Path | None]:
    """The file of the working folder and the user's own, whether they are there or not; None without a home folder."""
    config, home = env.get("XDG_CONFIG_HOME", ""), env.get("HOME", "")
    folder = config if config.startswith("/") else f"{home}/.config" if home.startswith("/") else None
    return Path.cwd() / NAME, Path(folder, "bulkwriter", NAME) if folder else None


def load(ctx: click.Context, profile: str | None, env: Mapping[str, str] = os.environ) -> None:
    """Make the files' values the defaults of this command.  Raises `UsageError`."""
    found = choose(tables_of(env, options_of(ctx.command)), profile, env)
    ctx.default_map = {name: one.value for name, one in found.chosen.items()}
    ctx.meta[META] = found


def found_in(ctx: click.Context) -> FileSettings:
    """What `load` found."""
    found: FileSettings = ctx.meta.get(META, FileSettings({}))
    return found


def foreign_host(ctx: click.Context, env: Mapping[str, str] = os.environ) -> FromFile | None:
    """The server that nobody but the working folder's file names."""
    return host_of_folder(ctx, env) if found_in(ctx).is_foreign else None


def host_of_folder(ctx: click.Context, env: Mapping[str, str] = os.environ) -> FromFile | None:
    """The server that the working folder's file names, unless an option or the environment names one."""
    host = found_in(ctx).host
    if any(param.name == "base_url" for param in ctx.command.params):
        return host if is_of_file(ctx, "base_url") else None
    return None if env.get("BULKWRITER_BASE_URL") else host


def kept_back(ctx: click.Context, env: Mapping[str, str] = os.environ) -> set[str]:
    """Parameters whose values a foreign host does not get."""
    if foreign_host(ctx, env) is None:
        return set()
    chosen = found_in(ctx).chosen
    back = {name for name in SIGN_IN & chosen.keys() if chosen[name].origin.is_own}
    back |= {name for name in SIGN_IN if ctx.get_parameter_source(name) is click.core.ParameterSource.ENVIRONMENT}
    back |= {name for name in SIGN_IN & chosen.keys() if is_outside(name, chosen[name])}
    return back


def is_outside(name: str, found: FromFile) -> bool:
    """Whether a folder's file names a secret that did not come with the folder."""
    folder = found.origin.path.parent.resolve()
    return name.endswith("_file") and not Path(found.value).resolve().is_relative_to(folder)


def notes_for(ctx: click.Context, env: Mapping[str, str] = os.environ) -> list[str]:
    """What is to be told of the files."""
    host, notes = host_of_folder(ctx, env), []
    chosen = found_in(ctx).chosen
    told = sorted(name for name in WEAKENING & chosen.keys() if is_of_file(ctx, name) and is_weaker(name, chosen[name]))
    if told:
        keys = ", ".join(name.removesuffix("_s").replace("_", "-") for name in told)
        origins = ", ".join(dict.fromkeys(str(chosen[name].origin) for name in told))
        notes.append(f"{origins} sets {keys}: if you do not trust this folder, give them as options")
    if host is None:
        return notes
    notes += [f"{host.origin} sets the server: {visible(str(host.value))}"]
    if found_in(ctx).is_foreign:
        whose = "your own, nor one of the environment,"
        notes.append(f"no sign-in of {whose} is used there; if you trust that server, give it with --base-url")
    return notes


def is_weaker(name: str, found: FromFile) -> bool:
    """Whether a file that may be anybody's makes a run less careful; to look up what exists is the default."""
    return not found.origin.is_own and (name, found.value) != ("existing", "check")


def given(ctx: click.Context, options: Mapping[str, Any], env: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """The options without those of a file that an option or the environment says in another way, and without those
    that a foreign host does not get.
    """
    back, chosen, is_foreign = kept_back(ctx, env), found_in(ctx).chosen, foreign_host(ctx, env) is not None
    options = {name: None if name in back else value for name, value in options.items()}
    is_nearer = {name for name in options if options[name] is not None and not is_of_file(ctx, name)}
    if env.get("BULKWRITER_TOKEN", "").strip() and not is_foreign:
        is_nearer |= {"token_file", "username"}
    for one, other in RIVALS:
        for nearer, farther in ((one, other), (other, one)):
            if is_nearer & nearer:
                options.update({name: None for name in farther if name in options and is_of_file(ctx, name)})
    if "token_command" in chosen.keys() - back and not is_nearer & {"token_file", "username"}:
        options["token_command"] = chosen["token_command"].value
    return {**options, HOST_OF_FOLDER: is_foreign}


def is_of_file(ctx: click.Context, name: str) -> bool:
    return ctx.get_parameter_source(name) is click.core.ParameterSource.DEFAULT_MAP


def options_of(command: click.Command) -> dict[str, click.Option]:
    """Options that a file may set, by key: those of `run`, and those of the command itself."""
    from .run import command as run

    params = [*run.params, *command.params]
    return {
        p.opts[0].lstrip("-"): p
        for p in [*params, *FILE_ONLY]
        if isinstance(p, click.Option) and p.expose_value and p.name not in OF_ONE_CALL
    }


def tables_of(env: Mapping[str, str], known: Mapping[str, click.Option]) -> list[Layer]:
    """Every table of the files that are there, the working folder's first.  Raises `UsageError`."""
    if env.get(NO_FILES) == "none":
        return []
    here, own = paths(env)
    found = list(read(here, known, is_own=False)) if here != own else []
    return found + (list(read(own, known, is_own=True)) if own else [])


def read(path: Path, known: Mapping[str, click.Option], *, is_own: bool) -> Iterator[Layer]:
    """The top of one file, then its profiles; nothing where there is no file."""
    try:
        content, mode = content_of(path)
    except FileNotFoundError:
        return
    except OSError as e:
        raise UsageError(f"cannot read {visible(str(path))}: {e.strerror}", hint="mend or remove that file") from None
    import tomllib  # only where there is a file: it costs a `--help` a tenth

    try:
        data = tomllib.loads(content.decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise UsageError(
            f"{visible(str(path))} is not TOML: {visible(str(e))}", hint="bulkwriter help config shows one"
        ) from None
    profiles = data.pop("profile", {})
    if not isinstance(profiles, dict) or not all(isinstance(table, dict) for table in profiles.values()):
        raise UsageError(f"{visible(str(path))}: profile is not a table", hint="write [profile.NAME] above its keys")
    for name, table in [("", data), *profiles.items()]:
        origin = Origin(path, is_own, name)
        values = checked(table, known, origin)
        if mode & stat.S_IWOTH and COMMANDS & values.keys():
            raise UsageError(
                f"{origin}: it names a command, and any user of this machine may write into it",
                hint=f"look at it, then: chmod go-w {visible(str(path))}",
            )
        if mode & OF_OTHERS and any(has_password(value) for value in values.values()):
            raise UsageError(
                f"{origin}: the URL of a database in it holds a password, and other users of this machine may read it",
                hint=f"chmod go-rwx {visible(str(path))}",
            )
        yield Layer(origin, values)


def has_password(value: object) -> bool:
    """Whether a value is the URL of a database with a password in it."""
    return isinstance(value, str) and is_postgres(value) and bool(Address.parse(value).secrets)


def content_of(path: Path) -> tuple[bytes, int]:
    """A file and its mode.  Raises `OSError`, and `UsageError` for what is no regular file, or a large one."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a FIFO would wait for a writer
    with os.fdopen(fd, "rb") as file:
        mode = os.fstat(fd).st_mode
        if not stat.S_ISREG(mode):
            raise UsageError(f"{visible(str(path))} is no regular file", hint="remove it, or go to another folder")
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise UsageError(f"{visible(str(path))} has more than {MOST_BYTES:,} bytes", hint="mend or remove that file")
    return content, mode


def checked(table: Mapping[str, Any], known: Mapping[str, click.Option], origin: Origin) -> dict[str, Any]:
    """Values as click takes them, by parameter name.  Raises `UsageError` for the first that cannot be."""
    values = {}
    for key, value in table.items():
        option = known.get(key.replace("_", "-"))
        if option is None or option.name is None:
            raise UsageError(f"{origin}: there is no setting {key!r}", hint=instead_of(key, known))
        if option.name in OF_THE_USER and not origin.is_own:
            raise UsageError(
                f"{origin}: {key} may stand only in your own file, since a folder's file may come from anybody",
                hint="bulkwriter config path names your own file",
            )
        values[option.name] = as_given(option, key, value, origin)
    return values


def instead_of(key: str, known: Mapping[str, click.Option]) -> str:
    """What to do about a key that is no setting."""
    if key in SECRETS:
        return f"a secret stands in a file of its own: {SECRETS[key]} = PATH"
    near = difflib.get_close_matches(key.replace("_", "-"), known, n=1)
    return f"did you mean {near[0]}?" if near else "bulkwriter config show lists all of them"


def as_given(option: click.Option, key: str, value: Any, origin: Origin) -> Any:
    """One value as click takes it.  Raises `UsageError` where its type is wrong."""
    if option.is_flag:
        wanted, is_right = "true or false", isinstance(value, bool)
    elif option.multiple:
        value = [value] if isinstance(value, str) else value
        wanted = 'a list such as ["write:60/min"]'
        is_right = isinstance(value, list) and all(isinstance(item, str) for item in value)
    elif isinstance(option.type, click.types.IntParamType | click.types.FloatParamType):
        wanted, is_right = "a number", isinstance(value, int | float) and not isinstance(value, bool)
    elif isinstance(option.type, click.Path | click.Choice | click.types.StringParamType):
        wanted, is_right = "a text in quotes", isinstance(value, str)
    else:  # a rate
        wanted, is_right = 'a text such as "50/s"', isinstance(value, str | int | float) and not isinstance(value, bool)
        value = str(value)
    if not is_right:
        raise UsageError(f"{origin}: {key} = {value!r} is not {wanted}", hint=f"{key}: {option.help}")
    is_path = isinstance(option.type, click.Path) and not (
        isinstance(option.type, PathOrAddress) and is_postgres(value)
    )
    return str(located(value, origin)) if is_path else value


def located(value: str, origin: Origin) -> Path:
    """A path of a file's value: relative to the file that it stands in."""
    path = Path(value).expanduser()
    return path if value == "-" or path.is_absolute() else origin.path.parent / path


def choose(tables: Sequence[Layer], profile: str | None, env: Mapping[str, str] = os.environ) -> FileSettings:
    """The values that count, by parameter, and what is to be told.  Raises `UsageError` for an unknown profile."""
    of_profile = [table for table in tables if profile and table.origin.profile == profile]
    if profile and not of_profile:
        names = sorted({visible(table.origin.profile) for table in tables if table.origin.profile})
        here, own = paths(env)
        raise UsageError(
            f"no profile {profile!r}",
            hint=f"there are: {', '.join(names)}" if names else f"none stands in {here} or {own}",
        )
    chosen: dict[str, FromFile] = {}
    for table in [*of_profile, *(table for table in tables if not table.origin.profile)]:
        rivals = {name for one, other in RIVALS for name in rivals_of(one, other, chosen)}
        for name, value in table.values.items():
            if name not in rivals:
                chosen.setdefault(name, FromFile(value, table.origin))
    host = chosen.get("base_url")
    host = None if host is None or host.origin.is_own else host
    return FileSettings(chosen, host, is_foreign=host is not None and not is_known(str(host.value), tables))


def rivals_of(one: frozenset[str], other: frozenset[str], chosen: Mapping[str, FromFile]) -> frozenset[str]:
    """Of two ways to say the same the names that a farther table may not add."""
    return (other if one & chosen.keys() else frozenset()) | (one if other & chosen.keys() else frozenset())


def is_known(url: str, tables: Sequence[Layer]) -> bool:
    """Whether a server is the default one, or named by the user's own file as well.

    What is no URL is known to nobody; it is told where it is used.
    """
    from ..store.schema import normal_url

    own = [str(table.values["base_url"]) for table in tables if table.origin.is_own and "base_url" in table.values]
    try:
        return normal_url(url) in {normal_url(other) for other in (DEFAULT_BASE_URL, *own)}
    except ValueError:
        return False
