"""Exchanges with the ledger, one at a time, beside the loop: what was spent goes in, leases come out.

A part that needs more of a kind calls `ask`.  While an exchange is on its way, further wishes are gathered for the next
one.  When all leases are over and their requests have ended, that is reported by itself, so that others get the rest.

A daemon thread owns the ledger and opens it (`LedgerThread`).  The end waits for it only so long: a hanging disk, or a
database that is away, cannot keep the process alive.  Its leases then stay booked until their time is over.

Epoch seconds come from the `Date` of replies (`quota.clock`).  Until they tell, and for words to people alone, the wall
clock counts as it was at the start: a change of it moves nothing.

Invariants: a lease in an answer is durable; one thread touches the ledger.  A failed exchange ends it all: `on_error`
is called once, and nothing is granted any more.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from ..clocks import Clocks, Timer
from ..errors import BulkwriterError, bug_of_ours
from ..guarded import guarded
from ..threads import answer, carried_out, started
from .clock import ServerClock
from .exchange import Answer, Ask, ClockReadings
from .leases import Client
from .throttles import Spent

if TYPE_CHECKING:
    from .ledger import Ledger

T = TypeVar("T")
Step = Callable[["Ledger"], T]

SETTLE_S: Final = 5.0  # so long the end waits for an exchange, which takes milliseconds
LAPSE_S: Final = 0.02  # so long after the end of a lease it is reported as over
AWAY_S: Final = 2.0  # a ledger that has not answered for so long does not answer; a busy disk takes a second
HURRY_S: Final = 0.25  # so long the end waits for a ledger that does not answer


class LedgerThread:
    """A ledger used from an event loop.  `opening` is called before the first step; `hurry` in the loop once the end is
    near, so that no step waits any longer for what is away.  `inline`: no thread, for virtual time.
    """

    def __init__(
        self, opening: Callable[[], Ledger], *, inline: bool = False, hurry: Callable[[], None] = lambda: None
    ) -> None:
        self.hurry = hurry
        self._opening, self._inline = opening, inline
        self._ledger: Ledger | None = None
        self._steps: queue.SimpleQueue[tuple[Step[Any], asyncio.Future[Any]] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def post(self, step: Step[T]) -> asyncio.Future[T]:
        """Have `step` called with the ledger; the future has its result, or the `JournalError` that it ended with."""
        assert not self._is_closed, "closed"
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        if self._inline:
            carried_out(lambda: step(self._open()), future)()
            return future
        self._thread = self._thread or started(self._serve, loop, name="ledger")
        self._steps.put((step, future))
        return future

    async def close(self, *, within_s: float = SETTLE_S) -> None:
        """Close the ledger after what was handed in, and wait so long for that.  Harmless when repeated."""
        if not self._is_closed and (self._thread or self._ledger):
            done = self.post(lambda ledger: ledger.close())
            await asyncio.wait([done], timeout=within_s)
            if done.done():
                done.exception()  # where it could not be opened either, that was told before
            self._steps.put(None)
        self._is_closed = True

    def _open(self) -> Ledger:
        if self._ledger is None:
            self._ledger = self._opening()
        return self._ledger

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        while (handed_in := self._steps.get()) is not None:
            step, future = handed_in
            answer(lambda step=step: step(self._open()), future, loop)  # type: ignore[misc]


class OnItsWay(NamedTuple):
    """An exchange that was not answered yet: of which kinds it asks for more, and since when (boot clock)."""

    answer: asyncio.Future[Answer]
    asked: frozenset[str]
    since: float


class Exchanges:
    """See the module.  `on_answer` is called with each answer, after the client has it."""

    def __init__(
        self,
        client: Client,
        ledger: LedgerThread,
        clocks: Clocks,
        *,
        on_answer: Callable[[Answer], None],
        on_error: Callable[[BulkwriterError], None],
    ) -> None:
        self._client = client
        self._ledger = ledger
        self._clocks = clocks
        self._on_answer, self._on_error = on_answer, on_error
        self._server: ServerClock | None = None  # made with the first answer, which knows how far its clocks lie apart
        self._zero = clocks.wall() - clocks.boot()
        self.is_broken = False
        self._wanted: set[str] = set()
        self._spent: dict[str, Spent] = {}
        self._good: set[str] = set()
        self._going: OnItsWay | None = None
        self._lapse: Timer | None = None

    @property
    def is_asking(self) -> bool:
        """Whether an exchange is on its way."""
        return self._going is not None

    @property
    def unanswered_s(self) -> float:
        """For how long the ledger has not answered; 0.0 while it answers as it should."""
        waited_s = self._clocks.boot() - self._going.since if self._going else 0.0
        return waited_s if waited_s >= AWAY_S else 0.0

    def wall(self) -> float:
        """Epoch seconds, by the server's clock as far as it is known."""
        known = self.server_wall()
        return self._zero + self._clocks.boot() if known is None else known

    def server_wall(self) -> float | None:
        """Epoch seconds by the server's clock; None while that is not known."""
        return self._server.epoch(self._clocks.boot()) if self._server else None

    def ask(self, kind: str) -> None:
        """More of this kind is wanted, now or soon; the exchange that is on its way may bring it."""
        if self._going is None or kind not in self._going.asked:
            self._wanted.add(kind)
            self.report()

    def report(self) -> None:
        """Tell what was spent and what is over, unless an exchange is on its way."""
        if self._going is None and not self.is_broken:
            self._post(is_last=False)

    def note_spent(self, kind: str, news: Spent) -> None:
        """Throttles show that a long window of the server is spent."""
        self._spent[kind] = news
        self._good.discard(kind)
        self.report()

    def note_good(self, kind: str) -> None:
        """A try was taken by the server: what throttles had shown is over."""
        self._good.add(kind)
        self.report()

    def saw(self, date: str | None, *, took_s: float, age_s: float) -> bool:
        """A reply came.  True if its `Date` tells much more of the server's clock than was known."""
        return self._server is not None and self._server.heard(date, self._clocks.boot(), took_s=took_s, age_s=age_s)

    async def aclose(self) -> None:
        """Give back what is leased, write down what was spent, and close the ledger."""
        if self._lapse:
            self._lapse.cancel()
        self._ledger.hurry()
        await self._settle()
        if not self.is_broken and self._server is not None:
            self._post(is_last=True)
            await self._settle()
        await self._ledger.close(within_s=SETTLE_S if self._going is None else HURRY_S)

    async def _settle(self) -> None:
        """Wait until no exchange is on its way."""
        while self._going is not None:
            self._wanted.clear()
            done, _ = await asyncio.wait([self._going.answer], timeout=HURRY_S if self.unanswered_s else SETTLE_S)
            if not done:
                self.is_broken = True
                return
            await asyncio.sleep(0)  # an answer that is there already is taken up by a callback

    def _post(self, *, is_last: bool) -> None:
        now, server = self._clocks.boot(), self._server
        clocks = ClockReadings(None, None, self.wall())
        if server:
            clocks = ClockReadings(server.epoch(now), server.latest(now), self.wall(), server.spread_s)
        ask = self._client.ask(
            now, clocks=clocks, wanted=sorted(self._wanted), spent=self._spent, good=self._good, is_last=is_last
        )
        self._wanted, self._spent, self._good = set(), {}, set()
        self._going = OnItsWay(self._ledger.post(lambda ledger: ledger.exchange(ask)), ask.wants, now)
        self._going.answer.add_done_callback(guarded(lambda future: self._done(future, ask), self._crashed))

    def _done(self, future: asyncio.Future[Answer], ask: Ask) -> None:
        self._going = None
        if future.cancelled():
            return
        if error := future.exception():
            if not self.is_broken:
                self.is_broken = True
                self._on_error(bug_of_ours(error))
            return
        answer = future.result()
        if self._server is None:
            self._server = ServerClock(answer.spread_s)
        self._client.take_up(ask, answer)
        self._on_answer(answer)
        if self._wanted or self._spent or self._good:
            self.report()
        self._watch()

    def _watch(self) -> None:
        """See to it that the end of the last lease is reported."""
        if self._lapse:
            self._lapse.cancel()
        wait_s = self._client.until - self._clocks.boot()
        if wait_s >= 0 and not self.is_broken:
            self._lapse = self._clocks.call_later(wait_s + LAPSE_S, guarded(self._lapsed, self._crashed))

    def _lapsed(self) -> None:
        self._lapse = None
        self.report()

    def _crashed(self, error: Exception) -> None:
        """A bug in what the ledger's answers do; nothing is granted any more."""
        self.is_broken = True
        self._going = None  # so that the end does not wait for what is over
        self._on_error(bug_of_ours(error))
