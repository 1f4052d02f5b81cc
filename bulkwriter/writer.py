"""`BulkWriter`, the library's interface: it owns all parts for their lifetime, and runs sources and single pairs.

The parts live from `__aenter__` to `__aexit__`, in a task of their own, never across a `yield`.  Nothing global is
touched: no signal handlers, no logging set-up, no loop policy.  If the block is left early, by an exception or a
cancel, the run ends in good order: requests in flight may end within `limits.drain_s`, pairs that were not sent are
`pending` again, and the journal tells the truth.  The same holds if all tasks of the loop are cancelled at once, as
`asyncio.run` does when its main function raises.  Such a cancel does not reach the writer's own tasks, and the end of
the block waits for theirs.

Errors belong to the call or the source that made them, and the writer lives on:

    rejected, failed, existing                        outcomes, never raised
    a wrong argument                                  `UsageError` for that call
    a source that changed, an iterable that raises    for that `stream` or `write_all`
    the server, the token, a setting, a spent quota   for that `stream` or `write_all`; `write` waits, see `patience_s`
    a journal that fails, a bug                       for everybody, and the writer has ended

The last row is `run.run_loop`'s to decide; the one before it makes the writer *not well* until one request goes
through (`run.health`): `error`, `is_well()`, `well()`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

from .clocks import MACHINE
from .entities import Entity
from .entities.completed_lessons import COMPLETED_LESSONS
from .errors import BulkwriterError, Exit, TryLater, UsageError
from .events import Closed, Observer, Opened, SharedObserver, Stopping
from .model import Ended, Outcome, Snapshot, Summary
from .observe.audience import Audience
from .observe.logs import log_event
from .run import holding
from .run.delivery import Delivery
from .run.engine import Engine
from .run.health import Health
from .run.history import History
from .run.intents import states_sent_again
from .run.measured import metrics_of
from .run.notes import Notes
from .run.singles import Singles
from .run.source_run import SourceRun
from .run.summary import counts_now, ended_of, eta_of, snapshot_of, summary_of
from .run.warm_start import WarmStart
from .settings import Settings
from .shielded import own_task, to_its_end
from .sources.inputs import PairLike, PairsLike, as_source, checked_pair, checked_pairs, checked_retry, checked_timeout
from .wiring import Assembly

ENDS: Final = "give the pair again after the next start; what had been sent of it is in the journal"

OPEN: Final = "use it inside `async with BulkWriter(settings) as writer:`"


class BulkWriter:
    """Writes pairs to the server, each exactly once, remembering them in a journal.

    Use it as an async context manager, or call `start` and `aclose`, on asyncio (uvloop or not).  One `stream` or
    `write_all` runs at a time; any number of `write`, `write_many` and `submit` calls may run beside it.  With
    `journal=None` it is in memory; other sources may follow the first, and a pair of an earlier one goes on from its
    row.  Writers of one user and machine send no pair twice, each with its file; others meanwhile may double it.

    Each of `observers` gets the `events`.  The log gets them in any case, under loggers `bulkwriter.*`.  `columns` are
    the names of the source's two columns; the journal keeps them, so that another start reads the same ones.
    `entity` says what the pairs are, such as `entities.enrolments.ENROLMENTS`; a journal is of one entity.  `assembly`
    replaces network and disk, for tests; `assemble` makes them in the way of a worker of a job.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        observers: Sequence[Observer | SharedObserver] = (),
        columns: tuple[str | None, str | None] | None = None,
        entity: Entity = COMPLETED_LESSONS,
        assembly: Any = None,
        assemble: Callable[..., Assembly] = Assembly,
    ) -> None:
        self._settings = settings
        self._audience = Audience((log_event, *observers))
        self._assembly: Assembly = assembly or assemble(
            settings, columns=columns, entity=entity, tell=self._audience.tell
        )
        self._living: asyncio.Task[None] | None = None
        self._is_left = asyncio.Event()
        self._engine: Engine
        self._health: Health
        self._singles: Singles
        self._began_at = self._now()
        self._source_run: SourceRun
        self._asked_to_end: Ended | None = None
        self._last_summary: Summary | None = None

    # lifetime

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._leave(is_told=error is not None)

    async def start(self) -> None:
        """Open the journal and take its lock.  `aclose` must follow.

        Nothing is sent yet.  Raises `JournalError` (locked, unusable, of another host), `SourceError` (made from other
        columns), and `UsageError` for settings that cannot be right.  Safe to cancel: nothing stays open.
        """
        if self._living:
            raise UsageError("a writer is used once", hint="make another BulkWriter with the same settings")
        self._began_at = self._now()
        opened: asyncio.Future[None] = running_loop().create_future()
        self._living = own_task(self._live(opened), name="bulkwriter")
        try:
            await asyncio.wait([opened, self._living], return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            if opened.done():  # already open, so it ends as if the block were left, and the journal notes it
                self._is_left.set()
                self._engine.run.halt()
            else:
                self._living.cancel()
            await to_its_end(asyncio.wait([self._living]))
            raise
        if self._living.done():
            self._living.result()

    async def aclose(self) -> None:
        """End in good order, and close the journal.  A repetition is harmless.

        Nothing new is sent.  Requests in flight may end within `limits.drain_s`.  Pairs that were not sent are
        `pending` again; whoever waits for one gets `TryLater`, and for one that may have been sent its outcome
        `in_doubt`.  It does not wait for quotas, pauses or doubts.  A cancel does not shorten it.  Raises
        `JournalError` if the journal fails, and a bug of ours that nobody else was told of.
        """
        if self._living and hasattr(self, "_engine"):
            await self._leave(is_told=False)

    async def _leave(self, *, is_told: bool) -> None:
        assert self._living
        is_first = not self._is_left.is_set()
        self._is_left.set()
        self._engine.run.halt()
        await to_its_end(asyncio.wait([self._living]))
        if not is_first:
            return
        self._living.result()
        bug = self._engine.run.error
        if not is_told and bug and bug.exit_code is Exit.BUG:  # a bug that came when nobody waited for anything
            raise bug

    async def _live(self, opened: asyncio.Future[None]) -> None:
        """Hold the parts until the block is left.  This is a separate task, so that a cancel around the block does not
        end them.
        """
        async with self._assembly as assembly:
            self._make_parts(assembly)
            engine, warm_start = self._engine, assembly.ports.warm_start
            engine.start()
            self._tell_open(engine)
            try:
                engine.run.spawn(self._end_singles)
                engine.run.spawn(self._health.keep)
                engine.run.spawn(self._notes.keep)
                engine.run.spawn(self._history.keep)
                if warm_start:
                    engine.run.spawn(warm_start.keep, engine)
                if fence := assembly.ports.fence:
                    engine.run.spawn(holding.renew, engine.ports.store, fence, engine.run.soon)
                    engine.run.spawn(holding.watch, engine, fence)
                opened.set_result(None)
                await self._is_left.wait()
                await self._end(warm_start)
            except BulkwriterError:
                raise
            except Exception as error:
                engine.run.crashed(error)
                raise
            finally:
                await to_its_end(engine.aclose())
                ended = self._ended()
                self._audience.tell(Closed(ended.reason, ended.exit_code))

    def _tell_open(self, engine: Engine) -> None:
        settings = self._settings
        metrics = partial(metrics_of, engine, self.is_well) if self._audience.wants_metrics else None
        self._audience.tell(Opened(settings.base_url, str(settings.journal) if settings.journal else None, metrics))

    async def _end(self, warm_start: WarmStart | None) -> None:
        """The steps after the block was left.  Each is made even if the one before failed."""
        engine, error = self._engine, None
        try:
            await self._end_singles()
        except BulkwriterError as failure:
            error = failure
        if warm_start:
            await warm_start.keep_now(engine)
        await engine.committer.committed()
        noted = None
        while noted is None or self._ended().exit_code != noted.exit_code:
            noted = self._ended()  # again if a look or a stray reply brought news while the end was noted
            await self._notes.end(noted)
            await self._history.end(noted)
            await engine.committer.committed()
        self._last_summary = replace(self.summary(), ended=noted)
        await self._assembly.note_end(self._last_summary)
        if error:
            raise error

    def _make_parts(self, assembly: Assembly) -> None:
        engine = self._engine = Engine(
            self._settings,
            assembly.ports,
            assembly.stored,
            tell=self._audience.tell,
            is_measured=self._audience.wants_metrics,
        )
        self._singles = Singles(engine)
        self._health = Health(engine, self._singles.end_waits)
        self._source_run = source_run = SourceRun(engine, self._settings, assembly.stored.rows)
        self._history = History(engine, engine.sender.log)
        self._notes = Notes(
            engine,
            began_at=assembly.began_at,
            total=lambda: source_run.total,
            eta_s=lambda: eta_of(engine, counts_now(engine), source_run.rows()),
        )

    # writing

    async def write_all(self, pairs: PairsLike) -> Summary:
        """Write every pair and return the summary of the run.  After any ending, the same pairs go on from there.

        Waits for lanes, pace, quotas, the disk, and for doubts to be settled.  Safe to cancel: pairs that were not sent
        are `pending` again.  At close it returns early.

        Raises the `BulkwriterError` that ended this source, or what the iterable raised.  `summary()` is right even
        then, and the writer lives on: `SourceError` (the source changed, or is not the journal's), `ConfigurationStop`
        (the server refuses all pairs, or the token), `TryLater` (server gone for `give_up_after_s`, quota spent with
        `on_quota="stop"`), `UsageError` (another source is being taken), `JournalError` (this one ends the writer).
        """
        self._require_open()
        source = as_source(pairs)
        await self._source_run.begin()
        if error := await self._source_run.run(source, None):
            raise error
        return self.summary()

    async def stream(self, pairs: PairsLike) -> AsyncGenerator[Outcome, None]:
        """Write every pair and yield one outcome for each, as they settle (not in the order of the input).

        Pairs that an earlier start settled come with their outcome of that time.  A slow consumer slows the source.
        Leaving the loop early is safe: pairs that were not sent are `pending` again.  If a connection turns out to have
        answered out of step, its pairs are looked up and come a second time.  Raises as `write_all` does, after the
        last outcome.
        """
        self._require_open()
        source = as_source(pairs)
        await self._source_run.begin()
        stored, again = self._engine.ports.store.rows, states_sent_again(self._settings)
        is_other = self._settings.journal is None  # only in memory may another source follow
        delivery = Delivery(self._settings.limits.outcome_rows, again, stored=stored, is_other=is_other)
        feeding = self._engine.run.spawn(self._source_run.run, source, delivery)
        try:
            async for outcome in delivery.outcomes():
                yield outcome
        finally:
            if not delivery.is_ended:
                self._source_run.leave()
            feeding.cancel()
        if delivery.error:
            raise delivery.error

    async def write(
        self,
        pair: PairLike,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 see below
        retry: Collection[str] = (),
    ) -> Outcome:
        """Write one pair and return its outcome; a pair that the journal has settled is not sent again.

        It shares lanes, quotas and journal with all other calls; many may run at once.  If the attempt ends in doubt,
        this waits for the looks that settle it, about `late_apply_s` + 2 `list_lag_s`.  If no look is possible, because
        this token may not list, lists fail for `give_up_after_s`, the writer is not well for `Settings.patience_s` or
        was left, the outcome is `in_doubt` and its `message` says why.  This start goes on to look it up while it can,
        and the next one that may list does.  `retry=("rejected",)` sends a pair again that was rejected, since a role
        or an enrolment may be there by now.  Safe to cancel: the pair goes on, and the journal gets its outcome.

        `timeout` (seconds) ends the waiting, never the write: the outcome is then as it stands, `pending` or `in_doubt`
        (`seq` is -1 if the journal was not asked yet).  While `most_outstanding` answers are owed, calls wait in order.

        Raises `NotWell` once the writer is not well for `Settings.patience_s` (see `is_well`), for a pair that surely
        was not applied, and it goes on when it can; `TryLater` for a new pair while a quota is spent with
        `on_quota="stop"`, until its window opens, for a pair that another writer still may send after `patience_s`, and
        at close for a pair that was not sent, whose row is then `pending` if it was given before; `Backlogged` if
        `timeout` ends before there is room for the pair; `UsageError` for what is no pair; and the error that ended the
        writer for good (`StoreGone`: its database was away too long).
        """
        self._require_able()
        singles, retries = self._singles, checked_retry(retry)
        if timeout is not None or not singles.has_room:
            return await singles.write(checked_pair(pair), checked_timeout(timeout), retries=retries)
        # Awaited here and not in a coroutine of `singles`: that would be some 250 bytes more for each outstanding one.
        return await singles.asked(checked_pair(pair), retries=retries)

    async def write_many(
        self,
        pairs: Iterable[PairLike],
        *,
        timeout: float | None = None,  # noqa: ASYNC109 see `write`
        retry: Collection[str] = (),
    ) -> list[Outcome]:
        """Write a batch and return its outcomes in the order of the batch.  Any number of batches may run at once.

        Each pair is written as by `write`, and the same holds for waits, `timeout`, `retry`, cancels and errors.  An
        error of one pair is raised for the batch; all pairs that were given go on.  A pair that comes twice has one
        outcome, twice.  `Backlogged.taken` says how many pairs, from the first on, go on.  Nothing is given if one is
        no pair.
        """
        self._require_able()
        batch = checked_pairs(pairs)
        return await self._singles.write_many(batch, checked_timeout(timeout), retries=checked_retry(retry))

    def submit(self, pair: PairLike) -> asyncio.Future[Outcome]:
        """Give one pair without waiting; the future gets its outcome.  To cancel the future does not end the write.

        Raises `Backlogged` while `Settings.most_outstanding` answers are owed, and what `write` raises at once.  The
        future raises `TryLater` at close for a pair that was not sent; nobody needs to look at it.
        """
        self._require_able()
        return self._singles.submit(checked_pair(pair))

    async def flush(self) -> None:
        """Wait until all pairs that were given one by one or in batches before have their outcome.  Safe to cancel.

        One whose callers were told `in_doubt` has its outcome; `snapshot()` counts doubts that are still open.  Pairs
        given meanwhile are not waited for, nor are sources.  Raises what `write` would raise for one of them.
        """
        self._require_able()
        await self._singles.flush()

    async def resume(self) -> int:
        """Send the pairs that earlier starts were given one by one and left unsent (`pending` or `failed`).

        Returns how many there are, once all are given; `flush` waits for their outcomes.  They go in the order in which
        they came, and count as outstanding, so this may wait for room.  Safe to cancel: the rest stays `pending`.
        """
        self._require_able()
        return await self._singles.resume()

    async def prune(self, *, older_than: timedelta) -> int:
        """Drop the settled rows of pairs that were given one by one more than `older_than` ago; return how many.

        Rows that are pending, failed or in doubt stay, and so do all rows of sources.  The counts of `summary` and
        `status` go on to contain what was pruned; `export`, `verify` and `undo` know it no more.  A pair that was
        pruned is as good as new if it is given again: it is looked up in the server's lists, and is then `existing`;
        a rejected one is sent.  The file does not shrink; new rows take the room.  How old a row is, the journal knows
        to about a minute.

        Takes about `list_lag_s`, and then 10 ms of the journal for each 2,000 rows.  Safe to cancel: some rows are gone
        then.  Raises `UsageError` with `existing="skip"`, which would write such a pair twice, and without a journal.
        """
        self._require_able()
        if not isinstance(older_than, timedelta) or older_than < timedelta():
            raise UsageError("older_than is no span of time", hint="write timedelta(days=90)")
        return await self._singles.prune(older_than.total_seconds())

    @property
    def outstanding(self) -> int:
        """How many answers are owed to callers of `write`, `write_many` and `submit`, and pairs that were resumed.

        A pair that several callers gave counts once for each.  One whose caller has gone counts until it is settled.
        """
        return self._singles.outstanding if hasattr(self, "_singles") else 0

    def drain(self, reason: str, *, ended: Ended | None = None) -> None:
        """Begin no new attempt; `write_all` returns once those in flight have ended, with the rest `pending`.

        The journal keeps `ended` as the reason why this start ended, or `reason` if that is None.  If the writer is
        just being opened, the opening is cancelled and nothing was sent.
        """
        if self._living is None:
            raise UsageError("the writer was not opened yet", hint=OPEN)
        asked = self._asked_to_end = self._asked_to_end or ended or Ended("drained", reason)
        self._audience.tell(Stopping(reason))
        if hasattr(self, "_source_run"):
            self._engine.run.halt()
        else:
            self._assembly.give_up_as(asked)
            self._living.cancel()

    async def _end_singles(self) -> None:
        """No attempt is begun any more, so end single writes too.  Their callers would wait for ever."""
        engine = self._engine
        await engine.run.until(lambda: engine.run.is_stopping)
        await self._source_run.is_free.wait()
        try:
            await engine.settle_down()
            if not engine.run.error:
                engine.tell_doubts()
        except BulkwriterError as error:
            engine.run.stop(error)  # all callers are told of the failure and wait no longer
            raise
        finally:
            await self._singles.aclose(engine.run.why_ended(TryLater("the writer ends", hint=ENDS)))
        await engine.return_unsent(lambda intent: True)

    # how it stands

    @property
    def error(self) -> BulkwriterError | None:
        """Why the writer cannot send now, or why it has ended; None while it is well, and before it is open."""
        trouble = self._health.trouble if hasattr(self, "_health") else None
        return trouble.error if trouble else None

    def is_well(self) -> bool:
        """Whether the writer is open and can send, as far as it knows: what a service asks for its readiness.

        It knows from its own requests alone, and asks nothing for this: a server that is gone is noticed after
        `limits.breaker_failures` lost replies in a row, or where the looks for one lost reply fail for 5 s, which begin
        `late_apply_s` after it.  A connection that is refused is noticed at once.  A server whose replies can never be
        read, since a proxy changes them, say, is named after as many (3 where none was good before), although lists
        show what it wrote; that holds until a good reply, or a minute after the last other one.  A writer that is not
        well tries by itself whether it can send again, after 1 s to 5 min.  A spent quota that it waits for
        (`on_quota="wait"`), a throttle and a failed pair are no reason.
        """
        return (
            self._living is not None
            and not self._is_left.is_set()
            and hasattr(self, "_health")
            and (not self._engine.run.is_stopping and self.error is None)
        )

    async def well(self) -> None:
        """Wait until `is_well()`.  Safe to cancel.  Raises the error that ended the writer, and `TryLater` at close."""
        self._require_open()
        await self._health.well()

    def summary(self) -> Summary:
        """The summary of the run as the journal has it, at any time and after the block has ended.

        Pairs that are `under_way` count as `pending` until the block ends.
        """
        self._require_begun()
        if self._last_summary:
            return self._last_summary
        elapsed_s = self._now() - self._began_at
        has_ended = self._is_left.is_set() or self._engine.run.error or self._source_run.error
        ended = self._ended() if has_ended else None
        return summary_of(self._engine, elapsed_s=elapsed_s, rows=self._source_run.rows(), ended=ended)

    def _now(self) -> float:
        return (self._settings.clocks or MACHINE).clock()

    def _ended(self) -> Ended:
        return ended_of(self._engine, self._source_run, self._asked_to_end)

    def snapshot(self) -> Snapshot:
        """The state of the run at this moment; cheap enough to ask for a few times a second."""
        self._require_begun()
        elapsed_s = self._now() - self._began_at
        return snapshot_of(self._engine, elapsed_s=elapsed_s, rows=self._source_run.rows())

    def _require_open(self) -> None:
        if self._living is None:
            raise UsageError("the writer is not open", hint=OPEN)
        if self._is_left.is_set():
            raise TryLater("the writer ends, or has ended", hint=ENDS)
        if running_loop() is not self._living.get_loop():
            raise UsageError(
                "the writer belongs to another event loop",
                hint="use it in the loop that opened it; from a thread: asyncio.run_coroutine_threadsafe",
            )

    def _require_able(self) -> None:
        self._require_open()
        if self._engine.run.error:
            raise self._engine.run.error

    def _require_begun(self) -> None:
        if not hasattr(self, "_source_run"):
            raise UsageError("the writer was not opened yet", hint=OPEN)


def running_loop() -> asyncio.AbstractEventLoop:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise UsageError(
            "no asyncio loop is running", hint="use BulkWriter under asyncio.run or uvloop.run; trio cannot run it"
        ) from None
