"""`scripts/machines dense`: something befalls a host, its network or the database every few seconds.

Three hosts share a job and an account's quota, with leases of 3 s and requests of at most 5 s, while a fifth of the
creates goes wrong.  Judged by the stub: every pair there once, no window exceeded by arrival, nothing throttled.

`--unfenced` takes the fence away (`unfenced`): the same campaign must then find doubles, else it could not find any.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bulkwriter.quota.leases import LEASE_S
from tests.support import kills
from tests.support.cli_process import Done, finish, start, stub, write_pairs
from tests.support.compare import pairs_in
from tests.support.progress import say

from .fleet import Fleet
from .hosts import isolation
from .judge import Truth, truth_of
from .mischief import WEIGHTS, Mischief
from .proxy import Proxy
from .server import Server

PART_LEASE_S: Final = 3.0
"""Of a part: `--lease`."""
TIMEOUT_S: Final = 5.0
HOSTS: Final = ("ada", "bob", "cyd")
WINDOW_S: Final = 60
SPARE: Final = 1.5
"""Creates a pair that the quota allows for: some are sent twice, and some time is lost with every fault."""
LONGEST: Final = 4.0
"""Times the planned length, until a campaign that does not end is given up."""
PARTS: Final = 2
"""Fewer than hosts: one of them always waits for a part to become free, and takes it over as soon as it may."""
IN_FLIGHT: Final = 16
MORE: Final = 1.2
"""So many times the events that were asked for may be dealt, where a job lasts longer."""
LOOK_S: Final = 0.2
"""Between two looks whether something is due."""
FORFEITED: Final = "SELECT coalesce(sum(count), 0)::int FROM bulkwriter.spent WHERE kind = 'write' AND client <> ''"
HOW: Final = (
    "--late-apply=0.4", "--list-lag=0.2", f"--timeout={TIMEOUT_S:g}", f"--lease={PART_LEASE_S:g}",
    f"--in-flight={IN_FLIGHT}", "--progress=none",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`events` that befall a job of `pairs` in about `seconds`.  Without `has_quota` `--rate` makes the pace."""

    pairs: int
    seconds: float
    events: int
    seed: int = 1
    has_quota: bool = True
    is_fenced: bool = True
    only: Sequence[str] = ()
    """These kinds of events alone."""

    @property
    def most(self) -> int:
        """Creates a window."""
        return round(SPARE * self.pairs / self.seconds * WINDOW_S)

    @property
    def rate(self) -> str:
        """Of each worker, where no quota makes the pace."""
        return f"{SPARE * self.pairs / self.seconds / PARTS:.3g}/s"

    @property
    def scenario(self) -> dict[str, Any]:
        limit = {"kind": "log", "count": self.most, "window_s": float(WINDOW_S)}
        limits = {"limits": [limit], "watch_windows_s": [WINDOW_S]} if self.has_quota else {}
        faults = kills.all_faults(total=0.2)
        return {**kills.scenario(self.seed, faults), "latency_s": 0.02, **limits}

    @property
    def weights(self) -> dict[str, int]:
        return {kind: weight for kind, weight in WEIGHTS.items() if not self.only or kind in self.only}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    truth: Truth
    dealt: dict[str, int]
    ended: dict[str, int]
    strange: list[str]
    claims: int
    """How often a part was claimed."""
    forfeited: int
    """Writes leased to clients that never told what became of them; some of these were sent."""
    most: int
    took_s: float

    @property
    def wasted_a_kill(self) -> float:
        """Units of the quota, for each process that was killed."""
        return self.forfeited / max(1, self.ended.get("killed", 0))

    @property
    def lease(self) -> int:
        """The most units of a lease: all that the window lets go in its time."""
        return round(LEASE_S * self.most / WINDOW_S)

    @property
    def is_clean(self) -> bool:
        truth = self.truth
        is_within = truth.worst.get(str(WINDOW_S), 0) <= self.most and not truth.throttles
        is_within = is_within and self.wasted_a_kill <= self.lease
        return not (truth.missing or truth.doubled or self.strange) and is_within

    def __str__(self) -> str:
        waste = f"; at most {self.wasted_a_kill:.1f} units wasted a kill, of {self.lease} that a lease has"
        return (
            f"{self.truth} of {self.most:,}{waste}; {sum(self.dealt.values())} events {self.dealt},"
            f" {self.claims} claims of {PARTS} parts; workers ended {self.ended}; {self.took_s:.0f} s"
        )


def campaign(folder: Path, server: Server, plan: Plan) -> Finding:
    """One job from its loading to its end."""
    source = write_pairs(folder / "pairs.csv", plan.pairs)
    began_at = time.monotonic()
    with stub(**plan.scenario) as server_stub:
        database = server.new_database()

        def command(proxy: Proxy) -> Sequence[str]:
            quotas = ("--quota", f"write:{plan.most}/min", "--quota", "write:10000000/day")
            pace = (
                (*quotas, "--ledger", server.url(database, port=proxy.port))
                if plan.has_quota
                else ("--rate", plan.rate)
            )
            job = server.job_url(database, "job", port=proxy.port)
            return ("work", job, "--base-url", server_stub.base_url, *pace, *HOW)

        load(source, server, database, server_stub.base_url, parts=PARTS)
        module = "bulkwriter" if plan.is_fenced else "tests.campaigns.machines.unfenced"
        with Fleet(HOSTS, folder, server.socket, command, way=isolation(), seed=plan.seed, module=module) as fleet:
            mischief = Mischief(
                fleet.stations, server, lease_s=PART_LEASE_S, deadline_s=TIMEOUT_S, seed=plan.seed,
                weights=plan.weights, holders=lambda: server.holders(database),
            )  # fmt: skip
            at_work_at = time.monotonic()
            while not fleet.is_done and (passed_s := time.monotonic() - at_work_at) < plan.seconds * LONGEST:
                time.sleep(LOOK_S)
                due = min(MORE, passed_s / plan.seconds) * plan.events
                if sum(mischief.dealt.values()) < due:  # what found nobody free is dealt as soon as somebody is
                    mischief.deal()
            mischief.settle()
            if not fleet.join(plan.seconds):
                say(
                    *(
                        f"{station.host.name} is still at work: {station.host.says()[-2_000:]}"
                        for station in fleet.stations
                    )
                )
            ended, strange = fleet.ended(), fleet.strange()
        there = server.named(database)
        return Finding(
            truth=truth_of(server_stub, pairs_in(source)), dealt=dict(mischief.dealt), ended=ended, strange=strange,
            claims=there.sql("SELECT sum(token)::int FROM bulkwriter.parts")[0][0],
            forfeited=there.sql(FORFEITED)[0][0],
            most=plan.most, took_s=time.monotonic() - began_at,
        )  # fmt: skip


def load(source: Path, server: Server, database: str, base_url: str, *, parts: int, job: str = "job") -> Done:
    """Load the source into parts."""
    journal = server.job_url(database, job)
    options = ("--journal", journal, "--parts", str(parts), "--load-only", "--base-url", base_url)
    loaded = finish(start("run", str(source), *options))
    assert loaded.code == 0, loaded.err
    return loaded


def report(finding: Finding, *, is_fenced: bool) -> int:
    """Say what was found; 0 if it is as it must be."""
    say(str(finding), *finding.strange)
    if is_fenced:
        return 0 if finding.is_clean else 1
    say("without the fence: " + ("doubles found, as must be" if finding.truth.doubled else "NO DOUBLE FOUND"))
    return 0 if finding.truth.doubled else 1
