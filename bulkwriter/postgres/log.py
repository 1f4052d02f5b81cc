"""The log of a part: what its journal committed, group by group, in order; written by its holder alone.

A group is one row (table groups), and one statement: it raises `shipped` of the part's row by one, renews the lease,
keeps the counts, and adds the row.  It does so only where the row names our token, our name, the number before, and the
database's timeline of the claim.  Else it does nothing, and we ask why:

    the number is there already      it was committed by an earlier try of which nobody knew: done
    another database or timeline     `StoreGone`: what was acknowledged may be lost
    a lower number or token          the same; a name beside the same token: the token was given out twice
    another token and name           `FenceLost`: somebody took the part
    no row                           the job was deleted: `JournalError`

So a group is there once, whatever was lost on the way, and a connection that is lost is made again (`session`).  After
an error nothing is written any more.  A renewal without a group asks in the same way.

Cost: one round trip a group and the database's fsync.  Of the client's CPU, 0.1 ms where it waits (`prepared`).
Invariants: groups have the numbers 1, 2, 3, … without gaps.  A lease counts from before its renewal was asked for.
Not here: what a group holds (`store.shipping`), the lease itself (`lease`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import orjson

from ..errors import FenceLost, JournalError
from ..model import Counts, State
from ..store.boot import boot_clock
from ..store.history import COUNTS
from .lease import PartLease, has_lost, lost_commits, mark_lost, read_part, shown_holder
from .prepared import Prepared
from .schema import TIMELINE
from .session import Session

if TYPE_CHECKING:
    from .connect import Connection

PAGE: Final = 500
"""Groups that are read at a time: some 10 MB at most."""
LATEST: Final = 2**63 - 1
"""No group has a higher number."""
OURS: Final = (
    f"job = %(job)s AND part = %(part)s AND token = %(token)s AND holder = %(holder)s AND timeline = {TIMELINE}"
)
RENEWED: Final = "lease_end = clock_timestamp() + make_interval(secs => lease_s)"
SHIP: Final = f"""
    WITH held AS (
        UPDATE bulkwriter.parts SET shipped = %(number)s, {RENEWED}, counts = %(counts)s::jsonb
        WHERE {OURS} AND shipped = %(number)s - 1 RETURNING 1)
    INSERT INTO bulkwriter.groups(job, part, number, token, payload)
    SELECT %(job)s, %(part)s, %(number)s, %(token)s, %(group)b::bytea FROM held"""  # noqa: S608 our own words
RENEW: Final = f"UPDATE bulkwriter.parts SET {RENEWED} WHERE {OURS} AND shipped = %(number)s"  # noqa: S608 our own words
RELEASE: Final = f"""UPDATE bulkwriter.parts SET holder = '', lease_end = NULL, state = coalesce(%(state)s, state)
    WHERE {OURS} AND shipped = %(number)s"""  # noqa: S608 our own words
READ: Final = """SELECT number, payload FROM bulkwriter.groups
    WHERE job = %s AND part = %s AND number > %s AND number <= %s ORDER BY number LIMIT %s"""


class PartLog:
    """The log of the part that `lease` holds; a `store.shipping.Shipper` and a `run.holding.Fence`.

    `over_s` and `hurry` may be called by any thread, all else in one: the journal's.
    """

    def __init__(self, session: Session, lease: PartLease, *, clock: Callable[[], float] = boot_clock) -> None:
        self._session, self.lease, self._clock = session, lease, clock
        self.renew_s = lease.lease_s / 3
        self._number = lease.shipped
        self._broken: JournalError | None = None
        self._ship = Prepared(SHIP)

    def ship(self, group: bytes, counts: Mapping[State, int]) -> None:
        """Add a group.  Returns when it is durable there.  Raises `JournalError`, then for ever."""
        number = self._number + 1
        values = self._values(number) | {"group": group, "counts": counts_text(counts)}

        def ask(connection: Connection) -> bool:
            asked_at = self._clock()
            if self._ship.rowcount(connection, values) == 1:
                self.lease.renewed(asked_at)
                return True
            self._require_held(connection, number)
            return False

        has_renewed = self._insist(ask)
        self._number = number
        if not has_renewed:
            self._renew()

    def renew(self) -> None:
        """Renew the lease, if that is due.  Raises `JournalError`, then for ever."""
        if self._clock() - self.lease.renewed_at >= self.renew_s:
            self._renew()

    def over_s(self) -> float:
        """See `PartLease.over_s`."""
        return self.lease.over_s()

    def hurry(self) -> None:
        """The process ends: do not wait for a database that does not answer."""
        self._session.hurry()

    def groups(self) -> Iterator[tuple[int, bytes]]:
        """All groups that were there when the part was claimed, with their numbers, in order.  Keeps the lease."""
        for page in read_groups(self._session.insist, self.lease.job, self.lease.part, self.lease.shipped):
            yield from page
            self.renew()

    def release(self, *, state: str | None = None) -> None:
        """Give the part up, in this `state` if it has changed: others may claim it at once.

        Nothing is written where it is not ours any more.
        """
        self.lease.end()
        if self._broken is None:
            values = self._values(self._number) | {"state": state}
            self._session.insist(lambda connection: connection.execute(RELEASE, values).rowcount)
            self._broken = JournalError(f"{self.name} was given up")

    @property
    def name(self) -> str:
        return f"{self.lease.job}/{self.lease.part}"

    def _renew(self) -> None:
        values = self._values(self._number)

        def ask(connection: Connection) -> None:
            asked_at = self._clock()
            if connection.execute(RENEW, values).rowcount == 1:
                self.lease.renewed(asked_at)
            else:
                self._require_held(connection, self._number)

        self._insist(ask)

    def _insist(self, ask: Callable[[Connection], bool | None]) -> bool:
        if self._broken:
            raise self._broken
        try:
            return bool(self._session.insist(ask))
        except JournalError as error:
            self._broken = error
            self.lease.end()
            raise

    def _values(self, number: int) -> dict[str, str | int | bytes]:
        lease = self.lease
        return {"job": lease.job, "part": lease.part, "token": lease.token, "holder": lease.holder, "number": number}

    def _require_held(self, connection: Connection, number: int) -> None:
        """A statement changed nothing.  Raise why, unless the part is ours and `number` is in its log."""
        lease, row = self.lease, read_part(connection, self.lease.job, self.lease.part)
        if row is None:
            raise JournalError(f"{self.name} was deleted while it was written", hint="what was sent is on the server")
        if has_lost(row, self._session.cluster) or self._session.cluster != lease.cluster:
            raise lost_commits(self.name)
        is_ours = (row.token, row.holder) == (lease.token, lease.holder)
        if row.token < lease.token + (not is_ours) or row.shipped < (number if is_ours else self._number):
            mark_lost(connection, lease.job)  # nobody else may see it: the cluster and its timeline are the same
            raise lost_commits(self.name)
        if not is_ours:
            taken = f"was taken over by {shown_holder(row.holder)}" if row.holder else "was taken over, and given up"
            raise FenceLost(
                f"{self.name} {taken}: our lease was over", hint="it goes on there; this process has left it alone"
            )


Asking = Callable[[Callable[["Connection"], Any]], Any]
"""Makes a call with a connection: `Session.insist`, or one that is open already."""


def read_groups(ask: Asking, job: str, part: str, last: int) -> Iterator[list[tuple[int, bytes]]]:
    """The groups of a part up to number `last`, with their numbers, in order, in lists of at most `PAGE`."""
    after = 0
    while after < last:
        values = [job, part, after, last, PAGE]
        rows = ask(lambda connection, values=values: connection.execute(READ, values).fetchall())  # type: ignore[misc]
        if not rows:
            return  # whoever replays sees that groups are missing
        page = [(int(number), bytes(payload)) for number, payload in rows]
        yield page
        after = page[-1][0]


def counts_text(counts: Mapping[State, int]) -> str:
    """Rows by the words of `--json`.  An intent is pending while its process lives."""
    told = dict(counts)
    told[State.PENDING] = told.get(State.PENDING, 0) + told.pop(State.INTENT, 0)
    counted = Counts.of(told)
    return orjson.dumps({word: getattr(counted, word) for word in COUNTS}).decode()
