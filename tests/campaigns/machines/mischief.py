"""What befalls a fleet, drawn from a seed: one thing at a time for each host, and for the database.

    kill       SIGKILL; the same host starts again
    replace    SIGKILL; another machine takes the host's place, with nothing on its disk
    sleep      SIGSTOP for longer than the lease, then SIGCONT: it wakes up when its part may be somebody else's
    stall      the host's way to the database holds everything back, mostly longer than the lease, and then lets it go
    cut        the host's connections are reset, and new ones refused for a while
    database   the server of the database ends at once (`pg_ctl stop -m immediate`) and is started again

Each ends by itself, in a thread of its own; `settle` waits for all of them.
"""

from __future__ import annotations

import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Final, Protocol

from .fleet import Station

WEIGHTS: Final = {"kill": 3, "replace": 2, "sleep": 4, "stall": 3, "cut": 2, "database": 1}
"""Sleepers most often: they alone hold requests that nobody but they themselves can stop."""
SLEEP: Final = (0.5, 3.0)
"""Deadlines that a sleeper sleeps beyond its lease: mostly until a take-over has sent again what it would send too."""
HIT: Final = 0.8
"""Share of what befalls a host that holds a part; the others wait for one."""
DATABASE_GONE_S: Final = (0.0, 2.0)


class Database(Protocol):
    """What mischief does to a database."""

    def stop(self) -> None: ...
    def start(self) -> None: ...


class Mischief:
    """See the module."""

    def __init__(
        self, stations: Sequence[Station], database: Database, *, lease_s: float, deadline_s: float, seed: int,
        weights: dict[str, int] | None = None, holders: Callable[[], Collection[int]] = tuple,
    ) -> None:  # fmt: skip
        self.dealt = Counter[str]()
        self.log: list[tuple[float, str, str]] = []
        """(when on the monotonic clock, kind, host)."""
        self._stations, self._database, self._lease_s = stations, database, lease_s
        self._deadline_s, self._holders = deadline_s, holders
        self._weights = weights or WEIGHTS
        self._rng = random.Random(f"mischief {seed}")
        self._database_busy = threading.Lock()
        self._threads: list[threading.Thread] = []

    def deal(self, kind: str = "") -> bool:
        """One more, if what it would befall is free; False if not."""
        rng = self._rng
        kind = kind or rng.choices(list(self._weights), list(self._weights.values()))[0]
        stations = [station for station in self._stations if station.is_at_work and not station.busy.locked()]
        if not stations or len(stations) == 1 < len(self._stations):  # one is left alone: it must take over
            return False
        holding = [station for station in stations if station.pid in self._holders()]
        station = rng.choice(holding if holding and rng.random() < HIT else stations)
        lasts_s, slept_s = self._lease_s * rng.uniform(0.3, 2.5), self._deadline_s * rng.uniform(*SLEEP)
        busy = self._database_busy if kind == "database" else station.busy
        if not busy.acquire(blocking=False):
            return False
        acts: dict[str, Callable[[], None]] = {
            "kill": lambda: station.signal(signal.SIGKILL),
            "replace": lambda: self._replace(station),
            "sleep": lambda: self._sleep(station, self._lease_s + slept_s),
            "stall": lambda: self._hold(station.proxy.stall, station.proxy.open, lasts_s),
            "cut": lambda: self._hold(station.proxy.cut, station.proxy.open, lasts_s),
            "database": self._restart_database,
        }
        self.dealt[kind] += 1
        self.log.append((time.monotonic(), kind, "database" if kind == "database" else station.host.name))
        thread = threading.Thread(target=self._act, args=(acts[kind], busy), name=kind, daemon=True)
        self._threads.append(thread)
        thread.start()
        return True

    def settle(self) -> None:
        """Wait until everything has ended by itself."""
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    @staticmethod
    def _act(act: Callable[[], None], busy: threading.Lock) -> None:
        try:
            act()
        finally:
            busy.release()

    @staticmethod
    def _replace(station: Station) -> None:
        station.is_replaced_next = True
        station.signal(signal.SIGKILL)

    @staticmethod
    def _sleep(station: Station, lasts_s: float) -> None:
        station.signal(signal.SIGSTOP)
        time.sleep(lasts_s)
        station.signal(signal.SIGCONT)

    @staticmethod
    def _hold(begin: Callable[[], None], finish: Callable[[], None], lasts_s: float) -> None:
        begin()
        time.sleep(lasts_s)
        finish()

    def _restart_database(self) -> None:
        self._database.stop()
        time.sleep(self._rng.uniform(*DATABASE_GONE_S))
        self._database.start()
