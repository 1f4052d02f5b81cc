"""Exchanges with the ledger, one at a time, beside the loop: spending goes in, grants come out.

A part that needs more of a kind calls `ask`.  While an exchange is on its way, further wishes are gathered for the next
one.  Every exchange carries everything since the last: requests that ended, unused units, what throttles showed.

Epoch seconds come from the `Date` headers of replies (`saw`), because they place calendar days and the spending of
earlier boots.  From then on they follow the boot clock, so that a change of the wall clock moves nothing.  Until then,
and with a server that sends no `Date`, the wall clock counts.

Invariant: a grant in an answer is durable.  A failed exchange ends it all: `on_error` is called once, and nothing is
granted any more.  Not here: what a grant allows (`quota.gate`), and how it is decided (`quota.account`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from ..core.classify import http_date
from ..errors import BulkwriterError, bug_of_ours
from ..guarded import guarded
from .account import Account, Answer, Ask
from .reserve import Reserve
from .throttles import Spent

SAME_S: Final = 2.0
"""A clock that differs by less from the server's `Date` (whole seconds, and the way here) is right."""


class LedgerLike(Protocol):
    """See `quota.ledger_thread.LedgerThread`."""

    def post(self, step: Callable[[Any], Any]) -> asyncio.Future[Any]: ...
    async def close(self) -> None: ...


class TillLike(Protocol):
    """See `quota.till.Till`."""

    @property
    def name(self) -> str: ...
    def cells_of(self, kind: str) -> memoryview[float]: ...
    def sync(self) -> None: ...
    def close(self) -> None: ...


@dataclass(slots=True, kw_only=True)
class Clocks:
    """The engine's clock, the clock since boot on which windows are counted, and epoch seconds."""

    clock: Callable[[], float]
    boot: Callable[[], float]
    wall: Callable[[], float]


class Exchanges:
    """See the module.  `on_answer` is called with each answer, after the reserves have it."""

    def __init__(
        self,
        account: Account,
        ledger: LedgerLike,
        till: TillLike,
        reserves: Mapping[str, Reserve],
        clocks: Clocks,
        *,
        on_answer: Callable[[Answer], None],
        on_drawn: Callable[[], None],
        on_error: Callable[[BulkwriterError], None],
    ) -> None:
        self._account = account
        self._ledger = ledger
        self._till = till
        self._reserves = reserves
        self._clocks = clocks
        self._on_answer, self._on_drawn, self._on_error = on_answer, on_drawn, on_error
        self.is_sure = False
        self.is_broken = False
        self._epoch: float | None = None  # of the boot clock's zero, once a `Date` has told it
        self._wanted: set[str] = set()
        self._asked: Mapping[str, int] = {}  # what the exchange on its way asks for
        self._spent: dict[str, Spent] = {}
        self._good: set[str] = set()
        self._has_news = False
        self._going: asyncio.Future[Answer] | None = None

    def wall(self) -> float:
        """Epoch seconds, by the server's clock as far as it is known."""
        return self._clocks.wall() if self._epoch is None else self._epoch + self._clocks.boot()

    def ask(self, kind: str) -> None:
        """More of this kind is wanted, now or soon; the exchange that is on its way may bring it."""
        if kind not in self._asked:  # else the next one would ask for the few units used since, and make leases small
            self._wanted.add(kind)
            self._go()

    def draw(self, kind: str) -> None:
        """The next block of what is booked is wanted, now or soon."""
        reserve = self._reserves[kind]
        if not self.is_broken and reserve.draw():
            self._ledger.post(lambda _: self._till.sync()).add_done_callback(
                guarded(lambda done: self._drawn(done, reserve), self._crashed)
            )

    def report(self) -> None:
        """Write down what was spent so far."""
        self._has_news = True
        self._go()

    def note_spent(self, kind: str, news: Spent) -> None:
        """Throttles show that a long window of the server is spent."""
        self._spent[kind] = news
        self._good.discard(kind)
        self.report()

    def note_good(self, kind: str) -> None:
        """A try was taken by the server: what throttles had shown is over."""
        self._good.add(kind)
        self.report()

    def saw(self, date: str | None) -> bool:
        """A reply came, with this `Date`.  True if it was the first reply: the clocks are compared now."""
        wall = self.wall()
        at = http_date(date, wall) if date else None
        if at is not None:
            if abs(at - wall) <= SAME_S:
                at = wall  # a `Date` tells whole seconds; ours is finer
            if self._epoch is None or at != wall:
                self._epoch = at - self._clocks.boot()
        is_first, self.is_sure = not self.is_sure, True
        return is_first

    async def aclose(self) -> None:
        """Give back what is reserved, write down what was spent, and close the ledger."""
        if self._going is not None:
            await asyncio.wait([self._going])
        for reserve in self._reserves.values():
            reserve.give_back()
        self._wanted.clear()
        if not self.is_broken and any(reserve.changes for reserve in self._reserves.values()):
            self._has_news = True
            self._go()
            if self._going is not None:
                await asyncio.wait([self._going])
        await self._ledger.close()

    def _go(self) -> None:
        if self._going is not None or self.is_broken:
            return
        ask, account = self._next(), self._account
        self._asked = ask.wants
        self._going = self._ledger.post(lambda ledger: ledger.exchange(lambda book: account.exchange(book, ask)))
        self._going.add_done_callback(guarded(lambda future: self._done(future, ask), self._crashed))

    def _next(self) -> Ask:
        now = self._clocks.boot()
        reserves = self._reserves
        for kind, reserve in reserves.items():
            reserve.has_some(now)  # what belongs to a minute that is over is given back
            if kind in self._spent:  # or what was granted since would count as taken by the server
                reserve.give_back()
        ask = Ask(
            now=now,
            wall=self.wall(),
            is_sure=self.is_sure,
            wants={kind: wants for kind in sorted(self._wanted) if (wants := reserves[kind].wants(now)) > 0},
            leases={kind: reserve.lease(now) for kind, reserve in reserves.items()},
            changes={key: count for reserve in reserves.values() for key, count in reserve.changes.items() if count},
            spent=self._spent,
            good=frozenset(self._good),
        )
        for reserve in reserves.values():
            reserve.changes.clear()
        self._wanted, self._spent, self._good, self._has_news = set(), {}, set(), False
        return ask

    def _done(self, future: asyncio.Future[Answer], ask: Ask) -> None:
        self._going, self._asked = None, {}
        if future.cancelled() or self._has_failed(future):
            return
        answer = future.result()
        for kind, grant in answer.grants.items():
            self._reserves[kind].granted(grant, ask.leases[kind], ask.now, is_try=kind in answer.tries)
        self._on_answer(answer)
        if self._wanted or self._has_news:
            self._go()

    def _drawn(self, future: asyncio.Future[None], reserve: Reserve) -> None:
        if not future.cancelled() and not self._has_failed(future):
            reserve.drawn()
            self._on_drawn()

    def _has_failed(self, future: asyncio.Future[Any]) -> bool:
        """Whether it did; the first failure is told, and is the end of everything."""
        error = future.exception()
        if error is not None and not self.is_broken:
            self.is_broken = True
            self._on_error(bug_of_ours(error))
        return error is not None

    def _crashed(self, error: Exception) -> None:
        """A bug in what the ledger's answers do; nothing is granted any more."""
        self.is_broken = True
        self._on_error(bug_of_ours(error))
