"""Where state lies that several machines share: the URL of a database, of a job in it, or of a part of a job.

    postgresql://[USER[:PASSWORD]@][HOST[:PORT],...]/DATABASE[/JOB[/PART]][?OPTION=VALUE&...]

Options are those of libpq: a socket is `?host=/var/run/postgresql`, TLS is `?sslmode=verify-full`.  What the URL
leaves out comes from libpq's own places: PGPASSWORD, PGPASSFILE or ~/.pgpass, PGSERVICE, and so on.  `postgres://` is
the same.

An address is shown without its password everywhere: `str` and `repr` are `shown`.  A password stands in no command
line, since others can read it there: `refuse_password` is for values that came from one.

Pure.  Not here: what libpq makes of an option (`postgres.connect`).
Source: postgresql.org/docs/current/libpq-connect.html, 34.1.1.2, Connection URIs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlencode

from ..errors import UsageError

SCHEMES: Final = ("postgresql://", "postgres://")
NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
"""What a job or a part may be called: it stands in URLs, tables, names of files and messages."""
START_S: Final = 15.0
"""So long a command that begins waits for a database.  One that restarts, or a standby that is promoted, is there by
then; a wrong address never is."""
SECRETS: Final = frozenset({"password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"})
"""Options of libpq whose values nobody may see."""
LIKE: Final = "an address is like postgresql://USER@HOST/DATABASE"
ELSEWHERE: Final = (
    "give it in PGPASSWORD, in ~/.pgpass or another PGPASSFILE, by PGSERVICE, or put the whole URL into an environment "
    "variable such as BULKWRITER_LEDGER"
)


def is_postgres(text: str) -> bool:
    """Whether a text is the URL of a database, and not the path of a file."""
    return text.startswith(SCHEMES)


@dataclass(frozen=True, slots=True, repr=False)
class Address:
    """A parsed URL; make it with `parse`.  Two are equal where all parts of their URLs are."""

    database: str
    hosts: tuple[tuple[str, str], ...] = ()
    """Names or addresses with their ports, "" where none is given; libpq tries them in turn."""
    user: str = ""
    job: str = ""
    part: str = ""
    options: tuple[tuple[str, str], ...] = ()
    secrets: tuple[tuple[str, str], ...] = ()
    """Options that are never shown: the password, wherever the URL had it."""

    @classmethod
    def parse(cls, text: str) -> Address:
        """Raises `UsageError`, whose message never quotes a password."""
        rest = text.partition("://")[2]
        rest, _, query = rest.partition("?")
        netloc, _, path = rest.partition("/")
        userinfo, _, hosts = netloc.rpartition("@")
        user, has_password, password = userinfo.partition(":")
        names = [unquote(name) for name in path.split("/")]
        options = dict(parse_qsl(query, keep_blank_values=True))
        secrets = {key: options.pop(key) for key in SECRETS & options.keys()}
        if has_password:
            secrets["password"] = unquote(password)
        job, part = [*names[1:3], "", ""][:2]
        address = cls(
            options.pop("dbname", names[0]), hosts_in(hosts), unquote(user), job, part,
            tuple(sorted(options.items())), tuple(sorted(secrets.items())),
        )  # fmt: skip
        address._check(text, len(names))
        return address

    @property
    def shown(self) -> str:
        """The URL without its password."""
        hosts = ",".join(f"{bracketed(host)}:{port}" if port else bracketed(host) for host, port in self.hosts)
        user = f"{quote(self.user, safe='')}@" if self.user else ""
        names = "/".join(quote(name, safe="") for name in (self.database, self.job, self.part) if name)
        query = f"?{urlencode(self.options, safe='/:,')}" if self.options else ""
        return f"postgresql://{user}{hosts}/{names}{query}"

    @property
    def of_database(self) -> Address:
        """The same without a job."""
        return Address(self.database, self.hosts, self.user, options=self.options, secrets=self.secrets)

    def with_job(self, job: str, part: str = "") -> Address:
        """A job, or a part of one, in the same database.  Raises `UsageError` where a name cannot be one."""
        address = Address(self.database, self.hosts, self.user, job, part, self.options, self.secrets)
        address._check(address.shown, 3)
        return address

    def parameters(self) -> dict[str, str]:
        """What libpq calls the same, as keywords; the password among them."""
        named = {"dbname": self.database, "user": self.user}
        if self.hosts:
            named["host"] = ",".join(host for host, _ in self.hosts)
            named["port"] = ",".join(port for _, port in self.hosts)
        kept = {key: value for key, value in named.items() if value.strip(",")}
        return {**kept, **dict(self.options), **dict(self.secrets)}

    def __str__(self) -> str:
        return self.shown

    def __repr__(self) -> str:
        return f"Address({self.shown!r})"

    def _check(self, text: str, names: int) -> None:
        if not text.isprintable():
            raise UsageError(f"{self.shown} has a control character in it", hint=LIKE)
        if not self.database and "service" not in dict(self.options):
            raise UsageError(f"{self.shown} names no database", hint=LIKE)
        if names > 3:
            raise UsageError(f"{self.shown} has more names than DATABASE/JOB/PART", hint=LIKE)
        for name in (self.job, self.part):
            if name and not (NAME.fullmatch(name) and name.strip(".")):
                raise UsageError(
                    f"{name!r} is no name of a job or of a part",
                    hint="1 to 64 of A-Z a-z 0-9 . _ -, and not dots alone",
                )
        if self.part and not self.job:
            raise UsageError(f"{self.shown} names a part and no job", hint=LIKE)
        for _, port in self.hosts:
            if port and not (port.isascii() and port.isdecimal() and 0 < int(port) < 65_536):
                raise UsageError(f"{self.shown}: {port!r} is no port", hint=LIKE)


def hosts_in(text: str) -> tuple[tuple[str, str], ...]:
    """Hosts and ports of the part before the path: `one:5432,two`, `[::1]:5432`."""
    found = []
    for one in text.split(",") if text else ():
        host, has_port, port = one.rpartition(":")
        if not has_port or one.endswith("]"):
            host, port = one, ""
        found.append((unquote(host).removeprefix("[").removesuffix("]"), port))
    return tuple(found)


def bracketed(host: str) -> str:
    """A host as a URL has it: an IPv6 address in brackets, a folder of sockets with its slashes quoted."""
    return f"[{host}]" if ":" in host else quote(host, safe="")


def refuse_password(address: Address) -> None:
    """Raise `UsageError` for an address of a command line that has a password in it."""
    if address.secrets:
        raise UsageError(
            f"the address {address.shown} has a password in it, which others can read with ps", hint=ELSEWHERE
        )
