"""Makes every request wait for its turn under the quotas.  The shared page counts short windows, the ledger long ones.

The sender asks `opens_at`, then `take`s a unit of every window that concerns a write, sends, and calls `ended` with the
reply.  Calls (lists, deletes, tokens) do the same in `turns`.  Nothing is sent before its unit is safe.  The page keeps
the short windows even if a process is killed, and the ledger reserves units of long ones ahead of need.

    nothing reserved -> ask the ledger -> granted: `changed`  -> every window has room: send
                                       -> spent: wait until it has room, or (--on-quota stop) end with `TryLater`

All of this happens at once on the event loop.  Only exchanges with the ledger run in its thread.  A waiting call goes
before writes if both want the same unit, and writes leave calls a share of long windows over `any`.  So looks cannot
starve.  `Streak` passes on to the ledger what throttles show.

Invariant: between `take` and `ended` a request counts in every window, at worst until `hold_s` have passed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import anyio

from ..errors import BulkwriterError, TryLater
from ..events import Event, Note
from ..model import QuotaWindow, moment
from ..settings import STOP_WAIT_S
from .account import Account, Answer
from .exchanges import Clocks, Exchanges, LedgerLike, TillLike
from .sides import PageLike, Side, paces_over
from .throttles import FIRST_HOLDS_S, KNOWN_HOLDS_S, STRETCHED_HOLDS_S, Spent
from .view import spent_words
from .windows import READ, WRITE, concerned, is_short

POLITE_S: Final = 0.005
"""A write waits so much longer for a unit than a waiting call.  A higher value is safer on a slow loop, and slower."""
CONTENDED_S: Final = 0.001
"""Pause before the next try for a page that another process has locked."""
REPORT_S: Final = 15.0
"""Without reservations the spending is reported to the ledger so often."""
SLOW_S: Final = 5.0
"""The Date of a reply that took longer tells too little of now."""
TOLD_S: Final = 120.0
"""People are told of a longer wait, once."""


def unheard(event: Event) -> None:
    """Nobody listens."""


class Quotas:
    """The quotas of one process.  `windows` are not empty; `page` holds `cells_for(windows)` cells."""

    def __init__(
        self,
        windows: Sequence[QuotaWindow],
        *,
        ledger: LedgerLike,
        page: PageLike,
        till: TillLike,
        clocks: Clocks,
        hold_s: float,
        stops: bool = False,
        tell: Callable[[Event], None] = unheard,
    ) -> None:
        self.windows = tuple(windows)
        self.boot, self._stops = clocks.boot, stops
        paces = paces_over(page.cells, windows, hold_s=hold_s)
        self._till, self._page = till, page
        self.sides = {kind: Side(kind, paces, page, till=till.cells_of(kind), hold_s=hold_s) for kind in (WRITE, READ)}
        self._has_long = {kind: any(not is_short(w) for w in concerned(windows, kind)) for kind in (WRITE, READ)}
        reserves = {kind: side.reserve for kind, side in self.sides.items()}
        self.exchanges = Exchanges(
            Account(windows, till.name), ledger, till, reserves, clocks,
            on_answer=self._answered, on_drawn=self._awake, on_error=self._failed,
        )  # fmt: skip
        self.is_halted = False
        self.is_guess = False
        """Whether the age of an earlier boot's spending is not known yet.  Until a reply comes it counts as spent just
        now.
        """
        self.is_told = False
        """Whether a reply has told the server's time."""
        self._is_deaf = False
        self.latest: Answer | None = None
        """The last answer of the ledger."""
        self._waiting = 0
        self._report_at = -math.inf
        self._changed: anyio.Event | None = None  # made by the first waiting caller
        self._error: BulkwriterError | None = None
        self._spent: dict[str, TryLater] = {}
        self._told_until = 0.0
        self._tell = tell

    # for senders

    def opens_at(self, now: float, kind: str = WRITE, *, is_call: bool = False) -> float:
        """When the next request of `kind` may go.  A time up to `now` means at once; infinity: `changed` will tell."""
        boot, side = self.boot(), self.sides[kind]
        if not side.reserve.has_some(boot):
            return self._reserved_at(side, boot, now)
        at = side.opens_at(boot)
        if self._waiting and not is_call:
            at += POLITE_S
        return now if at <= boot else now + (at - boot)

    def take(self, kind: str = WRITE) -> bool:
        """Use a unit for a request that is sent now.  False if another process was faster; then ask `opens_at`
        again.
        """
        boot, side = self.boot(), self.sides[kind]
        if not side.take(boot):
            return False
        if side.reserve.is_block_low:
            self._supply(side, boot)
        return True

    def untake(self, kind: str = WRITE) -> None:
        """The request was not sent after all."""
        self.sides[kind].untake()

    def ended(self, kind: str = WRITE) -> None:
        """A request was answered, or was given up at its deadline."""
        boot, side = self.boot(), self.sides[kind]
        side.ended(boot)
        if not side.reserve.is_counted and boot >= self._report_at:
            self._report_at = boot + REPORT_S
            self.exchanges.report()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """While a call waits, writes step back a little."""
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    async def changed(self) -> None:
        """Wait until something was granted or refused, or all waiting is to end."""
        self._changed = self._changed or anyio.Event()
        await self._changed.wait()

    def check_usable(self, kind: str | None = None) -> None:
        """Raise the error that ended the ledger, or `TryLater` if a window of `kind` is spent and waiting is not
        wanted.

        When writes have ended like this, reads go on: they tell the outcomes of the last writes.
        """
        error = self._error or (self._spent.get(kind) if kind else None)
        if error:
            raise error

    def ended_by(self) -> BulkwriterError | None:
        """The error that ended the ledger, or the `TryLater` of a spent window if waiting is not wanted."""
        return self._error or next(iter(self._spent.values()), None)

    def reopen(self) -> None:
        """The time that a spent window named is over: ask the ledger again."""
        self._spent.clear()
        self._awake()

    def halt(self) -> None:
        """No call is to wait any longer: its command ends."""
        self.is_halted = True
        self._awake()

    # what replies show

    @property
    def is_wary(self) -> bool:
        """Whether `good` wants to be told of writes that the server took."""
        side = self.sides[WRITE]
        return bool(side.streak.throttles) or side.reserve.is_try

    def good(self, kind: str = WRITE) -> None:
        """The server took a request."""
        side = self.sides[kind]
        side.streak.good()
        if side.reserve.is_try:
            side.reserve.is_try = False
            self.exchanges.note_good(kind)

    def throttled(self, now: float, sent_at: float, stated_s: float | None, kind: str = WRITE) -> None:
        """The server throttled a request though our quota had room for it."""
        side = self.sides[kind]
        side.reserve.refused(self.boot())
        news = side.streak.throttled(now, sent_at, stated_s, holds_s=self._holds_s(kind))
        if isinstance(news, Spent):
            side.reserve.give_back()
            self.exchanges.note_spent(kind, news)
        elif news:
            side.hold_until = max(side.hold_until, self.boot() + news)

    def saw(self, date: str | None, *, took_s: float = 0.0, age_s: float = 0.0) -> None:
        """A reply came, `took_s` after its request was sent.  Its `Date` corrects the clock for the spending of earlier
        boots and for calendar days, unless a cache kept the reply for `age_s`.

        Units that were reserved by the clock before are given back, except a try, which would be lost.
        """
        if self.exchanges.saw(date if age_s <= 0 and took_s <= SLOW_S else None):
            self.is_told = True
            for side in self.sides.values():
                if not side.reserve.is_try:
                    side.reserve.give_back()
                side.reserve.recheck_at = -math.inf
            self.exchanges.report()

    def heard_nothing(self) -> None:
        """A call failed: if the quota is spent as far as is known, there is nothing to wait for."""
        self._is_deaf = True

    # for people and for the engine around

    async def begin(self) -> None:
        """Open the ledger.  Raises `JournalError` where it cannot be used."""
        self.exchanges.report()
        while self.latest is None:
            self.check_usable()
            await self.changed()

    async def aclose(self) -> None:
        """Give back what is reserved, and write down what was spent."""
        if not any(side.reserve.is_out for side in self.sides.values()):
            self._page.note_none(self.boot())
        await self.exchanges.aclose()
        self._till.close()
        self._page.close()

    # inside

    def _supply(self, side: Side, boot: float) -> None:
        """Have more made durable of what is booked, or more booked, while there is something left to send from."""
        self.exchanges.draw(side.kind)
        if side.reserve.is_low and boot >= side.reserve.recheck_at:
            self.exchanges.ask(side.kind)

    def _reserved_at(self, side: Side, boot: float, now: float) -> float:
        """Nothing is reserved: ask for more, or wait until asking makes sense."""
        reserve = side.reserve
        if self._error or side.kind in self._spent:
            return math.inf
        if reserve.has_more:
            self.exchanges.draw(side.kind)
            return math.inf
        if boot >= reserve.recheck_at:
            self.exchanges.ask(side.kind)
            return math.inf
        self._tell_block(side, boot)
        return now + (reserve.recheck_at - boot)

    def _tell_block(self, side: Side, boot: float) -> None:
        blocked = side.reserve.blocked
        assert blocked is not None
        assert blocked.window is not None
        wait_s = blocked.opens_at - boot
        wall = self.exchanges.wall() + wait_s
        if self._stops and wait_s > STOP_WAIT_S and (self._is_deaf or not self.is_guess):
            words = spent_words(blocked.window, moment(wall))
            error = TryLater(words, hint="the same command then goes on; cron can give it", code="quota", retry_at=wall)
            self._spent[side.kind] = error
            self._awake()
        elif wait_s > TOLD_S and wall > self._told_until + TOLD_S:
            self._told_until = wall
            self._tell(Note(spent_words(blocked.window, moment(wall))))

    def _answered(self, answer: Answer) -> None:
        self.latest, self.is_guess = answer, answer.is_guess
        for kind, side in self.sides.items():
            side.reserve.is_counted = self._has_long[kind] or kind in answer.shown
        self._awake()

    def _holds_s(self, kind: str) -> Sequence[float]:
        """How many throttles in a row are waited out before a long window is taken for spent."""
        if self.latest and kind in self.latest.stretched:
            return STRETCHED_HOLDS_S
        return KNOWN_HOLDS_S if self.latest and kind in self.latest.shown else FIRST_HOLDS_S

    def _failed(self, error: BulkwriterError) -> None:
        self._error = self._error or error
        self._awake()

    def _awake(self) -> None:
        if self._changed:
            self._changed.set()
            self._changed = None
