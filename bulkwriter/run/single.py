"""A pair that was given one by one, and who waits for its outcome.  No task is made for it, and one future a call.

    Single      the pair, its row once it has one, and everybody who waits for it
    Answers     one call with many pairs: one future for all their outcomes

A single is answered once.  Whoever waited may have gone by then: the pair goes on all the same.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable
from typing import Any, Final

from ..errors import BulkwriterError
from ..model import Outcome, State

NO_ROW = -1
"""The seq of a pair whose row is not in the journal yet."""


class Answers:
    """The outcomes of one call's pairs, in their order; the future has them when there are all."""

    __slots__ = ("future", "left", "outcomes")

    def __init__(self, count: int) -> None:
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.outcomes: list[Outcome | None] = [None] * count
        self.left = count

    def answer(self, index: int, outcome: Outcome) -> None:
        self.outcomes[index] = outcome
        self.left -= 1
        if not self.left and not self.future.done():
            self.future.set_result(None)


Sink = asyncio.Future[Outcome] | Answers
"""Who waits for an outcome."""
FOR_EVER: Final = math.inf
"""In place of the time since which somebody waits: no patience ends it."""


class Single:
    """One pair, which `sink` waits for since a time, if anybody does.

    `attempts` and `line` are those of its row; `answered` is called when it is answered.
    """

    __slots__ = (
        "_answered", "_index", "_others", "_since", "_sink", "attempts", "line", "owed", "pair", "retries", "seq",
    )  # fmt: skip

    def __init__(
        self, pair: tuple[int, int], answered: Callable[[Single], None], sink: Sink | None = None, index: int = 0,
        since: float = FOR_EVER,
    ) -> None:  # fmt: skip
        self.pair = pair
        self._answered = answered
        self.seq = NO_ROW
        self.attempts = 0
        self.line: int | None = None
        self.retries = False
        """Whether it is sent again if its row says that it was rejected."""
        self.owed = 1
        """How many answers this is counted for."""
        self._sink = sink  # the first who waits, without a list: 100,000 may be outstanding
        self._index, self._since = index, since
        self._others: list[tuple[Sink, int, float]] | None = None

    def is_in(self, seq: int, attempts: int, line: int | None) -> None:
        """The journal has a row of the pair."""
        self.seq, self.attempts, self.line = seq, attempts, line

    def retry(self) -> None:
        """Somebody wants it sent again even if it was rejected."""
        self.retries = True

    def may_go(self, state: int, again: frozenset[int]) -> bool:
        """Whether it is sent where its row is in this state; `again` has the states that this start sends again."""
        return state in again or (self.retries and state == State.REJECTED)

    def asks(self, sink: Sink, index: int = 0, since: float = FOR_EVER, *, owed: int = 1) -> None:
        """Somebody else waits for the outcome.  It is counted for `owed` more answers."""
        if self._sink is None:
            self._sink, self._index, self._since = sink, index, since
        elif self._others is None:
            self._others = [(sink, index, since)]
        else:
            self._others.append((sink, index, since))
        self.owed += owed

    def end_waits(self, before: float, error: Callable[[], BulkwriterError], told: Outcome | None) -> None:
        """End the waits that began up to `before`, by this outcome if there is one; the pair goes on."""
        for sink, index, since in self._asked():
            if since > before:
                continue
            if told and not isinstance(sink, Answers):
                tell(sink, index, told)
            else:
                fail(future_of(sink), error)

    def _asked(self) -> Iterable[tuple[Sink, int, float]]:
        return () if self._sink is None else ((self._sink, self._index, self._since), *(self._others or ()))

    def answer(self, outcome: Outcome) -> None:
        """Tell everybody who waits."""
        if self._sink is not None:
            tell(self._sink, self._index, outcome)
            for sink, index, _ in self._others or ():
                tell(sink, index, outcome)
        self._answered(self)

    def refuse(self, error: BulkwriterError) -> None:
        """The pair is not taken, or not sent for now."""
        self.fail(error)
        self._answered(self)

    def fail(self, error: BulkwriterError) -> None:
        """No outcome will come."""
        for sink, _, _ in self._asked():
            fail(future_of(sink), lambda: error)


def future_of(sink: Sink) -> asyncio.Future[Any]:
    """What whoever has this sink waits for."""
    return sink.future if isinstance(sink, Answers) else sink


def fail(future: asyncio.Future[Any], error: Callable[[], BulkwriterError]) -> None:
    """Give somebody an error, if they still wait."""
    if not future.done():
        future.set_exception(error())
        future.exception()  # whoever waited may have gone; then nobody else retrieves it


def tell(sink: Sink, index: int, outcome: Outcome) -> None:
    """Give somebody the outcome, if they still wait."""
    if type(sink) is Answers:
        sink.answer(index, outcome)
    elif not sink.done():  # type: ignore[union-attr]
        sink.set_result(outcome)  # type: ignore[union-attr]
