"""The slots of one short window, as the ledger keeps them: which are free from when on, and which a client holds.

A window of N requests in W seconds is N *slots*.  A request takes a free slot.  It is free again W after that request
ended, since the server counts at arrival, which lies between send and reply.  So the server sees at most N requests in
any span of W.  Slots are kept as rows, never one object each: slot i of a row is free from `first + i * spacing` on.

    free     nobody's: taken from the earliest on
    held     a client's, which may use them without a word more until `last`.  `first` says when they are free if it
             never reports: a dead client's slots free themselves
    pace     one row without slots: when the next request would go by even pacing

A *planned* window hands out single uses, each with its time.  A window shorter than `REUSE_S` is *shared*: a client
holds some of its slots and uses each again as often as it can (`quota.leases`), or it would have to ask the ledger for
every request.

Invariant: the counts of all rows add up to N.  Pure: `now` is the boot clock.  Not here: who may have them
(`quota.account`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from ..model import QuotaWindow
from .windows import SLACK

REUSE_S: Final = 5.0
"""Shorter windows are shared.  A use of a planned one is known to be over up to two leases later, that is 4 s."""
EVEN: Final = 0.95
"""Uses are planned at this share of the even distance, so that time which nobody used is caught up: at 1 it is lost."""
LOOK_S: Final = 0.5
"""Who waits asks again at least so often: a client may give back some of its slots during its lease."""
JUMP_S: Final = 0.2
"""So much later than even the next slot may be free within a lease.  More delays the units before it."""
POLL_S: Final = 0.1
"""So long after its last planned use a client is asked after: a reply later.  Less would cost more exchanges."""
JOINED: Final = 1 / 2_000
"""Rows of few slots are joined to one where that costs no more than this part of the window ..."""
JOINED_MOST: Final = 8
"""... until they are so many, since each time costs as much again."""
ROWS_MOST: Final = 256
"""More rows would make an exchange slow; the two that lose least time by it are put together."""


class SlotRow(NamedTuple):
    """So many `slots` of `window` (its key); held where `client` is set.  Times are seconds on the clock of `boot`."""

    window: str
    first: float
    spacing: float
    slots: int
    last: float = 0.0  # of a held row: when its last use is planned; of a free one nothing
    client: str = ""
    lease: int = 0  # which lease of the client; 0 where the window is shared

    @property
    def end(self) -> float:
        """When its last slot is free."""
        return self.first + max(0, self.slots - 1) * self.spacing


class Slots:
    """The rows of one window, changed in memory.  `rows` gives what is to be kept."""

    def __init__(self, window: QuotaWindow, rows: Iterable[SlotRow], now: float) -> None:
        self.key, self.count, self.span_s = key_of(window), window.count, span_of(window)
        self.is_shared = window.window_s < REUSE_S
        self._free: list[SlotRow] = []
        self._held: list[SlotRow] = []
        self.pace = -math.inf
        """When the next use would be planned by even pacing."""
        for row in rows:
            if not row.slots:
                self.pace = row.first
            else:
                self._held.append(row)
        self.lapse(now)

    @classmethod
    def begun(cls, window: QuotaWindow, ended: float, now: float) -> Slots:
        """A window that was never counted, if the last request before has surely ended by `ended`."""
        free_at = max(now, ended + span_of(window))
        return cls(window, [SlotRow(key_of(window), free_at, 0.0, window.count)], now)

    @property
    def gap_s(self) -> float:
        """The distance of two planned uses."""
        return self.span_s / self.count * EVEN

    def rows(self, now: float) -> Iterator[SlotRow]:
        """What is to be kept: slots that are free already as one row."""
        yield from self._held
        ready = [row for row in self._free if row.end <= now]
        if ready:
            count = sum(row.slots for row in ready)
            yield SlotRow(self.key, max(row.end for row in ready), 0.0, count)
        later: list[SlotRow] = []
        for row in self._free:
            if row.end > now:
                joined = join(later[-1], row, self.span_s * JOINED) if later else None
                later[-1:] = [joined] if joined else [*later[-1:], row]
        while len(later) > ROWS_MOST:
            place = min(range(len(later) - 1), key=lambda i: later[i + 1].end - later[i].first)
            one, two = later[place : place + 2]
            later[place : place + 2] = [SlotRow(self.key, max(one.end, two.end), 0.0, one.slots + two.slots)]
        yield from later
        if self.pace > now - self.span_s:
            yield SlotRow(self.key, self.pace, 0.0, 0)

    # what clients report

    def lapse(self, now: float) -> None:
        """Rows of nobody, and of clients that did not report in time, are free."""
        held = [row for row in self._held if row.client and row.first > now]
        if len(held) < len(self._held):
            self._free += [row for row in self._held if not row.client or row.first <= now]
            self._free.sort(key=lambda row: row.first)
            self._held = held

    def release(self, client: str, lease: int) -> int:
        """Take a held row from its client; how many slots it was.  None, if its time was over and others have them."""
        for row in self._held:
            if row.client == client and row.lease == lease:
                self._held.remove(row)
                return row.slots
        return 0

    def put(self, first: float, spacing: float, count: int) -> None:
        """Slots that are free again."""
        if count > 0:
            self._free.append(SlotRow(self.key, first, spacing, count))
            self._free.sort(key=lambda row: row.first)

    def unplan(self, first: float) -> None:
        """Uses planned from `first` on are given back: the last ones that were planned, or all is left as it is."""
        if all(row.last <= first for row in self._held):
            self.pace = min(self.pace, first)

    # what they may have

    def active(self, now: float) -> set[str]:
        """Clients that hold slots and whose lease is not over for long."""
        return {row.client for row in self._held if row.last > now - REUSE_S}

    def room(self, now: float, by: float) -> int:
        """How many slots are free at `by`, in a row: a lease is one line, so it ends where it would have to wait."""
        room, at = 0, now
        for row in self._free:
            if room and row.first > at + JUMP_S + self.gap_s:
                break
            part = ready_in(row, by)
            room += part
            at = max(at, row.first + (part - 1) * row.spacing)
        return room

    def opens_at(self, now: float, ahead_s: float) -> float:
        """When it is worth to ask again: `ahead_s` before a slot is free or paced, or when a client may have reported.

        Whoever is late with that, or dead, is asked after more and more seldom, until its slots free themselves.
        """
        at = min((row.first for row in self._free), default=math.inf) - ahead_s
        for row in self._held:
            late_s = now - row.last
            reported_at = min(row.last, now + LOOK_S) + POLL_S if late_s < 0 else now + max(POLL_S, late_s / 2)
            at = min(at, row.first - ahead_s, reported_at)
        return max(at, self.pace - ahead_s, now + POLL_S)

    def take(self, count: int) -> list[SlotRow]:
        """Take the slots that are free first; there must be so many.  A list of rows."""
        taken = []
        while count > 0:
            row = self._free.pop(0)
            part = min(count, row.slots)
            taken.append(row._replace(slots=part, client="", lease=0))
            if part < row.slots:
                self.put(row.first + part * row.spacing, row.spacing, row.slots - part)
            count -= part
        return taken

    def hold(self, count: int, *, client: str, lease: int, last: float, free_at: float) -> None:
        """Slots that were taken are a client's, until it reports, or until `free_at`."""
        if count > 0:
            self._held.append(SlotRow(self.key, free_at, 0.0, count, last, client, lease))
            if not self.is_shared:
                self.pace = last + self.gap_s

    def check(self) -> None:
        """Invariants, for tests."""
        assert sum(row.slots for row in (*self._free, *self._held)) == self.count
        assert all(row.slots > 0 and row.spacing >= 0 for row in (*self._free, *self._held))


class Line(NamedTuple):
    """Uses in a row, each so long after the one before."""

    first: float
    spacing: float
    units: int

    @property
    def last(self) -> float:
        return self.first + (self.units - 1) * self.spacing


def plan(taken: Iterable[tuple[Slots, list[SlotRow]]], count: int, now: float) -> Line:
    """When the uses go, if each has a slot of every window in `taken`: evenly, none before its slots are free."""
    spacing, first = 0.0, now
    for slots, rows in taken:
        spacing = max(spacing, slots.gap_s)
        if count > 1:
            spacing = max(spacing, (max(row.end for row in rows) - max(now, rows[0].first)) / (count - 1))
        first = max(first, slots.pace)
    for _, rows in taken:
        place = 0
        for row in rows:
            first = max(first, row.first - place * spacing, row.end - (place + row.slots - 1) * spacing)
            place += row.slots
    return Line(first, spacing, count)


def join(one: SlotRow, two: SlotRow, most_s: float) -> SlotRow | None:
    """Both as one row, if no slot is free later by more than `most_s` because of that."""
    slots = one.slots + two.slots
    if slots > JOINED_MOST or two.first < one.end:
        return None
    spacing = (two.end - one.first) / (slots - 1)
    late_s = max(one.end - one.first - (one.slots - 1) * spacing, two.first - one.first - one.slots * spacing, 0.0)
    return SlotRow(one.window, one.first + late_s, spacing, slots) if late_s <= most_s else None


def ready_in(row: SlotRow, by: float) -> int:
    """How many slots of a row are free at `by`."""
    if row.first > by:
        return 0
    if row.end <= by:
        return row.slots
    return math.floor((by - row.first) / row.spacing) + 1


def key_of(window: QuotaWindow) -> str:
    """The name under which the slots of a window are kept."""
    return f"{window.kind}:{window.count}/{window.window_s!r}"


def span_of(window: QuotaWindow) -> float:
    return window.window_s * (1 + SLACK)


def span_in(key: str) -> float:
    """The length of the window that has this key."""
    return float(key.rpartition("/")[2]) * (1 + SLACK)
