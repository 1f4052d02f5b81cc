"""Hosts with a worker each, that is started again whenever it ends: what systemd or Kubernetes does, and no more.

A worker that ends with 0 has nothing left to do and is not started again.  Killed ones, and those that end with a code
of `AGAIN`, are started again after `PAUSE_S`, as their user's service manager would.  Any other code is *strange*: it
is kept with the last words of the worker, and fails the campaign.
"""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Self

from tests.conftest import CANARY

from .hosts import Host, end
from .proxy import Proxy

AGAIN: Final = frozenset({1, 3, 5, 75, -signal.SIGKILL})
"""Pairs that used their attempts up, doubts, a part or database that somebody else holds, a server that is gone."""
PAUSE_S: Final = (0.0, 2.0)
LAST_WORDS: Final = 4_000


class Station:
    """One host, its way to the database, and its worker."""

    def __init__(
        self, host: Host, proxy: Proxy, command: Callable[[Proxy], Sequence[str]], module: str, again: frozenset[int]
    ) -> None:
        self.host, self.proxy = host, proxy
        self.ended = Counter[int]()
        self.strange: list[str] = []
        self.said = 0
        self.is_replaced_next = False
        self.busy = threading.Lock()
        """Held by whatever befalls it: one thing at a time."""
        self._command, self._module, self._again = command, module, again
        self._rng = random.Random(host.name)
        self._is_over = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._live, name=host.name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def is_done(self) -> bool:
        """Whether its worker has ended and is not started again."""
        return not self._thread.is_alive()

    @property
    def is_at_work(self) -> bool:
        """Whether its worker runs now: not between two of them, and not over."""
        return self._process is not None and self._process.returncode is None and not self.is_done

    @property
    def pid(self) -> int:
        """Of its worker, 0 for none."""
        return self._process.pid if self._process else 0

    def signal(self, number: signal.Signals) -> None:
        if (process := self._process) is not None:
            process.send_signal(number)

    def stop(self) -> None:
        """No worker any more."""
        self._is_over.set()
        if (process := self._process) is not None:
            end(process)
        self._thread.join()

    def join(self, timeout_s: float) -> bool:
        self._thread.join(max(0.0, timeout_s))
        return self.is_done

    def _live(self) -> None:
        while not self._is_over.is_set():
            self._process = process = self.host.start(*self._command(self.proxy), module=self._module)
            code = process.wait()
            self.ended[code] += 1
            said = self.host.says()
            if CANARY in said:
                self.strange.append("the token was shown")
            if code not in self._again:
                if code not in (0, *AGAIN) and not self._is_over.is_set():
                    self.strange.append(f"{self.host.name} ended with {code}: {said[-LAST_WORDS:]}")
                return
            if self.is_replaced_next:
                self.is_replaced_next = False
                self.host.replace()
            self._is_over.wait(self._rng.uniform(*PAUSE_S))


class Fleet:
    """A context manager: the stations, and nothing of them left at the end."""

    def __init__(
        self, names: Sequence[str], root: Path, upstream: str, command: Callable[[Proxy], Sequence[str]], *,
        way: Sequence[str], seed: int, module: str = "bulkwriter", again: frozenset[int] = AGAIN,
    ) -> None:  # fmt: skip
        rng = random.Random(f"hosts {seed}")
        self._stack = contextlib.ExitStack()
        self._proxies = [Proxy(upstream) for _ in names]
        hosts = [Host(name, root, way, rng) for name in names]
        self.stations = [
            Station(host, proxy, command, module, again) for host, proxy in zip(hosts, self._proxies, strict=True)
        ]

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            for proxy in self._proxies:
                stack.enter_context(proxy)
            for station in self.stations:
                stack.callback(station.stop)
                station.start()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def is_done(self) -> bool:
        return all(station.is_done for station in self.stations)

    def lead_to(self, upstream: str) -> None:
        """All ways lead to this database from now on, as after a failover; connections that are there are reset."""
        for proxy in self._proxies:
            proxy.cut()
            proxy.upstream = upstream
            proxy.open()

    def join(self, timeout_s: float) -> bool:
        """Wait until every worker has nothing left to do; False if that took too long."""
        deadline = time.monotonic() + timeout_s
        return all(station.join(deadline - time.monotonic()) for station in self.stations)

    def ended(self) -> dict[str, int]:
        """How often workers ended, by exit code; SIGKILL's are called so."""
        total = sum((station.ended for station in self.stations), Counter[int]())
        return {"killed" if code < 0 else str(code): count for code, count in sorted(total.items())}

    def strange(self) -> list[str]:
        return [what for station in self.stations for what in station.strange]
