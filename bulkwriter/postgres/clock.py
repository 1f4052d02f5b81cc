"""The time of a ledger in PostgreSQL: what the database's clock shows, without its steps, and what that is here.

    ledger time    epoch seconds of the database's clock, plus a shift that is kept with the account.  A client that
                   sees the database's clock step adds the opposite to the shift, so that ledger time runs on
    here           a client's clock since boot, plus an offset.  Nobody can set that clock, so it shows a step

Each exchange reads the database's clock between two readings of the clock here.  So the offset lies between bounds, as
far apart as the round trip took.  Bounds of several exchanges have a part in common, which gets wider with time, since
clocks drift (`DRIFT`).  Where they have none, the database's clock was set.

    seen later than the bounds allow       a step forward: ledger time is shifted back to the earliest that can be, but
                                           never before an exchange of another client that knew (`floor_s`): then it was
                                           this machine that stood still
    seen earlier                           a step back: it is shifted forward, to the earliest that can be
    a client that has no bounds            it is new here.  It joins where another client knew the time a moment ago;
                                           else a new clock begins (`postgres.ledger`)

So ledger time is never ahead of what some client knows to have passed, and nothing is free too early.

`now` is what the parts that wait and send take for the clock since boot.  It follows the lower bound, at most `SLEW`
faster or slower than the clock here, so that no window that is spent in memory is short by more than its slack.
`errors` says how far it may be ahead of ledger time and behind it; `postgres.times` makes up for both.

Source: D. Mills, RFC 5905, section 11.2 (offsets by round trips); K. Marzullo, "Maintaining the Time in a Distributed
System" (1984).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

DRIFT: Final = 1e-4
"""How much faster or slower two machines' clocks run at most: half of what windows allow for (`windows.SLACK`)."""
SLEW: Final = 1e-4
"""As much may the time here run faster or slower; the other half of it."""
JUMP_S: Final = 0.05
"""What this machine missed by more than that, it learns at once: following would take minutes."""


class Bounds(NamedTuple):
    """Of ledger time, or of the database's clock, minus the clock since boot; in seconds."""

    low: float
    high: float

    @classmethod
    def of(cls, shown: float, sent: float, got: float) -> Bounds:
        """A clock that showed this between two readings of the clock here."""
        return cls(shown - got, shown - sent)

    def moved(self, by_s: float) -> Bounds:
        return Bounds(self.low + by_s, self.high + by_s)

    def with_(self, other: Bounds) -> Bounds | None:
        """The part in common; None where there is none."""
        low, high = max(self.low, other.low), min(self.high, other.high)
        return Bounds(low, high) if low <= high else None


class DatabaseClock:
    """See the module.  `boot` is the clock since boot; `guess_s` serves as offset until a database has answered.

    `now` may be called from any thread, all else from one.
    """

    def __init__(self, boot: Callable[[], float], guess_s: float) -> None:
        self._boot = boot
        self._bounds: Bounds | None = None
        self._at = 0.0  # clock since boot, when they were seen
        self._line = boot(), guess_s, guess_s  # since when, which offset then, and where it goes; replaced as a whole
        self._is_guess = True

    def now(self) -> float:
        """Ledger time, as far as is known here."""
        boot = self._boot()
        return boot + self._offset(boot)

    @property
    def is_known(self) -> bool:
        """Whether a step of the database's clock would be noticed."""
        return self._bounds is not None

    def take_over(self, bounds: Bounds, seen_at: float) -> None:
        """What another process of this boot knew at `seen_at` (ledger time)."""
        self._bounds, self._at = bounds, seen_at - bounds.high

    def bounds(self, boot: float) -> Bounds | None:
        """What ledger time minus the clock since boot can be at `boot`; None where nothing is known."""
        if self._bounds is None:
            return None
        wider_s = DRIFT * max(0.0, boot - self._at)
        return Bounds(self._bounds.low - wider_s, self._bounds.high + wider_s)

    def step_s(self, seen: Bounds, boot: float, *, floor_s: float) -> float:
        """What is to be added to ledger time so that it runs on as it did; 0 where it does.

        `floor_s`, not above 0, is the least: others know that so much time has passed.
        """
        known = self.bounds(boot)
        if known is None or known.with_(seen):
            return 0.0
        return max(known.low - seen.high, min(floor_s, 0.0) if seen.low > known.high else 0.0)

    def keep(self, seen: Bounds, boot: float, *, step_s: float) -> None:
        """Believe what was seen at `boot`, after `step_s` was added.  What was known before a step is of no use."""
        known = self.bounds(boot)
        common = known.with_(seen) if known and not step_s else None
        self._bounds, self._at = common or seen, boot
        offset, target = self._offset(boot), self._bounds.low
        stood_still = known is not None and common is None and seen.low > known.high + JUMP_S
        self._line = boot, target if self._is_guess or stood_still else offset, target
        self._is_guess = False

    def errors(self, boot: float) -> tuple[float, float]:
        """By how much `now` may be ahead of ledger time, and behind it, at `boot` and soon after; in seconds."""
        known = self.bounds(boot)
        if known is None:
            return 0.0, 0.0
        ends = self._offset(boot), self._line[2]
        return max(0.0, max(ends) - known.low), max(0.0, known.high - min(ends))

    def _offset(self, boot: float) -> float:
        since, offset, target = self._line
        most = SLEW * max(0.0, boot - since)
        return min(max(target, offset - most), offset + most)
