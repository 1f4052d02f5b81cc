"""The lanes of a run: which are idle, how many more to open, and what was settled on each.

The sender takes a lane for each request.  Lanes freed by the replies of one turn of the event loop are taken first.  To
treat each of them as an idle lane would cost 1.5 µs a pair.  Idle lanes are a stack: the lane used last is used next,
and the others grow old.  Servers close idle connections after a few seconds, so a lane that is too old is closed rather
than used.  The engine's tasks open lanes; this module only counts them.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from struct import Struct
from typing import Any, Final, Protocol

from ..model import Fault, Intent


class LaneLike(Protocol):
    """One connection as the engine needs it; see `net.lane.Lane`."""

    carried: object
    is_fresh: bool
    is_open: bool
    sent_at: float
    replied_at: float
    history: array[int]
    unread: bytes

    @property
    def text(self) -> bytes: ...
    def send(self, request: bytes, carried: object, now: float, deadline: float) -> bool: ...
    def read(self, now: float) -> None: ...
    def take(self, now: float) -> Any: ...
    def is_reusable(self, now: float) -> bool: ...
    def close(self) -> None: ...
    def abort(self, fault: Fault) -> None: ...


FIRST_LANES: Final = 8
"""Lanes opened at once when there are none.  The first round trips to a near server need fewer."""


class LaneStock:
    """Idle lanes as a stack, and how many lanes are open or opening.  A lane that was told to close no longer
    counts.
    """

    def __init__(self) -> None:
        self._idle: list[LaneLike] = []
        self._open: set[LaneLike] = set()
        self._opening = 0
        self.freed: list[LaneLike] = []
        """Lanes that were answered since `keep_freed`."""
        self.arrived: list[LaneLike] = []
        """Lanes with bytes that nobody has read."""
        self.has_connected = False

    @property
    def is_empty(self) -> bool:
        return not self._open

    def take(self, now: float, most: int) -> list[LaneLike]:
        """Up to `most` lanes: freed ones, then those used last.  Lanes that are too old are closed on the way."""
        freed, idle = self.freed, self._idle
        taken: list[LaneLike] = []
        while len(taken) < most:
            if freed:
                lane = freed.pop()
                is_usable = lane.is_open
            elif idle:
                lane = idle.pop()
                is_usable = lane.is_reusable(now)
            else:
                break
            if is_usable:
                taken.append(lane)
            else:
                self._close(lane)
        return taken

    def take_arrived(self) -> list[LaneLike]:
        """The lanes on which bytes came since the last call, in order."""
        arrived, self.arrived = self.arrived, []
        return arrived

    def give_back(self, lane: LaneLike, now: float) -> None:
        """The lane carries nothing now.  It may carry another request, unless it has served its time."""
        if lane.is_reusable(now):
            self._idle.append(lane)
        else:
            self._close(lane)

    def keep_freed(self, now: float) -> None:
        """Nothing more is sent in this turn, so the freed lanes that are left become idle."""
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

        A start doubles its rate with each round trip, so it needs at most twice as many lanes at a time.  Each
        connection takes 0.2 ms of the loop; 512 at once would block it for a tenth of a second.
        """
        there = len(self._open)
        more = max(0, min(wanted, 2 * there + FIRST_LANES) - there - self._opening)
        self._opening += more
        return more

    def abort(self, fault: Fault, is_wanted: Callable[[LaneLike], bool]) -> None:
        """Reset the connections that `is_wanted`; requests in flight on them are answered with `fault`."""
        for lane in list(self._open):
            if is_wanted(lane):
                lane.abort(fault)

    def _close(self, lane: LaneLike) -> None:
        self._open.discard(lane)
        lane.close()


NOTE: Final = Struct("=4q").pack
"""Packs a lane's memory of one pair: seq, both ids, and attempts with the state in the lowest 4 bits.  To add it as
bytes takes 0.4 µs; four numbers through the array's own `extend` take 0.75.
"""


def lane_history(lane: LaneLike) -> list[tuple[Intent, int]]:
    """The pairs that the lane settled, as intents with the state that each was given.  Empties the lane's history."""
    words = list(lane.history)
    del lane.history[:]
    return [
        (Intent(seq, (first, second), packed >> 4, None, None), packed & 15)
        for seq, first, second, packed in zip(*[iter(words)] * 4, strict=True)
    ]
