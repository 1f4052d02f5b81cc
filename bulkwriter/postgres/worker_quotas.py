"""Which ledger and quotas the workers of a job use, so that one that differs from the others is told.

Each worker notes its own once it has its first part.  They stand in the job's row, in `meta` under "quotas": those of
all workers since the job last had none at work.  So a worker that was put right is not compared with one that ended
long ago.

Two names may lead to one database: another address, a pooler, a socket.  So a ledger in a database is told apart by
what it says of itself (`session.Cluster`), where it answers.

Nothing depends on it but a note for people.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..errors import LedgerError
from .connect import connect, troubles
from .session import cluster_of

if TYPE_CHECKING:
    from psycopg import Connection

    from .address import Address

KEY: Final = "quotas"
MOST: Final = 16
"""Different choices that are kept, the latest: usually there is one."""
REACHED_BY: Final = ("host", "hostaddr", "port", "service")
"""Options of a URL that say which server it is; others say how one connects."""


class WorkerQuotas(NamedTuple):
    """What one worker counts, and where: `ledger` as people are shown it, `quotas` as `--quota` writes them; `which`
    ledger that is by its database, or ""."""

    ledger: str
    quotas: tuple[str, ...]
    share: float = 1.0
    which: str = ""

    def is_as(self, other: WorkerQuotas) -> bool:
        """Whether both keep the same quotas in the same ledger."""
        return (self.quotas, self.share) == (other.quotas, other.share) and self.counts_with(other)

    def counts_with(self, other: WorkerQuotas) -> bool:
        """Whether both count in the same ledger."""
        if self.which and other.which:
            return self.which == other.which
        return self.ledger == other.ledger


def which_of(ledger: Address) -> str:
    """Which database it is, whatever leads there; "" where it does not answer, which is told elsewhere."""
    with (
        contextlib.suppress(LedgerError),
        troubles(ledger, gone=LedgerError, refused=LedgerError),
        contextlib.closing(connect(ledger)) as connection,
    ):
        return cluster_of(connection).system_id
    return ""


def named(ledger: Address) -> str:
    """The ledger of a database by what it is: workers may reach the same as other users."""
    reached_by = tuple((key, value) for key, value in ledger.options if key in REACHED_BY)
    return type(ledger)(ledger.database, ledger.hosts, options=reached_by).shown


def join_job(connection: Connection[Any], job: str, part: str, own: WorkerQuotas) -> list[WorkerQuotas]:
    """Note what a worker uses that has just claimed its first part.  What others use that differs.

    After the claim: of two workers that begin at the same time, the later one sees the other at work.  A repetition is
    harmless.
    """
    with connection.transaction():
        row = connection.execute(
            "SELECT meta -> %s, EXISTS (SELECT FROM bulkwriter.parts WHERE job = jobs.job AND part <> %s"
            " AND holder <> '' AND lease_end > clock_timestamp()) FROM bulkwriter.jobs WHERE job = %s"
            " FOR NO KEY UPDATE",
            (KEY, part, job),
        ).fetchone()
        if row is None:
            return []
        noted, is_at_work = row
        others = [found for found in choices(noted) if not found.is_as(own)] if is_at_work else []
        from psycopg.types.json import Jsonb

        kept = Jsonb([[*choice] for choice in [*others, own][-MOST:]])
        connection.execute(
            "UPDATE bulkwriter.jobs SET meta = jsonb_set(meta, ARRAY[%s], %s) WHERE job = %s", (KEY, kept, job)
        )
    return others


def choices(noted: Any) -> list[WorkerQuotas]:
    """What the row has; of what is no choice, nothing."""
    found = []
    for entry in noted if isinstance(noted, list) else []:
        match entry:
            case [str(ledger), [*quotas], int(share) | float(share), str(which)]:
                found.append(WorkerQuotas(ledger, tuple(map(str, quotas)), float(share), which))
            case _:
                pass
    return found


def difference(own: WorkerQuotas, others: Sequence[WorkerQuotas]) -> str:
    """One note for a worker that differs from others of its job; "" where all are alike."""
    if not others:
        return ""
    other = others[-1]
    danger = "so together they may send more than the account allows"
    if bool(own.quotas) != bool(other.quotas) or not own.counts_with(other):
        theirs, ours = counts_in(other), counts_in(own)
        return f"others on this job {theirs}, this one {ours.replace('count', 'counts', 1)}: {danger}"
    return f"others on this job keep {kept_by(other)}, this one {kept_by(own)}: {danger}"


def counts_in(choice: WorkerQuotas) -> str:
    return f"count in the ledger {choice.ledger}" if choice.quotas else "count no quotas"


def kept_by(choice: WorkerQuotas) -> str:
    share = f", {choice.share:.0%} of each" if choice.share != 1 else ""
    return f"the quotas {' '.join(choice.quotas)}{share}"
