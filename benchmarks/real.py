"""Whether the model servers of `benchmarks/control` are honest: the same limits, really enforced, in real time.

Each row is a run by the library, with nothing set that paces (`existing="skip"`, `quota=("none",)`), against a server:
the stub's own limits, and nginx and HAProxy in front of a stub that limits nothing, where they are installed.  Beside
it stands the same server in virtual time (medians of `SEEDS` seeds).  Efficiency is what was accepted in the steady
half, divided by what the limit allows in that time; throttled is the share of throttles among the replies in it.

Where the server states a second, the first 20 s from the first pair created are a figure of their own: medians of five.

A row takes as long as it says, about twenty minutes in all, and hardly any CPU; nothing is bound to a core.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import statistics
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import uvloop

from bulkwriter import BulkWriter, Pair, Settings
from bulkwriter.adaptive import Controller
from bulkwriter.model import Snapshot
from bulkwriter.stub.thread import StubThread

from . import fronts
from .commands import IN_FLIGHT
from .control import measure as virtual
from .control import servers
from .control.cells import USUAL, Cell, Limits, bucket, counter, log, shaper, window
from .figures import Row, median_rows
from .turns import TOKEN, Findings, Plan

KEYS = ("in_20_s", "steady", "simulated", "throttled", "simulated_throttled")
SEEDS = 5
WITHIN = 0.02
"""How far a real efficiency may be from the simulated one."""
CALM: dict[str, Any] = {
    "tokens": [TOKEN],
    "latency_s": USUAL.service_s,
    "latency_sigma": USUAL.sigma,
    "throttle_latency_s": USUAL.refusal_s,
}

Serve = Callable[[Path], AbstractContextManager[str]]


@dataclass(frozen=True, slots=True)
class Case:
    """One limit, real and simulated.  `needs` is the program that enforces it, or "".

    `real_per_s` is what the real server allows a second, where that is not what the simulated one does: a cap on what
    is served at a time allows more where there is no way to it.
    """

    cell: Cell
    serve: Serve
    needs: str = ""
    real_per_s: float = 0.0
    rounds: int = 1


def states_a_second(name: str, limits: Limits, **limit: Any) -> Case:
    """The stub with a limit of 100/s that states a second, whatever it needs; the first 20 s are what counts."""
    cell = Cell(
        name=f"stub: {name}, 1 s stated",
        factor="stated",
        limits=limits,
        form=servers.one_second,
        ends_at=21,
        steady_s=10,
    )
    return Case(cell, stub(count=100, retry_after="seconds", **limit), rounds=5)


def stub(**limit: Any) -> Serve:
    """The stub with one limit; without a word of how long to wait, unless `limit` says otherwise."""

    @contextlib.contextmanager
    def serve(folder: Path) -> Iterator[str]:
        limits = [{"retry_after": "none", **limit}] if limit else []
        with StubThread({**CALM, "limits": limits}) as server:
            yield server.base_url

    return serve


def behind(front: Callable[[Path, str], AbstractContextManager[str]]) -> Serve:
    @contextlib.contextmanager
    def serve(folder: Path) -> Iterator[str]:
        with stub()(folder) as base_url, front(folder / "front", base_url) as url:
            yield url

    return serve


SECOND = "add_header Retry-After 1 always; "
REQ = "limit_req zone=rate burst={burst}{how};"
# fmt: off
CASES = (
    Case(Cell(name="stub: bucket 100/s, holds 10", factor="server", limits=bucket(100, 10)),
         stub(kind="bucket", count=100, burst=10)),
    Case(Cell(name="stub: window 100 in 1 s", factor="server", limits=window(100, 1)),
         stub(kind="window", count=100, phase_s=None)),
    Case(Cell(name="stub: log 500 in 5 s", factor="server", limits=log(500, 5), ends_at=90, steady_s=50),
         stub(kind="log", count=500, window_s=5)),
    Case(Cell(name="stub: at most 20 at a time", factor="server", cap=20, limit_per_s=20 / USUAL.mean_s),
         stub(kind="concurrency", count=20), real_per_s=20 / USUAL.mean_service_s),
    Case(Cell(name="stub: bucket, whole seconds", factor="form", limits=bucket(100, 10), form=servers.whole_seconds,
              ends_at=120, steady_s=60),
         stub(kind="bucket", count=100, burst=10, retry_after="seconds")),
    Case(Cell(name="nginx: limit_req 100r/s nodelay", factor="server", limits=bucket(100, 11)),
         behind(lambda folder, url: fronts.nginx(folder, url, REQ.format(burst=10, how=" nodelay"), rate=100)),
         "nginx"),
    Case(Cell(name="nginx: limit_req 100r/s, delays", factor="server", limits=shaper(100, 21)),
         behind(lambda folder, url: fronts.nginx(folder, url, REQ.format(burst=20, how=""), rate=100)), "nginx"),
    Case(Cell(name="nginx: limit_conn 20", factor="server", cap=20, limit_per_s=20 / USUAL.mean_s),
         behind(lambda folder, url: fronts.nginx(folder, url, "limit_conn count 20;")), "nginx",
         real_per_s=20 / USUAL.mean_service_s),
    Case(Cell(name="HAProxy: 500 in 5 s, refused count", factor="server", limits=counter(500, 5), punishes=True,
              ends_at=90, steady_s=50),
         behind(lambda folder, url: fronts.haproxy(folder, url, count=500, window_s=5)), "haproxy"),
    states_a_second("window 100 in 1 s", window(100, 1), kind="window", phase_s=None),
    states_a_second("log 100 in 1 s", log(100, 1), kind="log"),
    states_a_second("bucket 100/s, holds 20", bucket(100, 20), kind="bucket", burst=20),
    Case(Cell(name="nginx: 100r/s, 20 at once, 1 s stated", factor="stated", limits=bucket(100, 21),
              form=servers.one_second, ends_at=21, steady_s=10),
         behind(lambda folder, url: fronts.nginx(folder, url, SECOND + REQ.format(burst=20, how=" nodelay"), rate=100)),
         "nginx", rounds=5),
    Case(Cell(name="HAProxy: 100 in 1 s, refused count, 1 s stated", factor="stated", limits=counter(100, 1),
              punishes=True, form=servers.one_second, ends_at=21, steady_s=10),
         behind(lambda folder, url: fronts.haproxy(folder, url, count=100, window_s=1, stated_s=1)),
         "haproxy", rounds=5),
)
# fmt: on


def measure(plan: Plan) -> Findings:
    cases = [case for case in CASES if not case.needs or fronts.is_there(case.needs)]
    missing = sorted({case.needs for case in CASES} - {case.needs for case in cases})
    runs: list[Row] = []
    for number, case in enumerate(cases):
        folder = plan.folder / str(number)
        folder.mkdir()
        rounds = [really(case, made(folder / str(n))) for n in range(case.rounds)]
        row = {**median_rows(rounds)[0], **simulated(case.cell, plan.seed)}
        plan.say(
            f"  {case.cell.name}: {float(row['steady']):.1%} of the limit, simulated {float(row['simulated']):.1%};"
            f" throttled {float(row['throttled']):.2%} and {float(row['simulated_throttled']):.2%}"
        )
        runs.append(row)
    off = [abs(float(row["steady"]) - float(row["simulated"])) for row in runs]
    return Findings(
        runs=runs,
        rows=runs,
        keys=KEYS,
        ratios={"farthest from the simulated, points": max(off) * 100},
        notes=[
            f"{sum(points <= WITHIN for points in off)} of {len(runs)} rows are within {WITHIN:.0%} of the simulated.",
            *(f"{program} is not installed: its rows are missing." for program in missing),
        ],
        settings={"seeds_simulated": SEEDS},
    )


def really(case: Case, folder: Path) -> Row:
    """One run in real time."""
    with case.serve(folder) as base_url, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        begin, end = runner.run(write(base_url, case.cell, folder))
    good, bad = end.counts.created - begin.counts.created, end.throttled - begin.throttled
    first = (
        {"in_20_s": end.counts.created / (20 * case.cell.limit_per_s)} if case.cell.form is servers.one_second else {}
    )
    return {
        "name": case.cell.name,
        **first,
        "steady": good / ((case.real_per_s or case.cell.limit_per_s) * (end.elapsed_s - begin.elapsed_s)),
        "throttled": bad / (good + bad),
    }


async def write(base_url: str, cell: Cell, folder: Path) -> tuple[Snapshot, Snapshot]:
    """Write as long as the cell lasts, and return how the run stood before and after the steady half, which ends 20 s
    after the first pair where the server states a second.
    """
    settings = Settings(
        base_url=base_url,
        token=TOKEN,
        journal=folder / "run.journal",
        ledger=folder / "ledger",
        existing="skip",
        quota=("none",),
    )
    pairs = (Pair(1, member) for member in count(1))
    async with BulkWriter(settings) as writer:
        writing = asyncio.create_task(writer.write_all(pairs))
        while not writer.snapshot().counts.created:  # noqa: ASYNC110 there is no event of the first pair
            await asyncio.sleep(0.002)
        await asyncio.sleep(cell.ends_at - cell.steady_s)
        begin = writer.snapshot()
        await asyncio.sleep(20.0 - (cell.ends_at - cell.steady_s) if cell.form is servers.one_second else cell.steady_s)
        end = writer.snapshot()
        writer.drain("the time is over")
        await writing
    return begin, end


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def simulated(cell: Cell, seed: int) -> Row:
    """The same server in virtual time: medians."""

    def controller(cell: Cell, rng: random.Random) -> Controller:
        return Controller(IN_FLIGHT, pause_cap_s=60.0, rng=rng)

    found = [virtual.run(cell, controller, seed + n) for n in range(SEEDS)]
    return {
        "simulated": statistics.median(one.steady for one in found),
        "simulated_throttled": statistics.median(one.throttled for one in found),
    }
