"""Finding the journal that a command is about, with a hint where a source was named instead.

`status` and `export` take a JOURNAL.  People name the source, since that is the file they know; so where
SOURCE.journal lies beside it the message says so.  Opening is `store.journal_reader`'s business; nothing here reads or
changes a journal.
"""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..entities import Entity, entity_of
from ..errors import JOURNAL_LOST, JournalError, UsageError
from ..model import iso
from ..shell import operand, quote
from . import describe

if TYPE_CHECKING:
    from ..postgres.address import Address
    from ..run.registry import Entry
    from ..store.journal_reader import JournalReader

SQLITE = b"SQLite format 3\0"
BLOCK_BYTES = 1 << 20


def reading(place: Path | Address) -> JournalReader:
    """The journal at this place, or the job in a database as a journal; a context manager.  Raises `JournalError`."""
    if isinstance(place, Path):
        from ..store.journal_reader import JournalReader

        return JournalReader(place)
    from ..postgres.reading import JobReader

    return JobReader(place)


def no_database(text: str) -> UsageError:
    """The error that a text is no URL of a database."""
    return UsageError(f"{text} is no database", hint="its URL is postgresql://HOST/DATABASE or …/DATABASE/JOB")


def check_journal(path: Path | Address, command: str) -> None:
    """Raise `JournalError` with the likely journal's name where `path` cannot be one."""
    if not isinstance(path, Path):
        return  # the database will say
    near, exists = "", is_there(path)
    with contextlib.suppress(OSError):  # its name may be too long
        beside = Path(f"{path}.journal")
        near = f"did you mean: bulkwriter {command} {quote(operand(beside))}" if beside.is_file() else ""
    if not exists:
        raise JournalError(
            f"there is no journal at {path}", hint=near or "`bulkwriter run SOURCE` makes SOURCE.journal"
        )
    if not path.is_file():
        raise JournalError(f"{path} is no file", hint=near)
    if near and not begins_with(path, SQLITE):
        raise JournalError(f"{path} is no journal", hint=near)


def entity_in(reader: JournalReader) -> Entity:
    """What a journal's records are.  Raises `JournalError` where this version does not know it."""
    label = reader.identity().entity
    entity = entity_of(label)
    if entity is None:
        raise JournalError(
            f"{reader.shown} is of {label} records, which this version does not know",
            hint="use the bulkwriter that wrote it",
        )
    return entity


def is_there(path: Path) -> bool:
    """Whether there is such a file.  Raises `JournalError` where that cannot be told."""
    try:
        return path.exists()
    except OSError as e:
        raise JournalError(f"{path}: {e.strerror}", hint="check the name, and the permissions of its folder") from None


def note_if_lost(path: Path, before: Entry | None) -> str:
    """What to say before a journal is made where there was one, as its lock or the registry of runs shows; "" where
    there was none.  Raises `JournalError` where its last start noted no end: what that had on its way may still come.
    """
    with contextlib.suppress(OSError):
        if path.exists() and path.stat().st_size:
            return ""
        if before and before.ended_at is None and before.may_have_written:
            raise JournalError(
                f"{path} is gone, and the start of {describe.when(iso(before.started_at) or '')} with it did not note "
                "its end",
                hint="put the journal back; if it is lost, add --after-loss: it waits until what was on its way is "
                "seen, or that could be created twice",
                code=JOURNAL_LOST,
            )
        if before or path.with_name(path.name + ".lock").exists():
            return (
                f"there was a journal at {path}, and it is gone.  Where it was lost in mid-run, stop this and add "
                "--after-loss: it waits until what was on its way is seen, or that could be created twice"
            )
    return ""


def begins_with(path: Path, magic: bytes) -> bool:
    """Whether a file begins so; one that cannot be read may."""
    try:
        with path.open("rb") as file:
            return file.read(len(magic)) == magic
    except OSError:
        return True


class Beginning(NamedTuple):
    """How a file begins: so many bytes with this digest."""

    size: int
    digest: bytes

    @classmethod
    def of(cls, path: Path, size: int | None = None) -> Beginning | None:
        """The first `size` bytes of a file, or all of it; None where it cannot be read or is shorter."""
        digest, left = hashlib.sha256(), size
        try:
            with path.open("rb") as file:
                while block := file.read(BLOCK_BYTES if left is None else min(BLOCK_BYTES, left)):
                    digest.update(block)
                    left = left if left is None else left - len(block)
                size = file.tell() if size is None else size
        except OSError:
            return None
        return None if left else cls(size, digest.digest())

    @classmethod
    def of_run(cls, source: Path) -> Beginning | None:
        """A source from which a run has begun, as its journal beside it shows; None where there is none."""
        return cls.of(source) if Path(f"{source}.journal").is_file() else None

    def is_kept_by(self, path: Path) -> bool:
        """Whether a file still begins so; a journal takes rows that were added at the end."""
        return Beginning.of(path, self.size) == self
