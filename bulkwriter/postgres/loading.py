"""Loads a source into a job, once: all of it or nothing, however often it is killed.

The whole load is one transaction.  So there is no half-loaded job that anybody could see, work on or have to clean up:
a load that was killed has left nothing, and the same command begins again.  The source is taken in blocks of
consecutive rows.  Each block is divided into the shares of the parts (`sources.parts`) and written before the next one
is read, so memory does not grow with the source.

A job that was loaded is compared with the source, row by row, as a local journal is.  The first difference is a
`SourceError` with its line.  Rows that were added at the end are loaded as further blocks.

Only one process loads a job at a time: an advisory lock that ends with the transaction.
Not here: what becomes of the parts (`jobs`, `lease`).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from .. import __version__
from ..errors import COMMITS_LOST, JournalError, SourceError, UsageError
from ..model import Batch
from ..sources import Source
from ..sources.parts import PartRows, divided, encode, together
from ..store.schema import JournalIdentity
from ..threads import begun
from .address import START_S, Address
from .connect import host_name, troubles
from .high_water import note_job, of_job
from .jobs import DEALT_BY, Job, blocks_of, check_identity, find, part_name
from .lease import LOST_TIMELINE
from .session import Session, cluster_of

if TYPE_CHECKING:
    from psycopg import Connection

T = TypeVar("T")

SHARE_ROWS: Final = 2_048
"""Rows that a block has for each part, about: 30 kB in a row of the table."""
BLOCK_ROWS: Final = 65_536
"""Most rows of a block, whatever the number of parts: 20 MB in memory."""
LOAD_LOCK: Final = 0x62776A6C
"""First half of the advisory lock's key ("bwjl"); the second is the hash of the job's name."""

IN_LOAD: Final = {
    "idle_in_transaction_session_timeout": "0",  # standard input may be slow
    "tcp_keepalives_idle": "20", "tcp_keepalives_interval": "10", "tcp_keepalives_count": "4",
    "tcp_user_timeout": "60000",
}  # fmt: skip
"""Settings of the database for the transaction of a load."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be loaded: `origin` says how the source is read again (JSON, "" for none)."""

    name: str
    identity: JournalIdentity
    parts: int
    origin: str
    is_strict: bool = False
    after_loss: bool = False
    """A job of this name was lost: its workers wait as after any other loss."""


class SourceBlocks:
    """The rows of a source in blocks, with the place of each block's first row."""

    def __init__(self, source: Source, *, is_strict: bool) -> None:
        self._source = source
        self._is_strict = is_strict
        self.seq = 0

    async def next(self, count: int) -> Batch:
        """The next `count` rows, fewer only at the end.  Raises `SourceError`, also for a bad row if that is asked."""
        pairs: list[tuple[int, int] | None] = []
        lines: list[int] = []
        bad = {}
        while len(pairs) < count:
            batch = await self._source.read(count - len(pairs))
            if batch is None:
                break
            if batch.bad and self._is_strict:
                first = min(batch.bad)
                raise SourceError(
                    f"{self._source.name}, line {batch.lines[first]}: {batch.bad[first].reason}",
                    hint="mend the row and run again; without --strict a bad row is counted, kept and passed over",
                    line=batch.lines[first],
                )
            bad.update({len(pairs) + i: row for i, row in batch.bad.items()})
            pairs += batch.pairs
            lines += batch.lines
        self.seq += len(pairs)
        return Batch(pairs, lines, bad)


async def brought(
    connection: Connection[Any],
    source: Source,
    plan: Plan,
    *,
    shown: str,
    parts: int | None,
    tell: Callable[[str, int], object] = lambda verb, rows: None,
) -> tuple[Job, Job | None]:
    """The job of a source, loaded now or held against it, and as it was before; `parts` is how many somebody wants.

    `tell` hears what is done to the rows, and the number of them so far.  Raises what `load` and `compare` do, and
    `UsageError`.
    """
    before = await apart(find, connection, plan.name)
    if before is None:
        await load(connection, source, plan, tell=partial(tell, "loaded"))
    else:
        check_identity(before.identity, shown, plan.identity)
        if parts not in (None, before.parts):
            raise UsageError(
                f"{shown} has {before.parts} parts, and {parts} are asked for",
                hint="the number of parts cannot change: leave it out, or load another job",
            )
        plan = replace(plan, parts=before.parts)
        await compare(connection, source, before, plan, tell=partial(tell, "compared"))
    found = await apart(find, connection, plan.name)
    assert found
    return found, before


async def load(
    connection: Connection[Any], source: Source, plan: Plan, *, tell: Callable[[int], object] = lambda rows: None
) -> int:
    """Load all rows of the source as a new job; return how many.  `tell` hears the number of rows so far.

    If it is cancelled or fails, the caller closes the connection, and nothing is there.  Raises `JournalError` if
    another process loads the job, `SourceError` for what is wrong with the source.
    """
    await apart(_begin, connection, plan)
    rows = SourceBlocks(source, is_strict=plan.is_strict)
    await _load_rest(connection, rows, plan, first_block=0, tell=tell)
    await apart(_finish, connection, plan.name, rows.seq)
    note_job(plan.identity.base_url, plan.identity.account, plan.name)
    return rows.seq


async def compare(
    connection: Connection[Any],
    source: Source,
    job: Job,
    plan: Plan,
    *,
    tell: Callable[[int], object] = lambda rows: None,
) -> int:
    """Hold the source against what was loaded, and load the rows that were added at its end; return how many.

    Raises `SourceError` at the first difference.
    """
    rows, known = SourceBlocks(source, is_strict=False), blocks_of(connection, job)
    while shares := await apart(next, known, None):
        stored = together(shares)
        first_seq = rows.seq
        batch = await rows.next(len(stored.pairs))
        if batch.pairs != stored.pairs:
            raise difference(source, first_seq, stored, batch, job)
        tell(rows.seq)
    return await rows_added(connection, rows, job, plan, tell)


async def rows_added(
    connection: Connection[Any], rows: SourceBlocks, job: Job, plan: Plan, tell: Callable[[int], object]
) -> int:
    """Load the rows behind those that the job has."""
    before = rows.seq
    batch = await rows.next(block_rows(job.parts))
    if not batch.pairs:
        return 0
    await apart(_begin_more, connection, job)
    await apart(_put, connection, job.name, job.blocks, before, divided(batch, before, job.parts))
    await _load_rest(connection, rows, plan, first_block=job.blocks + 1, tell=tell)
    await apart(_finish, connection, job.name, rows.seq)
    return rows.seq - before


async def _load_rest(
    connection: Connection[Any], rows: SourceBlocks, plan: Plan, *, first_block: int, tell: Callable[[int], object]
) -> None:
    """Load all rows that are left."""
    count = block_rows(plan.parts)
    for number in itertools.count(first_block):
        first_seq = rows.seq
        batch = await rows.next(count)
        if not batch.pairs:
            return
        await apart(_put, connection, plan.name, number, first_seq, divided(batch, first_seq, plan.parts))
        tell(rows.seq)


def refuse_lost(name: str, identity: JournalIdentity) -> None:
    """Raise `JournalError` for a job that is not there, where this machine knows of one."""
    if of_job(identity.base_url, identity.account, name).numbers[0]:
        raise JournalError(
            f"job {name} is not in the database, and this machine has loaded it or worked on it: the database was "
            "restored to a time before, or the job was deleted",
            hint="to load and write it again, let every worker of the job end, then add --after-loss to run and to "
            "work: it waits until what was sent is seen, and looks it up.  For other records name another job",
            code=COMMITS_LOST,
        )


def block_rows(parts: int) -> int:
    """How many rows of the source are taken together; 8,192 for 4 parts."""
    return min(BLOCK_ROWS, SHARE_ROWS * parts)


def difference(source: Source, first_seq: int, stored: Batch, batch: Batch, job: Job) -> SourceError:
    """The error that names the first row that differs from the job's."""
    for i, had in enumerate(stored.pairs):
        if i >= len(batch.pairs):
            return SourceError(
                f"{source.name} ends after {first_seq + i:,} rows, but job {job.name} has {job.rows:,}",
                hint="give back the file as it was; rows may only be added at its end",
            )
        if had != batch.pairs[i]:
            line = batch.lines[i]
            return SourceError(
                f"{source.name}, line {line}: job {job.name} has {words(had)} here, the source {words(batch.pairs[i])}",
                hint=getattr(source, "order_hint", "")
                or "a job belongs to one source, and rows may only be added at its end: give back the file as it was, "
                "or name another job for another file (--existing check finds what is on the server already)",
                line=line,
            )
    raise AssertionError("the rows are the same")


def words(pair: tuple[int, int] | None) -> str:
    return "no pair" if pair is None else f"{pair[0]},{pair[1]}"


# in the database


async def connected(
    stack: AsyncExitStack, address: Address, give_up_after_s: float, note: Callable[[str], object] = lambda text: None
) -> Connection[Any]:
    """A connection for the start.  A database that is away is waited for, but not for long."""
    session = Session(address, give_up_after_s=min(START_S, give_up_after_s), note=note)
    stack.callback(session.close)
    stack.callback(session.leave)
    connection: Connection[Any] = await apart(session.insist, lambda connection: connection)
    stack.enter_context(troubles(address))
    return connection


def _begin(connection: Connection[Any], plan: Plan) -> None:
    _begin_alone(connection, plan.name)
    identity = plan.identity
    if not plan.after_loss:
        refuse_lost(plan.name, identity)
    taken = connection.execute(
        "INSERT INTO bulkwriter.jobs(job, base_url, account, entity, columns, parts, dealt_by, source, rows, loaded_at,"
        " made_by) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, 0, now(), %s) ON CONFLICT (job) DO NOTHING RETURNING job",
        (
            plan.name, identity.base_url, identity.account, identity.entity, list(identity.columns), plan.parts,
            DEALT_BY, plan.origin, f"bulkwriter {__version__} on {host_name()}",
        ),
    ).fetchone()  # fmt: skip
    if taken is None:
        raise JournalError(
            f"there is a job {plan.name} already, loaded by another process just now, or begun by a service",
            hint="give the same command again, or name another job",
        )
    names, cluster = [part_name(i) for i in range(plan.parts)], cluster_of(connection)
    connection.execute(
        "INSERT INTO bulkwriter.parts(job, part, system_id, timeline)"
        " SELECT %s, name, %s, %s FROM unnest(%s::text[]) AS name",
        (plan.name, cluster.system_id, LOST_TIMELINE if plan.after_loss else cluster.timeline, names),
    )


def _begin_more(connection: Connection[Any], job: Job) -> None:
    _begin_alone(connection, job.name)
    found = connection.execute("SELECT rows FROM bulkwriter.jobs WHERE job = %s", (job.name,)).fetchone()
    if found is None or found[0] != job.rows:
        raise JournalError(f"job {job.name} has grown meanwhile", hint="give the same command again")


def _begin_alone(connection: Connection[Any], name: str) -> None:
    """Begin a transaction that waits for the source, and so may be idle for long; no other process may load this job.

    A client that is cut off from the network is noticed by the database in a minute, and its lock is gone.
    """
    connection.execute("BEGIN")
    for setting, value in IN_LOAD.items():
        connection.execute("SELECT set_config(%s, %s, true)", (setting, value))
    _lock(connection, name)


def _lock(connection: Connection[Any], name: str) -> None:
    """Only one process may load a job.  The lock ends with the transaction, however that ends."""
    found = connection.execute("SELECT pg_try_advisory_xact_lock(%s, hashtext(%s))", (LOAD_LOCK, name)).fetchone()
    if not (found and found[0]):
        raise JournalError(f"another process loads job {name} right now", hint="wait until it has ended")


def _put(connection: Connection[Any], job: str, number: int, first_seq: int, shares: Iterable[PartRows]) -> None:
    """Write a block.  A part that has no row in it gets an empty share, so that numbers have no gaps."""
    columns = "job, part, number, rows, first_seq, last_seq, payload"
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY bulkwriter.chunks({columns}) FROM STDIN (FORMAT BINARY)") as copy,
    ):
        copy.set_types(["text", "text", "int4", "int4", "int8", "int8", "bytea"])
        for i, share in enumerate(shares):
            first, last = (share.seqs[0], share.seqs[-1]) if share.seqs else (first_seq, first_seq - 1)
            copy.write_row((job, part_name(i), number, len(share.seqs), first, last, encode(share)))


def _finish(connection: Connection[Any], job: str, rows: int) -> None:
    connection.execute("UPDATE bulkwriter.jobs SET rows = %s WHERE job = %s", (rows, job))
    connection.execute(
        "UPDATE bulkwriter.parts SET rows = (SELECT coalesce(sum(chunks.rows), 0) FROM bulkwriter.chunks"
        " WHERE chunks.job = parts.job AND chunks.part = parts.part) WHERE job = %s",
        (job,),
    )
    connection.execute("COMMIT")


async def apart(call: Callable[..., T], *args: Any) -> T:
    """The result of a call that may wait for the network, made in a daemon thread: a hanging one ends with us."""
    _, future = begun(partial(call, *args), name="bulkwriter-postgres")
    return await future
