"""What an engine stands on: lanes, journal, lists, clocks.  They have names so that simulation can replace them.

Simulation has its own lanes, pool and store: each has a small Protocol.  The real ones are `net.lane.Lane`,
`net.pool.Pool` and `store.journal_writer.JournalWriter`; `wiring` puts them together.  Time and chance are among the
ports, so that one seed decides a whole simulated run.

Not here: the objects that decide for the engine (`engine`), and the choices of a caller (`settings`).
"""

from __future__ import annotations

import math
import random
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from ..clocks import Clocks
from ..core.dedupe import IdSet
from ..entities import Entity
from ..listing.lists import Filters
from ..model import Intent, Rows, State
from ..net.api import Api, ListPage
from ..net.auth import TokenSource
from ..quota.gate import Quotas
from ..rows import Named, SettleRow
from ..store.journal import Journal
from .holding import Fence
from .lanes import LaneLike
from .peers import PeersLike
from .warm_start import WarmStart

T = TypeVar("T")


class LanePool(Protocol):
    """Makes connections, and resets a connection whose deadline has passed."""

    async def connect(self, owner: Any, *, body_bytes: int) -> LaneLike: ...
    def sweep(self, now: float) -> None: ...
    async def aclose(self) -> None: ...


class Store(Protocol):
    """The journal behind its writer.  Every call returns when its change is durable, or in memory where no file is
    kept.
    """

    async def write(self, step: Callable[[Journal], T], /) -> T: ...
    async def settle(self, rows: list[SettleRow]) -> None: ...
    async def recall(self, rows: Sequence[SettleRow], expected: Collection[int]) -> list[int]: ...
    async def run(self, step: Callable[[Journal], T], /) -> T: ...

    @property
    def rows(self) -> int: ...
    @property
    def next_single_seq(self) -> int: ...
    @property
    def counts(self) -> Mapping[State, int]: ...


@dataclass(slots=True, kw_only=True)
class Ports:
    """Everything outside the engine that it acts on."""

    pool: LanePool
    store: Store
    api: Api
    tokens: TokenSource
    get_page: Callable[[Filters, int], Awaitable[ListPage]]
    entity: Entity
    shifts: Callable[[], int]
    """How many connections for calls were out of step so far."""
    clocks: Clocks
    rng: random.Random
    cpu_times: Callable[[], tuple[float, float]]
    """Seconds for which the loop's thread ran, and for which it waited for a processor; see `cpu`."""
    most_lanes: float = math.inf
    """How many connections this process may have open."""
    quotas: Quotas | None = None
    fence: Fence | None = None
    """The lease of the part that this process writes, where its journal is kept in a database."""
    peers: PeersLike | None = None
    """The other writers, where this one keeps its journal in a file."""
    warm_start: WarmStart | None = None

    @property
    def clock(self) -> Callable[[], float]:
        return self.clocks.clock

    @property
    def wall(self) -> Callable[[], float]:
        return self.clocks.wall

    @property
    def server_wall(self) -> Callable[[], float]:
        """The time of the server, in epoch seconds, where replies have told it; else that of this machine."""
        return self.quotas.exchanges.wall if self.quotas else self.wall


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What the journal holds when an engine starts: rows by state, the doubts among them, and created record ids."""

    tally: dict[State, int]
    doubts: list[Intent]
    record_ids: IdSet
    being_deleted: set[int] = field(default_factory=set)
    """Seqs of doubts whose records an undo was deleting when it was killed."""
    causes: dict[int, str] = field(default_factory=dict)
    """Why doubts are doubts, by seq, where that is known."""
    named: dict[int, Named] = field(default_factory=dict)
    """What is known of the requests of doubts, by seq."""
    began_at: float | None = None
    """When the run began, in epoch seconds."""
    has_rising_ids: bool = True
    in_doubt_for_s: float = 0.0
    """Requests of an earlier holder may still be on their way for so long; looks for its doubts count from then.  Below
    0: they have ended, so long ago."""
    unseen_for_s: float = 0.0
    """For so long nothing may be looked up or sent: lists may not show what was written or deleted before."""
    notes: list[str] = field(default_factory=list)
    """Messages that people should read first."""
    rows: Rows = field(default_factory=Rows)
    """How many rows the source has, as earlier starts knew it."""

    @property
    def below(self) -> int:
        """How many doubts have a reply that named a record which is not above their floor."""
        return sum(named.record_id > 0 for named in self.named.values())
