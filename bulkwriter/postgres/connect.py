"""Opens connections to PostgreSQL, and says of each trouble whether it passes by itself, and what to do next.

A connection commits by itself unless its owner begins a transaction.  It has bounds everywhere: nobody waits longer
than `CONNECT_S` to be let in, a statement takes at most `STATEMENT_S`, a lock is waited for at most `LOCK_S`, and a
client that is stopped in the middle of a transaction loses it, with its locks, after `IDLE_S`.  A link that is silently
cut is noticed after some `SILENT_S`.

    passes        connection refused, lost or too slow · name not found · the server starts, stops or recovers · too
                  many clients · a lock, a serialization failure, a statement cut short · a standby that is not promoted
                  yet · no memory, no room on the server's disk
    does not      a wrong password, user or database, no right to connect, TLS · no schema, or one of another version ·
                  no right to use a table · an option that libpq does not know · all that nobody has foreseen

An answer to a failed connection has no code, only words.  So words that mean that it never gets better are looked for
(`FINAL`).  Where a server speaks another language they are not found, and the trouble counts as one that passes.  TLS
calls a lost connection an "SSL error" as well, with the words of `FINAL` that do not count.

No message holds a password, and no error of psycopg is kept, since it has the connection's parameters in it.
Source: postgresql.org/docs/current, appendix A, and libpq-connect; psycopg.org/psycopg3/docs.
"""

from __future__ import annotations

import logging
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from ..errors import BulkwriterError, JournalError, StoreGone, UsageError
from .address import Address

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[tuple[object, ...]]

E = TypeVar("E", bound=BulkwriterError)

CONNECT_S: Final = 5
"""For each host.  TLS over a slow link takes a second; more delays a client that could go on with another host."""
STATEMENT_S: Final = 30
"""Statements take milliseconds, a chunk of a source some tenths of a second."""
LOCK_S: Final = 10
"""Others hold a lock for two round trips; longer is somebody's psql, or a client that was stopped: then `IDLE_S`."""
IDLE_S: Final = 5
"""So long a stopped client may hold an account's row from all others.  Less would cut off a busy machine."""
SILENT_S: Final = 15
"""Of a cut link.  No lease is granted or renewed meanwhile, so that this is far from dangerous, and only slow."""
FINAL: Final = re.compile(
    r"authentication failed|no password supplied|no pg_hba\.conf entry|(?:role|database) .* does not exist"
    r"|not permitted to log in|permission denied|certificate|does not support SSL|invalid \w+ value"
    r"|SSL error(?!: (?:unexpected eof|decryption failed|bad))|authentication method|channel binding",
    re.IGNORECASE,
)
PASSWORD: Final = re.compile(r"password authentication failed|no password supplied", re.IGNORECASE)
PASSING: Final = re.compile(
    r"refused|timed? ?out|starting up|shutting down|recovery|too many|resolve|translate host|remaining connection",
    re.IGNORECASE,
)
"""Words of one of several hosts: while it may come back, the others' refusals do not count."""
PASSING_STATES: Final = ("08", "40", "53", "57", "58", "55000", "55P03", "25006", "25P03")
"""SQLSTATEs, or their classes, that pass."""
NO_SCHEMA: Final = ("42P01", "3F000", "42703", "42P10")
NO_RIGHT: Final = "42501"
READ_ONLY: Final = "25006"
STANDBY: Final = (
    "a standby takes no writes: name all hosts, and end the URL with ?target_session_attrs=read-write.  A primary "
    "takes none where default_transaction_read_only is on for it, the database or the role"
)
INIT: Final = "bulkwriter ledger init URL makes the tables, or brings older ones up to date"
GRANT: Final = "bulkwriter ledger init URL --grant ROLE, as their owner, gives ROLE what it needs"
MOST_WORDS: Final = 300
"""Characters of what a server or libpq says that are shown."""


class Problem(NamedTuple):
    """A trouble in words.  `passes`: trying again makes sense."""

    message: str
    hint: str
    passes: bool

    def error(self, kind: type[E]) -> E:
        return kind(self.message, hint=self.hint)


class PostgresProblem(Exception):
    """A call failed.  It stays in this folder: whoever calls makes the error of its own kind of the problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def connect(address: Address) -> Connection:
    """A new connection.  Raises `PostgresProblem`, and `UsageError` where the extra is not installed."""
    check_installed()
    import psycopg
    from psycopg.conninfo import make_conninfo

    try:
        connection = psycopg.connect(make_conninfo("", **{**usual(), **address.parameters()}), autocommit=True)
        try:
            connection.execute(
                "SELECT set_config('statement_timeout', %s, false), set_config('lock_timeout', %s, false), "
                "set_config('idle_in_transaction_session_timeout', %s, false)",
                [f"{bound}s" for bound in (STATEMENT_S, LOCK_S, IDLE_S)],
            )
        except BaseException:
            connection.close()
            raise
    except psycopg.Error as error:
        problem = problem_of(error, address)
    else:
        return connection
    raise PostgresProblem(problem)  # not above: the error of psycopg would be its context


def check_installed() -> None:
    """Raise `UsageError` where the extra is not installed."""
    try:
        import psycopg  # noqa: F401
    except ImportError as error:
        raise UsageError(
            f"PostgreSQL needs psycopg, which cannot be imported ({error})",
            hint="install the extra: uv tool install '.[postgres]', or pip install 'psycopg[binary]'",
        ) from None
    log = logging.getLogger("psycopg")
    if not log.handlers:  # it warns of each lost pipeline; what became of the call is told by its error
        log.addHandler(logging.NullHandler())


@contextmanager
def troubles(
    address: Address, *, gone: type[BulkwriterError] = StoreGone, refused: type[BulkwriterError] = JournalError
) -> Iterator[None]:
    """Raise the troubles of a connection as our own errors: `gone` for what passes by itself, such as a database that
    starts; else `refused`.
    """
    check_installed()
    import psycopg

    try:
        yield
    except psycopg.Error as error:
        problem = problem_of(error, address)
    except PostgresProblem as error:
        problem = error.problem
    else:
        return
    raise problem.error(gone if problem.passes else refused)  # not above: psycopg's would be its context


def usual() -> dict[str, str]:
    """Parameters of libpq, unless a URL says otherwise."""
    return {
        "connect_timeout": str(CONNECT_S),
        "application_name": f"bulkwriter {host_name()} {os.getpid()}",
        "keepalives_idle": str(SILENT_S // 3),
        "keepalives_interval": str(SILENT_S // 3),
        "keepalives_count": "2",
        "tcp_user_timeout": str(SILENT_S * 1_000),
    }


def host_name() -> str:
    """This machine's name for people, or ""."""
    try:
        return socket.gethostname()[:64]
    except OSError:
        return ""


def problem_of(error: psycopg.Error, address: Address) -> Problem:
    """What became of a call, in words."""
    said, state = cleaned(str(error), address), error.sqlstate
    where = f"PostgreSQL at {address.shown}"
    if state is None:
        if is_of_connection(error) and not (FINAL.search(said) and not PASSING.search(said)):
            return Problem(f"{where}: {said}", "is it running, and can it be reached from here?", passes=True)
        if PASSWORD.search(said):
            return Problem(
                f"{where}: {said}", "the password is that of PGPASSWORD, ~/.pgpass or PGPASSFILE", passes=False
            )
        return Problem(f"{where}: {said}", "psql takes the same URL: try it there", passes=False)
    if state in NO_SCHEMA:
        return Problem(f"{where}: its tables are not there, or not of this version ({said})", INIT, passes=False)
    if state == NO_RIGHT:
        return Problem(f"{where}: {said}", GRANT, passes=False)
    if state == READ_ONLY:
        return Problem(f"{where}: {said}", STANDBY, passes=True)
    passes = state.startswith(PASSING_STATES)
    return Problem(f"{where}: {said} ({state})", "see the log of the server", passes)


def is_of_connection(error: psycopg.Error) -> bool:
    """Whether a connection was lost or not made; else the call itself was wrong."""
    import psycopg

    return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)


def cleaned(said: str, address: Address) -> str:
    """What libpq or a server says, in one line, without control characters and without any secret of the address."""
    for _, secret in address.secrets:
        if secret:
            said = said.replace(secret, "***")
    words = " ".join(said.split())
    return "".join(c for c in words if c.isprintable())[:MOST_WORDS]
