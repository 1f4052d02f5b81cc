"""The lanes of a run: which are idle, how many to open, and what their failures to connect mean.

The sender takes a lane for each request.  Lanes freed by the replies of one turn of the event loop are taken first: it
costs 1.5 µs a pair to look at each as one that was idle.  Idle lanes are a stack, so that the one used last is used
next and the others grow old: a lane idle for longer than servers keep it is closed rather than used.
Opening is a task of the engine; here is only the counting.
"""

from __future__ import annotations

from array import array
from struct import Struct
from typing import Final, Protocol

from ..model import Fault, Intent


class LaneLike(Protocol):
    """What the engine asks of one connection; see `net.lane.Lane`."""

    carried: object
    is_open: bool
    sent_at: float
    replied_at: float
    history: array[int]

    def send(self, request: bytes, carried: object, now: float, deadline: float) -> bool: ...
    def is_reusable(self, now: float) -> bool: ...
    def close(self) -> None: ...
    def abort(self, fault: Fault) -> None: ...


FIRST_LANES: Final = 8
"""Lanes opened at once when there are none: more than a near server's first round trips need."""


class LaneStock:
    """Idle lanes as a stack, and how many are open or on the way.  A lane told to close no longer counts."""

    def __init__(self) -> None:
        self._idle: list[LaneLike] = []
        self._open: set[LaneLike] = set()
        self._opening = 0
        self.freed: list[LaneLike] = []
        """Lanes that were answered since `keep_freed`."""
        self.has_connected = False

    @property
    def is_empty(self) -> bool:
        return not self._open

    def take(self, now: float) -> LaneLike | None:
        """A freed lane, or the idle one used last, or None; lanes that are too old are closed on the way."""
        while self.freed:
            lane = self.freed.pop()
            if lane.is_open:
                return lane
            self._close(lane)
        while self._idle:
            lane = self._idle.pop()
            if lane.is_reusable(now):
                return lane
            self._close(lane)
        return None

    def give_back(self, lane: LaneLike, now: float) -> None:
        """The lane carries nothing: it may carry another request, or has served its time."""
        if lane.is_reusable(now):
            self._idle.append(lane)
        else:
            self._close(lane)

    def keep_freed(self, now: float) -> None:
        """Nothing more is sent in this turn: the lanes that are left are idle."""
        freed, self.freed = self.freed, []
        for lane in freed:
            self.give_back(lane, now)

    def opened(self, lane: LaneLike) -> None:
        self.has_connected = True
        self._opening -= 1
        self._open.add(lane)
        self._idle.append(lane)

    def failed_to_open(self) -> None:
        self._opening -= 1

    def ended(self, lane: LaneLike) -> None:
        """The connection is gone, for whatever reason."""
        self._open.discard(lane)
        if lane in self._idle:
            self._idle.remove(lane)

    def missing(self, wanted: int) -> int:
        """How many more lanes to open towards `wanted`; they count as opening from now on.

        A start doubles its pace with each round trip, so it needs no more than twice as many at a time: connecting
        takes 0.2 ms of the loop each, and with 512 at once it would do nothing else for a tenth of a second.
        """
        there = len(self._open)
        more = max(0, min(wanted, 2 * there + FIRST_LANES) - there - self._opening)
        self._opening += more
        return more

    def abort_all(self, fault: Fault) -> None:
        """Reset every connection; requests in flight are answered with `fault`."""
        for lane in list(self._open):
            lane.abort(fault)

    def _close(self, lane: LaneLike) -> None:
        self._open.discard(lane)
        lane.close()


NOTE: Final = Struct("=4q").pack
"""Packs what a lane remembers of one pair: seq, both ids, and attempts with the state in the lowest 4 bits.  Added as
bytes that takes 0.4 µs; four numbers through the array's own `extend` take 0.75."""


def lane_history(lane: LaneLike) -> list[tuple[Intent, int]]:
    """What the lane settled, as intents with the state that each was given; the history is empty afterwards."""
    words = list(lane.history)
    del lane.history[:]
    return [
        (Intent(seq, (first, second), packed >> 4, None, None), packed & 15)
        for seq, first, second, packed in zip(*[iter(words)] * 4, strict=True)
    ]
