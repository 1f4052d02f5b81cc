"""The journal: every row of a source and its outcome, in one SQLite file with one writing process.

A chunk of rows is appended, and later settled by seq.  Each call is one transaction, or part of the caller's
`transaction()`.  When a commit has returned, the rows are on the disk (`synchronous=FULL`, WAL).  Append and settle
together cost about 4 µs a row at 1,000 rows a commit, most of it without the GIL (`bulk` has the figures).

Invariants
- every acknowledged row is durable: it is there, whole, after a kill, a power cut or a torn -wal;
- rows are contiguous: the source's from 0, single ones from `SINGLE_SEQ`; only `prune` deletes settled single ones;
- the state column in memory equals the table whenever no transaction is open;
- a failed transaction ends the journal: it refuses everything from then on, since a second fsync may "succeed" without
  the data that the first one lost (PostgreSQL, 2018).  Rows of that transaction may or may not be found later.
The format is described in `store/schema.py`, whole.  The database is never opened by a descriptor of ours
while SQLite has it open.
Not here: threads and futures (`journal_writer`), reading (`journal_rows`), what states mean for sending (`run`).
"""

from __future__ import annotations

import copy
import sqlite3
from array import array
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import takewhile
from operator import itemgetter
from pathlib import Path
from typing import Final

import orjson
from pyroaring import BitMap64

from ..entities import ORIGINAL
from ..errors import JOURNAL_LOST, BulkwriterError, JournalError
from ..model import SINGLE_SEQ, State
from ..rows import AppendRow, SettleRow, StepRow
from .bounds import believed, is_of
from .history import Moment, add_row, add_steps
from .journal_rows import SCAN_ROWS, JournalRows
from .lock import FileLock
from .opening import check_place, open_writer
from .pruned import PRUNED, STATES
from .schema import CREATE_PAIR_INDEX, HAS_PAIR_INDEX, ExportRow, JournalIdentity
from .seal import LEAST_ROWS, Contents, LiveSeal, Seal, note_opening, read_seal, write_seal
from .shipping import Shipper, Shipping
from .sqlite_errors import GONE, damaged, journal_error
from .statements import APPEND, MARK, settle_rows
from .states import HOLE

SEQ_OF: Final = itemgetter(0)
OF_PAIR: Final = "id_a = ? AND id_b = ? AND state <> 8 AND +seq < ?"
"""In the order in which a scan of all rows takes a third less."""
OF_PAIRS: Final = (
    "seq < ? AND state <> 8 AND (id_a, id_b) IN"
    " (SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?))"
)
ALL_SEQS: Final = 2**63 - 1
MOST_IDS: Final = 2_000_000
"""Ids of created rows that are kept for the seal, 9 bytes each at worst.  The run has them too, with others that no row
has: of replies that were not believed.
"""
NOT_FINAL: Final = frozenset({int(State.INTENT), int(State.IN_DOUBT)})
"""States of rows whose outcome this process is still to bring."""
CHECKPOINT_BUSY_MS: Final = 1_000  # a reader may be at work; it reads the rest from the -wal


class Journal(JournalRows):
    """An open journal.  Its methods block, and must be called in the thread that opened it."""

    def __init__(
        self,
        db: sqlite3.Connection,
        *,
        path: Path | None,
        lock: FileLock | None,
        seal: Seal | None = None,
        shipper: Shipper | None = None,
        live_seal: LiveSeal | None = None,
    ) -> None:
        self.path = path
        self._db = db
        self._lock = lock
        self._shipping = Shipping(shipper) if shipper else None
        self._broken: JournalError | None = None
        self._inode = inode_of(path) if path else None
        self._openings = seal.openings + 1 if seal else 0
        self._sealed_ns, self._live_seal = seal.mtime_ns if seal else 0, live_seal
        try:
            self._states, self._ids = believed(db, seal)
            self.has_index = bool(db.execute(HAS_PAIR_INDEX).fetchone())
            """Whether pairs are found without a scan of all rows."""
        except ValueError as e:
            raise damaged(path, str(e)) from e
        except sqlite3.Error as e:
            raise journal_error(e, path) from e

    @classmethod
    def open(
        cls, path: str | Path | None, *, base_url: str, account: str | None, columns: tuple[str, str],
        entity: str = ORIGINAL,
    ) -> Journal:  # fmt: skip
        """Take the lock, then open the journal at `path`, or create it; None or ":memory:" keeps it in memory.

        Raises `JournalError` if somebody else holds it, if it is unusable, or if it belongs to another base URL,
        account or entity.  Raises `SourceError` if it was made from other columns.  To check 10^7 rows takes about 6 s
        (`bounds`), or 0.5 s if nothing but a writer has touched the file (`seal`).
        """
        identity = JournalIdentity.of(base_url, account, columns, entity)
        if path is None or str(path) == ":memory:":
            return cls(open_writer(None, identity), path=None, lock=None)
        file = Path(path).resolve()  # so that a link to a journal has the same lock
        check_place(file)
        lock = FileLock.acquire(file)
        db = None
        try:
            seal = read_seal(file)
            db = open_writer(file, identity)
            seal = seal if seal and is_of(db, seal) else None
            journal = cls(db, path=file, lock=lock, seal=seal)
            if seal:
                note_opening(file, seal.openings + 1)
            return journal
        except (sqlite3.Error, OSError) as e:
            _give_up(db, lock)
            raise journal_error(e, file) from e
        except BaseException:
            _give_up(db, lock)
            raise

    @property
    def rows(self) -> int:
        """Rows of the source, single ones not counted; also the next seq."""
        return self._states.rows

    @property
    def next_single_seq(self) -> int:
        return self._states.next_single_seq

    @property
    def broken(self) -> JournalError | None:
        """The error after which everything is refused, or None."""
        return self._broken

    def counts(self) -> dict[State, int]:
        """Rows by state, single ones included; states without rows left out."""
        return self._states.counts()

    def states_of(self, first_seq: int, limit: int) -> bytes:
        """The states of up to `limit` rows from `first_seq` on, a byte each, without touching the disk."""
        return self._states.slice(first_seq, limit)

    def doubts(self) -> list[ExportRow]:
        """Rows in INTENT or IN_DOUBT as they are now; right after opening, the doubts of the last process."""
        seqs, rows = list(self._states.seqs((State.INTENT, State.IN_DOUBT))), []
        for at in range(0, len(seqs), SCAN_ROWS):
            rows += self.rows_of(seqs[at : at + SCAN_ROWS])
        return rows

    def singles_in(self, states: Collection[State], *, before: int) -> array[int]:
        """Seqs of the single rows before seq `before` in these states, ascending, without touching the disk."""
        return array("q", takewhile(before.__gt__, self._states.seqs(states, SINGLE_SEQ)))

    def rows_of(self, seqs: Sequence[int]) -> list[ExportRow]:
        """The whole rows of these seqs, by seq; a few thousand at a time."""
        return self._whole("seq IN (SELECT value FROM json_each(?))", (orjson.dumps(list(seqs)).decode(),))

    def find_all(
        self, pairs: Collection[tuple[int, int]], *, before: int = ALL_SEQS
    ) -> dict[tuple[int, int], ExportRow]:
        """For each of these pairs the newest row before seq `before` that is no duplicate, if there is one.

        Takes about 0.2 s for 10^6 rows, most of it without the GIL, and about 10 µs a pair once there is an index.
        """
        if len(pairs) == 1:
            rows = self._whole(OF_PAIR, (*next(iter(pairs)), before))
        else:
            rows = self._whole(OF_PAIRS, (before, orjson.dumps(list(pairs)).decode()))
        return {row.pair: row for row in rows if row.pair}

    def index_pairs(self) -> None:
        """Make the index by which pairs are found.  Takes 1 to 3 µs a row; from then on an append costs 4 µs more, and
        a row takes 20 to 30 bytes more on the disk.
        """
        if not self.has_index:
            with self._writing():
                self._db.execute(CREATE_PAIR_INDEX)
            self.has_index = True

    def created_ids(self) -> BitMap64:
        """The ids of all created records, for the caller to change."""
        if self._ids is None:
            self._ids = BitMap64()
            for ids in self.record_ids():
                self._ids.update(ids)
        return self._ids.copy()

    def row(self, seq: int) -> ExportRow | None:
        """The whole row of this seq."""
        return next(iter(self._whole("seq = ?", (seq,))), None)

    def append(self, rows: Sequence[AppendRow], note: Mapping[str, str] | None = None) -> None:
        """Add rows whose seqs follow `rows`, or `next_single_seq`, and keep `note` in meta with them."""
        if not rows:
            return
        first = rows[0][0]
        if [row[0] for row in rows] != list(range(first, first + len(rows))):
            raise ValueError("seqs of appended rows are not contiguous")
        with self._writing():
            self._states.extend(first, bytes([row[4] for row in rows]))
            if APPEND.execute(self._db, rows) != len(rows):
                raise damaged(self.path, f"a row from {first} on was there already")
            if self._shipping:
                self._shipping.note("a", rows)
            for key, value in (note or {}).items():
                self.meta_set(key, value)

    def settle(self, rows: Sequence[SettleRow]) -> None:
        """Give existing rows new outcomes.  A row may come twice: the last one holds."""
        with self._writing():
            if self._states.pruned.rows:  # a look may settle again what was pruned
                rows = [row for row in rows if not self._states.is_hole(row[0])]
            if rows:
                rows = sorted(rows, key=SEQ_OF)  # in order of the tree, so that few rows take a search; stable
                columns = tuple(zip(*rows, strict=True))
                created = self._states.count(State.CREATED)
                self._states.replace(columns[0], columns[1])
                self._keep_ids(created, columns[1], columns[3])
                settle_rows(self._db, rows, columns)
                if self._shipping:
                    self._shipping.note("s", rows)

    def mark(self, seqs: Sequence[int], state: State) -> None:
        """Give existing rows a new state and leave the rest of them alone."""
        with self._writing():
            created = self._states.count(State.CREATED)
            self._states.replace(seqs, [state] * len(seqs))
            self._keep_ids(created, (), ())
            MARK.execute(self._db, [(seq, int(state)) for seq in seqs])
            if self._shipping and seqs:
                self._shipping.note("k", list(seqs), int(state))

    def _keep_ids(self, created: int, states: Sequence[int], ids: Sequence[int | None]) -> None:
        """Rows have new states, and `created` were created before.  If one of those is not, its record may be gone, and
        the server may give its id again.
        """
        if self._ids is None:
            return
        made = states.count(State.CREATED)
        if self._states.count(State.CREATED) != created + made or created > MOST_IDS:
            self._ids = None
        elif made:
            if made == len(ids) and None not in ids:  # as nearly always
                self._ids.update(ids)  # type: ignore[arg-type]  # none is None
            else:
                self._ids.update([i for i, state in zip(ids, states, strict=True) if i and state == State.CREATED])

    def claim(self, rows: Sequence[SettleRow], expected: Sequence[int]) -> list[int]:
        """Settle each of these rows that is still in its `expected` state, and return their seqs.

        If two callers find the same unsent pair, only one of them sends it.
        """
        free = [row for row, state in zip(rows, expected, strict=True) if self._states.slice(row[0], 1)[0] == state]
        self.settle(free)
        return [row[0] for row in free]

    def recall(self, rows: Sequence[SettleRow], expected: Collection[int]) -> list[int]:
        """Settle each of these rows whose state is one of `expected`, and return the state that each of them had."""
        states = [self._states.slice(row[0], 1)[0] for row in rows]
        self.settle([row for row, state in zip(rows, states, strict=True) if state in expected])
        return states

    def keep_history(
        self, moment: Moment | None, steps: Sequence[StepRow], left_out: int, open_seqs: Collection[int]
    ) -> list[tuple[int, int]]:
        """Add a row of history (unless `moment` is None) and steps of records.

        Return seq and state of those records of `open_seqs` whose rows are final.  `left_out`: see `add_steps`.
        """
        with self._writing():
            if moment:
                add_row(self._db, moment, self.counts(), self.rows, self.next_single_seq)
            if steps:
                add_steps(self._db, steps, left_out)
            if self._shipping and (moment or steps):
                self._shipping.note("h", moment, list(steps), left_out)
        states = ((seq, self._states.slice(seq, 1)) for seq in open_seqs)
        return [(seq, state[0]) for seq, state in states if state and state[0] not in NOT_FINAL and state[0] != HOLE]

    def on_server(self, first_seq: int, limit: int) -> list[tuple[int, tuple[int, int]]]:
        """Record id (0 if it is not known) and pair of the created and existing rows of this range."""
        where = f"seq >= ? AND seq < ? AND state IN ({State.CREATED:d}, {State.EXISTING:d})"
        ids, id_a, id_b = self._columns(("record_id", "id_a", "id_b"), where, (first_seq, first_seq + limit))
        return [(record_id or 0, (a, b)) for record_id, a, b in zip(ids, id_a, id_b, strict=True)]

    def prune(self, first_seq: int, settled: bytes) -> int:
        """Drop single rows from `first_seq` on, and return how many.  Only those go that are still in the state that
        `settled` has for them, one of `pruned.STATES`.  They still count in `counts`.
        """
        now = self._states.slice(first_seq, len(settled))
        gone = [
            first_seq + i
            for i, (before, state) in enumerate(zip(settled, now, strict=True))
            if before == state and state in STATES
        ]
        if gone:
            self._ids = None
            with self._writing():
                self._states.drop(gone, first_seq + len(settled))
                listed = orjson.dumps(gone).decode()
                self._db.execute("DELETE FROM pair WHERE seq IN (SELECT value FROM json_each(?))", (listed,))
                if self._shipping:
                    self._shipping.note("p", first_seq, settled)
                self.meta_set(PRUNED, self._states.pruned.text())
        return len(gone)

    def meta_set(self, key: str, value: str) -> None:
        """Keep `value` under `key`; never a secret."""
        with self._writing():
            self._db.execute("REPLACE INTO meta(key, value) VALUES (?, ?)", (key, value))
            if self._shipping:
                self._shipping.note("m", key, value)

    def begin(self, meta: Mapping[str, str]) -> None:
        """Give a journal without rows this meta in place of what it has, and no history."""
        with self._writing():
            for table in ("meta", "history", "step"):
                self._db.execute(f"DELETE FROM {table}")  # noqa: S608 our own words
            self._db.executemany("INSERT INTO meta(key, value) VALUES (?, ?)", meta.items())
            if self._shipping:
                self._shipping.note("b", dict(meta))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make everything inside durable together when the block ends, and shipped where the journal has a shipper.

        An exception inside it, or a commit that fails, undoes the block and ends the journal.  It is raised; an
        exception of SQLite becomes a `JournalError`.
        """
        self._refuse_if_broken()
        try:
            self._refuse_if_gone()
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
            if self._shipping:
                self._shipping.ship(self.counts())
        except BaseException as e:
            self._broken = self._reason(e)
            self._roll_back()
            if isinstance(e, sqlite3.Error):
                raise self._broken from e
            raise
        self._keep_sealed()

    def _keep_sealed(self) -> None:
        """Seal a large file anew if the commit has changed it, by a checkpoint."""
        if self.path is None or self.rows + self.next_single_seq - SINGLE_SEQ < LEAST_ROWS:
            return
        with suppress(OSError):
            if self._live_seal is None:
                self._live_seal = LiveSeal(self.path, self._openings, self._sealed_ns)
            if self._live_seal.look():
                self._live_seal.seal(self._contents())

    def _contents(self) -> Contents:
        pruned = self._states.pruned
        return Contents(*self._states.regions(), pruned.text() if pruned.rows else "", self._ids)

    def reopened(self) -> Journal:
        """The journal in memory as a new process would find it, without uncommitted changes.  This object is spent."""
        assert self.path is None, "a file is reopened by `open`"
        self._roll_back()
        self._broken = JournalError("the journal was opened again elsewhere")
        return Journal(self._db, path=None, lock=None)

    def shipped(self, shipper: Shipper) -> Journal:
        """This journal as one that ships all that it writes from now on.  All rows are checked.  This object is
        spent.
        """
        self._broken = JournalError("the journal is used by another name")
        return Journal(self._db, path=self.path, lock=self._lock, shipper=shipper, live_seal=self._live_seal)

    def close(self, *, checkpoint: bool = True) -> None:
        """Release the file and the lock.  A repetition is harmless.

        With `checkpoint` the -wal is first written back and emptied, unless a reader is in the way, and a large file is
        sealed.  A disk that fails then is a `JournalError`.  Without `checkpoint` SQLite does it and reports no error.
        """
        closed = JournalError("the journal is closed")
        to_seal: Path | None = None

        def seal() -> None:
            if self._live_seal:
                self._live_seal.close()
                self._live_seal = None
            if to_seal:
                write_seal(to_seal, self._contents(), self._openings)

        try:
            if checkpoint and not self._broken and self.path is not None:
                with self._guard():
                    self._db.execute(f"PRAGMA busy_timeout = {CHECKPOINT_BUSY_MS}")
                    self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                to_seal = self.path
        finally:
            self._broken = self._broken or closed
            self._roll_back()
            _give_up(self._db, self._lock, seal)

    def check(self) -> None:
        """Assert the invariant of the state column, against the table."""
        self._states.check()
        assert self._states.regions() == believed(self._db)[0].regions()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Part of the caller's transaction, or one of its own."""
        self._refuse_if_broken()
        if self._db.in_transaction:
            yield
        else:
            with self.transaction():
                yield

    @contextmanager
    def _guard(self) -> Iterator[None]:
        self._refuse_if_broken()
        with super()._guard():
            yield

    def _refuse_if_broken(self) -> None:
        if self._broken:
            raise copy.copy(self._broken)

    def _refuse_if_gone(self) -> None:
        # SQLite writes on into a file that has no name any more, and nobody would find it again.
        if self.path is not None and inode_of(self.path) != self._inode:
            raise JournalError(f"{self.path} was removed or replaced while it was in use", hint=GONE, code=JOURNAL_LOST)

    def _reason(self, error: BaseException) -> JournalError:
        if isinstance(error, sqlite3.Error):
            return journal_error(error, self.path)
        if isinstance(error, JournalError):  # of its own kind: it may have another exit code
            return error
        if isinstance(error, BulkwriterError):
            return JournalError(error.message, hint=error.hint)
        return JournalError(f"{self.path}: writing was broken off ({type(error).__name__})")

    def _roll_back(self) -> None:
        try:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
        except sqlite3.Error:
            pass  # SQLite has rolled back by itself, or the connection is closed; either way nothing is half done


def inode_of(path: Path) -> tuple[int, int] | None:
    """Which file `path` names right now, or None."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _give_up(db: sqlite3.Connection | None, lock: FileLock | None, between: Callable[[], None] = lambda: None) -> None:
    """Close the database, do what needs it closed, and release the lock."""
    try:
        if db is not None:
            with suppress(sqlite3.Error):  # what was committed is on the disk; there is nothing else to lose
                db.close()
            between()
    finally:
        if lock is not None:
            lock.release()
