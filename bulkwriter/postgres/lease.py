"""The lease of a part: who may write it, until when, and how it passes from one process to the next.

A part has one row (`schema`, table parts).  To *claim* it raises its token; each write of the holder names its token
and its name, so that whoever claimed before writes nothing more.  That fences the log.  It does not fence the server
of the API, which knows no token.  So the holder also stops by itself: its lease lasts `lease_s` on its own clock since
boot, counted from *before* the claim or the renewal was asked for, and it sends nothing after that (`over_s`).

    free: nobody's name stands in the row     claimed at once
    held, and renewed while we look           refused: exit 5
    held, and unchanged for its `lease_s`     taken over; the holder has stopped sending by then

No clock but our own decides: we wait until the row, as we saw it, was the same for a whole lease on our clock.  The
holder asked for it before we saw it, so its own lease is over by then.  A database whose clock is set, or that was
stopped, changes nothing.  `lease_end` in the row is for people.  A take-over is a compare-and-set of what we saw.

What the former holder sent last may still be on its way for the deadline of its requests after its lease: doubts count
from then (`PartLease.in_doubt_for_s`).  When its lease was over is known as late as our clock can say: a lease after we
saw the row as it is.  The database's clock may say that it was sooner, but that clock can be set.  The holder's other
pairs were surely not sent, since no intent of them is in the log.

A database with another history than that of the load or the last claim (`session.Cluster`) may have lost commits:
intents whose pairs were sent, and claims.  Such a part is claimed only with `after_loss`, and then nothing is looked up
or sent before everything that the lost holder can have sent is applied and listed (`unseen_for_s`).  A copy of the
files that was put back has the same history: the worker whose log it lacks, and a machine that knows of more
(`high_water`), mark all parts of the job (`mark_lost`).

Assumption: clocks since boot run alike, and while their machines do.  TURN_S is what they may differ in a lease.
Not here: the log (`log`), connections (`session`).  Source: Gray and Cheriton, Leases, 1989.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from ..errors import COMMITS_LOST, JournalError, StoreGone
from ..store.boot import boot_clock
from .connect import host_name
from .high_water import ABOVE_ALL, HighWater

if TYPE_CHECKING:
    from .connect import Connection
    from .session import Cluster, Session

TURN_S: Final = 0.25
"""A lease is over so much sooner for those who send: the longest turn of an event loop after its clock was read."""
POLL_S: Final = 1.0
"""How often the row of a part that another holds is read; three times in a shorter lease's third."""
ROW: Final = "token, holder, lease_end, lease_s, deadline_s, system_id, timeline, shipped"
CLAIM: Final = """
    UPDATE bulkwriter.parts SET token = token + %(step)s, holder = %(holder)s, claimed_at = clock_timestamp(),
        lease_end = clock_timestamp() + make_interval(secs => %(lease_s)s), lease_s = %(lease_s)s,
        deadline_s = %(deadline_s)s, system_id = %(system_id)s, timeline = %(timeline)s
    WHERE job = %(job)s AND part = %(part)s AND token = %(token)s AND shipped = %(shipped)s AND holder = %(was)s
        AND lease_end IS NOT DISTINCT FROM %(lease_end)s
    RETURNING token"""
LOST_TIMELINE: Final = -1
"""In the row of a part: a worker saw that the database has lost commits.  No database has this timeline."""


class PartRow(NamedTuple):
    """What the database says of a part."""

    token: int
    holder: str
    lease_end: datetime | None
    lease_s: float
    deadline_s: float
    system_id: str
    timeline: int
    shipped: int

    @property
    def is_free(self) -> bool:
        return not self.holder

    @property
    def seen_as(self) -> tuple[object, ...]:
        """What changes with each claim, renewal and group."""
        return self.token, self.shipped, self.lease_end, self.holder


FREE: Final = PartRow(0, "", None, 0.0, 0.0, "", 0, 0)
"""Of a part that nobody has claimed yet."""


class PartWatch:
    """Parts that others hold, as this process has seen them.  Not thread safe."""

    def __init__(self, clock: Callable[[], float] = boot_clock) -> None:
        self._clock = clock
        self._seen: dict[str, tuple[tuple[object, ...], float]] = {}
        self._renewed: set[str] = set()

    def left_s(self, part: str, row: PartRow) -> float:
        """How long the row must stay as it is until the part may be taken over; 0.0 if it may."""
        now = self._clock()
        if row.is_free:
            return 0.0
        seen = self._seen.get(part)
        if seen is None or seen[0] != row.seen_as:
            if seen is not None:
                self._renewed.add(part)
            self._seen[part] = seen = row.seen_as, now
        return max(0.0, seen[1] + row.lease_s - now)

    def over_s(self, part: str, row: PartRow) -> float:
        """For how long its lease has surely been over, if the row is still as it was seen."""
        seen = self._seen.get(part)
        return max(0.0, self._clock() - seen[1] - row.lease_s) if seen and seen[0] == row.seen_as else 0.0

    def is_alive(self, part: str) -> bool:
        """Whether the row was seen to change."""
        return part in self._renewed


class PartLease:
    """A part that this process holds.  `over_s` is asked on the event loop, the rest in the thread of the log."""

    def __init__(
        self,
        *,
        job: str,
        part: str,
        token: int,
        holder: str,
        cluster: Cluster,
        shipped: int,
        lease_s: float,
        asked_at: float,
        in_doubt_for_s: float = 0.0,
        unseen_for_s: float = 0.0,
        clock: Callable[[], float] = boot_clock,
    ) -> None:
        self.job, self.part, self.token, self.holder, self.cluster = job, part, token, holder, cluster
        self.shipped = shipped
        """Number of the last group of the log when the part was claimed."""
        self.lease_s = lease_s
        # After the claim, what an earlier holder sent may still arrive for so long; below 0: all has, since so long.
        self.in_doubt_for_s, self.unseen_for_s = in_doubt_for_s, unseen_for_s
        self._clock = clock
        self.renewed_at = asked_at

    def over_s(self) -> float:
        """For how long nothing may have been sent; 0.0 while requests may go."""
        return max(0.0, self._clock() - (self.renewed_at + self.lease_s - TURN_S))

    def renewed(self, asked_at: float) -> None:
        """A renewal that was asked for at this time was granted."""
        self.renewed_at = max(self.renewed_at, asked_at)

    def end(self) -> None:
        """Nothing may be sent any more."""
        self.renewed_at = -self.lease_s


def holder_name() -> str:
    """Who claims: host, process, and a word that no other claim has."""
    return f"{host_name() or 'unnamed'} pid {os.getpid()} {secrets.token_hex(4)}"


def shown_holder(holder: str) -> str:
    """The name of a holder for people."""
    return holder.rpartition(" ")[0] or holder


def read_part(connection: Connection, job: str, part: str) -> PartRow | None:
    """The row of a part.  Raises psycopg's errors."""
    found = connection.execute(f"SELECT {ROW} FROM bulkwriter.parts WHERE job = %s AND part = %s", [job, part])  # noqa: S608 ours
    row = found.fetchone()
    return PartRow(*row) if row else None  # type: ignore[arg-type]


class Claim(NamedTuple):
    """What a process that claims parts is and wants."""

    lease_s: float
    deadline_s: float
    """The deadline of its requests."""
    unsure_s: float
    """After lost commits: by then each request that ended is applied and listed."""
    after_loss: bool


def take(
    session: Session,
    job: str,
    part: str,
    row: PartRow,
    claim: Claim,
    *,
    over_s: float = 0.0,
    clock: Callable[[], float] = boot_clock,
) -> PartLease | None:
    """Claim a part that is as in `row`, and free or over (`PartWatch.left_s`), which it has been for `over_s`.  None:
    somebody else was first.

    Raises `JournalError` where the database may have lost commits, unless the claim is made after a loss.  (Exit code
    5: a worker that is at work then ends with 75, and this is what meets it if it is just started again.)
    """
    holder = holder_name()
    asked: list[float] = []  # the first counts: its commit may be the one of which nobody knew

    def ask(connection: Connection) -> int | None:
        cluster = session.cluster
        asked.append(clock())
        if has_lost(row, cluster) and not claim.after_loss:
            raise refused_after_loss(f"{job}/{part}")
        values = {
            **row._asdict(), "job": job, "part": part, "holder": holder, "was": row.holder, "lease_s": claim.lease_s,
            "deadline_s": claim.deadline_s, "system_id": cluster.system_id, "timeline": cluster.timeline,
            "step": ABOVE_ALL if has_lost(row, cluster) else 1,
        }  # fmt: skip
        if taken := connection.execute(CLAIM, values).fetchone():
            return int(str(taken[0]))
        now = read_part(connection, job, part)  # after a commit of which nobody knew, it is ours
        return now.token if now and now.holder == holder else None

    token = session.insist(ask)
    if token is None:
        return None
    was_held = not row.is_free
    unseen_s = 0.0
    if has_lost(row, session.cluster):  # the lost claim is not in the row: it was like the one before, or like ours
        unseen_s = max(row.lease_s, claim.lease_s) + max(row.deadline_s, claim.deadline_s) + claim.unsure_s
    return PartLease(
        job=job, part=part, token=token, holder=holder, cluster=session.cluster, shipped=row.shipped,
        lease_s=claim.lease_s, asked_at=asked[0], in_doubt_for_s=row.deadline_s - over_s if was_held else 0.0,
        unseen_for_s=unseen_s, clock=clock,
    )  # fmt: skip


def has_lost(row: PartRow, cluster: Cluster) -> bool:
    """Whether the database may have lost commits since a part was loaded or claimed last."""
    return (row.system_id, row.timeline) != cluster


def mark_lost(connection: Connection, job: str) -> None:
    """Let each later claim of a part of this job be refused unless it is made after a loss.  Raises psycopg's errors.

    Also whoever writes a part is stopped at its next group: it may have claimed it without knowing.
    """
    connection.execute("UPDATE bulkwriter.parts SET timeline = %s WHERE job = %s", [LOST_TIMELINE, job])


def mark_if_behind(connection: Connection, job: str, cluster: Cluster, seen_of: Callable[[str], HighWater]) -> None:
    """The same, where a part of the job has less than this machine knows of.  Raises psycopg's errors."""
    rows = connection.execute(f"SELECT part, {ROW} FROM bulkwriter.parts WHERE job = %s", [job])  # noqa: S608 ours
    for part, *columns in rows.fetchall():
        row = PartRow(*columns)  # type: ignore[arg-type]
        if not has_lost(row, cluster) and (row.token, row.shipped) < seen_of(str(part)).numbers:
            mark_lost(connection, job)
            return


LOST_HINT: Final = (
    "let every worker of the job end, then add --after-loss: it waits until what was sent is seen, and looks it up; "
    "without it each start is refused"
)


def lost_words(part: str) -> str:
    return (
        f"{part}: the database is not the one to which this part was written, or was restored or promoted since: it "
        "may have lost what it had acknowledged"
    )


def lost_commits(part: str) -> StoreGone:
    """For a worker that is at work."""
    return StoreGone(lost_words(part), hint=LOST_HINT, code=COMMITS_LOST)


def refused_after_loss(part: str) -> JournalError:
    """For a claim."""
    return JournalError(lost_words(part), hint=LOST_HINT, code=COMMITS_LOST)


def claim_part(
    session: Session,
    job: str,
    part: str,
    claim: Claim,
    *,
    note: Callable[[str], object],
    pause: Callable[[float], object],
    watch: PartWatch | None = None,
    clock: Callable[[], float] = boot_clock,
) -> PartLease:
    """Claim one part, which has a row.  Waits for the lease of a holder that does not renew it any more.

    `watch` is what the caller has seen of the parts so far.  Then nobody is waited for: the caller may take another.

    Raises `JournalError` where the holder lives, and what `take` and `pause` raise.
    """
    is_patient, has_told = watch is None, False
    watch = watch or PartWatch(clock)
    while True:
        row = session.insist(lambda connection: read_part(connection, job, part))
        if row is None:
            raise JournalError(
                f"there is no part {job}/{part}", hint="table bulkwriter.parts has the names of those there are"
            )
        left_s = watch.left_s(part, row)
        if not row.is_free and (watch.is_alive(part) if is_patient else left_s):
            raise JournalError(
                f"{job}/{part} is held by {shown_holder(row.holder)}",
                hint="wait for it, or stop it; a service of several hosts names another part on each of them",
                code="held",
            )
        over_s = watch.over_s(part, row)
        if not left_s and (lease := take(session, job, part, row, claim, over_s=over_s, clock=clock)):
            return lease
        if not is_patient:
            continue  # somebody was first, and now has it
        if left_s and not has_told:
            has_told = True
            note(
                f"{job}/{part} is held by {shown_holder(row.holder)}: it is taken over in {left_s:,.0f} s unless that "
                "renews its lease"
            )
        pause(min(POLL_S, row.lease_s / 10, left_s or POLL_S))
