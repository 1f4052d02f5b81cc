"""What a journal writes, in the form in which it is shipped to a log on another machine and replayed from it.

Each transaction is one *group*: the calls that changed the journal, in order, with their arguments.  A fresh journal
that makes the same calls has the same rows, in every table.  So replay is exact by construction, whatever the calls do.

    call                                  kept as
    append(rows)                          "a", number of rows, six columns
    settle(rows)                          "s", number of rows, six columns; also those of `claim` and `recall`
    mark(seqs, state)                     "k", the seqs, the state
    keep_history(moment, steps, …)        "h", the moment or null, the steps, how many were left out
    prune(first_seq, settled)             "p", the first seq, the states as text
    meta_set(key, value)                  "m", key, value; also the note of `append`
    begin(meta)                           "b", all of meta: the journal begins, and no row is in it
    index_pairs()                         nothing: it adds no row, and whoever needs the index makes it

A group is its version, one byte, and the JSON of the list of its calls: version 1 as it is, 2 compressed (zlib).  A
column is ["=", value] where all rows have the same, ["+", first, difference, …] for whole numbers, ["_", value, …] for
anything else.  By column and with differences a pair takes 6 to 7 bytes at 100 rows or more a group, 12 at 20 rows,
and 0.7 to 1.1 µs.

Invariants: a group is shipped after its local commit, and before anybody is told of it.  Groups are shipped in the
order of their commits.  A journal without a shipper keeps nothing of this.
Not here: where a log is and who may write it (`postgres`), when a transaction begins and ends (`journal`).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate, repeat
from operator import sub
from typing import TYPE_CHECKING, Any, Final, Protocol

import orjson

from ..errors import JournalError
from ..model import State
from .history import Moment

if TYPE_CHECKING:
    from .journal import Journal

PLAIN: Final = b"\x01"
COMPRESSED: Final = b"\x02"
WORTH_BYTES: Final = 200
"""A shorter group is not compressed: most of one row's JSON is its own."""
LEVEL: Final = 1
"""Of zlib.  Level 6 saves a tenth of the bytes and takes three times as long."""
WINDOW_BITS, MEMORY_LEVEL = 12, 5
"""Of zlib.  With its own, 15 and 8, it asks the system for 256 kB and gives them back: 0.06 ms, and no byte fewer."""
GROUPS_EACH: Final = 500
"""Groups replayed in one transaction: to wait for the disk after each would take longer than the rows."""

Call = tuple[Any, ...]
"""The letter of a call, and its arguments."""


class Shipper(Protocol):
    """Where groups go."""

    def ship(self, group: bytes, counts: Mapping[State, int]) -> None:
        """Keep the group.  Returns when it is durable there; raises `JournalError` if it will never be.

        `counts` are the journal's rows by state after it.  Called in the journal's thread, which waits.
        """
        ...


class Shipping:
    """The calls of the transaction that is open, and where they go once it is committed."""

    __slots__ = ("_calls", "_shipper")

    def __init__(self, shipper: Shipper) -> None:
        self._shipper = shipper
        self._calls: list[Call] = []

    def note(self, *call: Any) -> None:
        """A call has changed the journal in the open transaction."""
        self._calls.append(call)

    def ship(self, counts: Mapping[State, int]) -> None:
        """The transaction is committed.  One that has changed nothing is not shipped."""
        if self._calls:
            calls, self._calls = self._calls, []
            self._shipper.ship(packed_group(calls), counts)


def packed_group(calls: Iterable[Call]) -> bytes:
    """The bytes of a group."""
    text = orjson.dumps([packed_call(*call) for call in calls])
    if len(text) < WORTH_BYTES:
        return PLAIN + text
    packing = zlib.compressobj(LEVEL, zlib.DEFLATED, WINDOW_BITS, MEMORY_LEVEL)
    return COMPRESSED + packing.compress(text) + packing.flush()


def packed_call(kind: str, *args: Any) -> Call:
    match kind:
        case "a" | "s":
            (rows,) = args
            return kind, len(rows), *map(packed_column, zip(*rows, strict=True))
        case "k":
            seqs, state = args
            return kind, packed_column(seqs), len(seqs), state
        case "h":
            moment, steps, left_out = args
            return kind, None if moment is None else tuple(moment), steps, left_out
        case "p":
            first_seq, settled = args
            return kind, first_seq, settled.decode("ascii")
        case _:
            return kind, *args


def packed_column(column: Sequence[Any]) -> list[Any]:
    """A column of at least one value."""
    first = column[0]
    if column.count(first) == len(column):
        return ["=", first]
    try:
        return ["+", first, *map(sub, column[1:], column)]
    except TypeError:  # texts, or numbers and None
        return ["_", *column]


def column_of(form: str, *values: Any, count: int) -> Iterable[Any]:
    if form == "=":
        return repeat(values[0], count)
    return accumulate(values) if form == "+" else values


def rows_of(count: int, *columns: Sequence[Any]) -> list[Any]:
    return list(zip(*(column_of(*column, count=count) for column in columns), strict=True))


def calls_of(group: bytes) -> list[list[Any]]:
    """The calls of a group.  Raises `ValueError` if it is not whole, or is of another version."""
    version, text = group[:1], group[1:]
    if version not in (PLAIN, COMPRESSED):
        raise ValueError(f"version {version.hex()} is not known here")
    try:
        calls = orjson.loads(zlib.decompress(text) if version == COMPRESSED else text)
    except zlib.error as e:
        raise ValueError(str(e)) from None
    if type(calls) is not list:
        raise ValueError("no list")
    return calls


def replay(journal: Journal, groups: Iterable[tuple[int, bytes]], *, log: str) -> int:
    """Make the calls of these numbered groups in a journal that ships nothing.  Return the last number, or 0.

    The numbers must follow each other from 1.  Raises `JournalError` where they do not, or a group is damaged; `log`
    is the name of the log for people.
    """
    last, pending = 0, list[bytes]()
    for number, group in groups:
        if number != last + 1:
            raise damaged_log(log, last + 1, f"group {number} comes next")
        last = number
        pending.append(group)
        if len(pending) >= GROUPS_EACH:
            _replay_some(journal, pending, last, log)
            pending = []
    _replay_some(journal, pending, last, log)
    return last


def _replay_some(journal: Journal, groups: Sequence[bytes], last: int, log: str) -> None:
    number = last - len(groups)
    with journal.transaction():
        for group in groups:
            number += 1
            try:
                for kind, *args in calls_of(group):
                    CALLS[kind](journal, *args)
            except (ValueError, TypeError, KeyError, IndexError) as e:
                raise damaged_log(log, number, f"{type(e).__name__}: {e}") from e


def damaged_log(log: str, number: int, why: str) -> JournalError:
    return JournalError(
        f"{log}: group {number} of the log is missing, damaged, or of a newer bulkwriter ({why[:80]})",
        hint="use the bulkwriter that wrote it, or restore the database from its backup",
    )


def _mark(journal: Journal, seqs: Sequence[Any], count: int, state: int) -> None:
    journal.mark(list(column_of(*seqs, count=count)), State(state))


def _keep_history(journal: Journal, moment: Sequence[Any] | None, steps: Sequence[Any], left_out: int) -> None:
    journal.keep_history(Moment(*moment) if moment else None, steps, left_out, ())


CALLS: Final[Mapping[str, Callable[..., object]]] = {
    "a": lambda journal, count, *columns: journal.append(rows_of(count, *columns)),
    "s": lambda journal, count, *columns: journal.settle(rows_of(count, *columns)),
    "k": _mark,
    "h": _keep_history,
    "p": lambda journal, first_seq, settled: journal.prune(first_seq, settled.encode("ascii")),
    "m": lambda journal, key, value: journal.meta_set(key, value),
    "b": lambda journal, meta: journal.begin(meta),
}
