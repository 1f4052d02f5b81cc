"""A caller's own iterable as a source: pairs in memory, generators, async generators.

A sync iterable is read on the loop, for about `PULL_S` at a time, so it should not block.  An async one is read by a
task of its source, at most one batch ahead, for two reasons.  A batch is then all items that have come so far, while to
wait for a full one could take for ever.  And a cancelled `read` cancels only itself, not the caller's generator.

An item is a pair if it is a tuple or list of two integers from 1 to 2^63-1.  Other kinds of integers are accepted
(numpy's too), but not a bool.  Any other item is a bad row, with its 1-based position as its line.

Invariant: every item becomes one row, in order.  `read` raises the iterable's exception after the rows before it.

Not here: the close of the caller's iterable; that is up to the caller.
"""

from __future__ import annotations

import asyncio
import operator
import reprlib
import time
from collections.abc import AsyncIterable, Iterable, Iterator, Sequence, Sized
from itertools import islice
from typing import Any, Final

from ..entities.completed_lessons import COMPLETED_LESSONS
from ..errors import SourceError, UsageError
from ..model import ID_MAX, Batch, Pair
from .batches import RAW_CHARS, RowBuffer, Source, printable
from .ids import are_in_range
from .row_faults import RowFault, no_id, shortened

PULL_S: Final = 0.005
PULL_ITEMS: Final = 64
ID_WORDS: Final = tuple(f"{word} id" for word in COMPLETED_LESSONS.words)
CLOSE_S: Final = 1.0
"""How long `aclose` waits for an async iterable that ignores its cancellation."""


def iterable_source(pairs: Iterable[tuple[int, int]] | AsyncIterable[tuple[int, int]]) -> Source:
    """A source of the items of `pairs`, sync or async.  Raises `UsageError` if it is no iterable of pairs."""
    if isinstance(pairs, str | bytes | Pair):
        raise UsageError(
            f"{type(pairs).__name__} is not an iterable of pairs",
            hint="open_source(path) reads a file, writer.write(pair) writes one pair",
        )
    if isinstance(pairs, AsyncIterable):
        return AsyncSource(pairs)
    if isinstance(pairs, Iterable):
        return SyncSource(pairs)
    raise UsageError(f"{type(pairs).__name__} is not an iterable of pairs")


class SyncSource:
    """Rows of a sync iterable."""

    name = "the iterable"

    def __init__(self, items: Iterable[object]) -> None:
        self._items: Iterator[object] = iter(items)
        self._total = len(items) if isinstance(items, Sized) else None
        self._pulled: list[object] = []
        self._error: BaseException | None = None
        self._position = 1

    async def read(self, max_rows: int) -> Batch | None:
        """See `Source.read`."""
        self._pull(max_rows)
        if not self._pulled:
            if self._error is not None:
                raise self._error
            return None
        items, self._pulled = self._pulled, []
        batch = batch_of(items, self._position)
        self._position += len(items)
        return batch

    def fraction(self) -> float | None:
        """See `Source.fraction`."""
        if self._total is None:
            return None
        return min(1.0, (self._position - 1) / self._total) if self._total else 1.0

    async def aclose(self) -> None:
        """See `Source.aclose`."""
        self._items = iter(())
        self._pulled.clear()
        self._error = SourceError(f"{self.name} was closed")

    def _pull(self, max_rows: int) -> None:
        """Pull items until there are `max_rows`, or the time is up."""
        until = time.monotonic() + PULL_S
        while self._error is None and len(self._pulled) < max_rows:
            wanted = min(PULL_ITEMS, max_rows - len(self._pulled))
            before = len(self._pulled)
            try:
                self._pulled.extend(islice(self._items, wanted))  # keeps what came before an exception
            except Exception as error:  # the caller's own, raised when the items before it are delivered
                self._error = error
            if len(self._pulled) - before < wanted or time.monotonic() > until:
                return


class AsyncSource:
    """Rows of an async iterable."""

    name = "the iterable"

    def __init__(self, items: AsyncIterable[object]) -> None:
        self._items = items
        self._task: asyncio.Task[None] | None = None
        self._pulled: list[object] = []
        self._most = 1
        self._is_ended = False
        self._is_closed = False
        self._error: BaseException | None = None
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._position = 1

    async def read(self, max_rows: int) -> Batch | None:
        """See `Source.read`."""
        self._most = max_rows
        if self._task is None and not self._is_closed:
            self._task = asyncio.create_task(self._pull(), name="bulkwriter-source")
        while not self._pulled and not self._is_ended and not self._is_closed:
            self._news.clear()
            await self._news.wait()
        if self._is_closed:
            raise SourceError(f"{self.name} was closed while it was being read")
        if not self._pulled:
            if self._error is not None:
                raise self._error
            return None
        items, self._pulled = self._pulled[:max_rows], self._pulled[max_rows:]
        self._room.set()
        batch = batch_of(items, self._position)
        self._position += len(items)
        return batch

    def fraction(self) -> float | None:
        """See `Source.fraction`."""
        return None

    async def aclose(self) -> None:
        """See `Source.aclose`.  It waits for the clean-up of the caller's generator, for a second at most."""
        self._is_closed = True
        self._news.set()
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task], timeout=CLOSE_S)

    async def _pull(self) -> None:
        # A cancel from anywhere must not look like the end of the pairs.
        self._error = SourceError(f"{self.name} was cancelled")
        try:
            async for item in self._items:
                self._pulled.append(item)
                self._news.set()
                while len(self._pulled) >= self._most:
                    self._room.clear()
                    await self._room.wait()
            self._error = None
        except Exception as error:  # the caller's own, raised when the items before it are delivered
            self._error = error
        finally:
            self._is_ended = True
            self._news.set()


def batch_of(items: Sequence[object], position: int) -> Batch:
    """The rows of these items, of which the first is number `position`."""
    rows = RowBuffer()
    pairs = plain_pairs(items)
    if pairs is not None:
        rows.add_all(pairs, position)
        return rows.batch()
    for i, item in enumerate(items, position):
        found = pair_of(item)
        if isinstance(found, RowFault):
            rows.add_bad(found.row(shown(item).encode()), i)
        else:
            rows.add_all((found,), i)
    return rows.batch()


def plain_pairs(items: Sequence[Any]) -> list[tuple[int, int]] | None:
    """The pairs, if every item is a tuple of two ids; otherwise None.  The same result as by `pair_of`, in 0.2 µs an
    item.
    """
    if not {*map(type, items)} <= {tuple, Pair} or {*map(len, items)} != {2}:
        return None
    firsts, seconds = zip(*items, strict=True)
    if {*map(type, firsts), *map(type, seconds)} != {int}:
        return None
    # Plain tuples even of Pairs: orjson, further on, takes no named ones.
    return list(zip(firsts, seconds, strict=True)) if are_in_range(firsts) and are_in_range(seconds) else None


def pair_of(item: object) -> tuple[int, int] | RowFault:
    """The pair that an item is, or why it is none."""
    if isinstance(item, tuple) and len(item) == 2:  # nearly always, in a fifth of the time
        first, second = item
        if type(first) is type(second) is int and 0 < first <= ID_MAX and 0 < second <= ID_MAX:
            return first, second
    if not isinstance(item, tuple | list) or len(item) != 2:
        return RowFault.plain(f"{type(item).__name__} is not a pair of two ids")
    numbers = []
    for column, value in zip(ID_WORDS, item, strict=True):
        try:
            number = operator.index(value)
        except Exception:  # a stranger's __index__ may raise anything
            return of_wrong_type(column, value)
        if isinstance(value, bool):
            return of_wrong_type(column, value)
        if not are_in_range((number,)):
            return no_id(column, shown(value))
        numbers.append(number)
    return numbers[0], numbers[1]


def of_wrong_type(column: str, value: object) -> RowFault:
    words = f"is of type {type(value).__name__}, not a whole number"
    return RowFault(f"{column} {words}", f"{column} {shortened(shown(value))} {words}")


def shown(item: object) -> str:
    """An item as text for people.  Its repr is cut while it is made, since an item may be anything."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = RAW_CHARS
    try:
        return printable(short.repr(item))[:RAW_CHARS]
    except Exception:  # a number of more than 4,300 digits has no repr
        return f"<{type(item).__name__}>"
