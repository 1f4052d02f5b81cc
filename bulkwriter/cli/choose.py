"""From options and environment to `Settings`: what was given, what the environment adds, what cannot go together.

Secrets come from the environment (`BULKWRITER_TOKEN`, `BULKWRITER_PASSWORD`), from files, or from stdin
(`--token-file -`), never from a flag.  Options win over the environment; a token wins over a user name.  Whatever
cannot be right is a `UsageError` with the flag to change; ranges are `Settings`' own business.

Pure but for `settings_for`, `read_token`, `with_password` and `with_totp`; the environment is an argument.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..entities import Entity
from ..entities.completed_lessons import COMPLETED_LESSONS
from ..errors import ConfigurationStop, UsageError
from ..postgres.address import Address
from ..settings import Limits, Settings, TokenCall
from ..shell import operand, quote, visible
from ..stored_sign_in import login_command
from .config_files import HOST_OF_FOLDER, NO_FILES
from .options import ENV, METADATA
from .secret import SECRET_ENV

if TYPE_CHECKING:
    from ..sources import Source
    from .stderr import Stderr

STDIN = Path("-")
READING = ("header_line", "sheet", "hidden_rows", "query")
"""Options that say how a source is to be read."""
SERVER_OPTIONS = (
    "base_url", "account", "token_file", "username", "password_file", "totp_file", "client_id", "ca_file", "proxy",
)  # fmt: skip
DEVICES = ("/dev/", "/proc/")
"""Where descriptors have names: /dev/stdin, and /dev/fd/63 for a shell's <(...)."""


class NoToken(UsageError):
    """There is no way to sign in."""


def settings_for(
    given: Mapping[str, Any],
    env: Mapping[str, str],
    *,
    journal: Path | None,
    keep_secret: Callable[[str | None], object],
) -> Settings:
    """Settings with a way to sign in, which a dry run does not need; `keep_secret` is told of every secret met here.

    Reads the token from stdin where it is to be there.
    """
    token = read_token() if given["token_file"] == STDIN else None
    keep_secret(token)
    is_foreign = bool(given.get(HOST_OF_FOLDER))
    if is_foreign:
        env = {name: value for name, value in env.items() if name not in SECRET_ENV}
    settings = settings_from(given, env, journal=journal, token=token)
    if settings.token is None and (command := given.get("token_command")) and not settings.token_file:
        settings = dataclasses.replace(settings, token=token_command(command, keep_secret))
    is_dry = bool(given.get("dry_run"))
    if not is_dry:
        settings = settings if is_foreign else with_stored(settings)
        settings = with_password(settings, given)
        keep_secret(settings.password)
        check_credentials(settings, is_foreign=is_foreign)
    for secret in [*secrets_in_files(settings), *secrets_stored(settings), *secrets_in_addresses(settings)]:
        keep_secret(secret)
    check_settings(settings, with_token=is_dry or not is_piped(settings))
    return settings


def settings_from(
    given: Mapping[str, Any], env: Mapping[str, str], *, journal: Path | None, token: str | None
) -> Settings:
    """Settings from parsed options; what was not given keeps its default.  `token` is one that stdin gave.

    A way to sign in that was given as an option goes before the environment's BULKWRITER_TOKEN.
    """
    chosen = {name: value for name, value in given.items() if name in METADATA and is_given(value)}
    if given.get("token_file") == STDIN:
        del chosen["token_file"]
    chosen.update(doubt_waits(given), journal=journal, retry_rejected=given.get("retry") == "rejected")
    chosen["token"] = token or env.get("BULKWRITER_TOKEN", "").strip() or None
    chosen["password"] = env.get("BULKWRITER_PASSWORD") or None
    is_user_asked_for = given.get("username") not in (None, env.get("BULKWRITER_USERNAME"))
    if given.get("token_file") is not None or is_user_asked_for:
        chosen["token"] = token
    return Settings(**chosen)


def is_given(value: Any) -> bool:
    return value is not None and value is not False and value != ()


def doubt_waits(given: Mapping[str, Any]) -> dict[str, float]:
    """`--doubt-wait S` in its two parts: a list lag of 5 s, or of S/2 if that is less, the rest for late applies."""
    total = given.get("doubt_wait")
    if total is None:
        return {}
    if given.get("late_apply_s") is not None or given.get("list_lag_s") is not None:
        raise UsageError(
            "--doubt-wait sets both --late-apply and --list-lag", hint="give --doubt-wait or the other two"
        )
    if not 0 <= total < float("inf"):
        raise UsageError(f"--doubt-wait {total:g} is not a time", hint="seconds, for example --doubt-wait 65")
    lag = min(5.0, total / 2)
    return {"list_lag_s": lag, "late_apply_s": total - lag}


def journal_path(source: str, given: Path | None) -> Path:
    """The journal beside its source, or the one given; stdin, in whatever spelling, has no place beside it."""
    if given is not None:
        return given
    if source == "-" or source.startswith(DEVICES):
        what = "stdin" if source == "-" else source
        raise UsageError(
            f"reading {what} needs --journal PATH", hint="the same journal and the same input resume a run"
        )
    return Path(source + ".journal")


def check_source(source: str, given: Mapping[str, Any]) -> None:
    """Refuse what can only be a slip: both token and pairs from stdin, or a journal given as the source."""
    if source == "-" and given.get("token_file") == STDIN:
        raise UsageError(
            "stdin cannot give both the token and the pairs", hint="put the token into BULKWRITER_TOKEN or a file"
        )
    if source.endswith(".journal"):
        raise UsageError(
            f"{source} looks like a journal, not a source",
            hint=f"did you mean: bulkwriter run {quote(operand(source.removesuffix('.journal')))}",
        )


def check_no_engine(given: Mapping[str, Any]) -> None:
    """Refuse what goes with workers on a cluster alone."""
    if is_given(given.get("workers")):
        raise UsageError(
            "--workers needs an engine that places them",
            hint="--on ray; or give `bulkwriter work` as often as there are to be workers (see: help jobs)",
        )


def check_no_job(given: Mapping[str, Any]) -> None:
    """Refuse what goes with a job alone where the journal is a file."""
    for name in ("parts", "load_only", "on", "workers"):
        if is_given(given.get(name)):
            raise UsageError(
                f"--{name.replace('_', '-')} needs a job in a database",
                hint="--journal postgresql://HOST/DATABASE/JOB names one (see: help jobs)",
            )


def check_metrics_file(path: Path | None) -> None:
    """Refuse a file of metrics that surely cannot be written, before anything is opened."""
    if path and (path.is_dir() or not path.parent.is_dir()):
        raise UsageError(
            f"--metrics-file {quote(operand(path))} names {'a folder' if path.is_dir() else 'a file in no folder'}",
            hint="give NAME.prom in the folder that node_exporter reads (--collector.textfile.directory)",
        )


def check_there(source: str) -> None:
    """Refuse a path that names nothing, or no source, before a journal is made beside it."""
    from ..sources.files import refuse_path

    if source != "-":
        refuse_path(source)


def open_given(
    source: str,
    given: Mapping[str, Any],
    stderr: Stderr,
    *,
    limits: Limits,
    entity: Entity = COMPLETED_LESSONS,
) -> Source:
    """The source named on a command line, with the columns named there.

    Says what reading it may wait for without end: a silent program looks like one that hangs.
    """
    from ..sources import open_source
    from ..sources.files import notes_on, waits_for

    options = {name: given[name] for name in READING if given[name] is not None}
    if words := waits_for(source):
        stderr.note(words)
    for words in notes_on(source, **options):
        stderr.note(f"{source}: {words}")
    first, second = columns_of(given, entity)
    return open_source(
        source,
        lesson_column=first,
        member_column=second,
        **options,
        line_bytes=limits.line_bytes,
        entity=entity,
    )


def secrets_in_addresses(settings: Settings) -> list[str]:
    """Passwords of databases."""
    return [secret for _, secret in settings.ledger.secrets] if isinstance(settings.ledger, Address) else []


def check_settings(settings: Settings, *, with_token: bool) -> None:
    """Refuse what a start would refuse, before any file is made: quotas, certificates, the proxy, the token's file."""
    from ..server_client import check

    check(settings, with_token=with_token)


def is_piped(settings: Settings) -> bool:
    """Whether a secret comes from what can be read once, such as a shell's <(...): a real start reads that itself."""
    paths = (settings.token_file, settings.password_file)
    return any(path is not None and path.exists() and not path.is_file() for path in paths)


def check_credentials(settings: Settings, *, is_foreign: bool = False) -> None:
    """Refuse to start without any way to sign in.  `is_foreign`: only a folder's file names the server."""
    if settings.token or settings.token_file or settings.stored_sign_in:
        return
    if settings.username is None and is_foreign:  # no word of how to sign in there: it may be a trap
        raise UsageError(
            f"no token for {visible(settings.base_url)}, which only the bulkwriter.toml of this folder names",
            hint="if you trust that server, give it with --base-url; else go to another folder",
        )
    if settings.username is None:
        raise NoToken(
            "no token",
            hint=f"sign in with `{login_command(settings.base_url, settings.account or '')}`, set BULKWRITER_TOKEN, or "
            "give --token-file PATH or --username NAME (see: help tokens)",
        )
    if not (settings.password or settings.password_file):
        raise UsageError(
            f"no password for {settings.username}",
            hint="set BULKWRITER_PASSWORD, or give --password-file PATH; on a terminal it is asked for, without --yes",
        )


def with_stored(settings: Settings) -> Settings:
    """Settings that use the stored sign-in of their server, if there is one and no other way goes before it.

    A user name goes before the stored sign-in of another user.
    """
    if isinstance(settings.token, str) or settings.token_file:
        return settings
    from ..store.sign_in_file import SignInFile

    file = SignInFile.of(settings.base_url, settings.account)
    if not file.is_there:
        return settings
    if settings.username is not None:
        stored = file.load()
        if stored is None or stored.username != settings.username:
            return settings
    return dataclasses.replace(settings, stored_sign_in=True)


def secrets_stored(settings: Settings) -> list[str]:
    """The tokens of the stored sign-in that these settings use; one that cannot be used is told elsewhere."""
    if not settings.stored_sign_in:
        return []
    from ..store.sign_in_file import SignInFile

    with contextlib.suppress(ConfigurationStop):
        if stored := SignInFile.of(settings.base_url, settings.account).load():
            return [stored.access_token, stored.refresh_token]
    return []


def token_command(command: str, keep_secret: Callable[[str | None], object]) -> TokenCall:
    """What runs the user's token_command at each call."""

    async def call() -> str:
        from .token_command import token_of

        token = await token_of(command)
        keep_secret(token)
        return token

    return call


def with_password(settings: Settings, given: Mapping[str, Any]) -> Settings:
    """Settings that hold the password of a user name, asked for where it is needed and a person can answer."""
    has_other = settings.stored_sign_in or settings.token or settings.token_file
    has_other = has_other or settings.password or settings.password_file
    if has_other or settings.username is None or given.get("yes") or not can_ask():
        return settings
    password = ask_secret(f"Password of {visible(settings.username)} (not shown): ")
    return dataclasses.replace(settings, password=password) if password else settings


def read_token() -> str:
    """The token from the first line of stdin; from a terminal without showing it."""
    is_typed = sys.stdin is not None and sys.stdin.isatty()
    token = (ask_secret("Token (not shown): ") if is_typed else sys.stdin.readline() if sys.stdin else "").strip()
    if not token:
        raise UsageError("no token on stdin", hint="--token-file - reads the first line of stdin")
    return token


def with_totp(settings: Settings, given: Mapping[str, Any]) -> Settings:
    """Settings that hold the two-factor code of a sign-in with a password, asked for once where a person can answer."""
    has_other = any(way is not None for way in (settings.token, settings.token_file, settings.totp_file, settings.totp))
    if has_other or settings.stored_sign_in or given["yes"] or given.get("dry_run") or not can_ask():
        return settings
    code = ask_secret("Two-factor code (Enter if there is none): ").strip()
    return dataclasses.replace(settings, totp=lambda: code) if code else settings


def ask_secret(prompt: str) -> str:
    """What a person types at the terminal, unseen; "" where the terminal is gone or its input ends."""
    import getpass

    try:
        return getpass.getpass(prompt)
    except EOFError:
        return ""
    except KeyboardInterrupt:
        sys.stderr.write("\n")  # what follows begins a line of its own
        raise
    except UnicodeDecodeError:
        raise UsageError("what was typed is not text in this terminal's encoding") from None


def ask_line(prompt: str) -> str:
    """The line that a person types at the terminal, shown as it is typed.  Raises `UsageError` where input ends."""
    sys.stderr.write(prompt)
    sys.stderr.flush()
    try:
        line = sys.stdin.readline()
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        raise
    except UnicodeDecodeError:
        raise UsageError("what was typed is not text in this terminal's encoding") from None
    if not line:
        sys.stderr.write("\n")
        raise UsageError("the terminal's input has ended, and nothing was typed")
    return line.rstrip("\n")


def can_ask() -> bool:
    """Whether a person is there to answer."""
    return bool(sys.stdin and sys.stdin.isatty() and sys.stderr and sys.stderr.isatty())


def secrets_in_files(settings: Settings) -> list[str]:
    """First lines of the files that hold secrets, so that they can be kept out of what is said; unreadable ones are not
    complained of here."""
    found = []
    for path in (settings.token_file, settings.password_file):
        with contextlib.suppress(OSError, UnicodeDecodeError):
            if path is not None and path.is_file():
                found.append(path.read_text(encoding="utf-8-sig").partition("\n")[0].strip())
    return found


def server_options(given: Mapping[str, Any]) -> list[str]:
    """What the options say about the server and the sign-in, as another command takes it."""
    found = []
    for name in SERVER_OPTIONS:
        if (value := given.get(name)) is not None:
            found += [f"--{name.replace('_', '-')}", without_password(value) if name == "proxy" else str(value)]
    return found


def columns_of(given: Mapping[str, Any], entity: Entity = COMPLETED_LESSONS) -> tuple[str, str]:
    """Names of the two columns, as asked for or as usual."""
    first, second = entity.fields
    return given["lesson_column"] or first, given["member_column"] or second


def strange_variables(env: Mapping[str, str], known: Collection[str]) -> list[str]:
    """A sentence for each `BULKWRITER_*` variable that nothing reads: most likely a slip of the pen."""
    names = {*known, *SECRET_ENV, NO_FILES}
    sentences = []
    for name in sorted(n for n in env if n.startswith(ENV) and n not in names):
        near = difflib.get_close_matches(name, names, n=1)
        sentences.append(f"{name} is set, but nothing reads it" + (f"; did you mean {near[0]}?" if near else ""))
    return sentences


def without_password(url: str) -> str:
    """A proxy URL that can be shown: whatever stands before an "@", with a scheme or without, replaced by words."""
    scheme, between, rest = url.rpartition("://")
    _, at, host = rest.rpartition("@")
    return f"{scheme}{between}USER:PASSWORD@{host}" if at else url
