"""Jobs and their parts, as the database has them: what a job is, how each part stands, and the source's shares.

A job is one source divided among parts (`sources.parts`); a part is written by one worker at a time (`lease`).  Tables
are described in `schema`.  Counts of a part are those of its journal when its worker last shipped something.

Invariant: reads only.  No value is believed before its type was checked.
Not here: how a job comes about (`loading`), who may write a part (`lease`), what a part's journal says (`log`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from ..errors import JournalError
from ..model import Batch, Counts, Rows
from ..sources.parts import PartRows, decode
from ..store.opening import IdentityHints, require_same
from ..store.schema import JournalIdentity
from .connect import connect, troubles
from .lease import FREE, ROW, PartRow
from .schema import check

if TYPE_CHECKING:
    from psycopg import Connection

    from .address import Address

DEALT_BY: Final = "splitmix64"
"""The rule of `sources.parts.part_of`."""
FETCH_ROWS: Final = 16_384
"""Rows of a part that are fetched at a time: 0.5 MB, and one connection each 16,384 rows is not felt."""
OTHER_JOB: Final = IdentityHints(
    "name that --base-url and --account again, or another job",
    "the command that began it goes on with it; for other records name another job",
    "name the same columns again, or another job",
)
RESTORE: Final = "the database was changed by others, or is damaged: restore it from its backup"


@dataclass(frozen=True, slots=True)
class Job:
    """A job that was loaded: what it belongs to, how many parts and rows it has, and how its source was read."""

    name: str
    identity: JournalIdentity
    parts: int
    rows: int
    blocks: int
    origin: str
    made_at: datetime

    @property
    def part_names(self) -> list[str]:
        return [part_name(i) for i in range(self.parts)]


@dataclass(frozen=True, slots=True)
class PartStanding:
    """How a part stands: `rows` of the source, the rows of its journal by outcome, and its `row` as a worker sees it.

    `lease_left_s` is how much longer its holder may write, by the database's clock; 0 or less once the lease is over.
    """

    name: str
    rows: int
    counts: Counts
    row: PartRow = FREE
    lease_left_s: float = 0.0
    claimed_at: datetime | None = None
    shipped_at: datetime | None = None
    """When its worker last shipped something."""
    seen_at: float = field(default=0.0, compare=False)
    """When this was so, by the clock here: epoch seconds."""
    is_ours: bool = False
    """Whether the counts are those of the journal of this process, which wrote the part, rather than the database's."""

    @property
    def is_held(self) -> bool:
        return not self.row.is_free and self.lease_left_s > 0

    @property
    def not_read(self) -> int:
        """Rows that its journal does not have yet."""
        return max(0, self.rows - self.counts.pairs)

    @property
    def unsent(self) -> int:
        """Rows that no worker has come to: not read, or pending."""
        return self.not_read + self.counts.pending

    @property
    def left(self) -> int:
        """Rows that each start tries to change: unsent, in doubt or failed."""
        return self.unsent + self.counts.in_doubt + self.counts.failed


def part_name(index: int) -> str:
    """The name of a part of a loaded job: they are counted from 1."""
    return str(index + 1)


def counts_of(parts: Sequence[PartStanding]) -> tuple[Counts, Rows]:
    """The counts of the whole job, and how many rows of its source no worker has read yet."""
    counts = Counts.sum_of(part.counts for part in parts)
    return counts, Rows.known(sum(part.rows for part in parts), is_exact=True, read=counts.pairs)


def loaded_counts_of(parts: Sequence[PartStanding]) -> tuple[Counts, Rows]:
    """The same for people who know that all rows were loaded: those that no worker has come to count as pending.

    What of them is no pair, or a repeated one, is known once a worker reads it.
    """
    counts, rows = counts_of(parts)
    unread = sum(part.not_read for part in parts)
    counts = counts._replace(pending=counts.pending + unread)
    return counts, Rows.known(rows.total, is_exact=True, read=counts.pairs)


def parts_done(parts: Sequence[PartStanding]) -> int:
    """How many parts have nothing left."""
    return sum(not part.left for part in parts)


def find(connection: Connection[Any], name: str) -> Job | None:
    """The job of this name, or None where nothing was loaded under it."""
    row = connection.execute(
        "SELECT base_url, account, columns, entity, parts, rows, source, made_at, dealt_by,"
        " (SELECT coalesce(max(number) + 1, 0) FROM bulkwriter.chunks WHERE job = jobs.job AND part = '1')"
        " FROM bulkwriter.jobs WHERE job = %s AND loaded_at IS NOT NULL",
        (name,),
    ).fetchone()
    if row is None:
        return None
    base_url, account, columns, entity, parts, rows, origin, made_at, dealt_by, blocks = row
    if dealt_by != DEALT_BY or len(columns) != 2:
        raise JournalError(
            f"the rows of job {name} were dealt out to its parts by {dealt_by}, which this version does not know",
            hint="use the bulkwriter that loaded it",
        )
    identity = JournalIdentity(base_url, account, (columns[0], columns[1]), entity)
    return Job(name, identity, parts, rows, blocks, origin, made_at)


def names(connection: Connection[Any]) -> list[str]:
    """All jobs of the database that were loaded, the newest first."""
    found = connection.execute("SELECT job FROM bulkwriter.jobs WHERE loaded_at IS NOT NULL ORDER BY made_at DESC, job")
    return [name for (name,) in found.fetchall()]


def check_identity(found: JournalIdentity, shown: str, wanted: JournalIdentity) -> None:
    """Raise `JournalError` or `SourceError` if a job of `found` must not be worked on with these settings."""
    require_same(found, wanted, shown, made="loaded", hints=OTHER_JOB)


def standing(connection: Connection[Any], name: str) -> tuple[Job | None, list[PartStanding]]:
    """A job, or None where nobody loaded it, and its parts: those that it was loaded into, else what services named."""
    job = find(connection, name)
    return job, parts_of(connection, job) if job else [*read_parts(connection, name).values()]


def parts_of(connection: Connection[Any], job: Job) -> list[PartStanding]:
    """The parts of a job that was loaded, in their order, as of one moment."""
    found = read_parts(connection, job.name)
    if missing := set(job.part_names) - set(found):
        raise JournalError(f"job {job.name} has lost its part {min(missing)}", hint=RESTORE)
    return [found[name] for name in job.part_names]


def read_parts(connection: Connection[Any], job: str) -> dict[str, PartStanding]:
    rows = connection.execute(
        "SELECT part, rows, counts, extract(epoch FROM lease_end - clock_timestamp()), claimed_at,"  # noqa: S608 ours
        " (SELECT shipped_at FROM bulkwriter.groups WHERE job = parts.job AND part = parts.part"
        f"  ORDER BY number DESC LIMIT 1), {ROW}"
        " FROM bulkwriter.parts WHERE job = %s ORDER BY part",
        (job,),
    ).fetchall()
    found, now = {}, time.time()
    for part, count, counts, left, claimed_at, shipped_at, *columns in rows:
        found[part] = PartStanding(
            part, count, counts_in(counts), PartRow(*columns), float(left or 0.0), claimed_at, shipped_at, now
        )  # fmt: skip
    return found


def counts_in(column: Any) -> Counts:
    """The counts of a part's journal; none before its first group."""
    numbers = [column.get(name, 0) for name in Counts._fields]
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise JournalError("the counts of a part are no numbers", hint=RESTORE)
    return Counts(*numbers)


def blocks_of(connection: Connection[Any], job: Job, first: int = 0) -> Iterator[list[PartRows]]:
    """The shares of the source, a block of consecutive rows at a time: one share a part, in the order of the parts."""
    for number in range(first, job.blocks):
        found = dict(
            connection.execute(
                "SELECT part, payload FROM bulkwriter.chunks WHERE job = %s AND number = %s", (job.name, number)
            ).fetchall()
        )
        if set(found) - set(job.part_names):
            raise JournalError(f"block {number} of job {job.name} has parts that the job has not", hint=RESTORE)
        yield [share_of(job.name, name, number, found.get(name)) for name in job.part_names]


def shares_from(connection: Connection[Any], job: str, part: str, number: int) -> list[tuple[int, PartRows]]:
    """The next shares of one part from block `number` on, each with its number; none at the end of the source."""
    rows = connection.execute(
        "SELECT number, payload FROM (SELECT number, payload, sum(rows) OVER (ORDER BY number) - rows AS before"
        "  FROM bulkwriter.chunks WHERE job = %s AND part = %s AND number >= %s AND number < %s) AS chosen"
        " WHERE before < %s ORDER BY number",
        (job, part, number, number + FETCH_ROWS, FETCH_ROWS),
    ).fetchall()
    return [(found, share_of(job, part, found, payload)) for found, payload in rows]


def share_of(job: str, part: str, number: int, payload: bytes | None) -> PartRows:
    """A share from its bytes; a part may have none in a block."""
    if payload is None:
        return PartRows([], Batch([], [], {}))
    try:
        return decode(bytes(payload))
    except ValueError as error:
        raise JournalError(f"job {job}, part {part}, block {number} of the source: {error}", hint=RESTORE) from error


@contextmanager
def opened(address: Address) -> Iterator[Connection[Any]]:
    """A connection to a database with our tables, tried once.  Raises `StoreGone`, else `JournalError` (`troubles`)."""
    with troubles(address), closing(connect(address)) as connection:
        check(connection, address)
        yield connection
