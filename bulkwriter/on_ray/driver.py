"""The process that speaks with Ray: it places the workers as actors, and sets them to work again when they were lost.

A process of its own, since Ray ends a driver that has lost its cluster without asking anybody; who started it then
still knows how the job stands.  It reads an `Order` from its first line of stdin, as JSON, and says what happens on
stdout, a JSON object a line, each with `event`:

    placed   an actor is there, and works: worker, host, pid, version
    lost     Ray says that an actor or its node is gone: worker, message; Ray places it again
    ended    a worker's work is over: worker, code, reason, facts (the object of --json)
    failed   the cluster cannot be used: message, hint; the process ends with 75

The end of stdin, or `stop` as a line of it, drains the workers.

Invariant: Ray never repeats a call by itself (`max_task_retries=0`): it has no fence, and an actor that it calls dead
may still send.  A call that is made again claims a part like any other worker.
Nothing here decides about pairs, parts or time.

What Ray keeps of an order (it is an argument of a call) is shown in no log and on no dashboard; there is no secret in
it all the same, since nothing in Ray is encrypted unless its operator has set that up.
Source: docs.ray.io, Actor fault tolerance; GCS fault tolerance.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from .actor import Order, WorkerActor

AGAIN_S: Final = 1.0
"""Pause before a lost worker is called again: Ray refuses calls until it has made the actor again."""
LOOK_S: Final = 0.5
"""How often it is looked whether somebody wants to stop."""
LEAVE_S: Final = 30.0
"""How long a drain may take: requests in flight end within `limits.drain_s`, 20 s."""
EXIT_LATER: Final = 75
NODES: Final = "every node needs `pip install 'bulkwriter[postgres,ray]'`, of the version that is here"
WATCHED: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Placing:
    """What is to be placed where.  `address` "" starts a cluster on this machine, "auto" takes the one that is here."""

    order: Order
    workers: int
    address: str = ""

    @classmethod
    def read(cls, line: str) -> Placing:
        told = json.loads(line)
        return cls(Order(**told["order"]), told["workers"], told["address"])

    def line(self) -> str:
        return json.dumps(dataclasses.asdict(self))


def main() -> int:
    """Place, and stay until every worker's work is over.  The exit code is the workers', worst first, or 75."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, WATCHED)  # whoever started us waits for them itself
    placing = Placing.read(sys.stdin.readline())
    wants_stop = threading.Event()
    threading.Thread(target=_await_stop, args=(wants_stop,), name="stop", daemon=True).start()
    told_to = os.dup(1)  # whatever Ray prints goes to stderr
    os.dup2(2, 1)
    with os.fdopen(told_to, "w", encoding="utf-8") as out:

        def tell(event: str, **facts: Any) -> None:
            out.write(json.dumps({"event": event, **facts}) + "\n")
            out.flush()

        try:
            ray = connect(placing.address)
        except Exception as e:
            tell("failed", message=f"no Ray cluster: {type(e).__name__}: {first_line(e)}", hint=_hint(placing.address))
            return EXIT_LATER
        try:
            codes = list(Placement(ray, placing, tell, wants_stop).run())
        finally:
            ray.shutdown()
    return next((code for code in codes if code), 0)


def connect(address: str) -> Any:
    """Join the cluster at this address, or start one on this machine.  Raises what Ray raises."""
    import ray  # an extra

    where = {"address": address} if address else {}
    ray.init(**where, log_to_driver=False, configure_logging=True, logging_level="warning", include_dashboard=None)
    return ray


class Placement:
    """The actors of one job."""

    def __init__(self, ray: Any, placing: Placing, tell: Any, wants_stop: threading.Event) -> None:
        self._ray, self._placing, self._tell, self._wants_stop = ray, placing, tell, wants_stop
        actor = ray.remote(WorkerActor).options(
            max_restarts=-1,  # its node may be gone for good: Ray makes it again wherever there is room
            max_task_retries=0,
            max_concurrency=4,  # `work`, and beside it `where` and `stop`
            scheduling_strategy="SPREAD",
        )
        self._workers = [actor.remote(placing.order) for _ in range(placing.workers)]
        self._calls: dict[Any, int] = {}

    def run(self) -> Iterator[int]:
        """Yields each worker's exit code as its work ends."""
        again: dict[int, float] = dict.fromkeys(range(len(self._workers)), 0.0)
        stop_by = math.inf
        while self._calls or again:
            now = time.monotonic()
            if self._wants_stop.is_set() and stop_by == math.inf:
                stop_by, again = now + LEAVE_S, {}
                self._stop()
            if now > stop_by:
                return
            for n in [n for n, at in again.items() if at <= now]:
                del again[n]
                self._call(n)
            ready, _ = self._ray.wait(list(self._calls), timeout=LOOK_S) if self._calls else ([], [])
            if not self._calls:
                time.sleep(LOOK_S)
            for ref in ready:
                n = self._calls.pop(ref)
                try:
                    end = self._ray.get(ref)
                except self._ray.exceptions.RayActorError as e:
                    self._tell("lost", worker=n, message=first_line(e))
                    if not self._wants_stop.is_set():
                        again[n] = time.monotonic() + AGAIN_S
                    continue
                except self._ray.exceptions.RayTaskError as e:  # it cannot even be made there
                    self._tell("failed", message=f"a node cannot run workers: {first_line(e)}", hint=NODES)
                    yield EXIT_LATER
                    return
                if "pid" in end:
                    self._tell("placed", worker=n, **end)
                    self._calls[self._workers[n].work.remote()] = n
                    continue
                self._tell("ended", worker=n, **end)
                yield end["code"]

    def _call(self, n: int) -> None:
        self._calls[self._workers[n].where.remote()] = n

    def _stop(self) -> None:
        for worker in self._workers:
            worker.stop.remote()


def _await_stop(wants_stop: threading.Event) -> None:
    """Wait for the end of stdin, or for any line of it."""
    sys.stdin.readline()
    wants_stop.set()


def first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]


def _hint(address: str) -> str:
    if address:
        return f"is `ray status --address {address}` answered from here?  On another cluster the job goes on as well"
    return "start one with `ray start --head`, and give its address"


if __name__ == "__main__":
    sys.exit(main())
