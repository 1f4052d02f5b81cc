"""Single writes: pairs from a service, through the same journal, lanes and limits as the pairs of a source.

An error that keeps the writer from sending (`health`) ends no write.  The pair waits and goes on later.  Each caller
waits only as long as the settings say.  Only a journal that fails, a bug, and the end of the writer end all writes.

A pair that the journal has settled is answered from there.  A pair on its way is waited for.  A pair that an earlier
start left unsent is sent.  Simultaneous calls for the same pair become one.  The rows of single writes have seqs from
`SINGLE_SEQ` on.  No task is made for a pair.

At most `most_outstanding` answers are owed.  Above that, calls wait in their order, and `submit` refuses.  A timeout
ends a caller's waiting and nothing else.

Invariants: a pair is given to the entrance once, until it is answered; `outstanding` is the sum of what open pairs are
counted for.  Not here: the way of a pair into the journal (`entrance`), and what becomes of it then.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Final, cast

from ..errors import Backlogged, BulkwriterError
from ..model import Outcome, Pair, State
from ..store.schema import ExportRow
from .delivery import in_doubt
from .engine import Engine
from .health import not_well
from .pruning import prune
from .single import FOR_EVER, NO_ROW, Answers, Single, fail

NOT_ASKED: Final = "the journal was not asked yet: an earlier call or start may have written the pair"
NOT_TAKEN: Final = "it was not taken, or not all of it: give it again later"
WRITTEN_LATER: Final = "the pair is pending, and is written once the writer is well"
RESUMED_ROWS: Final = 1_000
"""Rows of earlier starts that are read at a time."""


class Singles:
    """Writes single pairs, and batches of them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._committer, self._pairs, self._store = engine.committer, engine.pairs, engine.ports.store
        self._most = engine.settings.most_outstanding
        self._clocks, self._clock = engine.ports.clocks, engine.ports.clock
        self._open: dict[tuple[int, int], Single] = {}
        self._when_answered = self._answered  # bound once: each bound method of its own takes 64 bytes
        self._turns: deque[tuple[asyncio.Future[None], float]] = deque()
        self._granted = 0
        self.outstanding = 0
        """How many answers are owed: pairs that were given and are not settled, once for each call that gave them."""
        self.closed: BulkwriterError | None = None
        """The error after which nothing more is written."""

    # giving pairs

    async def write(self, pair: tuple[int, int], timeout_s: float | None, *, retries: bool = False) -> Outcome:
        """Write `pair`, or wait for a write of it that is under way.  A cancel of the caller does not end the write.

        `retries`: send it again if it was rejected.
        """
        since = self._clock()
        until = None if timeout_s is None else since + timeout_s
        await self._turn(until)
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        singles = self._give((pair,), future, since=since, retries=retries)
        if until is None or await self._clocks.wait(future, until):
            return await future
        return self._as_it_stands(singles)[0]

    def asked(self, pair: tuple[int, int], *, retries: bool = False) -> asyncio.Future[Outcome]:
        """As `write` while it `has_room`, without a coroutine."""
        self._require_open()
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._give((pair,), future, since=self._clock(), retries=retries)
        return future

    async def write_many(
        self, pairs: Sequence[tuple[int, int]], timeout_s: float | None, *, retries: bool = False
    ) -> list[Outcome]:
        """Write `pairs`, and return their outcomes in the same order."""
        since = self._clock()
        until = None if timeout_s is None else since + timeout_s
        answers = Answers(len(pairs))
        singles: list[Single] = []
        while len(singles) < len(pairs):
            at = len(singles)
            await self._turn(until, taken=at)
            room = max(1, self._most - self.outstanding - self._granted)
            singles += self._give(pairs[at : at + room], answers, at, since=since, retries=retries)
        if pairs:
            await self._answered_by(answers, until)
        if not answers.left:
            return cast(list[Outcome], answers.outcomes)
        unknown = [single for single, outcome in zip(singles, answers.outcomes, strict=True) if outcome is None]
        stands = iter(self._as_it_stands(unknown))
        return [outcome or next(stands) for outcome in answers.outcomes]

    def submit(self, pair: tuple[int, int]) -> asyncio.Future[Outcome]:
        """Give `pair` without waiting.  Raises `Backlogged`."""
        self._require_open()
        if not self.has_room:
            raise backlogged(self._most, 0)
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._give((pair,), future)
        return future

    async def flush(self) -> None:
        """Wait until all pairs that are open now are answered."""
        self._require_open()
        if self._open:
            answers, since = Answers(len(self._open)), self._clock()
            for i, single in enumerate(self._open.values()):
                single.asks(answers, i, since, owed=0)
            await answers.future

    async def resume(self) -> int:
        """Give the single pairs that earlier starts left unsent, and return how many."""
        self._require_open()
        states, count = {State(state) for state in self._committer.entrance.again}, 0
        seqs = await self._store.run(lambda journal: journal.singles_in(states, before=journal.next_single_seq))
        for at in range(0, len(seqs), RESUMED_ROWS):
            some = seqs[at : at + RESUMED_ROWS]
            rows = await self._store.run(lambda journal, some=some: journal.rows_of(some))  # type: ignore[misc]
            for row in rows:
                if row.pair not in self._open:
                    await self._turn(None)
                    count += self._resumed(row)
        return count

    async def prune(self, older_than_s: float) -> int:
        """Drop old settled rows from the journal; see `pruning`."""
        self._require_open()
        return await prune(self._engine, older_than_s, is_retrying=self._is_retrying)

    def _is_retrying(self) -> bool:
        is_always = State.REJECTED in self._committer.entrance.again
        return is_always or any(single.retries for single in self._open.values())

    def _resumed(self, row: ExportRow) -> bool:
        if row.pair is None or row.pair in self._open:
            self._let_in()
            return False
        single = self._open[row.pair] = Single((row.pair[0], row.pair[1]), self._when_answered)
        single.is_in(row.seq, 0 if row.state is State.FAILED else row.attempts, row.line)
        self.outstanding += 1
        self._committer.entrance.wait(single)
        return True

    def _give(
        self, pairs: Sequence[tuple[int, int]], sink: asyncio.Future[Outcome] | Answers, index: int = 0, *,
        since: float = FOR_EVER, retries: bool = False,
    ) -> list[Single]:  # fmt: skip
        """Give these pairs, whose outcomes have the places from `index` on in what `sink` waits for."""
        given, entrance, when_answered = self._open, self._committer.entrance, self._when_answered
        singles = []
        for i, pair in enumerate(pairs, index):
            single = given.get(pair)
            if single is None:
                single = given[pair] = Single(pair, when_answered, sink, i, since)
                entrance.add(single)
            else:
                single.asks(sink, i, since)
            if retries:
                single.retry()
            singles.append(single)
        self.outstanding += len(singles)
        return singles

    def _answered(self, single: Single) -> None:
        del self._open[single.pair]
        self.outstanding -= single.owed
        if self._turns:
            self._let_in()

    async def _answered_by(self, answers: Answers, until: float | None) -> None:
        """Wait until all of a call's pairs are answered, or until `until`."""
        if until is None or await self._clocks.wait(answers.future, until):
            await answers.future

    def end_waits(self, trouble: BulkwriterError, before: float) -> None:
        """The writer is not well: end the waits of all calls that came up to `before`.  Their pairs go on.

        One in flight is waited for: a request ends within `timeout_s`.
        """
        in_flight, doubts = self._pairs.in_flight, self._pairs.doubts
        for turn, since in self._turns:
            if since <= before:
                fail(turn, partial(not_well, trouble, NOT_TAKEN))
        for single in self._open.values():
            if single.seq not in in_flight:
                doubt = doubts.get(single.seq)
                told = in_doubt(doubt) if doubt and not doubt.is_refused else None
                single.end_waits(before, partial(not_well, trouble, WRITTEN_LATER), told)

    def _as_it_stands(self, singles: Iterable[Single]) -> list[Outcome]:
        """What is known of these pairs, which are not settled: they may have been sent, or surely had no effect."""
        why = self._engine.intents.contention.why
        pairs, waiters = self._pairs, self._committer.deliveries.waiters
        unsent = {intent.seq: intent.attempts for intent in (*pairs.ready, *pairs.released)}
        outcomes = []
        for single in singles:
            may_be_sent = single.seq in waiters and single.seq not in unsent
            state = State.IN_DOUBT if may_be_sent else State.PENDING
            if doubt := pairs.doubts.get(single.seq):
                outcomes.append(in_doubt(doubt))
                continue
            attempts = unsent.get(single.seq, single.attempts)
            told = NOT_ASKED if single.seq == NO_ROW else why(single.pair)
            outcomes.append(
                Outcome(single.seq, Pair(*single.pair), state, attempts=attempts, line=single.line, message=told)
            )
        return outcomes

    # waiting for room

    @property
    def has_room(self) -> bool:
        """Whether a pair may be given without waiting for others."""
        return not self._turns and self.outstanding + self._granted < self._most

    async def _turn(self, until: float | None, *, taken: int = 0) -> None:
        """Wait in order until a pair may be given.  A call that has given some goes on before the others."""
        self._require_open()
        if self.has_room or (taken and self.outstanding + self._granted < self._most):
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = turn, self._clock()
        (self._turns.appendleft if taken else self._turns.append)(waiting)
        try:
            if until is None:
                await turn
            else:
                if not await self._clocks.wait(turn, until):
                    raise backlogged(self._most, taken)
                turn.result()
        except BaseException:
            if waiting in self._turns:
                self._turns.remove(waiting)
            elif not turn.cancelled() and turn.exception() is None:
                self._granted -= 1
                self._let_in()
            raise
        self._granted -= 1
        self._require_open()  # the end may have come since the turn was given

    def _let_in(self) -> None:
        """Let those in who wait, as far as there is room."""
        while self._turns and self.outstanding + self._granted < self._most:
            turn, _ = self._turns.popleft()
            if not turn.done():
                self._granted += 1
                turn.set_result(None)

    # the end

    def _require_open(self) -> None:
        if self.closed:
            raise self.closed

    async def aclose(self, error: BulkwriterError) -> None:
        """Write nothing more.  Pairs that were not sent have a `pending` row, and their callers get `error`."""
        closed = self.closed = self.closed or error
        try:
            await self._committer.committed()
        finally:
            self._committer.deliveries.waiters.clear()
            unanswered, self._open, self.outstanding = self._open, {}, 0
            for single in unanswered.values():
                single.fail(closed)
            turns, self._turns = self._turns, deque()
            for turn, _ in turns:
                fail(turn, lambda: closed)

    def check(self) -> None:
        """Invariants, for simulation."""
        assert self.outstanding == sum(single.owed for single in self._open.values())
        assert self.closed or not self._turns or self.outstanding + self._granted >= self._most


def backlogged(most: int, taken: int) -> Backlogged:
    hint = "give the pair again later; most_outstanding is how many may be outstanding, and write waits above it"
    return Backlogged(f"{most:,} pairs are outstanding", hint=hint, taken=taken)
