"""The time left of a run under quotas: the rate it really has, spent forward through every window by `core.spending`.

While a window is spent the recent rate is nothing, and says nothing; so the last rate that was measured without such a
hold counts, and never more than the short windows allow.  The answer is right across waits of days.

What throttles have shown counts as a limit of any 24 hours, because one spent window does not tell where the server's
days begin.  If it counts by days, the answer is off by up to one of them until two or three have passed.

Invariant: without quotas it is remaining ÷ rate.  A forecast costs milliseconds, so it is made anew only every
`ANEW_S`, or when as many are left as were not expected.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

from ..core.quota import SLACK, WRITE, concerned, is_short
from ..core.spending import finish
from ..core.stats import eta_s
from ..model import Window
from .quota_view import blocked_by, spending_of
from .quotas import Quotas

ANEW_S: Final = 10.0
STEADY_S: Final = 20.0
"""What a rate is measured over: it counts once so much time has passed since the last hold."""


class Eta:
    """Answers for one run; `quotas` None means that there are none."""

    def __init__(self, quotas: Quotas | None) -> None:
        self._quotas = quotas
        self._rate: float | None = None
        self._steady_since: float | None = None
        self._known: tuple[float, int, float] | None = None  # when it was made, for how many, and the end it found

    def seconds(self, need: int, rate_per_s: float, now: float, *, under_way: int = 0) -> float | None:
        """How much longer `need` pairs take; None while nothing moves and nothing is known.

        Of `under_way` pairs among them the requests are spent already: they are in flight, or in doubt.
        """
        quotas = self._quotas
        if quotas is None or need <= 0:
            return eta_s(need, rate_per_s)
        is_held = blocked_by(quotas) is not None
        self._note(rate_per_s, now, is_held=is_held)
        if self._known is None or now > self._known[0] + ANEW_S or abs(need - self._known[1]) > need / 50:
            seconds = self._forecast(quotas, max(1, need - under_way), is_held=is_held)
            if seconds is None:
                return None
            self._known = now, need, now + seconds
        return max(0.0, self._known[2] - now)

    def _note(self, rate_per_s: float, now: float, *, is_held: bool) -> None:
        """Keep the rate of times when nothing long held the run."""
        if is_held or rate_per_s <= 0:
            self._steady_since = None
        elif self._steady_since is None:
            self._steady_since = now
        if self._steady_since is not None and (self._rate is None or now > self._steady_since + STEADY_S):
            self._rate = rate_per_s

    def _forecast(self, quotas: Quotas, need: int, *, is_held: bool) -> float | None:
        rate = min(self._rate or math.inf, pace_of(quotas.windows))
        long = long_of(quotas.windows)
        if quotas.latest and WRITE in quotas.latest.shown:
            long.append(quotas.latest.shown[WRITE])
        spending, boot = spending_of(quotas), quotas.boot()
        if spending is None or (rate == math.inf and not is_held):  # held from the start: the windows alone tell
            return None
        begin = max(boot, quotas.latest.not_before.get(WRITE, boot)) if quotas.latest else boot
        end = finish(spending, long, need, begin, rate_per_s=rate).at
        return None if end == math.inf else end - boot


def long_of(windows: Iterable[Window]) -> list[Window]:
    """The windows that writes count in and that are counted by the minute."""
    return [window for window in concerned(windows, WRITE) if not is_short(window)]


def pace_of(windows: Iterable[Window]) -> float:
    """Writes a second that the short windows allow; infinity where there are none."""
    short = [window for window in concerned(windows, WRITE) if is_short(window)]
    return min((window.count / (window.window_s * (1 + SLACK)) for window in short), default=math.inf)
