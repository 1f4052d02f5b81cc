"""Makes every request wait for its turn under the quotas: each takes a unit of a lease before it is sent.

The sender asks once a turn for how many requests there is `room`, and until when to wait where there is none
(`opens_at`).  It sends them, says how many (`spent`), and calls `ended` with each reply.  `Turns` does the same for
calls (lists, deletes, tokens).  Where nothing is leased, the ledger is asked, and answers with a lease, or with the
window that is spent: then they wait until it has room, or (--on-quota stop) end with `TryLater`.

A waiting call goes before writes if both want the same unit, and writes leave calls a share of long windows over `any`:
so looks cannot starve.  All of this happens on the event loop.

Invariant: between `spent` and `ended` a request counts in every window, at worst until `hold_s` have passed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import anyio

from ..clocks import Clocks
from ..core.classify import judge_call
from ..errors import BulkwriterError, TryLater
from ..events import Event, Note
from ..model import CallKind, Fault, QuotaWindow, Reply, moment
from ..net.calls import LANES
from ..net.signin import RequestCall
from ..settings import STOP_WAIT_S
from .exchange import Answer
from .exchanges import Exchanges, LedgerThread
from .forecast import Grant
from .leases import SOON_S, Client, Units
from .throttles import Spent, Streak
from .view import spent_words
from .windows import READ, WRITE, is_short

POLITE_S: Final = 0.005  # a write waits so much longer for a unit than a waiting call: more is safer, and slower
TURN_S: Final = 0.05  # so long an answer of `room` holds.  A process that is stopped within sends one request after it
CONTENDED_S: Final = 0.001  # pause before the next try where a unit was void when it was to be taken
SLOW_S: Final = 5.0  # the Date of a reply that took longer tells too little of now
RECHECK_S: Final = 600.0  # while a window is spent, the ledger is asked so often: others may have given units back
TOLD_S: Final = 120.0  # people are told of a longer wait, once


def unheard(said: object) -> None:
    """Nobody listens."""


@dataclass(slots=True)
class RequestClass:
    """How requests of one kind stand, writes or reads."""

    units: Units
    streak: Streak = field(default_factory=Streak)
    hold_until: float = -math.inf  # set after throttles in a row
    blocked: Grant | None = None  # what the ledger said when it granted nothing
    recheck_at: float = -math.inf
    is_try: bool = False  # the only unit left tests whether the server takes a request again
    spent: TryLater | None = None  # the end of this kind, where waiting is not wanted

    def answered(self, answer: Answer, now: float) -> None:
        kind = self.units.kind
        if kind in answer.leases:
            self.blocked, self.recheck_at, self.is_try = None, -math.inf, kind in answer.tries
        elif blocked := answer.blocked.get(kind):
            self.blocked, self.recheck_at = blocked, min(blocked.opens_at, now + RECHECK_S)


class Quotas:
    """The quotas of one process.  `windows` are not empty."""

    def __init__(
        self,
        windows: Sequence[QuotaWindow],
        *,
        name: str,
        ledger: LedgerThread,
        clocks: Clocks,
        hold_s: float,
        stops: bool = False,
        tell: Callable[[Event], None] = unheard,
    ) -> None:
        self.windows = tuple(windows)
        self.boot = clocks.boot
        self._client = client = Client(windows, name=name, hold_s=hold_s)
        self.classes = {kind: RequestClass(client.units[kind]) for kind in (WRITE, READ)}
        self.exchanges = Exchanges(client, ledger, clocks, on_answer=self._answered, on_error=self._failed)
        self.is_halted = False
        self.is_told = False  # a reply has come, and may have told the server's time
        self.latest: Answer | None = None  # the last one of the ledger
        self.calls_waiting = 0  # while a call waits, writes step back a little
        self._is_starved = False  # somebody waits for the end of a request
        self._changed: anyio.Event | None = None  # made by the first waiting caller
        self._error: BulkwriterError | None = None
        self._tell = WaitNotes(tell, stops=stops)

    # for senders

    def opens_at(self, now: float, kind: str = WRITE, *, is_call: bool = False) -> float:
        """When the next request of `kind` may go.  A time up to `now` means at once; infinity: `changed` will tell."""
        boot, one = self.boot(), self.classes[kind]
        at = one.units.opens_at(boot)
        if at == math.inf:
            return self._leased_at(one, boot, now)
        if one.hold_until > at:
            at = one.hold_until
        if self.calls_waiting and not is_call:
            at += POLITE_S
        return now if at <= boot else now + (at - boot)

    def room(self, now: float, most: int, kind: str = WRITE) -> int:
        """How many of `most` requests may be sent in this turn of the loop, for `TURN_S` at most; 0: see `opens_at`."""
        boot, one = self.boot(), self.classes[kind]
        if self.calls_waiting or one.hold_until > boot:
            return int(self.opens_at(now, kind) <= now)
        return min(most, one.units.ready(boot))

    def spent(self, count: int, kind: str = WRITE) -> None:
        """So many requests were sent, no more than there was room for."""
        boot, one = self.boot(), self.classes[kind]
        one.units.take(count)
        if boot >= one.recheck_at and one.units.is_low(boot) and not self._client.is_full(kind):
            self.exchanges.ask(kind)

    def take(self, kind: str = WRITE) -> bool:
        """Use a unit for a request that is sent now.  False if it is void meanwhile; then ask `opens_at` again."""
        if self.classes[kind].units.ready(self.boot()) < 1:
            return False
        self.spent(1, kind)
        return True

    def ended(self, kind: str = WRITE, *, count: int = 1) -> None:
        """So many requests were answered, or were given up at their deadline."""
        boot, units = self.boot(), self.classes[kind].units
        units.ended(count, boot)
        if not units.held and not self._is_starved and self._client.has_ended(boot):
            self.exchanges.report()  # else whoever is waked asks for more in the same exchange
        if self.calls_waiting or self._is_starved:
            self._awake()

    async def changed(self) -> None:
        """Wait until something was granted or refused, or all waiting is to end."""
        self._changed = self._changed or anyio.Event()
        await self._changed.wait()

    def ended_by(self, *kinds: str) -> BulkwriterError | None:
        """The error that ended the ledger, or the `TryLater` of a spent window of these kinds that is not waited for.

        When writes have ended like this, reads go on: they tell the outcomes of the last writes.
        """
        return self._error or next((one for kind in kinds if (one := self.classes[kind].spent)), None)

    def reopen(self) -> None:
        """The time that a spent window named is over: ask the ledger again."""
        for one in self.classes.values():
            one.spent = None
        self._awake()

    def halt(self) -> None:
        """No call is to wait any longer: its command ends."""
        self.is_halted = True
        self._awake()

    # what replies show

    @property
    def is_guess(self) -> bool:
        """Whether an earlier boot's spending is of unknown age, and a first reply may still tell it."""
        return self.latest is not None and self.latest.is_guess and not self.is_told

    @property
    def is_wary(self) -> bool:
        """Whether `good` wants to be told of writes that the server took."""
        one = self.classes[WRITE]
        return bool(one.streak.throttles) or one.is_try

    def good(self, kind: str = WRITE) -> None:
        """The server took a request."""
        one = self.classes[kind]
        one.streak.good()
        if one.is_try:
            one.is_try = False
            self.exchanges.note_good(kind)

    def throttled(self, now: float, sent_at: float, stated_s: float | None, kind: str = WRITE) -> None:
        """The server throttled a request though our quota had room for it."""
        one = self.classes[kind]
        one.units.refused(self.boot())
        news = one.streak.throttled(now, sent_at, stated_s)
        if isinstance(news, Spent):
            one.units.give_back()
            self.exchanges.note_spent(kind, news)
        elif news:
            one.hold_until = max(one.hold_until, self.boot() + news)

    def saw(self, date: str | None, *, took_s: float = 0.0, age_s: float = 0.0) -> None:
        """A reply with this `Date` came, `took_s` after its request was sent; a cache kept it for `age_s`."""
        was_told, self.is_told = self.is_told, True
        if self.exchanges.saw(date if took_s <= SLOW_S else None, took_s=took_s, age_s=age_s) or not was_told:
            for one in self.classes.values():
                one.recheck_at = -math.inf
            self.exchanges.report()

    def heard_nothing(self) -> None:
        """A call failed: if the quota is spent as far as is known, there is nothing to wait for."""
        self._tell.is_deaf = True

    # for people and for the engine around

    async def begin(self) -> None:
        """Open the ledger.  Raises `JournalError` where it cannot be used."""
        self.exchanges.report()
        while self.latest is None:
            if error := self.ended_by():
                raise error
            await self.changed()

    async def aclose(self) -> None:
        """See `Exchanges.aclose`."""
        await self.exchanges.aclose()

    # inside

    def _leased_at(self, one: RequestClass, boot: float, now: float) -> float:
        """Nothing is leased: ask for more, or wait until asking makes sense."""
        if self._error or one.spent:
            return math.inf
        if boot < one.recheck_at:
            assert one.blocked is not None
            one.spent = self._tell.blocked(one.blocked, boot, self.exchanges.wall(), is_guess=self.is_guess)
            if one.spent:
                self._awake()
            return now + (one.recheck_at - boot)
        kind, early_s = one.units.kind, one.units.next_at - SOON_S - boot
        if early_s > 0:
            return now + early_s
        if kind == READ or not self.calls_waiting:  # a call that waits goes before writes; else it needs none
            self._client.give_way(kind)
        self._is_starved = self._client.is_full(kind)
        if not self._is_starved:
            self.exchanges.ask(kind)
        return math.inf

    def _answered(self, answer: Answer) -> None:
        self.latest = answer
        for one in self.classes.values():
            one.answered(answer, self.boot())
        self._awake()

    def _failed(self, error: BulkwriterError) -> None:
        self._error = self._error or error
        self._awake()

    def _awake(self) -> None:
        self._is_starved = False
        if self._changed:
            self._changed.set()
            self._changed = None


class Turns:
    """Makes every call (list, read, delete, token) wait for its turn, in place of `net.calls.Calls.request`.

    A GET is a read, everything else a write: the API's limits count like that.  A unit is taken only when a lane is
    free, because from then on the request must end within the time that the ledger allows for it.  A call that waits
    holds nothing.  After `Quotas.halt` a call that would have to wait is answered UNSENT.
    """

    def __init__(self, request: RequestCall, quotas: Quotas, clocks: Clocks) -> None:
        self._request = request
        self._quotas = quotas
        self._clocks = clocks
        self._lanes = anyio.Semaphore(LANES)

    async def __call__(self, data: bytes, *, deadline_s: float) -> Reply:
        """Wait for the quotas, send, and return what came back.  Raises `TryLater` where waiting is not wanted."""
        kind = READ if data.startswith(b"GET ") else WRITE
        if not await self._turn(kind):
            return Reply(0, fault=Fault.UNSENT, detail="stopping")
        sent_at = self._clocks.clock()
        try:
            reply = await self._request(data, deadline_s=deadline_s)
        finally:
            self._lanes.release()
            self._quotas.ended(kind)
        if reply.fault is None:
            self._heard(kind, reply, sent_at)
        else:
            self._quotas.heard_nothing()
        return reply

    async def _turn(self, kind: str) -> bool:
        """Take a lane and a unit of every window, or nothing."""
        quotas = self._quotas
        quotas.calls_waiting += 1
        try:
            while True:
                at = quotas.opens_at(now := self._clocks.clock(), kind, is_call=True)
                if error := quotas.ended_by(kind):
                    raise error
                if at <= now:
                    await self._lanes.acquire()
                    if quotas.opens_at(now := self._clocks.clock(), kind, is_call=True) <= now and quotas.take(kind):
                        return True
                    self._lanes.release()
                    at = now + CONTENDED_S
                if quotas.is_halted:
                    return False
                with self._clocks.move_on_after(at - now if at < math.inf else None):
                    await quotas.changed()
        finally:
            quotas.calls_waiting -= 1

    def _heard(self, kind: str, reply: Reply, sent_at: float) -> None:
        quotas = self._quotas
        quotas.saw(reply.date, took_s=self._clocks.clock() - sent_at, age_s=reply.age_s)
        verdict = judge_call(reply, quotas.exchanges.wall())
        if verdict.kind is CallKind.THROTTLED:
            quotas.throttled(self._clocks.clock(), sent_at, verdict.retry_after_s, kind)
        else:
            quotas.good(kind)


class WaitNotes:
    """Tells people of a long wait, once; or says that it ends the command (`stops`)."""

    def __init__(self, tell: Callable[[Event], None], *, stops: bool) -> None:
        self._tell, self._stops = tell, stops
        self.is_deaf = False  # a call has failed: no reply will tell the server's time
        self._until = 0.0

    def blocked(self, blocked: Grant, boot: float, wall: float, *, is_guess: bool) -> TryLater | None:
        """A window is spent.  The error to end with, if waiting for it is not wanted."""
        wait_s, window = blocked.opens_at - boot, blocked.window
        if window is None or is_short(window):
            return None
        wall += wait_s
        if self._stops and wait_s > STOP_WAIT_S and (self.is_deaf or not is_guess):
            words = spent_words(window, moment(wall))
            return TryLater(words, hint="the same command then goes on; cron can give it", code="quota", retry_at=wall)
        if wait_s > TOLD_S and wall > self._until + TOLD_S:
            self._until = wall
            self._tell(Note(spent_words(window, moment(wall))))
        return None
