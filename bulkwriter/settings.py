"""Every limit and choice of a run, each with its unit, range, reason, and which way it pushes.

`Settings` holds the choices of a user; the options of the command line have the same names.  `Limits` holds bounds that
keep memory and waits finite, whatever a server or a source does.  Tests change `Limits`; a user should not need to.
Both are frozen, and checked once, where they are made.  A wrong value is a `UsageError` that names the setting.
Secrets are left out of `repr`.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Self, overload
from urllib.parse import urlsplit

from .errors import UsageError
from .postgres.address import Address, is_postgres
from .wording import Worded

DEFAULT_BASE_URL: Final = "https://spaces.nexudus.com"

NEVER_EMPTY: Final = frozenset({"token", "username"})
STOP_WAIT_S: Final = 60.0
"""With `on_quota` "stop", a longer wait than this ends the run."""

HOST: Final = re.compile(r"[\w.-]+|[0-9a-f]*:[0-9a-f:.]*(%[\w.-]+)?", re.ASCII | re.IGNORECASE)

TokenCall = Callable[[], Awaitable[str]]

if TYPE_CHECKING:
    from .clocks import Clocks

    class PathChoice:
        """A setting that takes a path or its text, and gives a path."""

        @overload
        def __get__(self, settings: None, owner: type, /) -> Self: ...
        @overload
        def __get__(self, settings: object, owner: type, /) -> Path | None: ...
        def __get__(self, settings: object, owner: type, /) -> Any: ...
        def __set__(self, settings: object, value: Path | str | None, /) -> None: ...

    class PlaceChoice:
        """A setting that takes a path, or the URL of a database, or the text of either."""

        @overload
        def __get__(self, settings: None, owner: type, /) -> Self: ...
        @overload
        def __get__(self, settings: object, owner: type, /) -> Path | Address | None: ...
        def __get__(self, settings: object, owner: type, /) -> Any: ...
        def __set__(self, settings: object, value: Path | Address | str | None, /) -> None: ...

    class TextsChoice:
        """A setting that takes any sequence of texts, and gives a tuple."""

        @overload
        def __get__(self, settings: None, owner: type, /) -> Self: ...
        @overload
        def __get__(self, settings: object, owner: type, /) -> tuple[str, ...]: ...
        def __get__(self, settings: object, owner: type, /) -> Any: ...
        def __set__(self, settings: object, value: Sequence[str], /) -> None: ...

else:  # plain fields: `make_paths` turns what was given into what is read
    PathChoice, PlaceChoice, TextsChoice = Path | None, Path | Address | None, tuple[str, ...]
READ_AS: Final = {
    "PathChoice": "Path | None", "PlaceChoice": "Path | Address | None", "TextsChoice": "tuple[str, ...]",
}  # fmt: skip
"""What is read from such a field."""


def bound(default: Any, unit: str, low: float, high: float, why: str) -> Any:
    """A field for a number from `low` to `high`, or None if that is the default."""
    return dataclasses.field(default=default, metadata={"unit": unit, "low": low, "high": high, "why": why})


def choice(default: Any, why: str, *, secret: bool = False, words: tuple[str, ...] = ()) -> Any:
    """A field that is not a number.  If there are `words`, its value is one of them.  `secret` keeps it out of
    `repr`.
    """
    return dataclasses.field(default=default, repr=not secret, metadata={"why": why, "words": words})


# fmt: off
@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on memory and waits that no user should need to change."""

    head_bytes: int = bound(65_536, "bytes", 512, 2**24, "largest status line and headers of a reply; a larger one counts as garbled")
    body_bytes: int = bound(1 << 20, "bytes", 512, 2**28, "largest reply to a create or a delete; a larger one counts as garbled")
    list_body_bytes: int = bound(32 << 20, "bytes", 4_096, 2**30, "largest body of a list; 1,000 records are about 1 MB")
    idle_s: float = bound(4.0, "s", 0.01, 3_600, "close a connection that was idle for this long; servers close theirs after 5 s or more, and a POST that crosses such a close is in doubt")
    lane_requests: int = bound(5_000, "requests", 1, 10**9, "replace a connection after this many requests, so that one that answers out of step puts few pairs in doubt")
    connect_timeout_s: float = bound(30.0, "s", 0.01, 3_600, "deadline of name look-up, TCP, proxy and TLS together; never longer than timeout_s")
    chunk_rows: int = bound(2_000, "rows", 1, 100_000, "most pairs announced in one commit; more means more doubts after a crash")
    chunk_s: float = bound(1.0, "s", 0.001, 3_600, "one commit announces the pairs of about this much time; less means more commits")
    outcome_rows: int = bound(10_000, "rows", 1, 10**6, "sending stops while this many outcomes wait for the disk or the caller")
    line_bytes: int = bound(65_536, "bytes", 64, 2**28, "longest line of the source; a longer one is a bad row")
    breaker_failures: int = bound(8, "replies", 1, 10**6, "after this many lost or doubtful replies in a row, only one connection goes on trying")
    probe_pause_s: float = bound(60.0, "s", 0.001, 3_600, "longest pause between two tries while the server is gone")
    throttle_pause_s: float = bound(60.0, "s", 0.001, 3_600, "longest pause after a throttle that names no time")
    retry_after_stop_s: float = bound(172_800.0, "s", 1, 10**9, "a Retry-After that is longer than this ends the run with exit 75")
    linger_s: float = bound(0.05, "s", 0, 60, "how long a finished connection listens for a stray reply before it closes")
    drain_s: float = bound(20.0, "s", 0.01, 3_600, "how long a first Ctrl-C waits for requests in flight; after that their pairs are in doubt")

    def __post_init__(self) -> None:
        check_bounds(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a user may choose.  Durations are seconds, rates attempts a second, sizes bytes."""

    base_url: str = choice(DEFAULT_BASE_URL, "scheme, host, port and path prefix of the API; http only to loopback")
    token: str | TokenCall | None = choice(None, "bearer token, or an async callable that returns the current one", secret=True)
    stored_sign_in: bool = choice(False, "use the sign-in that `bulkwriter login` stored for this base_url and account, shared with all processes of this user and renewed for all; a token function, or username with its password, serves where it cannot be renewed")
    token_file: PathChoice = choice(None, "file whose first line is the token; read again when the server refuses it")
    username: str | None = choice(None, "sign in with user name and password instead of a token")
    password: str | None = choice(None, "password of username", secret=True)
    password_file: PathChoice = choice(None, "file whose first line is the password")
    totp: Callable[[], str] | None = choice(None, "called for a two-factor code at each sign-in", secret=True)
    totp_file: PathChoice = choice(None, "file whose first line is the current two-factor code")
    client_id: str | None = choice(None, "name of this sign-in; a new sign-in with the same name cancels the earlier one's refresh token")
    ca_file: PathChoice = choice(None, "PEM file of certificate authorities to trust instead of the system's")
    proxy: str | None = choice(None, "http(s) proxy to tunnel through; the default comes from HTTPS_PROXY and NO_PROXY, and loopback never uses it", secret=True)

    journal: PlaceChoice = choice(None, "SQLite file that remembers every pair; or one part of a job in a database, postgresql://USER@HOST/DATABASE/JOB/PART; with None nothing is kept, and a restart sends every pair again")
    existing: Literal["check", "skip"] = choice("check", "check: look up the existing records before writing; skip: trust that there are none", words=("check", "skip"))
    after_loss: bool = choice(False, "the journal was lost: first wait late_apply_s + list_lag_s, so that the look-up sees every request that was on its way")
    lease_s: float = bound(30.0, "s", 1, 3_600, "with a journal in a database: who has not renewed its part for so long sends nothing, and another process may take the part; shorter means sooner, and that a shorter outage stops sending")
    retry_rejected: bool = choice(False, "send pairs again that an earlier start saw rejected")
    strict: bool = choice(False, "stop at the first bad row")
    limit: int | None = bound(None, "pairs", 1, 10**12, "send at most this many pairs in this start")

    in_flight: int = bound(64, "requests", 1, 4_096, "most requests in flight at once; more is faster on slow links and harder on the server")
    rate: float | None = bound(None, "a second", 1e-4, 1e6, "send at most this many requests in any second (below 1: at most one in 1/rate seconds)")
    min_rate: float = bound(0.0, "a second", 0, 1e6, "never slow down below this rate, even where other clients take most of the server's limit")
    quota: TextsChoice = choice((), "a quota such as write:2500/day, or a profile: nexudus or none")
    quota_share: float = bound(1.0, "share", 0.01, 1, "share of each quota that this run may use")
    on_quota: Literal["wait", "stop"] = choice("wait", "when a quota is spent, wait until it has room again, or stop with exit 75", words=("wait", "stop"))
    account: str | None = choice(None, "name under which quotas are counted; default: the base URL")
    ledger: PlaceChoice = choice(None, "what counts the spending of the quotas: a file, beside which is kept what runs learn of the server's limit; or postgresql://USER@HOST/DATABASE, which several machines share; default a file in the user's state folder")

    timeout_s: float = bound(90.0, "s", 0.01, 86_400, "deadline of a request; longer than the usual gateway's 60 s, so that the gateway gives up first")
    late_apply_s: float = bound(60.0, "s", 0, 864_000, "a request whose reply was lost is applied within this time, or never")
    list_lag_s: float = bound(5.0, "s", 0, 86_400, "the server's lists show each new record within this time")
    max_attempts: int = bound(5, "attempts", 1, 1_000, "how often a pair is sent before it counts as failed")
    give_up_after_s: float = bound(3_600.0, "s", 0.01, 10**9, "stop with exit 75 when the server was gone for this long")
    most_outstanding: int = bound(10_000, "answers", 1, 10**7, "most answers owed to callers of single writes; above it write and write_many wait in order, and submit raises Backlogged; each takes up to 1.5 kB")
    patience_s: float | None = bound(None, "s", 0, 10**9, "how long a single write without a timeout of its own waits for a writer that is not well, or for another writer that has its pair; None: as long as give_up_after_s")
    max_same_rejections: int = bound(50, "replies", 1, 10**9, "stop with exit 4 after the same rejection this many times in a row, since that means a wrong setting")
    stop_rejected: float = bound(0.5, "share", 0.01, 1, "stop with exit 4 when the same rejection makes up this share of the last 200 replies (100 at least), or any rejections make up 95%; 1 never stops")
    clocks: Clocks | None = choice(None, "clocks in place of this machine's, such as the `bulkwriter_clock` of our pytest plugin, whose `advance` ends waits")
    limits: Limits = dataclasses.field(default_factory=Limits, metadata={"why": "bounds on memory and waits"})
    # fmt: on

    def __post_init__(self) -> None:
        check_bounds(self)
        check_words(self)
        check_types(self)
        make_paths(self)
        check_places(self)
        check_base_url(self.base_url)
        check_rates(self)
        if self.stored_sign_in and (isinstance(self.token, str) or self.token_file):
            raise UsageError(
                "stored_sign_in and a fixed token cannot go together: one of them would not be used",
                hint="leave out token and token_file, or stored_sign_in",
            )
        if self.after_loss and self.existing == "skip":
            raise UsageError(
                Worded("--after-loss and --existing skip cannot go together: nothing would be looked up"),
                hint="leave out --existing, so that what the lost run created is found",
            )

    @property
    def is_loopback(self) -> bool:
        """Whether `base_url` is this machine: then no quota is the default, http is allowed, and no proxy is used."""
        return is_loopback_host(urlsplit(self.base_url).hostname or "")

    @property
    def longest_patience_s(self) -> float:
        """How long a single write waits for a writer that is not well, or for another one that has its pair."""
        return self.give_up_after_s if self.patience_s is None else self.patience_s

    @property
    def longest_wait_s(self) -> float:
        """The longest `Retry-After` for which the run waits."""
        return self.limits.retry_after_stop_s if self.on_quota == "wait" else STOP_WAIT_S


def check_bounds(settings: Any) -> None:
    """Raise `UsageError` for the first field of a settings object that is outside its range."""
    for f in dataclasses.fields(settings):
        value = getattr(settings, f.name)
        if "low" not in f.metadata or value is None:
            continue
        low, high, unit = f.metadata["low"], f.metadata["high"], f.metadata["unit"]
        if str(f.type).startswith("int") and type(value) is not int:
            raise UsageError(f"{f.name} = {value!r} is not a whole number of {unit}")
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise UsageError(
                f"{f.name} = {value!r} is not between {amount(low)} and {amount(high)} {unit}",
                hint=f"{f.name}: {f.metadata['why']}",
            )


def check_places(settings: Settings) -> None:
    """Raise `UsageError` for the URL of a job where a database is wanted."""
    if isinstance(settings.ledger, Address) and settings.ledger.job:
        raise UsageError(
            f"{settings.ledger.shown} names a job; a ledger is a whole database",
            hint=f"--ledger {settings.ledger.of_database.shown}",
        )


def check_rates(settings: Settings) -> None:
    """Raise `UsageError` if the minimum rate is above the ceiling.  It may be above a quota, which holds all the
    same.
    """
    if settings.rate is not None and settings.min_rate > settings.rate:
        raise UsageError(
            f"min_rate = {amount(settings.min_rate)} is above rate = {amount(settings.rate)}",
            hint="a lower --min-rate, or a higher --rate",
        )


def amount(value: object) -> str:
    """A number without a needless ".0" or exponent.  Any other value stays as it is."""
    if isinstance(value, int | float):
        return f"{int(value):,}" if value == int(value) else f"{value:g}"
    return str(value)


def check_words(settings: Any) -> None:
    """Raise `UsageError` for the first field that is none of its words, or is one string in place of several."""
    for f in dataclasses.fields(settings):
        value, words = getattr(settings, f.name), f.metadata.get("words")
        if words and value not in words:
            raise UsageError(f"{f.name} = {value!r} is not {' or '.join(words)}", hint=f"{f.name}: {f.metadata['why']}")
    if isinstance(settings.quota, str):
        raise UsageError(f"quota = {settings.quota!r} is not a tuple", hint=f"write ({settings.quota!r},)")


def check_types(settings: Any) -> None:
    """Raise `UsageError` for the first field with a value of the wrong type.  The value may be a secret, so it is not
    shown.
    """
    for f in dataclasses.fields(settings):
        value, kinds = getattr(settings, f.name), type_of(f).split(" | ")
        if not any(is_of(value, kind) for kind in kinds):
            raise UsageError(
                f"{f.name} is of type {type(value).__name__}, not {' or '.join(kinds)}",
                hint=f"{f.name}: {f.metadata['why']}",
            )
        if f.name in NEVER_EMPTY and isinstance(value, str) and not value.strip():
            raise UsageError(f"{f.name} is empty", hint=f"leave it out, or give a {f.metadata['why']}")


def is_of(value: Any, kind: str) -> bool:
    """Whether a value is of this kind, taken from a field's annotation.  Numbers and words are checked elsewhere."""
    plain: dict[str, Any] = {
        "None": type(None), "str": str, "bool": bool, "Path": (Path, str), "Address": Address, "Limits": Limits,
    }  # fmt: skip
    if kind in plain:
        return isinstance(value, plain[kind])
    if kind.startswith("tuple"):
        return isinstance(value, tuple | list) and all(isinstance(item, str) for item in value)
    if kind == "Clocks":
        return hasattr(value, "call_later")
    if kind in ("int", "float") or kind.startswith("Literal"):
        return value is not None
    return callable(value)


def make_paths(settings: Any) -> None:
    """Turn the names of files into paths, URLs into addresses, and lists into tuples: callers write
    journal="run.journal".
    """
    for f in dataclasses.fields(settings):
        value = getattr(settings, f.name)
        if type_of(f).startswith("Path") and isinstance(value, str):
            may_be_address = "Address" in type_of(f) and is_postgres(value)
            place = Address.parse(value) if may_be_address else Path(value)
            object.__setattr__(settings, f.name, place)  # frozen, but for this moment
        elif isinstance(value, list):
            object.__setattr__(settings, f.name, tuple(value))


def type_of(f: dataclasses.Field[Any]) -> str:
    """The type of what is read from a field, as text."""
    return READ_AS.get(str(f.type), str(f.type))


def is_loopback_host(host: str) -> bool:
    """Whether nothing sent to this host leaves the machine: `localhost`, all of 127.0.0.0/8, and ::1."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # another name: only a look-up would tell, and that may change
        return False


def is_host(host: str) -> bool:
    """Whether this is an address or a name.  A name has letters, digits, "-", "." and "_", once IDNA has encoded it."""
    try:
        return HOST.fullmatch(host.encode("idna").decode("ascii")) is not None
    except UnicodeError:
        return False


def check_base_url(url: str) -> None:
    """Raise `UsageError` unless `url` is https, or http to loopback, without user, query or fragment."""
    shown = url.rpartition("@")[2]  # without a password, should somebody have put one there
    if not url.isprintable():  # urlsplit would leave them out, and ask another URL than it shows
        raise UsageError(f"base URL {shown!r} has a line end or another control character in it")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:  # its words could quote a password
        raise UsageError(f"base URL {shown!r} is not a URL", hint=f"the default is {DEFAULT_BASE_URL}") from None
    if parts.scheme not in ("http", "https") or not is_host(host):
        raise UsageError(f"base URL {shown!r} is not like https://HOST", hint=f"the default is {DEFAULT_BASE_URL}")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise UsageError("the base URL must not hold a user name, password, query or fragment")
    if parts.scheme == "http" and not is_loopback_host(host):
        raise UsageError(
            f"http to {host} would show the token to the network", hint="use https; http is for loopback only"
        )
