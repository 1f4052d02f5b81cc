"""The real `Assembly` with another network and another disk: what a `BulkWriter` under simulation stands on."""

from __future__ import annotations

import random

from bulkwriter.clocks import Clocks
from bulkwriter.entities import Entity
from bulkwriter.entities.completed_lessons import COMPLETED_LESSONS
from bulkwriter.listing.lister import Lister
from bulkwriter.net.api import Api
from bulkwriter.run.peers import PeersLike
from bulkwriter.run.ports import Ports
from bulkwriter.settings import Settings
from bulkwriter.store.journal import Journal
from bulkwriter.wiring import Assembly

from .disk import Disk, VirtualWriter
from .lists import SimTokens
from .pool import SimPool
from .process import Process
from .server import Server
from .watch import Watch
from .weather import Weather
from .world import JOURNAL

WALL_S = 1_764_000_000.0
"""What the wall clock says at virtual time 0."""


class SimNetwork:
    """Pool and calls of one process; stands for `ServerClient`."""

    def __init__(self, pool: SimPool) -> None:
        self.pool = pool
        self.calls = pool.calls()

    async def aclose(self) -> None:
        await self.calls.aclose()
        await self.pool.aclose()


class SimAssembly(Assembly):
    """`journal` is what the disk has, or the memory of a process that keeps nothing."""

    def __init__(
        self,
        settings: Settings,
        *,
        process: Process,
        server: Server,
        weather: Weather,
        watch: Watch,
        journal: Journal,
        disk: Disk,
        rng: random.Random,
        entity: Entity = COMPLETED_LESSONS,
    ) -> None:
        super().__init__(settings, columns=None, entity=entity)
        self._peers = None  # nothing is on this machine's disk
        self.peers: PeersLike | None = None
        self._process = process
        self._weather = weather
        self._rng = rng
        self._server = server
        assert settings.journal in (JOURNAL, None), "nothing is opened there"
        self.store = VirtualWriter(process, journal, disk, rng)
        self.pool = SimPool(process, server, weather, watch, limits=settings.limits, rng=rng)

    def _wall(self) -> float:
        return WALL_S + self._process.loop.time()

    async def _load_network(self) -> None:
        """There is none."""

    def _make_ports(self) -> Ports:
        network = self._client = SimNetwork(self.pool)  # type: ignore[assignment]
        api = Api(self._settings.base_url, self._entity)
        tokens = SimTokens(self._server, self._weather)
        clock = self._process.loop.time

        return Ports(
            pool=self.pool,
            store=self.store,
            api=api,
            tokens=tokens,
            get_page=Lister(network.calls.request, api, tokens, wall=self._wall, most_age_s=5.0).page,
            entity=self._entity,
            shifts=lambda: 0,
            clocks=Clocks(clock=clock, wall=self._wall),
            rng=self._rng,
            cpu_times=lambda: (0.0, 0.0),
            peers=self.peers,
        )
