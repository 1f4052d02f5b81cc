"""One connection of one thread, made again whenever it is lost, until what was asked is answered.

    insist(call)   make `call(connection)`; where the trouble passes (`connect`), pause and make it again, on a new
                   connection if need be.  Pauses: uniform in [d/2, d], d = 0.1 s, 0.2 s, … up to 5 s
    hurry          from another thread: the process ends, so give up within `HURRY_S`
    leave          from another thread: nobody waits any more, so what is under way is tried once more at most

Who waits for longer than `TOLD_S` is told why, and when it goes on.

So a call must be harmless when it is repeated after a commit of which nobody knows.  After `give_up_after_s` without an
answer `StoreGone` is raised, and for a trouble that does not pass `JournalError`.

libpq gives up a peer that acknowledges nothing.  It waits for ever for one that acknowledges and says nothing, such as
a proxy that stalls.  So a thread cuts the connection of a call that is not answered within `answer_s`.

`cluster` says which history of which database the connection leads to: the system identifier of the cluster and its
timeline.  A promoted standby, and a backup that was restored, are other timelines, and may have lost commits.

Invariants: only its thread uses the connection; the socket is cut only while a call is under way.
Not here: what is asked (`lease`, `log`).  Source: postgresql.org/docs/current/continuous-archiving.html, timelines.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from ..errors import JournalError, StoreGone
from ..threads import started
from .address import Address
from .connect import PostgresProblem, Problem, connect, problem_of
from .schema import check

if TYPE_CHECKING:
    from .connect import Connection

T = TypeVar("T")

FIRST_S: Final = 0.1
LONGEST_S: Final = 5.0
"""Between two tries.  A database that starts again is back in seconds, and a hundred workers ask it at once."""
HURRY_S: Final = 8.0
"""Less than `journal_writer.CLOSE_S`, which would blame the disk."""
TOLD_S: Final = 3.0
"""A restart of a database takes less, and nobody needs to know."""
LOOK_S: Final = 0.5
"""How often the cutting thread looks."""
TIMELINE: Final = "('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::integer"
PLACE: Final = "SELECT pg_is_in_recovery(), (SELECT system_identifier::text FROM pg_control_system())"
STANDBY: Final = Problem("the database is a standby, which takes no writes", "name the primary in the URL", passes=True)


class Cluster(NamedTuple):
    """The history of a database."""

    system_id: str
    timeline: int


class Session:
    """A connection to `address` that comes back."""

    def __init__(
        self,
        address: Address,
        *,
        answer_s: float,
        give_up_after_s: float,
        note: Callable[[str], object] = lambda text: None,
        opened: Callable[[Address], Connection] = connect,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.address = address
        self._answer_s, self._give_up_after_s = answer_s, give_up_after_s
        self._opened, self._note, self._clock = opened, note, clock
        self._connection: Connection | None = None
        self.cluster = Cluster("", 0)
        """Where the last connection led to."""
        self._lock = threading.Lock()
        self._overdue_at: float | None = None  # of the call that is under way
        self._ends = threading.Event()
        self._hurries = threading.Event()
        started(self._cut_overdue, name="postgres-watch")

    def insist(self, call: Callable[[Connection], T]) -> T:
        """What `call` returns, once the database answers.  Raises `StoreGone` and `JournalError`, and what `call` does.

        psycopg's errors in `call` are read as troubles of the connection or of the database.
        """
        began_at, pause_s, give_up_s, is_told = self._clock(), FIRST_S, self._give_up_after_s, False
        while True:
            try:
                answer = self._once(call)
            except PostgresProblem as trouble:
                problem = trouble.problem
            else:
                if is_told:
                    self._note(f"the database answers again, after {self._clock() - began_at:,.0f} s")
                return answer
            if not problem.passes:
                raise problem.error(JournalError)
            now = self._clock()
            if self._hurries.is_set():
                give_up_s = min(give_up_s, now - began_at + HURRY_S)
            if now - began_at >= TOLD_S and not is_told:
                is_told = True
                self._note(f"{problem.message}: tried again, for {give_up_s:,.0f} s at most")
            if now - began_at >= give_up_s or self._ends.is_set():
                raise StoreGone(
                    f"the database has not answered for {now - began_at:,.0f} s: {problem.message}",
                    hint="the same command later goes on; what was sent and not noted there is then looked up",
                )
            self._hurries.wait(random.uniform(pause_s / 2, pause_s))  # noqa: S311 spreads clients, hides nothing
            if self._hurries.is_set():
                self._ends.wait(FIRST_S)
            pause_s = min(LONGEST_S, 2 * pause_s)

    def hurry(self) -> None:
        """From any thread: give up soon."""
        self._hurries.set()

    def leave(self) -> None:
        """From any thread: give up now."""
        self._ends.set()
        self._hurries.set()
        with self._lock:
            if self._overdue_at is not None and self._connection is not None:
                cut(self._connection)

    def close(self) -> None:
        """Close the connection, and end the thread.  A repetition is harmless."""
        self._ends.set()
        self._drop()

    def _once(self, call: Callable[[Connection], T]) -> T:
        import psycopg

        self._begins()
        try:
            if self._connection is None or self._connection.closed:
                self._connect()
            assert self._connection
            return call(self._connection)
        except psycopg.Error as error:
            problem = problem_of(error, self.address)
        except PostgresProblem as trouble:
            problem = trouble.problem
        finally:
            self._is_over()
        self._drop()  # nothing is known of what a connection still does that made trouble
        raise PostgresProblem(problem)

    def _connect(self) -> None:
        connection = self._opened(self.address)  # which has a time limit of its own
        with self._lock:
            self._connection = connection
        self._begins()
        check(connection, self.address)
        is_standby, system_id = connection.execute(PLACE).fetchone() or (True, "")
        if is_standby:
            raise PostgresProblem(STANDBY)
        (timeline,) = connection.execute(f"SELECT {TIMELINE}").fetchone() or (0,)
        self.cluster = Cluster(str(system_id), int(str(timeline)))

    def _drop(self) -> None:
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):  # it is of no use any more, whatever it says
                connection.close()

    # the cutting thread

    def _begins(self) -> None:
        with self._lock:
            self._overdue_at = self._clock() + self._answer_s

    def _is_over(self) -> None:
        with self._lock:
            self._overdue_at = None

    def _cut_overdue(self) -> None:
        while not self._ends.wait(LOOK_S):
            with self._lock:
                if self._overdue_at is not None and self._clock() >= self._overdue_at and self._connection is not None:
                    cut(self._connection)
                    self._overdue_at = None


def cut(connection: Connection) -> None:
    """Shut the socket of a connection whose thread waits for an answer: it then sees that the connection is lost."""
    with contextlib.suppress(Exception), socket.socket(fileno=os.dup(connection.fileno())) as duplicate:
        duplicate.shutdown(socket.SHUT_RDWR)
