"""The command line of `scripts/machines`.  Each campaign prints its figures and its seed; exit 1 where it fails."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.support.progress import say

from . import dense, on_ray, quota, replayed, sparse, standby
from .hosts import isolation
from .mischief import WEIGHTS
from .server import Server, why_not

Campaign = Callable[[Path, Server, argparse.Namespace], int]


def run_dense(folder: Path, server: Server, given: argparse.Namespace) -> int:
    seconds, pairs = given.seconds or 600.0, given.pairs or 20_000
    plan = dense.Plan(
        pairs=pairs, events=given.events or max(1, round(seconds / 5.5)), seconds=seconds, seed=given.seed,
        has_quota=not (given.no_quota or given.unfenced), is_fenced=not given.unfenced, only=given.only,
    )  # fmt: skip
    finding = dense.campaign(folder, server, plan)
    return dense.report(finding, is_fenced=not given.unfenced)


def run_sparse(folder: Path, server: Server, given: argparse.Namespace) -> int:
    seconds = given.seconds or 1_800.0
    every_s = min(60.0, seconds / 5)
    return int(not sparse.campaign(folder, server, seconds=seconds, every_s=every_s, seed=given.seed))


def run_quota(folder: Path, server: Server, given: argparse.Namespace) -> int:
    seconds = given.seconds or 180.0
    return int(not quota.campaign(folder, server, seconds=seconds, away_s=given.away, seed=given.seed))


def run_standby(folder: Path, server: Server, given: argparse.Namespace) -> int:
    return int(not standby.campaign(folder, server, pairs=given.pairs or 5_000, seed=given.seed))


def run_replay(folder: Path, server: Server, given: argparse.Namespace) -> int:
    worlds, kills = given.worlds, 60 if given.events is None else given.events
    return int(not replayed.campaign(folder, server, worlds=worlds, kills=kills, seed=given.seed))


def run_ray(folder: Path, server: Server, given: argparse.Namespace) -> int:
    if reason := on_ray.why_no_ray():
        say(reason)
        return 2
    pairs, events = given.pairs or 20_000, given.events or 10
    return int(not on_ray.campaign(folder, server, pairs=pairs, events=events, seed=given.seed, acts=given.acts))


CAMPAIGNS: dict[str, tuple[Campaign, str]] = {
    "dense": (run_dense, "kills, sleepers, cuts and restarts of the database, one every 5.5 s (600 s)"),
    "sparse": (run_sparse, "what a fault a minute costs at write:600/min (1,800 s)"),
    "quota": (run_quota, "three hosts on write:120/10s; the database away (180 s)"),
    "standby": (run_standby, "a standby that lacks commits is promoted"),
    "replay": (run_replay, "the journal after a take-over is the log, at every crash point (300 worlds, 60 kills)"),
    "ray": (run_ray, "run --on ray, with actors, raylets and the head killed (20,000 pairs)"),
}


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/machines", description="\n".join(f"{name:<8} {text}" for name, (_, text) in CAMPAIGNS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("campaign", choices=list(CAMPAIGNS))
    parser.add_argument("--seconds", type=float, help="about how long; a shorter campaign has fewer events")
    parser.add_argument("--pairs", type=int)
    parser.add_argument("--events", type=int, help="dense, ray, replay: how many")
    parser.add_argument("--worlds", type=int, default=300, help="replay: so many simulated worlds")
    parser.add_argument("--away", type=float, default=60.0, help="quota: seconds for which the database is away")
    parser.add_argument("--no-quota", action="store_true", help="dense: no ledger: --rate makes the pace")
    parser.add_argument(
        "--unfenced", action="store_true", help="dense: without the fence and a quota, which must show doubles"
    )
    parser.add_argument(
        "--only", nargs="*", choices=list(WEIGHTS), default=[], help="dense: these kinds of events alone"
    )
    parser.add_argument(
        "--acts", nargs="*", choices=list(on_ray.ACTS), default=on_ray.ACTS, help="ray: these acts alone"
    )
    parser.add_argument("--keep", action="store_true", help="keep what the workers said, a folder a host")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(argv)
    if reason := why_not():
        sys.stderr.write(f"scripts/machines: {reason}\n")
        return 2
    for name in [name for name in os.environ if name.startswith("BULKWRITER_")]:
        del os.environ[name]
    os.environ["BULKWRITER_CONFIG"] = "none"
    way = isolation()
    say("hosts: " + (f"namespaces by {' '.join(way)}" if way else "plain processes: nobody may make namespaces here"))
    began_at = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="bulkwriter-machines-"))
    try:
        with Server() as server:
            code = CAMPAIGNS[given.campaign][0](folder, server, given)
    finally:
        if given.keep:
            say(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    say(
        f"{given.campaign}: {'as it must be' if not code else 'NOT as it must be'}"
        f" ({time.monotonic() - began_at:.0f} s; scripts/machines {' '.join(argv)}, seed {given.seed})"
    )
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
