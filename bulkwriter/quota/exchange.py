"""What a client and the ledger say to each other in one exchange, and the rows that the ledger keeps.

A client asks with an `Ask` and gets an `Answer`.  The deciding part (`quota.account`) turns the ledger's rows and the
ask into the answer and into changes of the rows.  Only the storing differs from one ledger to the next.

A client numbers its exchanges.  If it does not learn whether one was carried out, it may repeat it under the same
number: what it reports is then counted once, and what it may have been granted and never heard of is taken back.

Nouns only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ..model import QuotaWindow
from .forecast import Grant, Spending
from .throttles import Learnt, Spent


class BootPlace(NamedTuple):
    """A machine and one of its boots, "" where unknown.  The boot's id tells the clock; the machine's is for readers.

    Containers of one host share its boot id and its clock, and each may have a machine id of its own.  Machines of one
    image may share a machine id, and never a clock.
    """

    machine: str
    boot: str

    def has_clock_of(self, other: BootPlace) -> bool:
        """Whether times at both places are of the same clock since boot."""
        return self.boot == other.boot


class SpentRow(NamedTuple):
    """So many `requests` that ended in a minute of a boot, or in a part of one; where `client` is set, of the lease of
    a client that lives or is dead.

    `ended` is the minute's end by the server's latest clock (epoch seconds), None if that was unknown.  `seen_at` is
    when, on the clock of `seen_boot`, the row was first seen by another boot.
    """

    place: BootPlace
    client: str
    kind: str
    minute: float
    requests: int
    ended: float | None = None
    seen_boot: str = ""
    seen_at: float = 0.0


RowKey = tuple[BootPlace, str, str, float]
"""The first four of a row."""


class ShortRow(NamedTuple):
    """The short windows of an account (`quota.short`), where their times are counted, and when they were written."""

    place: BootPlace
    at: float
    packed: str


@dataclass(slots=True)
class LedgerRows:
    """All that a ledger keeps of one account.  As changes of it: the same as it is to be, and nothing that stays."""

    spent: dict[RowKey, SpentRow] = field(default_factory=dict)  # in changes, one without requests is gone
    short: ShortRow | None = None
    learnt: dict[str, Learnt] = field(default_factory=dict)
    spread_s: float = 0.0  # how far the clocks of the server lie apart
    forget: tuple[int, float | None] | None = None
    """In changes: rows of this place before this minute may go, and others that ended before (epoch seconds)."""


class ClockReadings(NamedTuple):
    """What the server's clocks show at this moment, in epoch seconds; see `quota.clock`.

    `wall` is for what throttles teach: a guess where the others are unknown (None).
    """

    epoch: float | None
    latest: float | None
    wall: float
    spread_s: float = 0.0


class Lease(NamedTuple):
    """Units of one kind, as they are granted, or as the client tells what it holds.

    So many `units` may be used, `coming` of them not before these times, so many each, and none later than `until`.
    """

    units: int = 0
    on_way: int = 0  # requests that used some of it and have not ended
    until: float = 0.0
    next_at: float = 0.0  # when the next unit after them goes by even pacing
    coming: Sequence[tuple[float, int]] = ()


@dataclass(slots=True, kw_only=True)
class Ask:
    """One side of an exchange.  `now` is the boot clock."""

    client: str
    number: int  # of this exchange, from 1 on; the same again is a repeat
    now: float
    clocks: ClockReadings
    hold_s: float  # the longest time from the use of a unit to the end of its request
    wants: frozenset[str] = frozenset()  # kinds of which more is wanted
    held: Mapping[str, Lease] = field(default_factory=dict)  # by kind
    ended: Mapping[tuple[str, float], int] = field(default_factory=dict)  # requests by (refused) kind, and when
    spent: Mapping[str, Spent] = field(default_factory=dict)  # kinds of which throttles say that they are spent
    good: frozenset[str] = frozenset()  # kinds of which a try succeeded
    is_last: bool = False  # this client will not ask again


@dataclass(slots=True)
class Answer:
    """The other side; `spending` is a copy."""

    leases: dict[str, Lease]  # more units by kind; those that were left may be used `until` then as well
    blocked: dict[str, Grant]  # kinds of which nothing was granted: when to ask again, and which window is spent
    tries: set[str]  # kinds of which the one unit that was granted is a try
    learnt: dict[str, Learnt]  # what throttles have shown of the server's own windows, by kind
    is_guess: bool  # rows of other boots are counted from when they were first seen
    spending: Spending
    spread_s: float
    at: float = 0.0  # boot clock
    pace_per_s: float = math.inf  # this client's part of what short windows allow in writes
    others: float = 0.0  # writes that others of the account make for each of ours
    free: dict[QuotaWindow, Sequence[tuple[float, int]]] = field(default_factory=dict)
    """Slots of short windows that nobody holds: from when on, how many more."""
