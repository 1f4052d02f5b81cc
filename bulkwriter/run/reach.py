"""How far intents may run ahead of the requests: about as many as can be sent in the next second.

An intent that was not sent yet is a doubt after a crash, and costs a look.  So no more intents are made than can be
sent within about `ahead_s`.  Two bounds are known beforehand:

    flow    pairs in `ahead_s` by the ceiling and the short quotas; 0 in a pause or while the server does not answer
    room    pairs that the long quotas have room for, however long that takes; 0 while one is spent

A server's own limits are not known beforehand.  The size of the chunks follows them (`run.chunks`).

Invariant: at least one intent may always be made, since only a ready pair asks: it asks the ledger whether a window is
open again, and the server whether it answers again.  This module only reads, and asks the ledger for nothing.  Not
here: the requests (`run.sender`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

from ..quota.view import block_of, long_windows
from ..quota.windows import WRITE, pace_of

if TYPE_CHECKING:
    from ..quota.gate import Quotas
    from .admission import Admission

PLENTY: Final = 1 << 62


class Reach(NamedTuple):
    """How many pairs can go soon (`flow`), and how many at all (`room`); infinity where no bound is known."""

    flow: float = math.inf
    room: float = math.inf

    def low_water(self, rows: int) -> int:
        """About `rows` more intents are made once no more than so many are ready.  First value, at 60 a minute: 1."""
        return int(max(0, min(rows, math.ceil(min(self.flow, rows)), self.room - 1)))

    def rows(self, ready: int) -> int:
        """How many intents may be made now, beside the `ready` ones; at least 1, or nobody would ask again."""
        most = min(self.flow, self.room - ready)
        return PLENTY if most == math.inf else max(1, math.ceil(most))


def reach_of(admission: Admission, now: float, *, ahead_s: float) -> Reach:
    """How far intents may reach at `now`."""
    if admission.breaker.is_open or admission.control.paused_until > now + ahead_s:
        return Reach(0.0, 0.0)
    flow = admission.ceiling.rate_per_s * ahead_s if admission.ceiling else math.inf
    quotas = admission.quotas
    if quotas is None:
        return Reach(flow)
    if quotas.classes[WRITE].hold_until > quotas.boot() + ahead_s:
        return Reach(0.0, 0.0)
    return Reach(min(flow, pace_of(quotas.windows) * ahead_s), room_of(quotas))


def room_of(quotas: Quotas) -> float:
    """How many writes the long windows have room for, by the ledger's last answer."""
    windows, latest, units = long_windows(quotas), quotas.latest, quotas.classes[WRITE].units
    if latest is None or block_of(quotas):
        return 0.0
    if not windows:
        return math.inf
    return latest.spending.grant(windows, WRITE, PLENTY, quotas.boot()).granted + units.left
