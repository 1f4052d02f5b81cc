"""The journal for asyncio: one daemon thread owns it and commits in groups.

Whenever the thread is free, it takes all operations that were handed in meanwhile.  It carries them out in order in one
transaction, commits once, and resolves all of them with one `call_soon_threadsafe`.  So groups grow when the disk is
busy, and nobody waits for a timer.  An operation given to `run` ends a group.  It sees all earlier operations durably,
and may open its own transaction.

Invariants
- an operation is acknowledged only when its commit has returned;
- operations take effect in the order in which they were handed in, each wholly or not at all; the cancel of a waiting
  caller takes nothing back;
- when a group fails, all of it fails, and everything after it fails with the same reason;
- `counts`, `rows` and `next_single_seq` are those of the last commit that was acknowledged.
The thread is a daemon and `close` waits only so long: a disk that hangs cannot keep the process from ending.
With `inline=True` there is no thread and every call has happened when it returns: for virtual time.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from ..entities import ORIGINAL
from ..errors import JournalError
from ..guarded import guarded
from ..model import SINGLE_SEQ, State
from ..rows import AppendRow, SettleRow
from ..threads import started
from .journal import Journal

T = TypeVar("T")

CLOSE_S: Final = 10.0  # enough for a checkpoint of some MB on a slow disk; a slower disk hangs


class Totals(NamedTuple):
    """What the journal holds after a group: rows of the source, the next seq of a single pair, rows by state."""

    rows: int
    next_single_seq: int
    counts: dict[State, int]


class Operation:
    """A call that the journal's thread is to make, and the future of the caller.

    `kind` is "write", "run", "open" or "close".  The thread makes the call; the loop resolves the future.
    """

    __slots__ = ("_call", "_error", "_result", "future", "kind")

    def __init__(self, kind: str, call: Callable[[Journal], Any], future: asyncio.Future[Any]) -> None:
        self.kind, self._call, self.future = kind, call, future
        self._result: Any = None
        self._error: BaseException | None = None

    def carry_out(self, journal: Journal) -> None:
        """Make the call and keep its result; what it raises is raised."""
        self._result = self._call(journal)

    def fail(self, error: BaseException) -> None:
        """Keep the error in place of a result; the first one counts."""
        self._error = self._error or error

    def resolve(self) -> None:
        """On the loop: give the caller the result or the error, if the caller still waits."""
        if self.future.done():
            return
        if self._error is None:
            self.future.set_result(self._result)
        else:
            self.future.set_exception(self._error)


class JournalWriter:
    """A `Journal` used from an event loop.  All methods but `open` need an open journal.  Only inline ones block the
    loop.

    `open_journal` takes the place of `Journal.open` where the journal is not a file alone.

    Each may be cancelled, but its operation happens all the same.  So call `close` after a cancelled `open`.
    """

    _loop: asyncio.AbstractEventLoop

    def __init__(
        self, *, inline: bool = False, close_s: float = CLOSE_S, open_journal: Callable[..., Journal] = Journal.open
    ) -> None:
        self._open_journal = open_journal
        self.rows = 0
        self.next_single_seq = SINGLE_SEQ
        self.counts: dict[State, int] = {}
        self._inline = inline
        self._close_s = close_s
        self._journal: Journal | None = None  # the thread's alone, unless inline
        self._operations: queue.SimpleQueue[Operation] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._unanswered = 0

    @property
    def is_busy(self) -> bool:
        """Whether an operation is with the thread."""
        return self._unanswered > 0

    async def open(
        self,
        path: str | Path | None,
        *,
        base_url: str,
        account: str | None,
        columns: tuple[str, str],
        entity: str = ORIGINAL,
        notes: Mapping[str, str] | None = None,
    ) -> None:
        """Open or create the journal, as `Journal.open` does, and keep `notes` in its meta before anything else."""

        def opening() -> Journal:
            journal = self._open_journal(path, base_url=base_url, account=account, columns=columns, entity=entity)
            try:
                for key, value in (notes or {}).items():
                    journal.meta_set(key, value)
            except BaseException:
                journal.close(checkpoint=False)
                raise
            return journal

        if self._inline:
            self.adopt(opening())
            return
        self._loop = asyncio.get_running_loop()
        self._thread = started(self._serve, opening, name="journal")
        try:
            await self._hand_in("open", lambda journal: None)
        except Exception:
            await self.close()  # ends the thread
            raise

    def adopt(self, journal: Journal) -> None:
        """Inline only: use a journal that is open already, such as one in memory `reopened` after a made-up crash."""
        assert self._inline
        self._journal = journal
        self._set_totals(totals_of(journal))

    async def append(self, rows: Sequence[AppendRow], note: Mapping[str, str] | None = None) -> None:
        """`Journal.append`; returns when the rows are durable."""
        await self._hand_in("write", lambda journal: journal.append(rows, note))

    async def settle(self, rows: Sequence[SettleRow]) -> None:
        """`Journal.settle`; returns when the outcomes are durable."""
        await self._hand_in("write", lambda journal: journal.settle(rows))

    async def recall(self, rows: Sequence[SettleRow], expected: Collection[int]) -> list[int]:
        """`Journal.recall`; returns when it is durable."""
        states: list[int] = await self._hand_in("write", lambda journal: journal.recall(rows, expected))
        return states

    async def write(self, step: Callable[[Journal], T], /) -> T:
        """Call `step` with the journal inside the transaction of its group, and return its result once that is durable.

        An exception of `step` fails the group and ends the journal.
        """
        result: T = await self._hand_in("write", step)
        return result

    async def run(self, step: Callable[[Journal], T], /) -> T:
        """Call `step` with the journal, in its thread and outside any transaction, and return its result.

        An exception of `step` is raised here and affects nobody else, unless it came from inside a
        `Journal.transaction()`.  An iterator of the journal must be used up inside `step`.  Commits wait for `step`, so
        it should read thousands of rows at most.
        """
        result: T = await self._hand_in("run", step)
        return result

    async def close(self, *, checkpoint: bool = True) -> None:
        """Finish all operations, close the journal and release its lock.  A repetition is harmless.

        Raises `JournalError` if the disk fails, or does not answer within `close_s`.  The thread is then left behind.
        """
        if self._is_closed:
            return
        if self._inline or self._thread is None:
            self._is_closed = True
            if self._journal is not None:
                self._journal.close(checkpoint=checkpoint)
            return
        closing = self._post("close", lambda journal: journal.close(checkpoint=checkpoint))
        self._is_closed = True
        done, _ = await asyncio.wait([closing], timeout=self._close_s)
        if not done:
            closing.cancel()
            raise JournalError(
                f"the journal's disk has not answered for {self._close_s:g} s",
                hint="see to the disk, then give the same command again; what was acknowledged before is kept",
            )
        closing.result()

    async def _hand_in(self, kind: str, call: Callable[[Journal], Any]) -> Any:
        if self._inline:
            return self._at_once(kind, call)
        return await self._post(kind, call)

    def _post(self, kind: str, call: Callable[[Journal], Any]) -> asyncio.Future[Any]:
        if self._is_closed or self._thread is None:
            raise JournalError("the journal is not open")
        future: asyncio.Future[Any] = self._loop.create_future()
        self._operations.put(Operation(kind, call, future))
        self._unanswered += 1
        return future

    def _at_once(self, kind: str, call: Callable[[Journal], Any]) -> Any:
        journal = self._journal
        if self._is_closed or journal is None:
            raise JournalError("the journal is not open")
        if kind == "write":
            with journal.transaction():
                result = call(journal)
        else:
            result = call(journal)
        self._set_totals(totals_of(journal))
        return result

    def _resolve(self, operations: list[Operation], totals: Totals | None) -> None:
        """On the loop: take over the totals, and resolve every operation."""
        if totals is not None:
            self._set_totals(totals)
        self._unanswered -= len(operations)
        for operation in operations:
            operation.resolve()

    def _set_totals(self, totals: Totals) -> None:
        self.rows, self.next_single_seq, self.counts = totals

    # From here on: in the thread.

    def _serve(self, opening: Callable[[], Journal]) -> None:
        try:
            journal = opening()
        except BaseException as e:
            self._serve_unopened(e)
            return
        while True:
            for kind, group in groupby(self._take(), key=lambda operation: operation.kind):
                operations, totals = list(group), None
                try:
                    carry_out_group(journal, operations, is_write=kind == "write")
                    totals = None if journal.broken else totals_of(journal)
                except BaseException as e:  # a thread that ends in it would leave everybody waiting
                    for operation in operations:
                        operation.fail(e)
                self._tell(operations, totals)
                if kind == "close":
                    return

    def _serve_unopened(self, error: BaseException) -> None:
        """The journal could not be opened: fail every operation until `close`."""
        while True:
            operations = self._take()
            for operation in operations:
                if operation.kind != "close":
                    operation.fail(error)
            self._tell(operations, None)
            if any(operation.kind == "close" for operation in operations):
                return

    def _take(self) -> list[Operation]:
        """All operations that were handed in; waits for the first."""
        taken = [self._operations.get()]
        while True:
            try:
                taken.append(self._operations.get_nowait())
            except queue.Empty:
                return taken

    def _tell(self, operations: list[Operation], totals: Totals | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(guarded(self._resolve, partial(fail_all, operations)), operations, totals)


def carry_out_group(journal: Journal, operations: Iterable[Operation], *, is_write: bool) -> None:
    """Carry out all operations, writes in one transaction; each then has its result or its error."""
    operations = list(operations)
    if not is_write:
        for operation in operations:
            try:
                operation.carry_out(journal)
            except BaseException as e:
                operation.fail(e)
        return
    try:
        with journal.transaction():
            for operation in operations:
                operation.carry_out(journal)
    except BaseException as e:
        for operation in operations:
            operation.fail(e)


def fail_all(operations: Iterable[Operation], error: BaseException) -> None:
    """On the loop: fail all unresolved operations, so that no caller waits for ever."""
    for operation in operations:
        operation.fail(error)
        operation.resolve()


def totals_of(journal: Journal) -> Totals:
    return Totals(journal.rows, journal.next_single_seq, journal.counts())
