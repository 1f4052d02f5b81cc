"""The registry of this user's runs, so that two runs over the same pairs notice each other.

Each journal has one small JSON file in the folder LEDGER-runs beside the ledger.  Its mode is 0600, and it is replaced
as a whole:

    <server>-<journal>.json    hashes of base URL and account, and of the journal's path
    base_url, account, source, journal      as they were given; paths are absolute, "-" is standard input, "" none yet
    rows                       digests of the first `ROWS` different pairs; ids stay in the journal
    pid, boot, started_at      of the last start; epoch seconds
    ended_at, is_finished, exit_code, reason    of its end; null if it was killed or is still at work
    may_have_written           false if the server has taken nothing of it, and nothing is in doubt
    entity                     what its records are, if not what a plain run writes

The lock of its journal tells whether a run is at work; its process number never does.  A file that cannot be read is
skipped.  If the registry cannot be written, this is told and the run goes on.  The registry prevents doubles that
`--existing check` does not see, because both runs looked before either wrote.  No promise rests on it.

Invariants: it never raises.  There are at most `FILES_MAX` files, and none is older than `KEEP_S`, beside those of
writers at work.
Not here: the messages about other runs (`cli.neighbours`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..errors import BulkwriterError, JournalError
from ..quota.ledger import ledger_path
from ..store.boot import boot_id
from ..store.lock import holder, try_flock
from ..store.private import FILE_MODE, make_folder
from ..store.schema import normal_url

if TYPE_CHECKING:
    from ..model import Counts
    from ..settings import Settings

ROWS: Final = 100
FILES_MAX: Final = 300
KEEP_S: Final = 90 * 86_400.0
BYTES_MAX: Final = 65_536
TRIES: Final = 20
PAUSE_S: Final = 0.02


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One run, as its last start described it."""

    base_url: str
    account: str
    source: str
    journal: str
    rows: tuple[str, ...] = ()
    pid: int = 0
    boot: str = ""
    started_at: float = 0.0
    ended_at: float | None = None
    is_finished: bool = False
    may_have_written: bool = True
    exit_code: int | None = None
    reason: str = ""
    entity: str = ""

    @classmethod
    def begun(cls, *, base_url: str, account: str | None, source: str, journal: Path, entity: str = "") -> Entry:
        """The entry of a run that begins now, before its rows are known."""
        source = source if source in ("-", "") else str(Path(source).resolve())
        return cls(
            normal_url(base_url),
            account or "",
            source,
            str(journal.resolve()),
            pid=os.getpid(),
            boot=boot_id(),
            started_at=time.time(),
            entity=entity,
        )

    def ended(self, counts: Counts, *, exit_code: int, reason: str, is_over: bool = True) -> Entry:
        """The entry of the same run that ends now.  `is_over`: it has nothing left to read."""
        is_finished = is_over and not (counts.pending or counts.in_doubt or counts.failed)
        may_have_written = bool(counts.created or counts.in_doubt)
        return dataclasses.replace(
            self,
            ended_at=time.time(),
            is_finished=is_finished,
            may_have_written=may_have_written,
            exit_code=exit_code,
            reason=reason[:200],
        )

    @property
    def is_at_work(self) -> bool:
        """Whether somebody holds its journal."""
        with contextlib.suppress(JournalError):
            return holder(Path(self.journal)) is not None
        return False

    @property
    def kind(self) -> tuple[str, str, str]:
        """What two runs must have in common to write the same records."""
        return self.base_url, self.account, self.entity

    def overlaps(self, other: Entry) -> bool:
        """Whether both read the same source, or have one of their first pairs in common."""
        is_same = self.source == other.source and self.source not in ("-", "")
        return is_same or not set(self.rows).isdisjoint(other.rows)


class Registry:
    """The registry beside one ledger.  Every method blocks for a few small files."""

    def __init__(self, ledger: Path) -> None:
        self.folder = ledger.with_name(f"{ledger.name}-runs")

    def put(self, entry: Entry) -> str:
        """Write an entry in place of the one before.  Returns "", or the reason why that failed."""
        path = self._path(entry)
        other = path.with_name(f"{path.name}-{os.getpid()}")
        try:
            make_folder(self.folder)
            self._prune()
            other.unlink(missing_ok=True)  # left by a dead process with this number
            fd = os.open(other, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
            with os.fdopen(fd, "w", encoding="utf-8") as file:
                json.dump(dataclasses.asdict(entry), file)
            other.replace(path)
        except OSError as e:
            with contextlib.suppress(OSError):
                other.unlink(missing_ok=True)
            return f"{self.folder}: {os.strerror(e.errno) if e.errno else e}"
        return ""

    def get(self, entry: Entry) -> Entry | None:
        """The entry of the same journal, if there is one."""
        return read(self._path(entry))

    def drop(self, entry: Entry) -> None:
        """Remove the entry of this journal."""
        with contextlib.suppress(OSError):
            self._path(entry).unlink(missing_ok=True)

    def others(self, own: Entry) -> list[Entry]:
        """Runs of the same kind of records on the same server and account, with another journal."""
        found = []
        with contextlib.suppress(OSError):
            for path in sorted(self.folder.glob(f"{server_of(own)}-*.json")):
                entry = read(path)
                if entry and entry.kind == own.kind:
                    found += [entry] if entry.journal != own.journal else []
        return found

    def all(self) -> list[Entry]:
        """Every run, the one that was begun or ended last comes first."""
        found = []
        with contextlib.suppress(OSError):
            found = [entry for path in self.folder.glob("*.json") if (entry := read(path))]
        return sorted(found, key=lambda entry: max(entry.started_at, entry.ended_at or 0.0), reverse=True)

    def changed_at(self) -> int:
        """When an entry was last put, in ns, by the file system's clock; 0 where there is none.  Costs 2 µs."""
        with contextlib.suppress(OSError):
            return self.folder.stat().st_mtime_ns
        return 0

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Only one start at a time writes its entry and looks at the others.  So of two starts one sees the other."""
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError, JournalError):
                make_folder(self.folder)
                fd = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
                stack.callback(os.close, fd)
                for _ in range(TRIES):  # the holder writes a small file; a stopped holder is not waited for
                    if try_flock(fd):
                        break
                    time.sleep(PAUSE_S)
            yield

    def _path(self, entry: Entry) -> Path:
        return self.folder / f"{server_of(entry)}-{digest(entry.journal)}.json"

    def _prune(self) -> None:
        files = sorted(((path.stat().st_mtime, path) for path in self.folder.glob("*.json")), reverse=True)
        for i, (written_at, path) in enumerate(files):
            is_old = i >= FILES_MAX or written_at < time.time() - KEEP_S
            if is_old and not ((entry := read(path)) and entry.is_at_work):
                path.unlink(missing_ok=True)


def read(path: Path) -> Entry | None:
    """The entry in a file, or None if the file holds none that is believable."""
    try:
        with path.open("rb") as file:
            kept: dict[str, Any] = json.loads(file.read(BYTES_MAX))
        entry = Entry(**{**kept, "rows": tuple(kept["rows"])})
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return entry if is_believable(entry) else None


def is_believable(entry: Entry) -> bool:
    texts = (
        entry.base_url,
        entry.account,
        entry.source,
        entry.journal,
        entry.boot,
        entry.reason,
        entry.entity,
        *entry.rows,
    )
    return (
        all(type(text) is str for text in texts)
        and type(entry.pid) is int
        and type(entry.is_finished) is type(entry.may_have_written) is bool
        and type(entry.started_at) in (int, float)
        and (entry.ended_at is None or type(entry.ended_at) in (int, float))
        and (entry.exit_code is None or type(entry.exit_code) is int)
    )


def rows_of(pairs: Iterable[tuple[int, int]]) -> tuple[str, ...]:
    """Digests of the first different pairs of a source."""
    return tuple(digest(f"{first},{second}") for first, second in pairs)


def server_of(entry: Entry) -> str:
    return digest(f"{entry.base_url} {entry.account}")


def digest(text: str) -> str:
    """A digest of 48 bits.  Among a few hundred thousand pairs two collide once in a thousand times."""
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:12]


def begun_by(settings: Settings, *, source: str, entity: str = "") -> tuple[Registry, Entry] | None:
    """The registry, and the entry of a writer with these settings that begins now.

    None without a journal file, since a part in a database has one writer by itself, and where there is no place for a
    registry.
    """
    if not isinstance(settings.journal, Path):
        return None
    try:
        registry = Registry(ledger_path(settings.ledger))
    except BulkwriterError:
        return None
    entry = Entry.begun(
        base_url=settings.base_url, account=settings.account, source=source, journal=settings.journal, entity=entity
    )
    return registry, entry
