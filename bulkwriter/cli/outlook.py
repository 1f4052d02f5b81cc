"""When so many writes will be done: under each quota alone, under all together, and as if nothing had been spent yet.

`plan` and `status` answer with this, progress with the same `quota.forecast.finish`.  A finish is told as a date with
its zone and as a duration; the quota that is waited for longest is the one that *binds*.

Pure but for `Outlook.now`, which reads the ledger and the clocks.  Not here: how many writes are needed.
"""

from __future__ import annotations

import dataclasses
import datetime
import math
import time
from pathlib import Path
from typing import Any

from ..model import QuotaWindow, moment
from ..postgres.address import Address
from ..quota.build import spent_so_far
from ..quota.exchange import BootPlace, LedgerRows
from ..quota.forecast import Finish, Spending, day_of, finish, usable
from ..quota.others import spending_in
from ..quota.windows import SLACK, WRITE, concerned, is_short, long_of, pace_of
from ..store.boot import boot_clock
from . import describe

LENGTHS = {1.0: "a second", 60.0: "a minute", 3_600.0: "an hour", 86_400.0: "a day"}
NOUNS = {"write": ("write", "writes"), "read": ("list call", "list calls"), "any": ("request", "requests")}


@dataclasses.dataclass(frozen=True, slots=True)
class Outlook:
    """What a forecast starts from.  `rate_per_s` is what we allow ourselves beside the quotas, or infinity."""

    windows: tuple[QuotaWindow, ...]
    spending: Spending
    shown: tuple[QuotaWindow, ...]  # what throttles have shown of the server's own windows
    boot: float
    wall: float
    rate_per_s: float = math.inf
    not_before: float = -math.inf  # boot clock: when the server said to come back
    others: float = 0.0  # writes that others of the account make for each of ours

    @classmethod
    def now(
        cls,
        windows: tuple[QuotaWindow, ...],
        ledger: Path | Address | None,
        account: str,
        *,
        rate_per_s: float = math.inf,
    ) -> Outlook:
        """With what the ledger says at this moment, and as if all that are at work there go on at the same pace as we
        shall.  Raises `JournalError` where it cannot be read.
        """
        boot, wall = boot_clock(), time.time()
        if not windows:
            return cls((), Spending(epoch=wall - boot), (), boot, wall, rate_per_s)
        spending, learnt, boot, others = spent_so_far(ledger, account, windows)
        known = learnt.get(WRITE)
        if known is None:
            return cls(windows, spending, (), boot, wall, rate_per_s, others=others)
        until = known.until - (wall - boot if spending.epoch is None else spending.epoch)
        return cls(windows, spending, (day_of(WRITE, known.most),), boot, wall, rate_per_s, until, others)

    def later(self, wall: float) -> Outlook:
        """The same where the server has said to come back at `wall` (epoch seconds)."""
        return dataclasses.replace(self, not_before=max(self.not_before, wall - self.wall + self.boot))

    def beside_itself(self, others: float | None = None) -> Outlook:
        """The same where the run is one of those at work, and has noted what others write beside it."""
        return dataclasses.replace(self, others=max(0.0, self.others - 1) if others is None else others)

    def fresh(self) -> Outlook:
        """The same with nothing spent, nothing shown, and nobody else at work."""
        nothing = spending_in(LedgerRows(), self.windows, BootPlace("", ""), now=self.boot, wall=self.wall)
        return dataclasses.replace(self, spending=nothing, shown=(), not_before=-math.inf, others=0.0)

    def under(self, need: int, window: QuotaWindow) -> Term:
        """How long `need` writes take under one window alone."""
        if is_short(window):
            seconds = need * window.window_s * (1 + SLACK) / window.count
            return self._term(Finish(self.boot + seconds, None), window)
        begin = max(self.boot, self.not_before) if window in self.shown else self.boot
        return self._term(finish(self.spending, [window], need, begin), window)

    def together(self, need: int) -> Term:
        """How long they take under everything."""
        rate = min(self.rate_per_s, pace_of(self.windows) / (1 + self.others))
        begin = max(self.boot, self.not_before)
        long = [*long_of(self.windows), *self.shown]
        end = finish(self.spending, long, need, begin, rate_per_s=rate, others=self.others)
        return self._term(end, None if end.window or begin == self.boot or not self.shown else self.shown[0])

    def concerned(self) -> tuple[QuotaWindow, ...]:
        """The windows that writes count in."""
        return (*concerned(self.windows, WRITE), *self.shown)

    def opens_at(self, window: QuotaWindow) -> float:
        """When (boot clock) a long window, or the server, lets the next write go."""
        at = self.spending.opens_at(window, self.boot, usable(window, WRITE))
        return max(at, self.not_before) if window in self.shown else at

    def spent(self, window: QuotaWindow) -> int | None:
        """How much of a long window is spent now."""
        return None if is_short(window) else self.spending.spent(window, self.boot)

    def _term(self, end: Finish, window: QuotaWindow | None = None) -> Term:
        return Term(end.at - self.boot, self.wall + end.at - self.boot, window or end.window or self._slowest())

    def _slowest(self) -> QuotaWindow | None:
        """What paces writes where no long window is waited for; None where it is not a quota."""
        short = [window for window in concerned(self.windows, WRITE) if is_short(window)]
        slowest = min(short, key=lambda window: window.count / window.window_s, default=None)
        return slowest if slowest and pace_of(self.windows) < self.rate_per_s else None


@dataclasses.dataclass(frozen=True, slots=True)
class Term:
    """An end: in so many seconds, at this time (epoch seconds), because of this window (None: of no quota)."""

    seconds: float
    wall: float
    window: QuotaWindow | None

    def after(self, seconds: float) -> Term:
        """The same, but no sooner than in so many seconds."""
        later_s = max(0.0, seconds - self.seconds)
        return dataclasses.replace(self, seconds=self.seconds + later_s, wall=self.wall + later_s)

    def facts(self) -> dict[str, Any]:
        """As `--json` has it; null where it never ends."""
        is_ever = self.seconds < math.inf
        at = datetime.datetime.fromtimestamp(self.wall, datetime.UTC) if is_ever else None
        return {
            "quota": self.window.text if self.window else None,
            "seconds": round(self.seconds, 1) if is_ever else None,
            "finish": at.isoformat(timespec="seconds") if at else None,
        }

    def words(self) -> str:
        """First value: "40 d 1 h, until 2026-12-24 10:22 CET"."""
        if self.seconds == math.inf:
            return "never"
        return f"{describe.duration(self.seconds)}, until {moment(self.wall)}"


def window_words(window: QuotaWindow) -> str:
    """A window as people say it: "2,500 writes a day", "1 request in 0.1 s"."""
    kind = window.kind.removeprefix("taken-")
    noun = NOUNS[kind][window.count != 1]
    length = LENGTHS.get(window.window_s, f"in {describe.duration(window.window_s)}")
    day = f" from {window.text.partition('@')[2]}" if window.day_at_s is not None else ""
    shown = " (as the server showed)" if kind != window.kind else ""
    return f"{window.count:,} {noun} {length}{day}{shown}"
