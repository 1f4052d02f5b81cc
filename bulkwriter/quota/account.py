"""The spending and the leases of one account: decides an exchange from the ledger's rows and the client's ask.

It counts the requests that have ended, notes what throttles have shown, and then grants a lease of each kind that is
wanted, as much as the slowest window can spend in two seconds.  A lease counts as spent when its last request can end;
what has ended counts from its end.  Of short windows each unit waits for a slot of every one, also for one that is free
a little later: so the units of a lease are spread over its time.  A client that dies says nothing more: time alone
frees its lease.

Fairness: clients that are at work share a short window alike.  Slots that are left over pass from one to the next, in
turns of two seconds or of a window.  Where clients are more than slots, whoever has the turn is served first.

Pure.  Not here: storing (`quota.ledger`), waiting (`quota.gate`), rows of other boots (`quota.others`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ..model import QuotaWindow
from .exchange import Answer, Ask, BootPlace, Lease, LedgerRows, ShortRow, SpentRow
from .forecast import DAY_S, KINDS, MINUTE_S, REFUSED, Grant, Spending, day_of, end_of, kinds_of, minute_of, part_of
from .leases import BATCH_S, GRACE_S, LEASE_S, SOON_S
from .others import AHEAD_S, Others, placed
from .short import LOOK_S, ClientRow, ShortWindows, key_of, span_of, step_in, unpacked
from .throttles import Learnt, disproved, known_of, learn, tried
from .windows import ANY, SLACK, WRITE, concerned, is_short, pace_of, tightest

ACTIVE_S: Final = 2.0  # so long after its lease, or the time of its next request, a client counts as at work
PLENTY: Final = 1 << 20  # units that are granted where no window says how many
PART: Final = 100  # at most this part of a long window a client has at once: so much a process can waste that dies
CATCH_UP_S: Final = 0.5
"""A busy machine, or its disk, may be so late, or half of the time between two requests: that is caught up.  More would
be less even, less would lose throughput."""
LATE_S: Final = 1.0  # who waits and does not ask again within so long of the time that it said is taken for dead
POLL_S: Final = 0.05  # nobody need ask more often for a slot, or than once a window
KEEP_S: Final = 32 * DAY_S  # a day more than the longest window
FORGET_EVERY_S: Final = 3_600.0
LOST: Final = "lost"  # the client of leases that a database has forgotten
STEP_S: Final = 1.0  # if the server's clock moves by more than this against ours, rows of other places are placed anew


@dataclass(slots=True)
class WindowShare:
    """A client's part of one short window during an exchange."""

    window: QuotaWindow
    held: list[tuple[float, int]]  # slots of it: from when on, how many
    limit: int  # so many it may hold
    active: int  # clients that share the window
    ahead: int  # of these are served first, since it is their turn
    look_at: float  # when to ask again at the latest

    @property
    def free(self) -> int:
        """So many slots more it may hold."""
        return self.limit - sum(count for _, count in self.held)

    @property
    def pace_s(self) -> float:
        """The time between two of its requests."""
        return span_of(key_of(self.window)) / self.limit


class Account:
    """One account as one process sees it.  `windows` are all of its quotas."""

    def __init__(self, windows: Sequence[QuotaWindow], place: BootPlace) -> None:
        self._place = place
        self._windows = {kind: concerned(windows, kind) for kind in KINDS}
        self._tightest = tightest(windows)
        self._short_windows = [window for window in windows if is_short(window)]
        self._rows = LedgerRows()
        self._spending = Spending(epoch=None)
        self._short = ShortWindows()
        self._held: Counter[tuple[str, str, float]] = Counter()  # what leases hold: by client, kind and minute
        self._has_others = False
        self._others = Others()
        self._placed_by: float | None = None  # `zero_of` when rows of others were placed
        self._latest_zero: float | None = None  # the same by the server's latest clock, now
        self._forget_at = -math.inf
        self._changes = LedgerRows()

    def is_stale(self, ask: Ask) -> bool:
        """Whether the rows must be read again though nobody has changed them: the clock says something else of them, or
        old ones are to go."""
        zero, before = zero_of(ask), self._placed_by
        has_moved = zero != before and (zero is None or before is None or abs(zero - before) > STEP_S)
        return ask.now >= self._forget_at or (self._has_others and has_moved)

    def exchange(self, ask: Ask, rows: LedgerRows | None, *, lost_s: float | None = None) -> tuple[Answer, LedgerRows]:
        """Decide; `rows` are given the first time, and when others have changed them.  `lost_s`: exchanges of so long
        may be missing in them.

        The changes must be kept, or the account must not be used any more.
        """
        epoch, latest, _, known_spread_s = ask.clocks
        self._changes = changes = LedgerRows()
        self._latest_zero = None if latest is None else latest - ask.now
        self._spending.set_clock(zero_of(ask), (latest or 0.0) - (epoch or 0.0))
        if rows is not None:
            self._read(ask, rows, lost_s)
        before = self._short.release(ask.client, ask.now)
        self._report(ask, before)
        self._learn_from(ask)
        parts = [self._part(ask, before, window) for window in self._tightest]
        tries: set[str] = set()
        # reads before writes: they tell the outcomes of writes
        granted = {kind: self._grant(ask, kind, parts, tries) for kind in sorted(ask.wants)}
        leases = {kind: one for kind, one in granted.items() if isinstance(one, Lease)}
        blocked = {kind: one for kind, one in granted.items() if isinstance(one, Grant)}
        self._hold(ask, before, parts, [*ask.held.values(), *leases.values()], blocked)
        self._short.forget(ask.now)
        changes.short = ShortRow(self._place, ask.now, self._short.packed())
        spread_s = self._rows.spread_s
        if epoch is not None:
            self._rows.spread_s = known_spread_s
        changes.spread_s = self._rows.spread_s
        self._others.look(ask.now, self._spending)
        alike = max((part.active for part in parts), default=1) - 1  # if all that share a short window are
        answer = Answer(
            leases, blocked, tries, known_of(self._rows.learnt),
            is_guess=self._has_others and epoch is None,
            spending=self._spending.copy(),
            spread_s=spread_s, at=ask.now, others=alike if self._others.share is None else self._others.share,
            pace_per_s=min((pace_of([part.window]) / part.active for part in parts), default=math.inf),
            free={window: self._short.openings(window, ask.now, ()) for window in self._short_windows},
        )  # fmt: skip
        return answer, changes

    def check(self) -> None:
        """Invariants, for tests."""
        counts = [n for used in self._short.used.values() for _, n in used.rows()]
        assert all(count >= 0 for count in (*counts, *self._held.values()))

    # what the ledger has

    def _read(self, ask: Ask, rows: LedgerRows, lost_s: float | None) -> None:
        """Take over the rows.  Once an hour those that no window reaches go, those of other places by a known clock."""
        self._rows = rows
        if ask.now >= self._forget_at:
            self._forget_at, epoch = ask.now + FORGET_EVERY_S, ask.clocks.epoch
            self._changes.forget = minute_of(ask.now - KEEP_S), None if epoch is None else epoch - KEEP_S
        self._placed_by, first = (zero := zero_of(ask)), self._first_minute(ask.now)
        self._spending = Spending(epoch=zero, spread_s=self._spending.spread_s)
        self._held.clear()
        self._has_others = False
        for key, row in list(rows.spent.items()):
            if not row.place.has_clock_of(self._place):
                self._has_others |= row.requests > 0
                if row.seen_boot != self._place.boot:
                    row = row._replace(seen_boot=self._place.boot, seen_at=ask.now)
                    rows.spent[key] = self._changes.spent[key] = row
            elif row.minute < first:
                del rows.spent[key]
                continue
            elif row.client:
                self._held[row.client, row.kind, row.minute] += row.requests
            minute = placed(row, self._place, now=ask.now, zero=zero, hold_s=ask.hold_s)
            self._spending.add(row.kind, minute, row.requests)
        self._spending.forget(first * MINUTE_S)
        if lost_s is not None:
            self._lose(ask, lost_s)
        self._short = unpacked(rows.short.packed) if rows.short and lost_s is None else ShortWindows()
        ended = max([min(ask.now, self._spending.ended_by()), *(end_of(minute) for *_, minute in self._held)])
        if rows.short and not rows.short.place.has_clock_of(self._place):
            # of another boot: all slots wait as long as the last of them had to when it was written
            ended = max(ended, self._short.ended_by() + ask.now - rows.short.at)
            self._short = ShortWindows()
        self._short.begin(self._tightest, ended, ask.now)

    def _lose(self, ask: Ask, lost_s: float) -> None:
        """Book as leases of a lost client what windows allowed in that time, and until the last lease of it is over."""
        over_s = LEASE_S + AHEAD_S + GRACE_S
        for kind, windows in self._windows.items():
            if windows:
                self._add(LOST, kind, minute_of(ask.now + over_s + ask.hold_s), most_of(windows, lost_s + over_s))

    # what the client reports

    def _report(self, ask: Ask, before: ClientRow) -> None:
        """Book it; of a repeat what it holds, but not again what has ended."""
        for (client, kind, minute), count in list(self._held.items()):
            if client == ask.client:
                self._add(client, kind, minute, -count)
        for kind, held in ask.held.items():
            self._book(ask, kind, held.units + held.on_way, held.until)
        is_repeat, first = ask.number == before.number, self._first_minute(ask.now)
        if not is_repeat:
            for (kind, at), count in ask.ended.items():
                # of an earlier minute nothing is known here, and what others have counted in it would be lost
                part = max(first, self._spending.kept(part_of(at), self._windows[kind.removesuffix(REFUSED)]))
                self._add("", kind, part, count)
                if kind == WRITE:
                    self._others.wrote(part, count)
        for window in self._tightest:
            slots = before.slots.get(key := key_of(window), ())
            if is_repeat:  # what was granted and never heard of is lost
                known = sum(count for _, count in held_of(ask, window))
                self._short.use(key, ask.now, max(0, sum(count for _, count in slots) - known))
            elif slots:  # else they count as used already
                for (kind, at), count in ask.ended.items():
                    self._short.use(key, at, count if kind in kinds_of(window) else 0)

    def _book(self, ask: Ask, kind: str, count: int, until: float) -> None:
        """Units that the client holds count as spent when the last of them can have ended."""
        if count:
            self._add(ask.client, kind, minute_of(max(ask.now, until) + ask.hold_s), count)

    def _add(self, client: str, kind: str, minute: float, count: int) -> None:
        key = self._place, client, kind, minute
        row = self._rows.spent.get(key, SpentRow(*key, 0))
        ended = row.ended if self._latest_zero is None else self._latest_zero + end_of(minute)
        self._rows.spent[key] = self._changes.spent[key] = SpentRow(*key, max(0, row.requests + count), ended)
        self._spending.add(kind, minute, count)
        if client:
            self._held[key[1:]] += count
            if not self._held[key[1:]]:
                del self._held[key[1:]]

    def _learn_from(self, ask: Ask) -> None:
        learnt = self._rows.learnt
        for kind in ask.good & learnt.keys():
            # of this the server has surely forgotten nothing yet: shorter by a minute, and by a long latency
            day = day_of(kind, 0)._replace(window_s=DAY_S - 2 * MINUTE_S)
            taken = self._spending.spent(day, ask.now)
            self._learn(kind, disproved(learnt[kind], taken=taken))
        for kind, news in ask.spent.items():
            taken = self._spending.spent(day_of(kind, 0), ask.now) - sum(ask.held.get(kind, Lease())[:2])
            self._learn(kind, learn(learnt.get(kind), news, taken=taken, wall=ask.clocks.wall))

    def _learn(self, kind: str, learnt: Learnt) -> None:
        self._rows.learnt[kind] = self._changes.learnt[kind] = learnt

    # what it gets

    def _part(self, ask: Ask, before: ClientRow, window: QuotaWindow) -> WindowShare:
        """What the client holds of a short window, and what it may have."""
        key, now, me = key_of(window), ask.now, ask.client
        rows = self._short.holders.items()
        waiting = {name for name, one in rows if key in one.waits and one.waits[key][1] + LATE_S > now}
        at_work = {name for name, one in rows if key in one.slots and one.until + ACTIVE_S > now}
        names = sorted(waiting | at_work | {me})
        # together the limits are all slots: where a few are left over, each client has one more in its turn, or those
        # that came first would have it for ever
        least, over = divmod(window.count, len(names))
        turn_s = max(LEASE_S, span_of(key))
        turn = int(now / turn_s)
        in_turn = {names[(turn + place) % len(names)] for place in range(over)}
        ahead, look_at = 0, math.inf
        if not least and me not in in_turn:
            ahead, look_at = len(in_turn & waiting), min(now + LOOK_S, (turn + 1) * turn_s)
        held = held_of(ask, window) if key in before.slots else []  # none, if its lease was over
        return WindowShare(window, held, max(1, least + (me in in_turn)), len(names), ahead, look_at)

    def _grant(self, ask: Ask, kind: str, parts: Sequence[WindowShare], tries: set[str]) -> Lease | Grant:
        """A lease of this kind, or what stands against it."""
        parts = [part for part in parts if part.window.kind in (kind, ANY)]
        long = [window for window in self._windows[kind] if not is_short(window)]
        count = min([PLENTY, *(max(1, window.count // PART) for window in long)])
        count -= ask.held.get(kind, Lease()).units
        if count < 1:  # or each renewal of a slow client would take another part
            return self._lease(ask, kind, parts, 0)
        grant = self._spending.grant(long, kind, count, ask.now)
        if grant.window is None:
            grant = self._room(ask, parts, grant.granted)
        if grant.window is None:
            grant = self._as_shown(ask, kind, grant.granted, tries)
        return self._lease(ask, kind, parts, grant.granted) if grant.window is None else grant

    def _room(self, ask: Ask, parts: Sequence[WindowShare], count: int) -> Grant:
        """As many of `count` as the short windows allow soon, and as is this client's part of two seconds."""
        now, blocked = ask.now, list[Grant]()
        for part in parts:
            openings = self._short.openings(part.window, now, part.held)
            most = min(sum(n for at, n in openings if at <= now + AHEAD_S) - part.ahead, part.free)
            if most < 1:
                at = math.inf if part.ahead else self._short.opens_at(part.window, now) - SOON_S
                soon = now + min(POLL_S, span_of(key_of(part.window)))
                blocked.append(Grant(0, max(soon, min(at, part.look_at)), part.window))
            count = min(count, most, max(1, int(LEASE_S / part.pace_s)))
        return max(blocked, key=lambda grant: grant.opens_at, default=Grant(count))

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

    def _lease(self, ask: Ask, kind: str, parts: Sequence[WindowShare], count: int) -> Lease:
        """Plan the units evenly, each for when a slot of every window is free, and book them.

        None at all make the lease of those that are held longer.
        """
        now, held = ask.now, ask.held.get(kind, Lease())
        gap_s = max((part.pace_s for part in parts), default=0.0)
        first = max(now - max(CATCH_UP_S, gap_s / 2), held.next_at)
        batch = max(1, int(BATCH_S / gap_s)) if gap_s else count
        coming = [(first + place * gap_s, min(batch, count - place)) for place in range(0, count, batch)]
        for part in parts:
            coming = later(coming, self._short.openings(part.window, now, part.held))
        for part in parts:
            part.held += coming
        total = held.units + count
        last_at = coming[-1][0] if coming else now
        until = max(last_at, now + (LEASE_S if total > 1 else 0.0), held.until - GRACE_S) + GRACE_S
        self._book(ask, kind, -(held.units + held.on_way), held.until)
        self._book(ask, kind, total + held.on_way, until)
        return Lease(count, 0, until, first + count * gap_s, coming)

    def _hold(
        self, ask: Ask, before: ClientRow, parts: Sequence[WindowShare], units: Sequence[Lease],
        blocked: Mapping[str, Grant],
    ) -> None:  # fmt: skip
        """Book what the client has from now on, these `units`, as if it were never to ask again."""
        until = max([ask.now, *(one.until for one in units)])
        next_at = 0.0 if ask.is_last else max((one.next_at for one in ask.held.values()), default=0.0)
        waits = before.waits
        if ask.wants or ask.is_last:
            again = {one.window: one.opens_at for one in blocked.values()}
            short = [part.window for part in parts if part.free > 0]  # else it waits for its own requests
            waits = {key_of(window): (ask.now, again[window]) for window in short if window in again}
        slots = {(key := key_of(part.window)): steps_of(key, part.held) for part in parts}
        slots = {key: steps for key, steps in slots.items() if steps or (key in before.slots and not ask.is_last)}
        row = ClientRow(ask.number, max(until, next_at), until + ask.hold_s, slots, waits)
        self._short.holders[ask.client] = row

    def _first_minute(self, now: float) -> int:
        """What was spent before matters no more; of a day it does always, since so long is what throttles may show."""
        longest_s = max([DAY_S, *(window.window_s for windows in self._windows.values() for window in windows)])
        return minute_of(now - longest_s * (1 + SLACK)) - 1


def most_of(windows: Sequence[QuotaWindow], span_s: float) -> int:
    """How many requests all of these windows let through in a time of this length; if none is known, what fills all."""
    if span_s == math.inf:
        return max(window.count for window in windows)
    return min(window.count * (2 + int(span_s / window.window_s)) for window in windows)


def held_of(ask: Ask, window: QuotaWindow) -> list[tuple[float, int]]:
    """Slots of the window that the client holds: from when on, how many."""
    held = []
    for kind, one in ask.held.items():
        if window.kind in (kind, ANY) and one.units + one.on_way:
            begun = one.units + one.on_way - sum(count for _, count in one.coming)
            held += [(ask.now, begun), *one.coming]
    return held


def steps_of(key: str, held: Sequence[tuple[float, int]]) -> list[tuple[int, int]]:
    """What is held of the window with this key, by the steps in which it begins to be."""
    steps: Counter[int] = Counter()
    for at, count in held:
        steps[step_in(key, at)] += count
    return sorted(steps.items())


def later(one: Sequence[tuple[float, int]], other: Sequence[tuple[float, int]]) -> list[tuple[float, int]]:
    """Of two rows of units, each with times in order and so many units of them, the later time of each unit."""
    found, rest = [], list(reversed(other))
    for at, count in one:
        while count and rest:
            other_at, slots = rest.pop()
            part = min(count, slots)
            found.append((max(at, other_at), part))
            count -= part
            if slots > part:
                rest.append((other_at, slots - part))
    return found


def zero_of(ask: Ask) -> float | None:
    """What the server's earliest clock shows at the boot clock's zero, if it is known."""
    return None if ask.clocks.epoch is None else ask.clocks.epoch - ask.now
