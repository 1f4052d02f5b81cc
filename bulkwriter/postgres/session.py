"""One connection of one thread, made again whenever it is lost, until what was asked is answered.

    insist(call)   make `call(connection)`; where the trouble passes (`connect`), pause and make it again, on a new
                   connection if need be.  Pauses: uniform in [d/2, d], d = 0.1 s, 0.2 s, … up to 5 s
    rest           the next call is not soon: close the connection until then
    hurry          from another thread: the process ends, so give up within `hurry_s`
    leave          from another thread: nobody waits any more, so what is under way is tried once more at most

All that waits for a database does it here: logs, leases, sources of parts, the ledger.  How long it waits:

    it has not answered yet     `start_s`, or as long as ever
    it has                      `give_up_after_s`
    a trouble does not pass     not at all (`connect`)

Who waits for longer than `TOLD_S` is told why, and when it goes on.  What is raised then is as `Telling` says: an error
of exit code 75 for what passes by itself, and of 5 for what does not.  A call must be harmless when it is repeated
after a commit of which nobody knows.

libpq gives up a peer that acknowledges nothing.  It waits for ever for one that acknowledges and says nothing, such as
a proxy that stalls.  So a thread (`Watchdog`) cuts the connection of a call that is not answered within `answer_s`.

`cluster` says which history of which tables the connection leads to: cluster, database and tables (`schema.HISTORY`),
and the timeline.  A promoted standby, a backup and a dump that were restored are others, and may have lost commits.

Invariants: only its thread uses the connection; the socket is cut only while a call is under way.
Not here: what is asked (`lease`, `log`).  Source: postgresql.org/docs/current/continuous-archiving.html, timelines.
"""

from __future__ import annotations

import contextlib
import math
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from ..errors import BulkwriterError, JournalError, StoreGone
from ..threads import started
from .address import Address
from .connect import PostgresProblem, Problem, connect, problem_of
from .schema import HISTORY, TIMELINE, check

if TYPE_CHECKING:
    from .connect import Connection

T = TypeVar("T")

FIRST_S: Final = 0.1
LONGEST_S: Final = 5.0
"""Between two tries.  A database that starts again is back in seconds, and a hundred workers ask it at once."""
ANSWER_S: Final = 10.0
"""A statement of a few milliseconds that is not answered for so long never is."""
HURRY_S: Final = 4.0
"""With one more try, less than `journal_writer.CLOSE_S`, which would blame the disk."""
TOLD_S: Final = 3.0
"""A restart of a database takes less, and nobody needs to know."""
LOOK_S: Final = 0.5
"""How often the cutting thread looks."""
STANDBY: Final = Problem("the database is a standby, which takes no writes", "name the primary in the URL", passes=True)


class Telling(NamedTuple):
    """What is said of a database that is away.  `away` and `back` are for people; {} is why, and for how long.

    `gone` is raised where it did not answer for too long, and `refused` for a trouble that does not pass.
    """

    away: str
    back: str
    gone: type[BulkwriterError]
    refused: type[BulkwriterError]
    hint: str


STORE: Final = Telling(
    "{}: tried again, for {:,.0f} s at most",
    "the database answers again, after {:,.0f} s",
    StoreGone,
    JournalError,
    "the same command later goes on; what was sent and not noted there is then looked up",
)


class Cluster(NamedTuple):
    """The history of our tables (`schema.HISTORY`, `schema.TIMELINE`)."""

    system_id: str
    timeline: int


class Session:
    """A connection to `address` that comes back."""

    def __init__(
        self,
        address: Address,
        *,
        give_up_after_s: float,
        answer_s: float = ANSWER_S,
        start_s: float = math.inf,
        hurry_s: float = HURRY_S,
        telling: Telling = STORE,
        note: Callable[[str], object] = lambda text: None,
        opened: Callable[[Address], Connection] = connect,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.address = address
        self._answer_s, self._give_up_after_s = answer_s, give_up_after_s
        self._patience_s, self._hurry_s = min(start_s, give_up_after_s), hurry_s  # until it has answered once
        self._telling, self._note = telling, note
        self._opened, self._clock = opened, clock
        self._connection: Connection | None = None
        self.cluster = Cluster("", 0)
        """Where the last connection led to."""
        self._ends = threading.Event()
        self._hurries = threading.Event()
        self._watchdog = Watchdog(clock)

    def insist(self, call: Callable[[Connection], T]) -> T:
        """What `call` returns, once the database answers.  Raises the errors of `Telling`, and what `call` does.

        psycopg's errors in `call` are read as troubles of the connection or of the database.
        """
        began_at, pause_s, is_told, telling = self._clock(), FIRST_S, False, self._telling
        give_up_s = self._patience_s
        while True:
            was_kept = self._connection is not None  # and may have been lost long ago: that says nothing of now
            try:
                answer = self._once(call)
            except PostgresProblem as trouble:
                problem = trouble.problem
            else:
                self._patience_s = self._give_up_after_s
                if is_told:
                    self._note(telling.back.format(self._clock() - began_at))
                return answer
            if not problem.passes:
                raise problem.error(telling.refused)
            away_s = self._clock() - began_at
            if self._hurries.is_set() and not was_kept:
                give_up_s = min(give_up_s, away_s + self._hurry_s)
            if away_s >= TOLD_S and not is_told:
                is_told = True
                self._note(telling.away.format(problem.message, give_up_s))
            if away_s >= give_up_s or self._ends.is_set():
                raise telling.gone(
                    f"the database has not answered for {away_s:,.0f} s: {problem.message}", hint=telling.hint
                )
            self._hurries.wait(random.uniform(pause_s / 2, pause_s))  # noqa: S311 spreads clients, hides nothing
            if self._hurries.is_set():
                self._ends.wait(FIRST_S)
            pause_s = min(LONGEST_S, 2 * pause_s)

    def rest(self) -> None:
        """Close the connection; the next call makes another one."""
        self._drop()

    def hurry(self) -> None:
        """From any thread: give up soon."""
        self._hurries.set()
        self._watchdog.hurry(HURRY_S)

    def leave(self) -> None:
        """From any thread: give up now."""
        self._ends.set()
        self._hurries.set()
        self._watchdog.hurry(0.0)

    def close(self) -> None:
        """Close the connection, and end the thread.  A repetition is harmless."""
        self._ends.set()
        self._drop()
        self._watchdog.close()

    def _once(self, call: Callable[[Connection], T]) -> T:
        import psycopg

        try:
            if self._connection is None or self._connection.closed:
                self._connect()
            assert self._connection
            with self._answering(self._connection):
                return call(self._connection)
        except psycopg.Error as error:
            problem = problem_of(error, self.address)
        except PostgresProblem as trouble:
            problem = trouble.problem
        self._drop()  # nothing is known of what a connection still does that made trouble
        raise PostgresProblem(problem)

    def _connect(self) -> None:
        self._connection = connection = self._opened(self.address)  # which has a time limit of its own
        with self._answering(connection):
            check(connection, self.address)
            (is_standby,) = connection.execute("SELECT pg_is_in_recovery()").fetchone() or (True,)
            if is_standby:
                raise PostgresProblem(STANDBY)
            self.cluster = cluster_of(connection)

    def _answering(self, connection: Connection) -> contextlib.AbstractContextManager[None]:
        answer_s = min(self._answer_s, HURRY_S) if self._hurries.is_set() else self._answer_s
        return self._watchdog.watching(connection, answer_s)

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):  # it is of no use any more, whatever it says
                connection.close()


def cluster_of(connection: Connection) -> Cluster:
    """Which history of which tables a connection to a primary leads to.  Raises psycopg's errors."""
    found = connection.execute(f"SELECT {HISTORY}, {TIMELINE}").fetchone()
    assert found is not None
    return Cluster(str(found[0]), int(str(found[1])))


class Watchdog:
    """Cuts the connection of a call that takes too long, so that whoever waits for its answer waits no longer."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._watched: tuple[Connection, float] | None = None  # a call that is under way, and when it is overdue
        self._ends = threading.Event()
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def watching(self, connection: Connection, answer_s: float) -> Iterator[None]:
        """Give the block so long."""
        self._thread = self._thread or started(self._watch, name="postgres-watch")
        with self._lock:
            self._watched = connection, self._clock() + answer_s
        try:
            yield
        finally:
            with self._lock:
                self._watched = None

    def hurry(self, answer_s: float) -> None:
        """From any thread: give the call that is under way so long from now on, at most."""
        with self._lock:
            if self._watched:
                connection, overdue_at = self._watched
                self._watched = connection, min(overdue_at, self._clock() + answer_s)
        self._look()

    def close(self) -> None:
        """End the thread."""
        self._ends.set()

    def _watch(self) -> None:
        while not self._ends.wait(LOOK_S):
            self._look()

    def _look(self) -> None:
        with self._lock:
            if self._watched and self._clock() >= self._watched[1]:
                cut(self._watched[0])
                self._watched = None


def cut(connection: Connection) -> None:
    """Shut the socket of a connection whose thread waits for an answer: it then sees that the connection is lost."""
    with contextlib.suppress(Exception), socket.socket(fileno=os.dup(connection.fileno())) as duplicate:
        duplicate.shutdown(socket.SHUT_RDWR)
