"""The spending and the leases of one account: decides an exchange from the ledger's rows and the client's ask.

In this order: it counts the requests that have ended, takes back what finished leases leave, notes what throttles have
shown, and then grants a lease of each kind that is wanted, as much as the slowest window can spend in two seconds:

    long windows    counted by the minute (`quota.forecast`).  A lease counts as spent in the minute in which its last
                    request can end; what has ended moves to the minute of its end
    short windows   slots (`quota.slots`), held until the lease's last time, the longest request and the window are over

A client that dies says nothing more.  Its rows stay as they are, and time alone frees them.

Fairness: clients that are active share a short window alike.  Whoever waits for a slot has a row (`WaitRow`), and is
served before those that came later, as long as it asks again when it said.

Clocks: rows of another boot are placed by the server's clock, and never later than they were first seen.  While that
clock is unknown, they count as spent when they were first seen.  Which machine wrote them proves nothing: machines of
one image share an id.

Pure.  Not here: storing (`quota.ledger`), waiting (`quota.gate`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from ..model import QuotaWindow
from .exchange import Answer, Ask, BootPlace, Changes, KeptSlots, LedgerRows, ShareGrant, SpentRow, WaitRow
from .forecast import DAY_S, KINDS, MINUTE_S, TAKEN, Grant, Spending, minute_of
from .leases import GRACE_S, LEASE_S, Lease, Run
from .slots import LOOK_S, SlotRow, Slots, key_of, plan, span_in
from .throttles import Learnt, learn, stretched, tried
from .windows import SLACK, concerned, is_short

PLENTY: Final = 1 << 62
AHEAD_S: Final = 3.0
"""Slots are granted so long before they are free: during a lease, and half of the next one."""
PART: Final = 100
"""At most this part of a long window is granted at once: so much a process can waste that dies."""
LATE_S: Final = 1.0
"""Who waits and does not ask again within so long of the time that it said is taken for dead."""
STRANGE_S: Final = 600.0
"""Of a lease that another boot wrote, nobody here knows its longest request (`--timeout`); few allow more."""
KEEP_S: Final = 32 * DAY_S
"""A day more than the longest window."""
FORGET_EVERY_S: Final = 3_600.0
STEP_S: Final = 1.0
"""If the server's clock moves by more than this against ours, rows of other places are placed anew."""


class Account:
    """One account as one process sees it.  `windows` are all of its quotas."""

    def __init__(self, windows: Sequence[QuotaWindow], place: BootPlace) -> None:
        self._place = place
        self._windows = {kind: concerned(windows, kind) for kind in KINDS}
        self._short = {key_of(window): window for window in windows if is_short(window)}
        self._longest_s = longest_of(windows)
        self._rows = LedgerRows()
        self._spending = Spending(0, epoch=None, slack=SLACK)
        self._slots: dict[str, Slots] = {}
        self._others: list[SlotRow] = []  # of windows that only other quotas have
        self._held: Counter[tuple[str, str, int]] = Counter()  # what leases hold: by client, kind and minute
        self._has_others = False
        self._zero: float | None = None  # of the boot clock by the server's, when rows of others were placed by it
        self._forget_at = -math.inf
        self._changes = Changes()

    def is_stale(self, ask: Ask) -> bool:
        """Whether the rows must be read again though nobody has changed them: the clock says something else of them."""
        zero = zero_of(ask)
        if not self._has_others or zero == self._zero:
            return False
        return zero is None or self._zero is None or abs(zero - self._zero) > STEP_S

    def exchange(self, ask: Ask, rows: LedgerRows | None) -> tuple[Answer, Changes]:
        """Decide; `rows` are given the first time, and when others have changed them.

        The changes must be kept, or the account must not be used any more.
        """
        epoch, latest, wall, known_spread_s = ask.clocks
        self._changes = changes = Changes(
            zero=None if latest is None else latest - ask.now,
            stamps=latest is not None and (rows is not None or self._spending.epoch is None),
        )
        self._spending.set_clock(zero_of(ask), (latest or 0.0) - (epoch or 0.0))
        if rows is not None:
            self._read(ask, rows)
        shares = self._report(ask)
        self._learn_from(ask)
        tries: set[str] = set()
        leases: dict[str, Lease] = {}
        blocked: dict[str, Grant] = {}
        waits = {}
        for kind in sorted(ask.wants):  # reads before writes: they tell the outcomes of writes
            granted = self._grant(ask, kind, shares, tries)
            if isinstance(granted, Lease):
                leases[kind] = granted
            else:
                blocked[kind] = granted
                if granted.window and (key := key_of(granted.window)) in self._short:
                    waits[key] = granted.opens_at
        self._hold(ask, leases, shares)
        self._wait(ask, waits)
        self._forget(ask)
        self._keep_slots(ask)
        spread_s = self._rows.spread_s
        if epoch is not None and known_spread_s != spread_s:
            self._rows.spread_s = changes.spread_s = known_spread_s
        learnt = self._rows.learnt
        answer = Answer(
            leases, blocked, shares, tries,
            shown={kind: day_of(kind, one.most) for kind, one in learnt.items()},
            stretched={kind for kind, one in learnt.items() if one.stretch},
            is_guess=self._has_others and epoch is None,
            spending=self._spending.copy(),
            not_before={kind: ask.now + one.until - wall for kind, one in learnt.items() if one.until > wall},
            spread_s=spread_s,
            is_contended=self._is_contended(ask, shares),
        )  # fmt: skip
        return answer, changes

    def check(self) -> None:
        """Invariants, for tests."""
        for slots in self._slots.values():
            slots.check()

    # what the ledger has

    def _read(self, ask: Ask, rows: LedgerRows) -> None:
        """Take over the rows."""
        self._rows = rows
        self._zero = zero_of(ask)
        self._spending = Spending(
            first_minute(ask.now, self._longest_s),
            epoch=self._zero, slack=SLACK, spread_s=self._spending.spread_s,
        )  # fmt: skip
        self._held.clear()
        self._has_others = False
        for row in rows.spent:
            if not row.place.has_clock_of(self._place):
                self._has_others |= row.requests > 0
                if row.seen_boot != self._place.boot:
                    row = row._replace(seen_boot=self._place.boot, seen_at=ask.now)
                    self._changes.seen.append(row)
            elif row.client:
                self._held[row.client, row.kind, row.minute] += row.requests
            minute = placed(row, self._place, now=ask.now, zero=self._zero, hold_s=ask.hold_s)
            self._spending.add(row.kind, minute, row.requests)
        self._read_slots(ask)

    def _read_slots(self, ask: Ask) -> None:
        """Bring rows of other places on our clock: each waits as long as it had to when it was written."""
        found: dict[str, list[SlotRow]] = {}
        for row, place, at in self._rows.slots:
            if not place.has_clock_of(self._place):
                row = row._replace(first=ask.now + max(0.0, row.first - at), last=ask.now + max(0.0, row.last - at))
            found.setdefault(row.window, []).append(row)
        ended = -math.inf
        if self._short.keys() - found.keys():  # a window that was not counted before
            ended = max((row.end - span_in(key) for key, rows in found.items() for row in rows), default=-math.inf)
            if not found:
                ended = min(ask.now, self._spending.ended_by())
                ended = max([ended, *((minute + 1) * MINUTE_S for _, _, minute in self._held)])
        self._slots = {
            key: Slots(window, found[key], ask.now) if key in found else Slots.begun(window, ended, ask.now)
            for key, window in self._short.items()
        }
        self._others = [row for key, rows in found.items() if key not in self._short for row in rows]

    # what the client reports

    def _report(self, ask: Ask) -> dict[str, ShareGrant]:
        """Book it.  Return the slots of quick windows that the client still has."""
        for slots in self._slots.values():
            slots.lapse(ask.now)
        for (kind, minute), count in ask.ended.items():
            self._add("", kind, minute, count)
        for (client, kind, minute), count in list(self._held.items()):
            if client == ask.client:
                self._add(client, kind, minute, -count)
        for kind, count in ask.held.items():
            if count:
                self._add(ask.client, kind, minute_of(max(ask.now, ask.until) + ask.hold_s), count)
        for number, runs in ask.finished:
            self._take_back(ask.client, number, runs)
        shares = {}
        for key, slots in self._slots.items():
            if slots.is_shared and (found := slots.release(ask.client, 0)):
                given, free_at = ask.given.get(key, (0, 0.0))
                slots.put(free_at, 0.0, min(given, found))
                if found > given:
                    limit = -(-slots.count // len(self._active(ask, key)))
                    shares[key] = ShareGrant(found - given, 0, 0.0, limit)
        return shares

    def _take_back(self, client: str, number: int, runs: Sequence[Run]) -> None:
        """The slots of a finished lease are free again: used ones a window after their end, others as they were."""
        for slots in self._slots.values():
            if not slots.is_shared and slots.release(client, number) == sum(run.units for run in runs):
                for run in runs:
                    if run.late_s is None:
                        slots.put(run.first, run.spacing, run.units)
                    else:
                        slots.put(run.first + run.late_s + slots.span_s, run.spacing, run.units)
                if runs[-1].late_s is None:
                    slots.unplan(runs[-1].first)

    def _add(self, client: str, kind: str, minute: int, count: int) -> None:
        key = client, kind, minute
        self._changes.spent[key] = self._changes.spent.get(key, 0) + count
        self._spending.add(kind, minute, count)
        if client:
            self._held[key] += count
            if not self._held[key]:
                del self._held[key]

    def _learn_from(self, ask: Ask) -> None:
        learnt = self._rows.learnt
        for kind in ask.good & learnt.keys():
            taken = self._spending.spent(surely_a_day(kind), ask.now)
            self._learn(kind, stretched(learnt[kind], taken=taken, wall=ask.clocks.wall))
        for kind, news in ask.spent.items():
            taken = self._spending.spent(day_of(kind, 0), ask.now) - ask.held.get(kind, 0)
            self._learn(kind, learn(learnt.get(kind), news, taken=taken, wall=ask.clocks.wall))

    def _learn(self, kind: str, learnt: Learnt) -> None:
        self._rows.learnt[kind] = self._changes.learnt[kind] = learnt

    # what it gets

    def _grant(self, ask: Ask, kind: str, shares: dict[str, ShareGrant], tries: set[str]) -> Lease | Grant:
        """A lease of this kind, or what stands against it."""
        windows = self._windows[kind]
        long = [window for window in windows if not is_short(window)]
        count = min([ask.wants[kind], *(max(1, window.count // PART) for window in long)])
        grant = self._spending.grant(long, kind, count, ask.now)
        if grant.window is None:
            grant = self._room(ask, [window for window in windows if is_short(window)], shares, grant.granted)
        if grant.window is None:
            grant = self._as_shown(ask, kind, grant.granted, tries)
        if grant.window is not None:
            return grant
        return self._lease(ask, kind, shares, grant.granted)

    def _room(self, ask: Ask, short: Sequence[QuotaWindow], shares: Mapping[str, ShareGrant], count: int) -> Grant:
        """As many of `count` as the short windows allow soon, and as is this client's share of two seconds."""
        now, blocked = ask.now, Grant(0)
        for window in short:
            key = key_of(window)
            slots, clients, ahead = self._slots[key], self._active(ask, key), self._ahead(ask, key)
            room = slots.room(now, now + AHEAD_S) - len(ahead)
            if slots.is_shared:
                room += shares[key].slots if key in shares else 0
                least = -(-slots.count // len(clients)) / slots.span_s
                most = math.ceil(LEASE_S * least)
            else:
                most = min(room, int(LEASE_S * window.count / window.window_s / len(clients)))
            if room < 1 or (not slots.is_shared and slots.pace > now + AHEAD_S):
                if room < 1 <= room + len(ahead):
                    at = max([now, *(wait.again_at for wait in ahead)]) + LOOK_S / 2  # they are served first
                else:
                    at = slots.opens_at(now, AHEAD_S / 2)
                blocked = max(blocked, Grant(0, at, window), key=lambda grant: grant.opens_at)
            count = min(count, max(1, most))
        return blocked if blocked.window else Grant(count)

    def _as_shown(self, ask: Ask, kind: str, count: int, tries: set[str]) -> Grant:
        """As many of `count` as the server has shown that it takes."""
        learnt, now = self._rows.learnt.get(kind), ask.now
        if learnt is None:
            return Grant(count)
        shown = day_of(kind, learnt.most)
        if ask.clocks.wall < learnt.until:
            return Grant(0, now + learnt.until - ask.clocks.wall, shown)
        room = learnt.most - self._spending.spent(shown, now)
        if room > 0:
            return Grant(min(room, count))
        if ask.clocks.wall < learnt.try_at:
            at = min(self._spending.opens_at(shown, now, learnt.most), now + learnt.try_at - ask.clocks.wall)
            return Grant(0, at, shown)
        self._learn(kind, tried(learnt, ask.clocks.wall))
        tries.add(kind)
        return Grant(1)

    def _lease(self, ask: Ask, kind: str, shares: dict[str, ShareGrant], count: int) -> Lease:
        """Take the slots, and plan the units."""
        now, taken = ask.now, []
        start = now  # when a slot of each quick window is free
        for window in self._windows[kind]:
            key = key_of(window)
            slots = self._slots.get(key)
            if slots is None:
                continue
            if not slots.is_shared:
                taken.append((slots, slots.take(count)))
                continue
            mine = shares[key].slots if key in shares else 0
            limit = -(-slots.count // len(self._active(ask, key)))
            more = max(0, min(limit - mine, slots.room(now, now + AHEAD_S) - len(self._ahead(ask, key))))
            free_at = max((row.end for row in slots.take(more)), default=now)
            start = start if mine else max(start, free_at)
            before = shares.get(key, ShareGrant(0, 0, 0.0, 0))
            shares[key] = ShareGrant(mine + more, before.more + more, max(before.free_at, free_at), limit)
        number = 2 * ask.number + KINDS.index(kind)
        line = plan(taken, count, start)
        if taken:
            lease = Lease(number, *line)
        else:  # as much time as two seconds' worth needs, after what is left of the lease before
            lease = Lease(number, start, 0.0, count, max(start, ask.until - GRACE_S) - start + LEASE_S + GRACE_S)
        self._add(ask.client, kind, minute_of(lease.until + ask.hold_s), count)
        for slots, _ in taken:
            free_at = lease.until + ask.hold_s + slots.span_s
            slots.hold(count, client=ask.client, lease=number, last=lease.last, free_at=free_at)
        return lease

    def _hold(self, ask: Ask, leases: Mapping[str, Lease], shares: Mapping[str, ShareGrant]) -> None:
        """Book what the client has from now on, as if it were never to ask again."""
        until = max([ask.now, ask.until, *(lease.until for lease in leases.values())])
        for key, share in shares.items():
            slots = self._slots[key]
            slots.hold(
                share.slots, client=ask.client, lease=0, last=until - GRACE_S, free_at=until + ask.hold_s + slots.span_s
            )

    # who waits

    def _active(self, ask: Ask, key: str) -> set[str]:
        """The clients that share a short window at present, this one among them."""
        waiting = {wait.client for wait in self._rows.waits if wait.window == key and wait.again_at + LATE_S > ask.now}
        return {ask.client} | self._slots[key].active(ask.now) | waiting

    def _ahead(self, ask: Ask, key: str) -> list[WaitRow]:
        """Who has waited for a slot of this window for longer than this client, and still does."""
        since = min((wait.since for wait in self._rows.waits if wait.client == ask.client), default=ask.now)
        return [
            wait
            for wait in self._rows.waits
            if wait.window == key and wait.client != ask.client and wait.again_at + LATE_S > ask.now
            and wait.since < since
        ]  # fmt: skip

    def _is_contended(self, ask: Ask, shares: Mapping[str, ShareGrant]) -> bool:
        """Whether others wait for slots of a quick window that this client has."""
        others = {wait.window for wait in self._rows.waits if wait.client != ask.client}
        return not others.isdisjoint(shares)

    def _wait(self, ask: Ask, waits: Mapping[str, float]) -> None:
        """Keep that this client waits, or does so no more."""
        mine = [wait for wait in self._rows.waits if wait.client == ask.client]
        if (not mine and not waits) or not (ask.wants or ask.is_last):
            return
        since = min((wait.since for wait in mine), default=ask.now)
        kept = tuple(WaitRow(ask.client, key, since, at) for key, at in waits.items())
        self._changes.waits = kept
        self._rows.waits = [wait for wait in self._rows.waits if wait.client != ask.client] + list(kept)

    # what is kept

    def _keep_slots(self, ask: Ask) -> None:
        """Find what became of the rows of slots."""
        wanted: Counter[SlotRow] = Counter()
        for slots in self._slots.values():
            wanted.update(slots.rows(ask.now))
        in_use = {row.window for row in self._others if row.end > ask.now}
        wanted.update(row for row in self._others if row.window in in_use)
        kept: list[KeptSlots] = []
        for one in self._rows.slots:
            if one.place.has_clock_of(self._place) and wanted[one.row] > 0:
                wanted[one.row] -= 1
                kept.append(one)
            else:
                self._changes.gone.append(one)
        self._changes.slots = list(wanted.elements())
        kept.extend(KeptSlots(row, self._place, ask.now) for row in self._changes.slots)
        self._rows.slots = kept

    def _forget(self, ask: Ask) -> None:
        """Drop what no window can reach any more; rows of other places only by a clock that is known."""
        if ask.now < self._forget_at:
            return
        self._forget_at = ask.now + FORGET_EVERY_S
        self._spending.forget_before(first_minute(ask.now, self._longest_s))
        self._changes.forget = (
            minute_of(ask.now - KEEP_S),
            ask.clocks.epoch - KEEP_S if ask.clocks.epoch is not None else None,
        )


def zero_of(ask: Ask) -> float | None:
    """What the server's earliest clock shows at the boot clock's zero, if it is known."""
    return None if ask.clocks.epoch is None else ask.clocks.epoch - ask.now


def placed(row: SpentRow, place: BootPlace, *, now: float, zero: float | None, hold_s: float) -> int:
    """The minute of `place` in which a row counts; `zero` is the server's clock at the boot clock's zero."""
    if row.place.has_clock_of(place):
        return row.minute
    end = row.seen_at if row.seen_boot == place.boot else now  # it was there then
    end += max(hold_s, STRANGE_S) + LEASE_S + AHEAD_S + GRACE_S if row.client else 0.0
    if zero is not None and row.ended is not None:
        end = min(end, row.ended - zero)
    return math.ceil(end / MINUTE_S) - 1


def spending_in(
    rows: Iterable[SpentRow], windows: Sequence[QuotaWindow], place: BootPlace, *, now: float, wall: float
) -> Spending:
    """What was spent, for forecasts: `wall` (epoch seconds at `now`) is taken for the server's clock."""
    spending = Spending(first_minute(now, longest_of(windows)), epoch=wall - now, slack=SLACK)
    for row in rows:
        spending.add(row.kind, placed(row, place, now=now, zero=wall - now, hold_s=0.0), row.requests)
    return spending


def day_of(kind: str, most: int) -> QuotaWindow:
    """The window that the server has shown: so many taken in any day."""
    return QuotaWindow(f"{kind}:{most}/day (as the server showed)", TAKEN + kind, most, DAY_S)


def surely_a_day(kind: str) -> QuotaWindow:
    """A window of which the server has surely forgotten nothing yet: shorter by a minute, and by a long latency."""
    return QuotaWindow(f"{kind} of a day", TAKEN + kind, 0, DAY_S - 2 * MINUTE_S)


def longest_of(windows: Sequence[QuotaWindow]) -> float:
    """How far back what was spent matters, a day at least: so long is what throttles may show."""
    return max((window.window_s for window in windows if not is_short(window)), default=DAY_S)


def first_minute(now: float, longest_s: float) -> int:
    return minute_of(now - max(longest_s, DAY_S) * (1 + SLACK)) - 1
