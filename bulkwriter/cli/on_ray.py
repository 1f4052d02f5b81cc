"""`run SOURCE --on ray`: the job is loaded here, and its workers are placed on a Ray cluster.

It is the command of a job with other workers in place of its own (`job`, `worker`).  The options of a worker are handed
on as they were given here; signing in is each worker's own, by the environment and the files of its node.  Progress
is that of all parts, as their workers last shipped it.
"""

from __future__ import annotations

import asyncio
import importlib.util
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..core.left import to_do
from ..errors import UsageError
from ..model import Ended
from ..on_ray.actor import Order
from ..on_ray.crew import Crew
from ..on_ray.driver import Placing
from ..postgres import jobs
from ..postgres.jobs import Job, PartStanding
from ..postgres.loading import apart
from ..postgres.session import Session
from ..settings import Settings
from ..sources.parts import MOST_PARTS
from . import describe
from .job import PARTS_EACH, JobCommand
from .lifecycle import beside
from .worker import WorkerFigures
from .worker_options import options_of

if TYPE_CHECKING:
    import signal

    from ..postgres.address import Address
    from .lifecycle import Invocation

ENGINE: Final = "ray"
WORKERS: Final = 2
"""Where nobody says how many."""
MOST_WORKERS: Final = 1_000
LOOK_S: Final = 2.0
"""Between two looks at how the parts stand: one short statement."""


def address_of(on: str) -> str:
    """The address in `ray[:ADDRESS]`, "" for none.  Raises `UsageError`."""
    engine, _, address = on.partition(":")
    if engine != ENGINE:
        raise UsageError(f"--on {on} names no engine that is known", hint="--on ray, or --on ray:HOST:PORT")
    if importlib.util.find_spec("ray") is None:
        raise UsageError("Ray is not installed here", hint="pip install 'bulkwriter[postgres,ray]', as on every node")
    return address


def arguments_of(address: Address, given: Mapping[str, Any]) -> list[str]:
    """The arguments of `bulkwriter work` that mean what these options mean.  Raises `UsageError` for a secret."""
    refuse_secret("journal", address)
    words = [str(address)]
    for name, flag, value in options_of(given):
        refuse_secret(name, value)
        text = str(value.absolute()) if isinstance(value, Path) else str(value)
        words += [flag] if value is True else [f"{flag}={text}"]
    return [*words, "--progress=none", "--json", "--yes"]


def check_workers(count: int) -> None:
    """Refuse a number of workers that is out of bounds."""
    if not 1 <= count <= MOST_WORKERS:
        raise UsageError(f"workers = {count} is not between 1 and {MOST_WORKERS:,}")


def refuse_secret(name: str, value: object) -> None:
    """What is secret must not go by way of Ray."""
    flag = "--" + name.replace("_", "-")
    if getattr(value, "secrets", ()):
        raise UsageError(
            f"the password in {flag} cannot go to the nodes",
            hint="set PGPASSWORD or PGPASSFILE for Ray's processes on each node",
        )
    if name == "proxy" and "@" in str(value):
        raise UsageError(
            "the password in --proxy cannot go to the nodes", hint="set HTTPS_PROXY for Ray's processes on each node"
        )
    if name == "token_file" and str(value) == "-":
        raise UsageError(
            "a token on stdin cannot go to the nodes",
            hint="set BULKWRITER_TOKEN for Ray's processes on each node, or name a file that is there",
        )


class OnRay(JobCommand):
    """A job whose workers are on a cluster."""

    def __init__(self, invocation: Invocation, address: Address, notes: list[str], *, source: str) -> None:
        super().__init__(invocation, address, notes, source=source)
        given = invocation.options
        count = int(given["workers"] or WORKERS)
        check_workers(count)
        if self._is_load_only:
            raise UsageError("--load-only and --on cannot go together: nothing would be placed")
        self._placing = Placing(Order(arguments_of(address, given)), count, address_of(given["on"]))
        invocation.go_offline()  # it is the workers who sign in

    def _workers_of(self, job: Job, settings: Settings) -> PlacedWorkers:
        return PlacedWorkers(self._invocation, self._address, job, settings, self._placing)

    def _who_worked(self, own: WorkerFigures) -> str:
        lost = self._worker.lost if isinstance(self._worker, PlacedWorkers) else 0
        words = describe.quantity(self._placing.workers, "worker")
        return f"{words} placed by Ray" + (f", which lost one {describe.quantity(lost, 'time')}" if lost else "")

    def _usual_parts(self) -> int:
        return min(MOST_PARTS, PARTS_EACH * self._placing.workers)


class PlacedWorkers:
    """What `worker.Worker` is to the command of a job: all workers of a cluster."""

    def __init__(
        self, invocation: Invocation, address: Address, job: Job, settings: Settings, placing: Placing
    ) -> None:
        self._invocation, self._stderr, self._job = invocation, invocation.stderr, job
        self._crew = Crew(placing, self._told, is_verbose=bool(invocation.options["verbose"]))
        self._session = Session(address, give_up_after_s=settings.give_up_after_s)
        self._count = placing.workers
        self._began_at = time.monotonic()
        self._created_before: int | None = None
        self.parts: list[PartStanding] = []
        self.ended: Ended | None = None

    @property
    def figures(self) -> WorkerFigures:
        """What the workers did that have told it; a lost one never does."""
        creates = 0
        if self.parts and self._created_before is not None:
            counts, _ = jobs.counts_of(self.parts)
            creates = max(0, counts.created - self._created_before)
        told = self._crew.told
        attempts = max(creates, told("attempts"))
        return WorkerFigures(told("parts_here"), attempts, told("throttled"), creates=creates, settled=creates)

    @property
    def lost(self) -> int:
        """How often a worker, or its node, was lost."""
        return self._crew.lost

    async def run(self) -> None:
        try:
            await self._look()
            self._created_before = jobs.counts_of(self.parts)[0].created
            async with beside(self._look_often()), self._invocation.showing(self._line):
                await self._crew.run()
            await self._look()
        finally:
            await apart(self._session.close)

    def stop(self, number: signal.Signals) -> None:
        self.ended = self.ended or Ended("signal", number.name, 128 + int(number))
        self._stderr.print(
            f"stopping: {number.name}; the workers end what is on the wire, and take no other part; once more leaves "
            "them to do so by themselves",
            event="stopping",
        )
        self._session.hurry()
        self._crew.stop()

    def abandoned(self) -> WorkerFigures:
        return self.figures

    def _told(self, name: str, facts: dict[str, Any]) -> None:
        """Say what the cluster does, in a line each."""
        which = f"worker {int(facts.get('worker', -1)) + 1} of {self._count}"
        match name:
            case "placed":
                self._stderr.print(
                    f"{which} is at work on {facts['host']}, process {facts['pid']}", event="placed", **facts
                )
            case "lost":
                self._stderr.note(
                    f"{which} is lost, as Ray sees it: it is placed again, and others take its part over once its "
                    "lease has ended"
                )
            case "ended" if not self.ended:
                self._stderr.print(f"{which} has ended with {facts['code']}", event="worker_ended", code=facts["code"])
            case _:
                pass

    def _line(self) -> str:
        counts, rows = jobs.counts_of(self.parts)
        total = counts.pairs + (rows.not_read or 0)
        left = to_do(counts, rows.not_read, is_alive=True)
        elapsed_s = max(1e-9, time.monotonic() - self._began_at)
        done = jobs.parts_done(self.parts)
        pace = describe.creates_per_second(self.figures.creates / elapsed_s)
        parts = f"{done} of {len(self.parts)} parts done"
        return f"{total - left:,} of {total:,} · created {counts.created:,} · {pace} · {parts}"

    async def _look(self) -> None:
        self.parts = await apart(self._session.insist, lambda connection: jobs.parts_of(connection, self._job))

    async def _look_often(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            await self._look()
