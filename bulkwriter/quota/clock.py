"""The server's clock, as its replies show it.  It places calendar days, and the spending of other boots and machines.

A reply that was asked for at boot time `s`, came at `b` and says `Date: D` was written in between.  So the offset of
the server's clock to ours is at least D - b, and at most D + 1 - s, because a Date tells whole seconds.  Some servers
round, and some renew their Date by a timer: a second more on both sides.

    the last 20 intervals have a part in common    one clock, which lies in that part
    they have not                                  several clocks, or one that was set: `epoch` follows the earliest
                                                   of them, `latest` the latest
    clocks more than half a day apart              None until 20 replies agree again: nobody can say which day it is
    never heard, or no Date                        None
    Age above 0; garbage; before 2020, after 2099  not counted: a cache kept the reply, or no such clock places days
    a Date that stands still                       the earliest clock stands still with it: no day ends

Whether something is over is asked of `epoch`, and when something was spent is noted by `latest`.  So what is remembered
looks younger than it is, never older, and a calendar day is over only when it is over for every backend.  How far the
clocks lay apart (`spread_s`) is remembered for a day after it last showed, since 20 replies in a row can come from one
of several backends.  None means unknown, and frees nothing: a calendar window then counts as one of any 24 hours.

Pure: `boot` is CLOCK_BOOTTIME in seconds, and comes from the caller.  Invariant: `epoch` <= `latest`.
Source: K. Marzullo, "Maintaining the Time in a Distributed System" (1984), for the intervals; RFC 9110, 6.6.1, Date.
"""

from __future__ import annotations

import math
from collections import deque
from datetime import UTC, datetime
from typing import Final

from ..core.classify import http_date

SAMPLES: Final = 20  # replies that count.  More remember a rare backend for longer; fewer forget a false Date sooner.
GRAIN_S: Final = 1.0  # a Date tells whole seconds; see the module for the second that is added on both sides
ANEW_S: Final = 0.05
"""The same Date again tells next to nothing so soon, and thousands of replies a second have it.  More would tell the
time less exactly, and notice later that a Date stands still."""
SPREAD_HOLDS_S: Final = 86_400.0  # a backend whose clock was not seen for a day is taken for gone
MOST_SPREAD_S: Final = 43_200.0  # a calendar day that begins later for us wastes more than one of any 24 hours
DRIFT: Final = 1e-4  # how much our clock's pace may differ from the server's: half of `quota.windows.SLACK`
FIRST_S: Final = datetime(2020, 1, 1, tzinfo=UTC).timestamp()  # 1970 is a clock without a battery
LAST_S: Final = datetime(2100, 1, 1, tzinfo=UTC).timestamp()
CENTURY_S: Final = datetime(2030, 1, 1, tzinfo=UTC).timestamp()  # tells the century of a Date with a year of two digits


class ServerClock:
    """See the module.  `spread_s`: how far the clocks of the backends lay apart, as an earlier process knew it."""

    def __init__(self, spread_s: float = 0.0) -> None:
        self._intervals: deque[tuple[float, float]] = deque(maxlen=SAMPLES)
        """Least and most of each reply's offset to the boot clock."""
        self._earliest, self._latest = math.inf, -math.inf  # offsets of what is believed
        self._at = 0.0  # of the last sample
        self._date: str | None = None  # the last one that was read
        self._spread_s, self._spread_until = spread_s, math.inf

    @property
    def is_known(self) -> bool:
        """Whether `epoch` can say anything.  It may become unknown again, when clocks are seen that lie far apart."""
        return 0.0 <= self._latest - self._earliest <= MOST_SPREAD_S

    @property
    def spread_s(self) -> float:
        """How far the clocks of the server's backends lie apart, in seconds; 0 while one clock explains all replies."""
        return self._spread_s

    def epoch(self, boot: float) -> float | None:
        """Epoch seconds that the server's earliest clock shows at `boot`, or None.  Not later than what it shows."""
        return self._earliest + boot - DRIFT * max(0.0, boot - self._at) if self.is_known else None

    def latest(self, boot: float) -> float | None:
        """Epoch seconds that the server's latest clock shows at `boot`, or None.  Not earlier than what it shows."""
        return self._latest + boot + DRIFT * max(0.0, boot - self._at) if self.is_known else None

    def heard(self, date: str | None, boot: float, *, took_s: float = 0.0, age_s: float = 0.0) -> bool:
        """A reply came at `boot` with this Date and Age, `took_s` after its request was sent.

        Whether the clock became known or unknown, or moved by more than a second: then decisions by the old one are to
        be made again.  The same Date as just before is passed over.
        """
        if date == self._date and boot < self._at + ANEW_S:
            return False
        self._date = date
        date_s = http_date(date.strip(" \t"), CENTURY_S) if date else None
        if date_s is None or age_s > 0 or not FIRST_S <= date_s < LAST_S:
            return False
        was_known, earliest, latest = self.is_known, self._earliest, self._latest
        self._intervals.append((date_s - GRAIN_S - boot, date_s + 2 * GRAIN_S - (boot - max(0.0, took_s))))
        self._at = boot
        self._estimate(boot)
        if was_known != self.is_known:
            return True
        return self.is_known and max(abs(self._earliest - earliest), abs(self._latest - latest)) > GRAIN_S

    def _estimate(self, boot: float) -> None:
        lows, highs = zip(*self._intervals, strict=True)
        low, high = max(lows), min(highs)
        if low > high:
            low, high = min(lows), max(highs)
            self._keep(high - low, boot)
        elif boot >= self._spread_until:
            self._spread_s = 0.0
        elif self._spread_until == math.inf:  # from an earlier process: a day from the first reply on
            self._spread_until = boot + SPREAD_HOLDS_S
        self._earliest, self._latest = min(low, high - self._spread_s), max(high, low + self._spread_s)

    def _keep(self, spread_s: float, boot: float) -> None:
        """Remember that clocks lie apart: the widest that showed within a day.  One wild Date is not remembered."""
        if spread_s > MOST_SPREAD_S:
            return
        if spread_s >= self._spread_s or boot >= self._spread_until:
            self._spread_s = spread_s
        self._spread_until = boot + SPREAD_HOLDS_S
