"""All limits on requests of one kind, writes or reads: its short windows, its reserve, its throttles.

A request counts in every window of its kind and in those over `any`.  The cells of the shared page are laid out here:
those of the short windows one after the other, in the order of the windows.

Invariant: a unit is taken of all short windows or of none.  Not here: when to ask, whom to wake (`quota.gate`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Protocol

from ..model import QuotaWindow
from .reserve import Reserve
from .short_window import ShortWindow
from .throttles import Streak
from .windows import SLACK, is_short


class PageLike(Protocol):
    """See `quota.page.Page`."""

    @property
    def cells(self) -> memoryview[float]: ...
    def try_lock(self) -> bool: ...
    def unlock(self) -> None: ...
    def note_end(self, at: float) -> None: ...
    def note_none(self, now: float) -> None: ...
    def close(self) -> None: ...


class Side:
    """One kind.  All times are on the boot clock."""

    def __init__(
        self, kind: str, paces: Sequence[ShortWindow], page: PageLike, *, till: memoryview[float], hold_s: float
    ) -> None:
        self.kind = kind
        self.reserve = Reserve(kind, till, hold_s=hold_s)
        self.streak = Streak()
        self.hold_until = -math.inf
        """Set after throttles in a row."""
        self._paces = [pace for pace in paces if pace.window.kind in (kind, "any")]
        self._page = page
        self._ends_s = hold_s + max((pace.open_s for pace in self._paces), default=0.0)
        """The last request of a slot has surely ended so long after the slot was opened."""

    def opens_at(self, now: float) -> float:
        """When short windows and throttles let the next request go."""
        at = self.hold_until
        for pace in self._paces:
            pace_at = pace.opens_at(now)
            if pace_at > at:
                at = pace_at
        return at

    def slowest(self, now: float) -> QuotaWindow | None:
        """The short window that is waited for at `now`."""
        pace = max(self._paces, key=lambda pace: pace.opens_at(now), default=None)
        return pace.window if pace and pace.opens_at(now) > now else None

    def take(self, now: float) -> bool:
        """Use one unit of everything, or nothing: another process has the page, or the last free unit."""
        for pace in self._paces:
            if not pace.is_open(now):
                if not self._open_slots(now):
                    return False
                break
        for pace in self._paces:
            pace.take(now)
        self.reserve.take()
        return True

    def _open_slots(self, now: float) -> bool:
        """Have a slot open in every short window, or change nothing."""
        page = self._page
        if not page.try_lock():
            return False
        try:
            if self.opens_at(now) > now:
                return False
            page.note_end(now + self._ends_s)
            for pace in self._paces:
                if not pace.is_open(now):
                    pace.open(now)
        finally:
            page.unlock()
        return True

    def untake(self) -> None:
        """The units taken last were not used: nothing was sent."""
        for pace in self._paces:
            pace.give_back()
        self.reserve.untake()

    def ended(self, now: float) -> None:
        """The oldest request is answered, or given up at its deadline."""
        for pace in self._paces:
            pace.ended(now)
        self.reserve.ended(now)

    def check(self, now: float) -> None:
        self.reserve.check()
        for pace in self._paces:
            pace.check(now)


def cells_for(windows: Sequence[QuotaWindow]) -> int:
    """How many cells of the page `windows` need."""
    return sum(ShortWindow.cells_for(window) for window in windows if is_short(window))


def parts_of(
    cells: memoryview[float], windows: Sequence[QuotaWindow]
) -> Iterator[tuple[QuotaWindow, memoryview[float]]]:
    """Each short window with its part of the cells."""
    at = 0
    for window in filter(is_short, windows):
        end = at + ShortWindow.cells_for(window)
        yield window, cells[at:end]
        at = end


def paces_over(cells: memoryview[float], windows: Sequence[QuotaWindow], *, hold_s: float) -> list[ShortWindow]:
    """The short windows over their cells."""
    return [ShortWindow(window, part, slack=SLACK, hold_s=hold_s) for window, part in parts_of(cells, windows)]


def clear(cells: memoryview[float], ended: float, *, windows: Sequence[QuotaWindow]) -> None:
    """Make the cells of a new page, of which every request before has surely ended by `ended`."""
    for window, part in parts_of(cells, windows):
        ShortWindow.clear(part, ended + window.window_s * (1 + SLACK))
