"""The loop of one run: one step after each change, the waiting callers, the background tasks, and the stop.

    a reply, a commit, a timer, a token, a row, a stop  ->  `soon`  ->  the step  ->  all waiting callers are asked
    again

The step is `Engine.advance`.  It is made at most once in a turn of the event loop, however much has changed.  It
returns the time of the next step for the case that nothing changes before.  A caller who waits for the run names a
condition (`until`).

An error that is not of one call alone comes here, and only here it is decided whom it ends:

    error                                    the source that is being taken   single writes              the run
    a journal or ledger that fails, a bug    ends with it                     end with it                ends (`error`)
    of the server, a token or a setting      ends with it                     wait, see `health`         goes on later
    of the source (`end_source`)             ends with it                     go on                      goes on

Errors of the second kind suspend sending (`core.suspension`).  After one of the first kind no new attempt is made; the
first error counts.

The tasks belong to the run (`own_task`).  If everything is cancelled at once, the callers end, but the tasks go on
until the run has ended in good order.  A task may also end too early, by an error, a bug, a cancel or an interrupt.
That ends the run, so that nobody waits for the work of a dead task.  An error of the second kind ends no task of
`lasting` work: it begins anew once the writer is well.

Not here: what the step and the tasks do.  An anyio task group is not used: to start a task it asks which library is
running, and a callback of the loop has no answer to that beside `sniffio`.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any, Final

import anyio

from ..clocks import Clocks, Timer
from ..core import stops
from ..core.suspension import Suspension
from ..errors import BulkwriterError, TryLater, bug_of_ours, ends_writer, is_of_journal
from ..events import Event, Stopping, Unwell
from ..settings import Settings
from ..shielded import own_task
from .taken_source import TakenSource

CUT: Final = "a task of the writer was cancelled or interrupted from outside"


class Background:
    """`work(*args)` in a task of its own; an error in it ends the run of `loop`.

    `cancel` ends it, whether it has begun or not, and lets it clean up.
    """

    __slots__ = ("_is_cancelled", "_scope", "task")

    def __init__(self, loop: RunLoop, work: Callable[..., Awaitable[Any]], args: tuple[Any, ...]) -> None:
        self._scope: anyio.CancelScope | None = None
        self._is_cancelled = False
        self.task = own_task(self._run(loop, work, args))

    def cancel(self) -> None:
        self._is_cancelled = True
        if self._scope:
            self._scope.cancel()

    async def _run(self, loop: RunLoop, work: Callable[..., Awaitable[Any]], args: tuple[Any, ...]) -> None:
        with anyio.CancelScope() as self._scope:
            if self._is_cancelled:
                self._scope.cancel()
            try:
                await work(*args)
            except BulkwriterError as error:
                loop.stop(error)
            except Exception as error:
                loop.crashed(error)
            except BaseException:
                if not self._is_cancelled:
                    loop.cut_off()
                raise


class RunLoop:
    """The loop of one run.  `step` returns the latest time of the next step; infinity if a change will come first."""

    def __init__(
        self,
        step: Callable[[], float],
        settings: Settings,
        *,
        suspension: Suspension,
        clocks: Clocks,
        tell: Callable[[Event], None],
    ) -> None:
        self._settings = settings
        self.suspension = suspension
        self._step, self.clocks, self._clock, self.tell = step, clocks, clocks.clock, tell
        self.is_due = False
        """Whether the step will be made at the end of this turn."""
        self._timer: Timer | None = None
        self._waiting: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []
        self._tasks: dict[asyncio.Task[None], Background] = {}
        self._is_closing = False
        self.source: TakenSource | None = None
        self.error: BulkwriterError | None = None
        """The error that ended the run for good."""
        self.is_stopping = False
        """Whether no new attempt is made any more."""

    def soon(self) -> None:
        """Something changed: make the step at the end of this turn."""
        if not self.is_due:
            self.is_due = True
            asyncio.get_running_loop().call_soon(self._turn)

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until `is_so()` is true.  It is called after each step."""
        while not is_so():
            waiting = is_so, asyncio.get_running_loop().create_future()
            self._waiting.append(waiting)
            try:
                await waiting[1]
            finally:
                self._waiting.remove(waiting)

    def _turn(self) -> None:
        self.is_due = False
        try:
            if (at := self._step()) < math.inf:
                self._come_again(at)
        except Exception as error:
            self.crashed(error)
        for is_so, future in self._waiting:
            try:
                is_over = is_so()
            except Exception:
                is_over = True  # the waiting caller asks once more, and raises it
            if is_over and not future.done():
                future.set_result(None)

    def _come_again(self, at: float) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = self.clocks.call_later(max(0.0, at - self._clock()), self._turn)

    # the stop

    def stop(self, error: BulkwriterError) -> None:
        """End with `error` what it concerns: the run for good, or the source that is being taken.

        In the second case nothing is sent until one request has shown that it goes.
        """
        if ends_writer(error):
            self._end(error)
            return
        now = self._clock()
        is_new = self.suspension.begin(error, now, self.clocks.wall())
        if self.source:
            self.end_source(error)
        elif is_new and not self.is_stopping:
            self.tell(Unwell(error.message, error.hint, self.suspension.opens_at(now) - now))
        self.soon()

    def end_source(self, error: BulkwriterError) -> None:
        """The source that is being taken ends with `error`; everything else goes on."""
        source = self.source
        assert source
        if source.error is None and self.error is None:
            self.tell(Stopping(error.message, error.hint, is_error=True, is_source=True))
        source.end(stops.true_without_journal(error, self._settings))
        self.soon()

    def cut_off(self) -> None:
        """A task of ours ended before its time.  Its work is not done any more, so the run ends."""
        self._end(TryLater(CUT, hint="the same pairs later go on; the journal has what was sent"))

    def _end(self, error: BulkwriterError) -> None:
        """End the run for good: nothing new is sent.  The first error counts, but a failed disk overrides it."""
        if self.error is None or (is_of_journal(error) and not is_of_journal(self.error)):
            self.error = stops.true_without_journal(error, self._settings)
            self.tell(Stopping(error.message, error.hint, is_error=True, code=error.code))
            self.soon()
        self.halt()

    def take_source(self) -> TakenSource:
        """A source is taken from now on, until `source_left`."""
        self.suspension.hurry(self._clock())
        self.source = source = TakenSource(self._clock())
        if self.is_stopping:
            source.end()
        return source

    def source_left(self) -> None:
        """All pairs of the source have their place, and nothing of it is sent any more."""
        self.source = None
        self.soon()

    @property
    def is_ending(self) -> bool:
        """Whether the source that is being taken has to end now."""
        return self.is_stopping or (self.source is not None and self.source.is_ended)

    def why_ended(self, otherwise: BulkwriterError) -> BulkwriterError:
        """The error that stopped the run, or `otherwise`, for callers who still wait."""
        return self.error or stops.true_without_journal(otherwise, self._settings)

    def crashed(self, error: BaseException) -> None:
        """A bug of ours: end the run, and keep all known outcomes."""
        self.stop(bug_of_ours(error))

    def halt(self) -> None:
        """No new attempts from here on."""
        if self.is_stopping:
            return
        self.is_stopping = True
        if self._timer:
            self._timer.cancel()  # it may be hours away, and would hold all of this until then
        if self.source:
            self.source.end()
        self.soon()

    # the tasks

    def spawn(self, work: Callable[..., Awaitable[Any]], *args: Any) -> Background:
        """Run `work(*args)` in the background, until it ends or the run does.  Cancel the returned task to end it
        sooner.
        """
        beside = Background(self, work, args)
        self._tasks[beside.task] = beside
        beside.task.add_done_callback(self._ended)
        if self._is_closing:
            beside.cancel()
        return beside

    async def lasting(self, work: Callable[[], Awaitable[Any]]) -> None:
        """Do `work` for ever: after an error that passes it begins anew, once sending is not suspended any more."""
        while True:
            try:
                await work()
            except BulkwriterError as error:
                if ends_writer(error):
                    raise
                self.stop(error)
            await self.until(lambda: self.suspension.error is None)

    async def aclose(self) -> None:
        """Stop, end the tasks, and wait for their end.  Callers who still wait are asked a last time."""
        self._is_closing = True
        self.halt()
        while self._tasks:
            for beside in self._tasks.values():
                beside.cancel()
            await asyncio.wait(list(self._tasks))
        self.soon()

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        if not task.cancelled():
            task.exception()  # told already; an interrupt went through the loop by itself
        self.soon()
