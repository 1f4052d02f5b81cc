"""How far intents may reach ahead of what is sent: about a second's worth of what binds at this moment.

An intent that was not sent yet is a doubt after a crash, and costs a look.  So no more of them are made than can go
within about `ahead_s`, as far as that is known:

    flow    pairs in `ahead_s` by the ceiling and the short quotas; 0 in a pause or while the server is gone
    room    pairs that the long quotas have room for, however long that takes; 0 while one is spent

Of what nobody wrote down, a server's own limits, the chunks follow by themselves (`run.chunks`).

Invariant: at least one intent may always be made, since only a pair that is ready asks: the ledger whether a window is
open again, the server whether it is back.  It only reads, but for nothing that it asks of the ledger.  Not here: what
is sent (`run.sender`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

from ..quota.eta import long_of, pace_of
from ..quota.view import block_of
from ..quota.windows import WRITE

if TYPE_CHECKING:
    from ..quota.gate import Quotas
    from .admission import Admission

PLENTY: Final = 1 << 62


class Reach(NamedTuple):
    """How many pairs can go soon, and at all; infinity where nothing is known to bind."""

    flow: float = math.inf
    room: float = math.inf

    def low_water(self, rows: int) -> int:
        """So few intents may be ready when about `rows` more are made.  First value, at 60 a minute: 1."""
        return int(max(0, min(rows, math.ceil(min(self.flow, rows)), self.room - 1)))

    def rows(self, ready: int) -> int:
        """How many intents may be made now, beside those that are `ready`; at least 1, or nobody would ask again."""
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
    if quotas.sides[WRITE].hold_until > quotas.boot() + ahead_s:
        return Reach(0.0, 0.0)
    return Reach(min(flow, pace_of(quotas.windows) * ahead_s), room_of(quotas))


def room_of(quotas: Quotas) -> float:
    """How many writes the long windows have room for, as of the last word of the ledger."""
    windows, latest, reserve = long_of(quotas.windows), quotas.latest, quotas.sides[WRITE].reserve
    if latest is None or block_of(quotas):
        return 0.0
    if WRITE in latest.shown:
        windows.append(latest.shown[WRITE])
    if not windows:
        return math.inf
    return latest.spending.grant(windows, WRITE, PLENTY, quotas.boot()).granted + reserve.unused
