"""`scripts/machines replay`: the journal after a take-over equals the log, row by row, at every crash point.

First in simulated worlds: after every group that is shipped the log is replayed into a fresh journal, and all tables
are compared.  Then with real processes and PostgreSQL: a writer is killed at a commit, in each of four moments of it
in turn, and the next one takes its part over on another machine.  What that one replays must be what the dead one's
own journal held after the last group of the log.  The last writer lives, and the server must have every pair once.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Final

from tests.conftest import CANARY
from tests.sim.shipped import ComparedSimulation
from tests.sim.world import draw_world
from tests.support.cli_process import stub
from tests.support.kills import all_faults, scenario
from tests.support.library import some_pairs
from tests.support.progress import say

from .dying import MOMENTS
from .judge import truth_of
from .server import Server

LATEST: Final = 9
"""A life is killed at its first commit, or one of the next ones: they begin with what a take-over does."""
PAIRS_A_KILL: Final = 12
"""The job must outlast all kills."""
LIFE_S: Final = 120.0


def campaign(folder: Path, server: Server, *, worlds: int, kills: int, seed: int) -> bool:
    return in_simulation(worlds, seed) & in_earnest(folder, server, kills, seed)


def in_simulation(worlds: int, first: int) -> bool:
    points = processes = 0
    wrong: list[str] = []
    for number in range(first, first + worlds):
        simulation = ComparedSimulation(draw_world(number))
        result = simulation.run()
        points, processes = points + simulation.points, processes + result.processes
        wrong += [f"seed {number}: {what[:300]}" for what in result.wrong]
    say(
        f"{worlds:,} simulated worlds from seed {first}, {processes:,} processes: {points:,} crash points,"
        f" {len(wrong)} wrong",
        *wrong,
    )
    return not wrong


def in_earnest(folder: Path, server: Server, kills: int, seed: int) -> bool:
    """Writers one after another, each but the last one killed."""
    pairs = kills * PAIRS_A_KILL
    journal = server.job_url(server.new_database(), "job") if kills else ""
    lives, compared, wrong = Counter[str](), 0, list[str]()
    with stub(**{**scenario(seed, all_faults(total=0.1)), "latency_s": 0.01}) as server_stub:
        before: dict[int, str] = {}
        for life in range(kills + 1):
            moment, at = MOMENTS[life % len(MOMENTS)], 1 + life // len(MOMENTS) % LATEST
            home = folder / f"machine{life}"
            notes = home / "notes"
            home.mkdir()
            number = at if life < kills else 0
            code = live(home, (server_stub.base_url, part_url(journal), str(pairs), str(notes), str(number), moment))
            (replayed, found), held = noted(notes)
            if code != (-9 if number else 0):
                wrong.append(f"life {life} ended with {code}, after {len(held)} commits")
            if replayed:  # of a log without groups nothing is known
                compared += 1
                if before.get(replayed) != found:
                    wrong.append(f"life {life} replayed {replayed} groups, not as they were")
            lives[moment if number else "lived"] += 1
            before = {**before, **held}
        truth = truth_of(server_stub, some_pairs(pairs))
    say(f"killed {dict(lives)}: {compared} take-overs compared, {len(before):,} groups; {truth}", *wrong)
    return not (wrong or truth.missing or truth.doubled)


def live(home: Path, arguments: tuple[str, ...]) -> int:
    """One writer on a machine of its own."""
    command = [sys.executable, "-m", "tests.campaigns.machines.dying", *arguments]
    env = {**os.environ, "XDG_STATE_HOME": str(home), "BULKWRITER_TOKEN": CANARY}
    with (home / "log").open("w") as log:
        return subprocess.run(command, env=env, stdout=log, stderr=log, timeout=LIFE_S, check=False).returncode


def part_url(job_url: str) -> str:
    base, question, options = job_url.partition("?")
    return f"{base}/p1{question}{options}"


def noted(notes: Path) -> tuple[tuple[int, str], dict[int, str]]:
    """How many groups a life replayed, and to what; then what its journal held at each group of its own."""
    first, *rest = notes.read_text(encoding="ascii").splitlines()
    _, count, found = first.split()
    return (int(count), found), {int(number): digest for number, digest in map(str.split, rest)}
