"""The quotas as others see them: what holds writes back and until when, in words, what is left, and when a run ends.

Times are told as local time with date and zone, since they may be days away and be read in a log.  They are never too
early: at that time writes are possible.  Invariant: every sentence is true at this moment.

The remaining time of a run (`Eta`) comes from its present rate; `quota.forecast` spends forward through every window.

    ceiling or short quota      its own rate, exactly, while it holds the run back
    anything else               the recent rate of answered writes, but never more than these two allow
    long quotas                 every wait to come, also of days; others of the account go on as they do now.  What
                                throttles have shown counts as a window of any 24 hours
    a pause                     its end, then the rate before it
    doubts                      until the last of them may be settled either way; a look that is due may take any time
    server gone, lists, token   no time is told, since nobody knows how long that takes

While something long holds the run, the recent rate is near 0 and says nothing: the last one before it counts.  Only
writes take time (`core.writes` says how many are to come).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

from ..model import QuotaWindow, began, moment
from .forecast import Grant, day_of, finish, kinds_of
from .windows import READ, SHORT_S, WRITE, concerned, is_short, long_of, pace_of

if TYPE_CHECKING:
    from .ceiling import Ceiling
    from .gate import Quotas

KNOWN_S: Final = SHORT_S  # by then every slot of a short window may be another client's
HOLD_S: Final = 60.0  # the end of a longer hold is told as a time of day
ANEW_S: Final = 10.0  # a forecast costs milliseconds, so it is not made more often while it holds
STEADY_S: Final = 20.0  # a rate counts once so much time has passed since the last hold
UNKNOWN: Final = frozenset({"gone", "lists", "token"})  # causes that hold the run for an unknown time
PACED: Final = frozenset({"ceiling", "quota"})  # causes that hold the run at a known rate
NO_MEASURE: Final = UNKNOWN | {"pause", "stopping", "doubts", "refused", "again", "end", "source", "start"}
"""Causes under which the recent rate says nothing about the rest."""


def spent_words(window: QuotaWindow, until: str) -> str:
    return f"the quota {window.text} is spent until {until}"


def refused_of(quotas: Quotas, kind: str) -> Grant | None:
    """What the ledger said when it granted nothing of this kind, while nothing is left and that lasts."""
    one = quotas.classes[kind]
    return one.blocked if one.blocked and one.blocked.opens_at > quotas.boot() and not one.units.left else None


def block_of(quotas: Quotas) -> tuple[QuotaWindow, float] | None:
    """The spent window that writes wait for and for how many seconds more, or None."""
    refused = refused_of(quotas, WRITE)
    if refused is None or refused.window is None or is_short(refused.window):
        return None
    return refused.window, refused.opens_at - quotas.boot()


def blocked_by(quotas: Quotas) -> tuple[str, float | None] | None:
    """The cause that holds writes back for long, in words, and for how many more seconds."""
    boot, one, block = quotas.boot(), quotas.classes[WRITE], block_of(quotas)
    if block and quotas.is_guess:
        return "a first reply must tell the server's time, to judge what was spent before this boot", None
    if block:
        return spent_words(block[0], moment(quotas.exchanges.wall() + block[1])), block[1]
    if one.hold_until > boot:
        more_s = one.hold_until - boot
        until = f", so nothing is sent until {moment(quotas.exchanges.wall() + more_s)}" if more_s >= HOLD_S else ""
        return f"the server throttles, though the quota has room{until}", more_s
    return None


def ledger_away(quotas: Quotas) -> str:
    """That the ledger does not answer, in words, once nothing is left of what it granted; or ""."""
    boot, exchanges, units = quotas.boot(), quotas.exchanges, quotas.classes[WRITE].units
    away_s = exchanges.unanswered_s
    if not away_s or (units.left and boot <= units.until):
        return ""
    since = began(exchanges.wall() - away_s)
    return f"the quota ledger has not answered since {since}, so nothing is sent until it does"


def paced_by(quotas: Quotas) -> str:
    """The short window that paces writes right now, in words, or ""."""
    window = waited_for(quotas, WRITE)
    return f"quota {window.text}" if window and is_short(window) else ""


def calls_wait_for(quotas: Quotas) -> str:
    """The window in which list calls wait for room, in words, or "".  A run that was killed may hold all of it."""
    window = waited_for(quotas, READ) if quotas.calls_waiting else None
    return f"list calls wait for the quota {window.text}" if window else ""


def waited_for(quotas: Quotas, kind: str) -> QuotaWindow | None:
    """The window in which the next request of this kind waits for room, or that paces it; None where it may go now."""
    if refused := refused_of(quotas, kind):
        return refused.window
    boot, one = quotas.boot(), quotas.classes[kind]
    at = one.units.opens_at(boot)  # infinity: nothing is left; it comes with an answer, or once a request has ended
    is_coming = at < math.inf or one.units.next_at > boot or one.units.on_way or quotas.exchanges.is_asking
    if at <= boot or not is_coming:
        return None
    short = [window for window in concerned(quotas.windows, kind) if is_short(window)]
    return min(short, key=lambda window: window.count / window.window_s, default=None)


def quiet_for(quotas: Quotas) -> float:
    """For how many seconds surely no write will be sent."""
    return quotas.classes[WRITE].recheck_at - quotas.boot() if block_of(quotas) else 0.0


def long_windows(quotas: Quotas) -> list[QuotaWindow]:
    """The long windows that writes count in, with the one that the server has shown."""
    learnt = quotas.latest.learnt.get(WRITE) if quotas.latest else None
    return [*long_of(quotas.windows), *([day_of(WRITE, learnt.most)] if learnt else [])]


def short_left_of(quotas: Quotas) -> dict[str, int]:
    """Requests that each short window has room for now, by its text: slots that nobody holds, and our unused units.

    What others took since the last exchange is not known.  So after `KNOWN_S` without one there is no number.
    """
    latest, boot = quotas.latest, quotas.boot()
    if latest is None or boot > latest.at + KNOWN_S:
        return {}
    ours = {kind: one.units.left if boot <= one.units.until else 0 for kind, one in quotas.classes.items()}
    return {
        window.text: sum(count for at, count in free if at <= boot) + sum(ours[kind] for kind in kinds_of(window))
        for window, free in latest.free.items()
    }


def left_of(quotas: Quotas) -> dict[str, int]:
    """Requests left in each long window, by its text, as of the last exchange with the ledger."""
    if quotas.latest is None:
        return {}
    spending, leased, boot = quotas.latest.spending, quotas.classes[WRITE].units.left, quotas.boot()
    return {
        window.text: max(0, window.count - spending.spent(window, boot) + (0 if window.kind == READ else leased))
        for window in quotas.windows if not is_short(window)
    }  # fmt: skip


class WorkAhead(NamedTuple):
    """How a run stands: the writes to come, those that were answered a second lately, the kind of what holds it back,
    for how much longer nothing is sent because of a pause, for how much longer doubts wait (below 0: they are
    due), how many of them may be sent then (those of which no attempt is known), and how many rows are not read yet.
    """

    writes: int
    rate_per_s: float
    held: str = ""
    pause_s: float = 0.0
    doubts_s: float = 0.0
    doubts: int = 0
    not_read: int = 0


class Eta:
    """Answers for one run; `quotas` and `ceiling` None mean that there are none."""

    def __init__(self, quotas: Quotas | None, ceiling: Ceiling | None = None) -> None:
        self._quotas = quotas
        self._ceiling = ceiling.reached_per_s if ceiling else math.inf
        self._rate: float | None = None
        self._is_steady = False
        self._steady_since: float | None = None
        self._known: tuple[float, WorkAhead, float, float] | None = None  # made when, for what, by which rate; the end

    @property
    def _most(self) -> float:
        """Writes a second that the ceiling, and our part of the short windows, allow."""
        if self._quotas is None:
            return self._ceiling
        latest = self._quotas.latest
        return min(self._ceiling, latest.pace_per_s if latest else pace_of(self._quotas.windows))

    @property
    def others(self) -> float:
        """Writes that others of the account make for each of ours."""
        return self._quotas.latest.others if self._quotas and self._quotas.latest else 0.0

    @property
    def rate_per_s(self) -> float:
        """Writes a second as they go while nothing long holds them; infinity while nothing is known."""
        return min(self._rate or math.inf, self._most)

    def seconds(self, ahead: WorkAhead, now: float) -> float | None:
        """How many more seconds the run takes; None if nobody can know."""
        is_held = self.note(ahead.rate_per_s, ahead.held, now)
        if ahead.held in UNKNOWN or (ahead.doubts and self.rate_per_s == math.inf):  # nobody knows how fast those go
            return None
        doubts_s = ahead.doubts_s + ahead.doubts / self.rate_per_s
        if ahead.writes <= 0:  # how long it takes to read the rows that exist, nobody knows
            return None if doubts_s < 0 or ahead.not_read else doubts_s
        if self._known is None or not is_near(self._known, ahead, now, self.rate_per_s):
            seconds = self._forecast(ahead, is_held=is_held)
            if seconds is None:
                return None
            self._known = now, ahead, self.rate_per_s, now + seconds
        return max(0.0, self._known[3] - now, doubts_s)

    def note(self, rate_per_s: float, held: str, now: float) -> bool:
        """Keep the rate of times when nothing long held the run; whether something does.  Called at each tick."""
        is_held = self._quotas is not None and blocked_by(self._quotas) is not None
        if held in PACED and not is_held and self._most < math.inf:
            self._rate, self._is_steady = self._most, True
        if is_held or rate_per_s <= 0 or held in NO_MEASURE:
            self._steady_since = None
        elif self._steady_since is None:
            self._steady_since = now
        if self._steady_since is None or held in PACED:
            return is_held
        is_steady = now > self._steady_since + STEADY_S
        if is_steady or not self._is_steady:
            self._rate, self._is_steady = rate_per_s, is_steady
        return is_held

    def _forecast(self, ahead: WorkAhead, *, is_held: bool) -> float | None:
        rate, quotas = self.rate_per_s, self._quotas
        if quotas is None or quotas.latest is None:
            return None if rate == math.inf else max(0.0, ahead.pause_s) + ahead.writes / rate
        if rate == math.inf and not is_held:  # held from the start: the windows alone tell
            return None
        boot, one, learnt = quotas.boot(), quotas.classes[WRITE], quotas.latest.learnt.get(WRITE)
        begin = max(boot + ahead.pause_s, one.hold_until)
        if learnt:  # the server may have said until when it wants nothing
            begin = max(begin, boot + learnt.until - quotas.exchanges.wall())
        leased = min(ahead.writes, one.units.left)  # these count as spent already
        begin += leased / rate
        end = finish(
            quotas.latest.spending, long_windows(quotas), ahead.writes - leased, begin, rate_per_s=rate,
            others=self.others
        ).at  # fmt: skip
        return None if end == math.inf else end - boot


def is_near(known: tuple[float, WorkAhead, float, float], ahead: WorkAhead, now: float, rate: float) -> bool:
    """Whether a forecast still holds: it is fresh, for about as many writes, by about the same rate."""
    at, was, rate_was, end = known
    if now > at + ANEW_S or abs(ahead.writes - was.writes) > ahead.writes / 50:
        return False
    return abs(rate - rate_was) <= rate / 50 and end >= now + ahead.pause_s
