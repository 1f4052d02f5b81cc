"""Opens the journal of a part of a job: claims it, makes a local journal from its log, and ships to the log after that.

    claim the part -> make an empty local file -> replay the log into it -> check whose it is -> ship what is written

The local file is a journal like any other, in the user's state folder.  It has a new name at each claim and is deleted
when the part is given up.  What an earlier holder had committed to its own local file and not shipped was acknowledged
to nobody, so nothing was sent of it.  The rows of the log are checked as those of a file are.

A part of a job that was loaded must be one of its parts.  A service names a job and a part of its own, which have no
source, and both are made here.

What is claimed and shipped is noted on this machine (`high_water`).  A database that has less of any part of the job
has lost it: then all parts are marked before this one is claimed.

Invariant: a part that was claimed and not opened is given up again.
Not here: the lease (`lease`), the log (`log`), the format of groups (`store.shipping`).
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from collections.abc import Callable, Mapping
from functools import partial
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..errors import BulkwriterError, JournalError, UsageError
from ..model import State
from ..store.journal import Journal
from ..store.lock import holder
from ..store.opening import check_identity
from ..store.private import make_folder, state_folder
from ..store.schema import JournalIdentity, normal_url
from ..store.shipping import damaged_log, replay
from .address import Address
from .high_water import HighWater, note_job, of_job
from .lease import Claim, PartLease, PartWatch, claim_part, mark_if_behind
from .log import PartLog
from .session import ANSWER_S, Session, cluster_of

if TYPE_CHECKING:
    from .connect import Connection

BESIDE: Final = ("", "-wal", "-shm", ".lock", ".seal")
"""What stands beside a journal's file, by the ends of the names."""
LEAST_ANSWER_S: Final = 2.0
"""A third of a lease is waited for an answer, but so long at least: a busy database takes a second at times."""
MAKE_JOB: Final = """INSERT INTO bulkwriter.jobs(job, base_url, account, entity, columns, parts)
    VALUES (%s, %s, %s, %s, %s, 0) ON CONFLICT DO NOTHING"""
MAKE_PART: Final = """INSERT INTO bulkwriter.parts(job, part, system_id, timeline) VALUES (%s, %s, %s, %s)
    ON CONFLICT DO NOTHING"""


class PartSettings(NamedTuple):
    """What of the settings concerns a part."""

    lease_s: float
    timeout_s: float
    late_apply_s: float
    list_lag_s: float
    give_up_after_s: float
    after_loss: bool

    @classmethod
    def of(cls, settings: Any) -> PartSettings:
        """Those of a writer's `Settings`."""
        return cls(**{name: getattr(settings, name) for name in cls._fields})

    @property
    def claim(self) -> Claim:
        return Claim(self.lease_s, self.timeout_s, self.late_apply_s + self.list_lag_s, self.after_loss)


class PartStore:
    """One part from its claim to its end.  `note` tells people something, from any thread.

    `watch`: see `claim_part`.
    """

    def __init__(
        self,
        address: Address,
        settings: PartSettings,
        *,
        note: Callable[[str], object],
        watch: PartWatch | None = None,
    ) -> None:
        if not address.part:
            raise UsageError(
                f"{address} names no part of a job",
                hint="a journal in a database is that of one part: postgresql://HOST/DATABASE/JOB/PART",
            )
        self.address, self._settings, self._note = address, settings, note
        self._watch = watch
        self._session: Session | None = None
        self._is_left = threading.Event()
        self._file: Path | None = None
        self._seen: HighWater | None = None
        self.log: PartLog
        """Set once it is open."""

    def open(
        self, path: object, *, base_url: str, account: str | None, columns: tuple[str, str], entity: str
    ) -> Journal:
        """Claim the part and return its journal.  Blocks; called in the journal's thread.  `path` is not looked at.

        Raises `JournalError` (held by another, of another host or entity, damaged, no database, lost commits),
        `SourceError` (made from other columns), `StoreGone` (the database does not answer).
        """
        settings, address = self._settings, self.address
        identity = JournalIdentity.of(base_url, account, columns, entity)
        answer_s = min(ANSWER_S, max(LEAST_ANSWER_S, settings.lease_s / 3))
        session = self._session = Session(
            address, answer_s=answer_s, give_up_after_s=settings.give_up_after_s, note=self._note
        )
        try:
            session.insist(lambda connection: make_rows(connection, address, identity))
            whose = identity.base_url, identity.account, address.job
            session.insist(
                lambda connection: mark_if_behind(connection, address.job, session.cluster, partial(of_job, *whose))
            )
            lease = claim_part(
                session, address.job, address.part, settings.claim,
                note=self._note, pause=self._pause, watch=self._watch,
            )  # fmt: skip
            note_job(*whose)
            seen = self._seen = of_job(*whose, address.part)
            seen.note(lease.token, lease.shipped, is_durable=True)
            log = NotedLog(session, lease, seen)
            try:
                journal = self._replayed(log, identity)
            except BaseException:
                with contextlib.suppress(BulkwriterError):
                    log.release()
                raise
        except BaseException:
            session.close()
            raise
        self.log = log
        return journal

    def leave(self) -> None:
        """From any thread: the opening is not waited for any more."""
        self._is_left.set()
        if self._session:
            self._session.leave()

    def hurry(self) -> None:
        """From any thread: the run has ended, so a database that does not answer is given up within seconds."""
        if self._session:
            self._session.hurry()

    def close(self) -> None:
        """Give the part up, once its journal is closed.  Blocks.  A repetition is harmless.

        A database that does not answer is left alone: the lease then ends by itself.
        """
        if self._session is None:
            return
        try:
            if hasattr(self, "log"):
                with contextlib.suppress(BulkwriterError):
                    self.log.release()
        finally:
            self._session.close()
            if self._seen:
                self._seen.close()
            if self._file:
                remove(self._file)

    def _replayed(self, log: PartLog, identity: JournalIdentity) -> Journal:
        name, lease = str(self.address), log.lease
        folder = parts_folder()
        remove_left(folder, f"{lease.job}.{lease.part}.")
        self._file = folder / f"{lease.job}.{lease.part}.{lease.holder.rpartition(' ')[2]}.journal"
        account, entity = identity.account, identity.entity
        journal = Journal.open(
            self._file, base_url=identity.base_url, account=account, columns=identity.columns, entity=entity
        )
        try:
            own = journal.meta()
            last = replay(journal, log.groups(), log=name)
            if last != lease.shipped:
                raise damaged_log(name, last + 1, f"the log has {lease.shipped}")
            journal = journal.shipped(log)
            if journal.counts():
                check_identity(journal.meta(), name, identity)
            else:
                journal.begin({**own, **{key: value for key, value in journal.meta().items() if key == "created_at"}})
        except BaseException:
            journal.close(checkpoint=False)
            raise
        return journal

    def _pause(self, seconds: float) -> None:
        if self._is_left.wait(seconds):
            raise JournalError(f"{self.address} was not waited for any more")


class NotedLog(PartLog):
    """The log of a part, and what of it is known here to be shipped."""

    def __init__(self, session: Session, lease: PartLease, seen: HighWater) -> None:
        super().__init__(session, lease)
        self._seen = seen

    def ship(self, group: bytes, counts: Mapping[State, int]) -> None:
        super().ship(group, counts)
        self._seen.note(self.lease.token, self._number)


def make_rows(connection: Connection, address: Address, identity: JournalIdentity) -> None:
    """Make the rows of a job and its part, where they are a service's own.  Raises `JournalError` for another's."""
    job, part = address.job, address.part
    values = [job, identity.base_url, identity.account, identity.entity, list(identity.columns)]
    with connection.transaction():
        connection.execute(MAKE_JOB, values)
        found = connection.execute(
            "SELECT base_url, account, entity, parts FROM bulkwriter.jobs WHERE job = %s FOR SHARE", [job]
        ).fetchone()
        base_url, account, entity, parts = found or ("", "", "", 0)
        if (normal_url(str(base_url)), account, entity) != (identity.base_url, identity.account, identity.entity):
            theirs = JournalIdentity(str(base_url), str(account), identity.columns, str(entity))
            raise JournalError(
                f"the job {job} is of {entity} records at {theirs.place}",
                hint="name that --base-url and --account again, or another job in the URL",
            )
        if parts == 0:
            connection.execute(MAKE_PART, [job, part, *cluster_of(connection)])


def parts_folder() -> Path:
    """The folder of local journals, made if need be: in the user's state folder, else among temporary files."""
    try:
        folder = state_folder() / "parts"
        make_folder(folder)
        if os.access(folder, os.W_OK):
            return folder
    except (OSError, RuntimeError):
        pass  # no home, or a system that is read-only: the file need not outlive this process
    return Path(tempfile.mkdtemp(prefix="bulkwriter-"))


def remove_left(folder: Path, prefix: str) -> None:
    """Remove local journals of processes that were killed: the log has what they had acknowledged."""
    for path in folder.glob(f"{escape(prefix)}*.journal"):
        with contextlib.suppress(JournalError):
            if holder(path) is None:
                remove(path)


def remove(journal: Path) -> None:
    for end in BESIDE:
        with contextlib.suppress(OSError):
            journal.with_name(journal.name + end).unlink()
