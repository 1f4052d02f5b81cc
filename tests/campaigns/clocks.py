"""The whole clock matrix: every wrong clock, every way of going wrong, every kind of server and window, many seeds.

    scripts/clocks [--seeds N] [--seed FIRST] [--events N] [--stops] [--only WORD ...]

`--stops` stops processes for a while, now and then, as SIGSTOP does.  A cell is named by its words, such as `calendar`,
`none` or `+1 h`; `--only` keeps those that have all the given words.  A failure is printed with what repeats it.

Exit codes: 0; 1 where a window was exceeded, or a true Date wasted more than one lease a death.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from itertools import product
from pathlib import Path

from tests.support.clock_cells import DATES, QUOTAS, WALLS, WHENS, live
from tests.support.progress import say


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1, help="how many lives each cell has")
    parser.add_argument("--seed", type=int, default=0, help="the first of them")
    parser.add_argument("--stops", action="store_true", help="stop processes for a while, now and then")
    parser.add_argument("--only", action="append", default=[], help="a word that the cell's name must have")
    parser.add_argument("--events", type=int, default=3, help="how often something happens in a life")
    args = parser.parse_args()
    lives = bad = waste = 0
    began = time.monotonic()
    for quota, dates, when, wall in product(QUOTAS, DATES, WHENS, WALLS):
        words = {"quota": quota, "dates": dates, "when": when, "wall": wall}
        if not set(args.only) <= set(words.values()):
            continue
        for seed in range(args.seed, args.seed + args.seeds):
            with tempfile.TemporaryDirectory(prefix="bulkwriter-clocks-") as folder:
                life = live(Path(folder), **words, seed=seed, stops=args.stops, events=args.events)
            lives += 1
            wrong = life.server.broken(life.windows)
            wasted = life.wasted() if dates == "true" and not args.stops else 0
            waste = max(waste, wasted - life.deaths)
            if wasted > life.deaths:
                wrong = [*wrong, f"{wasted} wasted, {life.deaths} deaths"]
            if wrong:
                bad += 1
                stops = f" --events {args.events}" + (" --stops" if args.stops else "")
                only = " ".join(f"--only {word!r}" for word in words.values())
                say(f"WRONG: {', '.join(wrong)}: scripts/clocks --seed {seed} --seeds 1{stops} {only}")
    say(f"{lives} lives, {bad} wrong, in {time.monotonic() - began:,.0f} s")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
