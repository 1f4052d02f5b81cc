"""A job, or one part of it, as a journal that can be read: for `status`, `export`, `verify`, `report` and `explain`.

Nothing is claimed and no worker is disturbed.  The log of each part is replayed into a journal in a temporary folder,
and the parts' journals are put together in the order of the source (`store.merged`).  So each command reads the same
tables as those of a file.  It costs about 10 µs and 100 bytes of disk a row.

What a worker has not shipped is not there; it was not acknowledged to anybody either.  Parts are read one after the
other, so each is as of a moment of its own.

Not here: what is told of it (`cli`), how workers write (`log`).
"""

from __future__ import annotations

import datetime
import json
import re
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from ..core.dedupe import PairSet
from ..entities import ORIGINAL
from ..errors import JournalError
from ..model import Ended
from ..store.history import LEFT_OUT, left_out_of
from ..store.journal import Journal
from ..store.journal_reader import JournalReader
from ..store.lock import Holder
from ..store.merged import merge
from ..store.schema import RISING_IDS, JournalIdentity
from ..store.shipping import replay
from ..store.starts import (
    LAST_START,
    ORIGIN,
    RUN,
    SOURCE,
    UNDONE,
    Start,
    ended_text,
    last_start,
    noted_of,
    number_of,
    source_text,
    undone,
    wall_of,
)  # fmt: skip
from .address import is_postgres
from .jobs import Job, PartStanding, blocks_of, check_identity, names, opened, standing
from .log import LATEST, read_groups

if TYPE_CHECKING:
    from psycopg import Connection

    from .address import Address

MOST_NAMES: Final = 10
"""Names of jobs or parts that an error shows."""
RATE_MAX: Final = 1e9
OF_ONE_PART: Final = ("believes", "holds_until")
"""What a worker notes of its own part alone; of several it is not told."""
OF_ONE_KIND: Final = ("held_by", "held_kind")
"""What is told of several as well, where they all are held back by the same."""
NOBODY: Final = JournalIdentity("http://localhost", "", ("", ""), ORIGINAL)
"""Of a journal that its log will give its identity."""


class JobReader(JournalReader):
    """A job opened for reading, as it is now; a context manager.

    Raises `JournalError` if there is no such job, and `StoreGone` while the database is away.
    """

    def __init__(self, address: Address) -> None:
        self.parts: list[PartStanding]
        """How each part stands; that one alone where the address names it."""
        self._address = address
        self._made_at = datetime.datetime.now(datetime.UTC)
        with ExitStack() as stack:
            folder = Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="bulkwriter-", ignore_cleanup_errors=True))
            )
            path = folder / (address.part or address.job)
            with opened(address) as connection:
                job, self.parts = standing(connection, address.job)
                if address.part:
                    self.parts = [part for part in self.parts if part.name == address.part]
                if job:
                    self._made_at = job.made_at
                if not self.parts or not (job or address.part):
                    raise not_there(connection, address, self.parts)
                if address.part:
                    replayed(connection, address.job, address.part, path)
                elif job:
                    self._put_together(connection, job, folder, path)
            super().__init__(path)
            stack.callback(super().close)
            self._stack = stack.pop_all()

    def _put_together(self, connection: Connection[Any], job: Job, folder: Path, path: Path) -> None:
        with ExitStack() as stack:
            readers = []
            for part in self.parts:
                part_path = folder / f"part-{part.name}"
                replayed(connection, job.name, part.name, part_path, identity=job.identity)
                readers.append(stack.enter_context(JournalReader(part_path)))
            meta = meta_of(job, self.parts, [reader.meta() for reader in readers], time.time())
            merge(path, job.identity, readers, blocks_of(connection, job), repeated=PairSet().add_all, meta=meta)
        for part in self.parts:
            (folder / f"part-{part.name}").unlink(missing_ok=True)

    @property
    def shown(self) -> str:
        return self._address.shown

    def require(self, *, base_url: str, account: str | None, columns: tuple[str, str], entity: str = ORIGINAL) -> None:
        """Raise `JournalError` or `SourceError` if this job is not of these."""
        check_identity(self.identity(), self.shown, JournalIdentity.of(base_url, account, columns, entity))

    def writer(self) -> Holder | None:
        """One of those who write it right now, by the clock of the database, or None."""
        return next((holder_of(part) for part in self.parts if part.is_held), None)

    def written_at(self) -> datetime.datetime:
        """When something was last shipped, in UTC by the clock of the database."""
        times = [part.shipped_at for part in self.parts if part.shipped_at]
        return max(times, default=self._made_at).astimezone(datetime.UTC)

    def close(self) -> None:
        self._stack.close()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __enter__(self) -> Self:
        return self


def replayed(
    connection: Connection[Any], job: str, part: str, path: Path, *, identity: JournalIdentity | None = None
) -> None:
    """Make the journal of a part at `path`, as its log has it now.

    A part that nobody has begun has none: then it is an empty one of `identity`.
    """
    of = identity or NOBODY
    journal = Journal.open(
        path, base_url=of.base_url, account=of.account, columns=of.columns, entity=of.entity
    )  # fmt: skip
    try:
        replay(journal, groups_of(connection, job, part), log=f"{job}/{part}")
    finally:
        journal.close()


def groups_of(connection: Connection[Any], job: str, part: str) -> Iterator[tuple[int, bytes]]:
    """The groups of a part's log as they are now, in order, with their numbers."""
    for page in read_groups(lambda call: call(connection), job, part, LATEST):
        yield from page


def not_there(connection: Connection[Any], address: Address, parts: Sequence[PartStanding]) -> JournalError:
    """The error that there is no such job or part, with what there is instead."""
    if parts:  # of services
        some = ", ".join(part.name for part in parts[:MOST_NAMES])
        return JournalError(
            f"{address.shown} is no job that was loaded, but one whose parts services have named",
            hint=f"name one of them, …/{address.job}/PART; there are {some}",
        )
    known = names(connection)
    some = f"there are {', '.join(known[:MOST_NAMES])}" if known else "none was loaded yet"
    return JournalError(f"there is no {'part' if address.part else 'job'} at {address.shown}", hint=some)


HOLDER: Final = re.compile(r"(?P<host>.*) pid (?P<pid>[0-9]{1,10})( [0-9a-f]+)?")


def holder_of(part: PartStanding) -> Holder:
    """Who holds a part, as a journal's lock tells it."""
    named = HOLDER.fullmatch(part.row.holder)
    since = part.claimed_at.isoformat(timespec="seconds") if part.claimed_at else None
    return Holder(int(named["pid"]), named["host"], since) if named and since else Holder()


def meta_of(job: Job, parts: Sequence[PartStanding], metas: Sequence[Mapping[str, str]], wall: float) -> dict[str, str]:
    """What the journal of the whole job notes, from what those of its parts do."""
    found = {
        "created_at": job.made_at.astimezone(datetime.UTC).isoformat(timespec="seconds"),
        SOURCE: source_text(job.rows, is_exact=True),
        LEFT_OUT: str(sum(left_out_of(meta) for meta in metas)),
    }
    if job.origin:
        found[ORIGIN] = job.origin
    if any(meta.get(RISING_IDS) == "no" for meta in metas):
        found[RISING_IDS] = "no"
    undos = [undo for meta in metas if (undo := undone(meta))]
    start, note = start_of(parts, metas, wall, is_undone=bool(undos))
    if note:
        found[LAST_START] = note
    if run := run_note(parts, metas):
        found[RUN] = run
    if undos:
        deleted = None if any(undo.deleted is None for undo in undos) else sum(undo.deleted or 0 for undo in undos)
        after = start.began_at if start else None
        found[UNDONE] = json.dumps({"at": max(undo.at for undo in undos), "deleted": deleted, "after": after})
    return found


def start_of(
    parts: Sequence[PartStanding], metas: Sequence[Mapping[str, str]], wall: float, *, is_undone: bool
) -> tuple[Start | None, str]:
    """The start of a part that ended last, and the note of it for the whole job.

    A part that is done is not the end of the job: then no worker is at work, and others are left.
    """
    starts = [(start, part) for part, meta in zip(parts, metas, strict=True) if (start := last_start(meta))]
    if not starts:
        return None, ""
    start, part = max(starts, key=lambda each: each[0].ended_at or each[0].began_at or 0.0)
    ended = start.ended
    if ended is None:
        return start, json.dumps({"began": start.began_at, "ended": None})
    if ended.code == "done" and not is_undone and any(other.left for other in parts):
        ended = Ended("part_done", f"part {part.name} was brought to its end, and there are others", ended.exit_code)
    return start, ended_text(start.began_at, start.ended_at or wall, ended)


def run_note(parts: Sequence[PartStanding], metas: Sequence[Mapping[str, str]]) -> str:
    """What the workers noted last of how they stand; the rates of those at work are added up.

    A ledger that is a file is the worker's own, and says nothing here; quotas are then left out.
    """
    notes = [(noted_of(meta, RUN), part) for part, meta in zip(parts, metas, strict=True)]
    notes = [(note, part) for note, part in notes if note]
    if not notes:
        return ""
    working = [note for note, part in notes if part.is_held]
    latest = max(working or [note for note, _ in notes], key=lambda note: wall_of(note, "at") or 0.0)
    rates = {
        name: sum(number_of(note, name, RATE_MAX) or 0.0 for note in working or [latest]) or None
        for name in ("rate_per_s", "writes_per_s")
    }
    ledger = latest.get("ledger")
    shared = {} if isinstance(ledger, str) and is_postgres(ledger) else {"quota": ["none"], "ledger": None}
    kinds = {note.get("held_kind") for note in working}
    of_one = OF_ONE_PART if len(kinds) == 1 else (*OF_ONE_PART, *OF_ONE_KIND)
    if len(working) > 1:
        latest = {name: value for name, value in latest.items() if name not in of_one}
    return json.dumps(latest | rates | {"unmet": 0} | shared)
