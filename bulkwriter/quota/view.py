"""The quotas as others see them: what holds writes back and until when, in words, and what was spent.  It only reads.

Times are told as local time with date and zone, since they may be days away and be read in a log.  They are never too
early: at that time writes are possible.  Invariant: every sentence is true at this moment.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from ..model import QuotaWindow, began, moment
from .forecast import day_of, kinds_of
from .windows import READ, SHORT_S, WRITE, concerned, is_short, long_of

if TYPE_CHECKING:
    from .gate import Quotas


KNOWN_S: Final = SHORT_S
"""By then every slot of a short window may be another client's."""
HOLD_S: Final = 60.0
"""The end of a longer hold is told as a time of day."""


def spent_words(window: QuotaWindow, until: str) -> str:
    return f"the quota {window.text} is spent until {until}"


def block_of(quotas: Quotas) -> tuple[QuotaWindow, float] | None:
    """The spent window that writes wait for and for how many seconds more, or None."""
    one, boot = quotas.classes[WRITE], quotas.boot()
    blocked = one.blocked
    if blocked is None or blocked.window is None or is_short(blocked.window):
        return None
    if one.units.left or blocked.opens_at <= boot:
        return None
    return blocked.window, blocked.opens_at - boot


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
    window = waited_for(quotas, READ) if quotas.has_waiting_calls else None
    return f"list calls wait for the quota {window.text}" if window else ""


def waited_for(quotas: Quotas, kind: str) -> QuotaWindow | None:
    """The window in which the next request of this kind waits for room, or that paces it; None where it may go now."""
    boot, one = quotas.boot(), quotas.classes[kind]
    if one.blocked and one.blocked.opens_at > boot and not one.units.left:
        return one.blocked.window
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
