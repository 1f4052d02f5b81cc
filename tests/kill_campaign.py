"""`scripts/kills`: thousands of SIGKILLs, in runs of 20,000 pairs that are killed 50 times each; figures at the end."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from tests import kills

PAIRS, KILLS_A_RUN = 20_000, 50


def main(cycles: int = 1_000, seed: int = 1) -> int:
    began_at, killed, starts, runs, posts, bad = time.monotonic(), 0, 0, 0, 0, 0
    while killed < cycles:
        with tempfile.TemporaryDirectory() as folder:
            wanted = min(KILLS_A_RUN, cycles - killed)
            found = kills.campaign(
                Path(folder), pairs=PAIRS, cycles=wanted, seed=seed + runs, faults=kills.all_faults(), most_s=0.8
            )
        runs, killed, starts, posts = runs + 1, killed + found.killed, starts + found.starts, posts + found.posts
        bad += not found.is_clean
        sys.stdout.write(f"seed {seed + runs - 1}: {found}\n")
        sys.stdout.flush()
    sys.stdout.write(
        f"{killed} kills in {runs} runs, {starts} starts, {posts} requests: {bad} runs with missing, doubled or untrue "
        f"records ({time.monotonic() - began_at:.0f} s; scripts/kills {cycles} {seed})\n"
    )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
