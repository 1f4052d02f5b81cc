"""`scripts/machines ray`: one `run --on ray` command on a cluster of three nodes, while actors and raylets are killed.

First act: actors and raylets are killed in turn, and a node takes the place of each that was lost; the command must end
with 0 and say what the server says.  Second act, on the same cluster: `bulkwriter.on_ray.run` from Python, cancelled,
called again, and an actor killed.  Third act: the head is killed in mid-run.  The command ends with 75, and the same
command on a new cluster brings the job to its end.

The token is in the environment of the nodes alone: the command that is given has none.  What Ray wrote is searched for
it, and for the password of the database.

It needs Ray (extra `ray`), which takes 340 MB: see `why_no_ray`.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bulkwriter import on_ray
from bulkwriter.model import Summary
from bulkwriter.settings import Settings
from tests.conftest import CANARY
from tests.support.cli_process import Done, finish, stub, write_pairs
from tests.support.compare import pairs_in
from tests.support.kills import all_faults, scenario
from tests.support.library import some_pairs
from tests.support.progress import say

from .dense import HOW, PART_LEASE_S, TIMEOUT_S
from .judge import Sampler, Truth, truth_of
from .ray_cluster import KILLERS, NODES, cluster, kill_actor, kill_head, resident_mb, words_of_ray
from .server import Server

PER_S: Final = 15.0
"""Of each worker."""
OUTLASTS_S: Final = 90.0
"""The third act lasts longer than a driver outlives its head."""
CALLED: Final = 600
"""Pairs of the second act."""
QUIET_S: Final = 6.0
"""After a cancelled call: its workers have ended what was on the wire, whose deadline is 5 s."""
MOST_S: Final = 1_500.0
LATER: Final = 75
ACTS: Final = ("killed", "called", "headless")


def why_no_ray() -> str:
    """What is missing for this campaign, or ""."""
    if importlib.util.find_spec("ray") is None:
        return f"Ray is not installed: {sys.executable} -m pip install 'ray>=2.50'"
    return ""


def campaign(folder: Path, server: Server, *, pairs: int, events: int, seed: int, acts: Sequence[str] = ACTS) -> bool:
    shown: list[str] = []
    is_well = True
    if "killed" in acts or "called" in acts:
        with cluster() as (made, address):
            if "killed" in acts:
                is_well &= workers_killed(folder, server, made, address, pairs=pairs, events=events, seed=seed)
            if "called" in acts:
                is_well &= asyncio.run(FromPython(folder, server, address, made, seed).act())
            shown.append(words_of_ray(made))
    if "headless" in acts:
        is_well &= head_killed(folder, server, shown, pairs=pairs, seed=seed)
    is_secret = not any(CANARY in words for words in shown)
    count = sum(map(len, shown))
    say(f"{count:,} characters of Ray's logs: the token is {'not in them' if is_secret else 'SHOWN'}")
    return is_well and is_secret


def workers_killed(
    folder: Path, server: Server, made: Any, address: str, *, pairs: int, events: int, seed: int
) -> bool:
    """The first act."""
    rng = random.Random(f"ray {seed}")
    with stub(**scenario(seed, all_faults(total=0.1))) as server_stub, Sampler(server_stub) as sampler:
        began_at = time.monotonic()
        job = Job(folder, server, server_stub.base_url, pairs, f"ray:{address}", per_s=PER_S)
        process = job.start()
        while not sampler.creates and process.poll() is None:
            time.sleep(0.05)
        up_s, resident = time.monotonic() - began_at, resident_mb(made)
        dealt = {"actor": 0, "raylet": 0}
        every_s = pairs / (PER_S * NODES) / (events + 1)
        while process.poll() is None and sum(dealt.values()) < events:
            time.sleep(every_s)
            kind = rng.choice(list(dealt)) if sum(dealt.values()) > 1 else list(dealt)[sum(dealt.values())]
            dealt[kind] += KILLERS[kind](made, rng)
        done = finish(process, timeout_s=MOST_S)
        truth = truth_of(server_stub, pairs_in(job.source))
    told = told_truly(done, truth)
    say(
        f"{truth}; killed {dealt}; the command ended with {done.code}, its summary is {'' if told else 'UN'}true;",
        f"{up_s:.1f} s from the command to the first create; Ray and {NODES} workers {resident} MB resident",
    )
    if not told:
        say(f"it said: {done.out[-1_000:]!r}", job.log.read_text(encoding="utf-8")[-2_000:])
    return told and not (truth.missing or truth.doubled)


def head_killed(folder: Path, server: Server, shown: list[str], *, pairs: int, seed: int) -> bool:
    """The third act.  What its clusters wrote is added to `shown`."""
    with stub(**scenario(seed, [])) as server_stub, Sampler(server_stub) as sampler:
        with cluster() as (made, address):
            per_s = min(PER_S, pairs / NODES / OUTLASTS_S)
            job = Job(folder, server, server_stub.base_url, pairs, f"ray:{address}", per_s=per_s)
            process = job.start()
            while sampler.creates < pairs / 4 and process.poll() is None:
                time.sleep(0.05)
            killed_at = time.monotonic()
            kill_head(made)
            ended = finish(process, timeout_s=MOST_S)
            say(f"the head was killed: the command ended with {ended.code} after {time.monotonic() - killed_at:.0f} s")
            shown.append(words_of_ray(made))
        with cluster() as (made, address):
            job.on = f"ray:{address}"
            again = finish(job.start(), timeout_s=MOST_S)
            shown.append(words_of_ray(made))
        truth = truth_of(server_stub, pairs_in(job.source))
    say(f"on a new cluster the same command ended with {again.code}: {truth}")
    return (ended.code, again.code) == (LATER, 0) and not (truth.missing or truth.doubled)


class FromPython:
    """`bulkwriter.on_ray.run` in this process: a call that is cancelled, then one that ends although an actor dies."""

    def __init__(self, folder: Path, server: Server, address: str, made: Any, seed: int) -> None:
        self._folder, self._server, self._address, self._made = folder, server, address, made
        self._seed = seed

    async def act(self) -> bool:
        database = self._server.new_database()
        pairs = some_pairs(CALLED)
        with stub(**scenario(self._seed, all_faults(total=0.1))) as server_stub, Sampler(server_stub) as sampler:
            settings = Settings(
                base_url=server_stub.base_url, journal=self._server.job_url(database, "job"), rate=PER_S,
                lease_s=PART_LEASE_S, timeout_s=TIMEOUT_S, late_apply_s=0.4, list_lag_s=0.2, in_flight=16,
            )  # fmt: skip

            def called() -> asyncio.Task[Summary]:
                return asyncio.create_task(on_ray.run(pairs, settings, workers=NODES, address=self._address))

            async def until(count: int, call: asyncio.Task[Summary]) -> None:
                while sampler.creates < count and not call.done():
                    await asyncio.sleep(0.1)

            call = called()
            await until(CALLED // 4, call)
            call.cancel()
            await asyncio.wait([call])
            await asyncio.sleep(QUIET_S)
            left_at = sampler.creates
            await asyncio.sleep(QUIET_S)
            is_quiet, is_cancelled = sampler.creates == left_at, call.cancelled()
            call = called()
            await until(left_at + CALLED // 4, call)
            has_killed = kill_actor(self._made, random.Random(self._seed))
            summary = await asyncio.wait_for(call, MOST_S)
            again = await asyncio.wait_for(called(), MOST_S)
            truth = truth_of(server_stub, pairs)
        said = summary.counts
        is_true = said.pairs == truth.wanted == said.created + said.existing and not said.in_doubt
        is_same = again.counts == said and not again.attempts and (summary.exit_code, again.exit_code) == (0, 0)
        say(
            f"from Python: {truth}; cancelled {is_cancelled} and then quiet {is_quiet} at {left_at} creates,"
            f" called again with an actor killed {has_killed}: a true summary {is_true}; called once more: nothing to"
            f" do {is_same}"
        )
        return is_cancelled and is_quiet and has_killed and is_true and is_same and not (truth.missing or truth.doubled)


class Job:
    """One source, one job in a database of its own, and the command that brings it to its end."""

    def __init__(self, folder: Path, server: Server, base_url: str, pairs: int, on: str, *, per_s: float) -> None:
        database = server.new_database()
        self.source = write_pairs(folder / f"{database}.csv", pairs)
        self.on = on
        self.log = folder / f"{database}.log"
        self._arguments = (
            "--workers", str(NODES), "--journal", server.job_url(database, "job"), "--base-url", base_url, "--json",
            "--rate", f"{per_s:g}/s", *HOW,
        )  # fmt: skip

    def start(self) -> subprocess.Popen[str]:
        env = {name: value for name, value in os.environ.items() if name != "BULKWRITER_TOKEN"}
        command = [sys.executable, "-m", "bulkwriter", "run", str(self.source), "--on", self.on, *self._arguments]
        with self.log.open("a") as log:
            return subprocess.Popen(
                command, text=True, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log
            )  # fmt: skip


def told_truly(done: Done, truth: Truth) -> bool:
    """Whether the object of `--json` says what the server says."""
    if done.code != 0:
        return False
    said = done.json
    return bool(said["pairs"] == truth.wanted == said["created"] + said["existing"] and not said["in_doubt"])
