"""`scripts/kills`: thousands of SIGKILLs, in runs of 20,000 pairs that are killed 50 times each; figures at the end.

A run mostly waits (for late requests, for lists, for new processes to start), so several of them go side by side.
"""

from __future__ import annotations

import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.support import kills
from tests.support.progress import say

PAIRS, KILLS_A_RUN = 20_000, 50


def one_run(seed: int, cycles: int) -> kills.Findings:
    """One source, killed `cycles` times, and brought to its end.  A run that does not end is found, and not clean."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            return kills.campaign(
                Path(folder), pairs=PAIRS, cycles=cycles, seed=seed, faults=kills.all_faults(), most_s=0.8
            )
        except AssertionError as error:
            return kills.Findings(ended={"error": str(error)})


def main(cycles: int = 1_000, seed: int = 1, jobs: int = 4) -> int:
    began_at = time.monotonic()
    sizes = [min(KILLS_A_RUN, cycles - at) for at in range(0, cycles, KILLS_A_RUN)]
    seeds = range(seed, seed + len(sizes))
    total, bad, again = kills.Findings(), 0, 0
    with ProcessPoolExecutor(jobs) as pool:
        for its_seed, found in zip(seeds, pool.map(one_run, seeds, sizes), strict=True):
            total.killed += found.killed
            total.starts += found.starts
            total.posts += found.posts
            bad += not found.is_clean
            again += found.last_starts > 1
            say(f"seed {its_seed}: {found}")
    say(
        f"{total.killed} kills in {len(sizes)} runs, {total.starts} starts, {total.posts} requests: {bad} runs with "
        f"missing, doubled or untrue records; {again} runs needed the command once more after the last kill "
        f"({time.monotonic() - began_at:.0f} s; scripts/kills {cycles} {seed} {jobs})"
    )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
