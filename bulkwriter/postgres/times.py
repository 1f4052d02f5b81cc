"""Asks and answers between a client's time and the ledger's, so that the difference never frees anything too early.

A client's clock may be ahead of ledger time by some milliseconds, or behind it (`postgres.clock`).  So what a client
says counts for later by as much as it may be behind: ends of requests, slots that cool, the end of its lease.  What the
ledger says comes later by as much as the client may be ahead, and the end of a lease earlier.

What lies within half of a window's slack needs no more: the slack is for that.

Pure.  Not here: how large the difference is.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

from ..quota.exchange import Answer, Ask, ClockReadings, HeldUnits, KeptSlots, Lease, ShareGrant
from ..quota.forecast import MINUTE_S, PARTS
from ..quota.short import span_in, step_of
from ..quota.windows import SLACK


def to_ledger(ask: Ask, now: float, *, behind_s: float) -> Ask:
    """The ask as of ledger time `now`; the client's clock may be behind by `behind_s`."""
    passed_s, later = now - ask.now, parts_in(behind_s)
    clocks = ask.clocks
    if clocks.epoch is not None and clocks.latest is not None:
        clocks = clocks._replace(epoch=clocks.epoch + passed_s - behind_s, latest=clocks.latest + passed_s)
    return dataclasses.replace(
        ask, now=now, clocks=ClockReadings(*clocks[:2], clocks.wall + passed_s, clocks.spread_s),
        held={kind: HeldUnits(one.left, one.on_way, one.until + behind_s) for kind, one in ask.held.items()},
        kept={key: KeptSlots(one.slots, moved(key, one.given, behind_s)) for key, one in ask.kept.items()},
        ended={(kind, part + later): count for (kind, part), count in ask.ended.items()},
    )  # fmt: skip


def as_repeat(ask: Ask) -> Ask:
    """The ask without what is counted already, since it was carried out before."""
    kept = {key: KeptSlots(one.slots) for key, one in ask.kept.items()}
    return dataclasses.replace(ask, ended={}, spent={}, good=frozenset(), kept=kept)


def to_client(answer: Answer, *, ahead_s: float, behind_s: float) -> Answer:
    """The answer in the client's time, whose clock may be ahead or behind by so much."""
    return dataclasses.replace(
        answer,
        leases={kind: Lease(lease.units, lease.until - behind_s) for kind, lease in answer.leases.items()},
        blocked={kind: grant._replace(opens_at=grant.opens_at + ahead_s) for kind, grant in answer.blocked.items()},
        shares={
            key: ShareGrant(share.slots, moved(key, share.cooling, ahead_s), share.limit)
            for key, share in answer.shares.items()
        },
        not_before={kind: at + ahead_s for kind, at in answer.not_before.items()},
    )  # fmt: skip


def moved(key: str, steps: Mapping[int, int], by_s: float) -> dict[int, int]:
    """Slots that cool, later by `by_s` rounded up, unless the slack of their window covers that."""
    if by_s <= span_in(key) * SLACK / 2:
        return dict(steps)
    later = math.ceil(by_s / step_of(key))
    return {step + later: count for step, count in steps.items()}


def parts_in(by_s: float) -> float:
    """The same for parts of minutes, which windows of more than a minute are counted by: in minutes."""
    if by_s <= MINUTE_S * SLACK / 2:
        return 0.0
    return math.ceil(by_s * PARTS / MINUTE_S) / PARTS
