"""The journals of a job's parts as one journal, in the order of the source: for commands that only read.

A part's journal has its rows from 0 on.  The shares of the source tell which place each of them has, and in which line
it stands.  Rows that no worker has read yet are `pending`, `invalid` or `duplicate`, as reading them would find.  Steps
of records move to their new places.  Histories are added up: at each moment that one of the parts noted, every count is
the sum of what the parts had noted by then; times in which at least one part was at work are one start.

Invariants: the parts are only read.  A row of a part that is not of the pair which the source has there is damage, and
no journal comes of it.
Not here: where parts and shares come from, and what `meta` says of the whole job (`postgres`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from ..errors import JournalError
from ..model import Batch, Counts, State
from ..rows import bad_row_detail
from .bulk import Bulk
from .history import MOST_ROWS, HistoryRow, Moment, insert_row, insert_steps, thinned
from .journal_reader import JournalReader
from .opening import open_writer
from .schema import JournalIdentity

RowsInPlace = tuple[Sequence[int], Batch]
"""Rows of a part that follow one another there: their places in the source, and the rows."""
PENDING, INVALID, DUPLICATE = int(State.PENDING), int(State.INVALID), int(State.DUPLICATE)
_ADD: Final = Bulk(
    "INSERT INTO pair(seq, id_a, id_b, line, state, attempts, record_id, http_status, detail)",
    width=9,
    tail="ON CONFLICT(seq) DO NOTHING",
)
LEAST_KEPT: Final = 8
"""Rows of history of each part, however many parts there are."""


def merge(
    path: Path,
    identity: JournalIdentity,
    parts: Sequence[JournalReader],
    blocks: Iterable[Sequence[RowsInPlace]],
    *,
    repeated: Callable[[Sequence[tuple[int, int] | None]], Sequence[int]],
    meta: Mapping[str, str],
) -> None:
    """Make the journal of a job at `path`, which is not there yet.

    Each of `blocks` holds the shares of consecutive rows of the source, one a part, in the order of `parts`.
    `repeated` is given all pairs in that order, a block at a time, None for a row that is none.  It gives the indexes
    of those that came before.  Raises `JournalError` for damage.
    """
    with closing(open_writer(path, identity)) as db:
        db.execute("PRAGMA synchronous = OFF")  # nobody needs this file after a power cut
        db.execute("BEGIN")
        moved = [Places(part) for part in parts]
        for shares in blocks:
            rows = [row for place, share in zip(moved, shares, strict=True) for row in place.rows(share)]
            rows.sort()
            repeats = set(repeated([None if row[1] is None else (row[1], row[2]) for row in rows]))
            _ADD.execute(db, [as_read(row, is_repeat=i in repeats) for i, row in enumerate(rows)])
        history = combined([part.history() for part in parts])
        for row in history:
            insert_row(db, row)
        if len(history) >= MOST_ROWS:
            gone = thinned(db.execute("SELECT id, start, at FROM history ORDER BY id").fetchall())
            db.executemany("DELETE FROM history WHERE id = ?", ((row_id,) for row_id in gone))
        steps = sorted((step for place in moved for step in place.steps()), key=lambda step: float(step[1]))
        insert_steps(db, steps)
        db.executemany("REPLACE INTO meta(key, value) VALUES (?, ?)", meta.items())
        db.execute("COMMIT")


class Places:
    """Where the rows of one part stand in the source."""

    def __init__(self, part: JournalReader) -> None:
        self._part = part
        self._next = 0
        self._steps = part.all_steps()
        self._stepped = {step[0] for step in self._steps}
        self._seqs: dict[int, int] = {}  # of the rows with steps

    def rows(self, share: RowsInPlace) -> list[tuple[Any, ...]]:
        """The next rows of the part as whole rows of the job; state None where no worker has read one."""
        seqs, (pairs, lines, bad) = share
        stored = self._part.stored(self._next, len(seqs))
        found: list[tuple[Any, ...]] = []
        for i, (seq, pair, line) in enumerate(zip(seqs, pairs, lines, strict=True)):
            ids = pair or (None, None)
            if i >= len(stored):
                detail = bad_row_detail(bad[i]) if pair is None else None
                found.append((seq, *ids, line, INVALID if pair is None else None, 0, None, None, detail))
                continue
            if stored[i][:2] != ids:
                raise JournalError(
                    f"{self._part.path.name}: row {self._next + i} of this part is of another pair than line {line} of "
                    "the source that was loaded",
                    hint="the database was changed by others, or is damaged: restore it from its backup",
                )
            found.append((seq, *ids, line, *stored[i][2:]))
        if self._stepped:
            numbers = range(self._next, self._next + len(seqs))
            self._seqs.update((row, seq) for row, seq in zip(numbers, seqs, strict=True) if row in self._stepped)
        self._next += len(seqs)
        return found

    def steps(self) -> list[tuple[Any, ...]]:
        """The steps of the part's records, with the places of their rows; once all rows were asked for."""
        return [(self._seqs[step[0]], *step[1:]) for step in self._steps if step[0] in self._seqs]


def as_read(row: tuple[Any, ...], *, is_repeat: bool) -> tuple[Any, ...]:
    """A row of the job; one that no worker has read is as reading would find it."""
    if row[4] is not None:
        return row
    return (*row[:4], DUPLICATE if is_repeat else PENDING, *row[5:])


def combined(histories: Sequence[Sequence[HistoryRow]]) -> list[HistoryRow]:
    """The history of all parts together, from those of each, in the order of time."""
    most = max(LEAST_KEPT, 4 * MOST_ROWS // max(1, len(histories)))
    kept = [spaced(history, most) for history in histories]
    spans = [span for part, rows in enumerate(kept) for span in spans_of(part, rows)]
    numbers = numbered(spans)
    rows = sorted(
        ((row.moment.at, part, i) for part, history in enumerate(kept) for i, row in enumerate(history)),
    )
    latest: dict[int, HistoryRow] = {}
    found: list[HistoryRow] = []
    for at, part, i in rows:
        row = latest[part] = kept[part][i]
        number = numbers[part, row.moment.start]
        running = [
            known for other, known in latest.items() if other == part or not known.moment.ended
        ]  # fmt: skip
        found.append(added(number, at, row, list(latest.values()), running))
    last_of = {row.moment.start: i for i, row in enumerate(found)}
    return [
        row if last_of[row.moment.start] == i else row._replace(moment=row.moment._replace(ended=None))
        for i, row in enumerate(found)
    ]


def spaced(history: Sequence[HistoryRow], most: int) -> list[HistoryRow]:
    """At most about `most` rows, the first and the last row of each start among them."""
    if len(history) <= most:
        return list(history)
    each = -(-len(history) // most)
    starts = [row.moment.start for row in history]
    return [
        row
        for i, row in enumerate(history)
        if i % each == 0 or i + 1 == len(history) or starts[i] != starts[i + 1] or starts[i] != starts[i - 1]
    ]


def spans_of(part: int, rows: Sequence[HistoryRow]) -> list[tuple[float, float, int, int]]:
    """From when to when each start of a part was at work: first, last, part, start."""
    found = []
    for start, own in groupby(rows, key=lambda row: row.moment.start):
        times = [row.moment.at for row in own]
        found.append((min(times), max(times), part, start))
    return found


def numbered(spans: Sequence[tuple[float, float, int, int]]) -> dict[tuple[int, int], int]:
    """The number of the common start that each (part, start) belongs to: times that touch are one."""
    numbers, number, until = {}, 0, float("-inf")
    for first, last, part, start in sorted(spans):
        if first > until:
            number += 1
        until = max(until, last)
        numbers[part, start] = number
    return numbers


def added(
    number: int, at: float, row: HistoryRow, latest: Sequence[HistoryRow], running: Sequence[HistoryRow]
) -> HistoryRow:
    """All parts at the moment of `row`."""
    rates = [known.moment.allowed_per_s for known in running if known.moment.allowed_per_s is not None]
    moment = Moment(
        start=number,
        at=at,
        server_at=row.moment.server_at,
        attempts=sum(known.moment.attempts for known in latest),
        throttled=sum(known.moment.throttled for known in latest),
        in_flight=sum(known.moment.in_flight for known in running),
        in_flight_limit=sum(known.moment.in_flight_limit for known in running),
        allowed_per_s=sum(rates) if rates else None,
        held=row.moment.held,
        held_s=summed(known.moment.held_s for known in latest),
        spent=row.moment.spent,
        steps={key: int(value) for key, value in summed(known.moment.steps for known in latest).items()},
        causes={key: int(value) for key, value in summed(known.moment.causes for known in latest).items()},
        ended=row.moment.ended,
    )
    counts = Counts.sum_of(known.counts for known in latest)
    return HistoryRow(moment, counts, sum(known.next_seq for known in latest), row.next_single_seq)


def summed(each: Iterable[Mapping[str, float]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for numbers in each:
        for key, value in numbers.items():
            total[key] = total.get(key, 0) + value
    return total
