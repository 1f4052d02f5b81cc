"""Asks and answers between a client's time and the ledger's, so that the difference never frees anything too early.

A client's clock may be ahead of ledger time by some milliseconds, or behind it (`postgres.clock`).  So what a client
says counts for later by as much as it may be behind: ends of requests, the end of its lease.  What the ledger says
comes later by as much as the client may be ahead, and the end of a lease earlier.  The time from which on a unit may be
used counts in the ledger as the earliest that it can be.

Pure.  Not here: how large the difference is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from ..quota.exchange import Answer, Ask, ClockReadings, Lease


def to_ledger(ask: Ask, now: float, *, ahead_s: float, behind_s: float) -> Ask:
    """The ask as of ledger time `now`; the client's clock may be ahead or behind by so much."""
    passed_s = now - ask.now
    clocks = ask.clocks
    if clocks.epoch is not None and clocks.latest is not None:
        clocks = clocks._replace(epoch=clocks.epoch + passed_s - behind_s, latest=clocks.latest + passed_s)
    return dataclasses.replace(
        ask, now=now, clocks=ClockReadings(*clocks[:2], clocks.wall + passed_s, clocks.spread_s),
        held={kind: seen_from(one, until_s=behind_s, from_s=-ahead_s) for kind, one in ask.held.items()},
        ended={(kind, at + behind_s): count for (kind, at), count in ask.ended.items()},
    )  # fmt: skip


def as_repeat(ask: Ask) -> Ask:
    """The ask without what is counted already, since it was carried out before."""
    return dataclasses.replace(ask, ended={}, spent={}, good=frozenset())


def to_client(answer: Answer, *, ahead_s: float, behind_s: float) -> Answer:
    """The answer in the client's time, whose clock may be ahead or behind by so much."""
    return dataclasses.replace(
        answer,
        leases={kind: seen_from(one, until_s=-behind_s, from_s=ahead_s) for kind, one in answer.leases.items()},
        blocked={kind: grant._replace(opens_at=grant.opens_at + ahead_s) for kind, grant in answer.blocked.items()},
        free={window: moved(free, ahead_s) for window, free in answer.free.items()},
    )  # fmt: skip


def seen_from(lease: Lease, *, until_s: float, from_s: float) -> Lease:
    """The lease with its end, and the times from which on its units may be used, later by so much."""
    next_at, coming = lease.next_at + from_s, moved(lease.coming, from_s)
    return lease._replace(until=lease.until + until_s, next_at=next_at, coming=coming)


def moved(coming: Sequence[tuple[float, int]], by_s: float) -> list[tuple[float, int]]:
    return [(at + by_s, count) for at, count in coming]
