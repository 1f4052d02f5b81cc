"""`scripts/cancels`: writers whose tasks are all cancelled at once, at as many moments as one likes, with figures."""

from __future__ import annotations

import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.support import cancels
from tests.support.progress import say

CASES_A_PART = 12
"""What a process does at a time; a loop that does not end stays behind in it."""


def some(cases: list[cancels.Case]) -> cancels.Findings:
    with tempfile.TemporaryDirectory() as folder:
        return cancels.campaign(Path(folder), cases)


def main(moments: int = 200, seed: int = 1, jobs: int = 2) -> int:
    began_at = time.monotonic()
    cases = cancels.drawn(moments, seed=seed)
    total = cancels.Findings()
    with ProcessPoolExecutor(jobs) as pool:
        parts = [cases[at : at + CASES_A_PART] for at in range(0, len(cases), CASES_A_PART)]
        for found in pool.map(some, parts):
            total.cases += found.cases
            total.longest_s = max(total.longest_s, found.longest_s)
            total.ended.update(found.ended)
            total.wrong += found.wrong
            for wrong in found.wrong:
                say(wrong)
            say(f"{total.cases} of {len(cases)}, {len(total.wrong)} wrong")
    say(f"{total} ({time.monotonic() - began_at:.0f} s; scripts/cancels {moments} {seed} {jobs})")
    return 1 if total.wrong else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
