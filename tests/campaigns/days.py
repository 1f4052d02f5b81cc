"""Backfills of weeks against every kind of daily limit that a server may have, judged against the least possible time.

    scripts/days [--pairs N] [--only NAME ...] [--seed N] [--smaller N]
    scripts/days --real         short windows in real time, by the command line against the stub: five minutes
    scripts/days --shared       short windows that one to eight processes share, in virtual time: a minute

A *world* is a server, a quota of ours, what befalls the run, and the bands that it must stay in.  `least_s` is what
nobody can beat: as many writes at once as server and quota both allow, from the first second on.  The short runs of
`tests/quota/test_quota_days.py` are the same worlds with a twentieth of the limits and a 320th of the pairs.

Exit codes: 0, 1 where any world left its bands.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bulkwriter.quota.windows import parse
from bulkwriter.stub.limits import LimitRule
from tests.campaigns import shares
from tests.sim.assembly import WALL_S
from tests.support.progress import say
from tests.support.quota_days import DAY_S, DOCUMENTED, Backfill, Outcome

CAP: Final = 2_500
DAY_AT_S: Final = 6 * 3_600.0
"""When the days of a server with calendar days begin, after the start of the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """`cap` and `kind` are the server's daily limit; `own` is ours if it is another one."""

    words: str
    cap: int = CAP
    own: int = CAP
    kind: str = "log"
    is_told: bool = False  # when the days of the server begin, so that our quota can be one of such days
    says_wait: bool = True
    kills: int = 0
    writers: int = 1
    changed_cap: int = 0
    changed_at: float = 0.0  # share of the least time without the change, in whole days
    others: int = 0  # writes a day of another client
    most_over: float = 0.01  # share of the least possible time
    most_throttles: int = 0  # on the worst day
    most_eta_error: float = 0.03
    used: float = 0.0  # share of the binding window that is used, at least


# fmt: off
WORLDS: Final = {
    "exact": World(words="the documented limits, for every span; killed and started again 40 times", kills=40),
    "sliding": World(words="the documented limits, for every span of a day"),
    "fixed": World(words="the documented limits, by days from some hour that nobody told us", kind="window"),
    "calendar": World(words="the documented limits, by days whose begin we were told", kind="window",
                      is_told=True),
    "half": World(words="the server's cap is half of ours", own=2 * CAP, most_over=0.05, most_throttles=20),
    "half, silent": World(words="the same, and it never says how long to wait", own=2 * CAP, says_wait=False,
                          most_over=0.05, most_throttles=20),
    "half, fixed": World(words="half of ours, by days", kind="window", own=2 * CAP, most_over=0.05, most_throttles=20),
    "half, fixed, silent": World(words="half of ours, by days, and it never says how long", kind="window",
                                 own=2 * CAP, says_wait=False, most_over=0.05, most_throttles=20),
    "lowered": World(words="the server halves its cap in mid-run", cap=2 * CAP, own=2 * CAP, changed_cap=CAP,
                     changed_at=0.4, most_over=0.05, most_throttles=20, most_eta_error=1.0),
    "raised": World(words="the server doubles its cap in mid-run, up to ours", own=2 * CAP, changed_cap=2 * CAP,
                    changed_at=0.4, most_over=0.05, most_throttles=20, most_eta_error=1.0),
    "shared": World(words="another client has spent a third of the quota, evenly, and goes on", others=CAP // 3,
                    most_over=0.05, most_throttles=40),
    "three": World(words="three processes on one account at once", writers=3, most_over=0.031, used=0.97),
}
# fmt: on
"""The end of a run whose server changes in the middle cannot be foretold: no band for its ETA.  Where a minute of 60 is
full with ours alone, each write of another client in it costs a throttle: some 16 a day more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a world showed; `broken` names the bands that were left."""

    pairs: int
    outcome: Outcome
    least_s: float
    worst_day: int
    used: float
    judged_after: float  # this share of the pairs, the ETA is
    broken: list[str]

    @property
    def over(self) -> float:
        return self.outcome.took_s / self.least_s - 1

    def line(self, name: str) -> str:
        outcome = self.outcome
        error = f"{100 * outcome.error_after(self.judged_after):.2f} %" if outcome.predictions else "-"
        return (
            f"{name}: {self.pairs:,} pairs in {outcome.took_s / DAY_S:.2f} days, {100 * self.over:+.2f} % of the least"
            f" possible; throttled {len(outcome.throttled_at)}, at most {outcome.throttles_of_worst_day()} a day;"
            f" in the fullest 24 h {self.worst_day:,} writes taken; used {100 * self.used:.1f} %;"
            f" doubled {outcome.doubled}; {outcome.processes} starts; ETA after {100 * self.judged_after:.0f} % off by"
            f" {error}"
        )


def scaled(world: World, share: int) -> World:
    """The same world with limits that are `share` times smaller."""
    return replace(
        world, cap=world.cap // share, own=world.own // share, changed_cap=world.changed_cap // share,
        others=world.others // share,
    )  # fmt: skip


def measure(world: World, pairs: int, folder: Path, *, seed: int = 1) -> Finding:
    """Run `pairs` pairs (of each writer) in this world and judge what came of it."""
    quota = ("nexudus", f"write:{world.own}/day" + (f"@{day_at()}+00:00" if world.is_told else ""))
    backfill = Backfill(
        pairs // world.writers, rules_of(world, world.cap), folder, quota=quota, seed=seed, says_wait=world.says_wait,
        writers=world.writers,
    )  # fmt: skip
    if world.changed_cap:
        backfill.change_limits(changed_after_s(world, pairs), rules_of(world, world.changed_cap))
    if world.others:
        backfill.limit.other_every_s = DAY_S / world.others
    pairs = pairs // world.writers * world.writers
    least_s = least_of(world, pairs)
    chance = random.Random(f"kills {seed}")
    outcome = backfill.run(kills=[chance.uniform(0, least_s) for _ in range(world.kills)])
    if world.others:
        others = round(backfill.limit.other_taken * DAY_S / outcome.took_s)
        least_s = least(pairs, min(world.cap, world.own) - others)
    return judged(world, pairs, outcome, least_s)


def day_at() -> str:
    """The time of day at which the model server's days begin, as `--quota` has it."""
    return time.strftime("%H:%M", time.gmtime(WALL_S + DAY_AT_S))


def rules_of(world: World, cap: int) -> list[LimitRule]:
    """The documented limits with another daily one."""
    phase_s = DAY_AT_S if world.kind == "window" else 0.0
    daily = LimitRule(kind=world.kind, count=cap, window_s=DAY_S, phase_s=phase_s)
    return [daily if rule.count == CAP else rule for rule in DOCUMENTED]


def least_of(world: World, pairs: int) -> float:
    """The least time that server and quota allow."""
    cap = min(world.cap, world.own) - world.others
    if world.changed_cap:
        after_s = changed_after_s(world, pairs)
        before = round(cap * after_s / DAY_S)
        return after_s + least(pairs - before, min(world.changed_cap, world.own))
    by_days = world.kind == "window" and (world.is_told or world.own > world.cap)
    if by_days and pairs > cap:  # a first day that is short, but holds as many
        return DAY_AT_S + least(pairs - cap, cap)
    return least(pairs, cap)


def changed_after_s(world: World, pairs: int) -> float:
    """When the server changes its limits: after whole days, so that the least time is simple."""
    return max(1, int(world.changed_at * pairs / world.cap)) * DAY_S


def least(pairs: int, cap: int) -> float:
    """The least time at `cap` in any day, 60 in any minute and 1 in any 100 ms; first value: 61 pairs take 60 s."""
    days, rest = divmod(pairs - 1, cap)
    minutes, some = divmod(rest, 60)
    return days * DAY_S + minutes * 60.0 + some * 0.1


def judged(world: World, pairs: int, outcome: Outcome, least_s: float) -> Finding:
    refused = set(outcome.throttled_at)
    taken = [at for at in outcome.arrivals if at not in refused]
    worst_day = most_in(taken, DAY_S)
    finding = Finding(
        pairs=pairs, outcome=outcome, least_s=least_s, worst_day=worst_day, used=least_s / outcome.took_s,
        judged_after=shown_after(world, pairs), broken=[],
    )  # fmt: skip
    error = outcome.error_after(finding.judged_after) if outcome.predictions else 0.0
    bands = {
        "all written": outcome.created == pairs,
        "none written twice": outcome.doubled == 0,
        "time": finding.over <= world.most_over,
        "throttles": outcome.throttles_of_worst_day() <= world.most_throttles,
        "ETA": error <= world.most_eta_error,
        "used": finding.used >= world.used,
        "window": most_in(outcome.arrivals, DAY_S) <= world.own or world.is_told,
    }
    finding.broken.extend(name for name, is_kept in bands.items() if not is_kept)
    return finding


def shown_after(world: World, pairs: int) -> float:
    """The share of the pairs after which an ETA is judged: a tenth, but not before a second day has begun where the
    server's cap is lower than ours, since only its first spent day shows that.
    """
    return max(0.1, 1.1 * world.cap / pairs) if world.cap < world.own else 0.1


def most_in(times: Sequence[float], window_s: float) -> int:
    """The most that any span of `window_s` holds; `times` are in order."""
    first, most = 0, 0
    for last, at in enumerate(times):
        while times[first] <= at - window_s:
            first += 1
        most = max(most, last - first + 1)
    return most


def campaign(names: Sequence[str], pairs: int, *, seed: int, smaller: int) -> Iterator[Finding]:
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            began = time.process_time()
            finding = measure(scaled(WORLDS[name], smaller), pairs, Path(folder), seed=seed)
        say(f"{finding.line(name)}; {time.process_time() - began:.0f} s of CPU")
        if finding.broken:
            say(f"   LEFT ITS BANDS: {', '.join(finding.broken)}   ({WORLDS[name].words})")
        yield finding


def real(quota: str, window_s: int, lasts_s: float, folder: Path) -> bool:
    """The command line with this quota against the stub's sliding window, and whether that is as it must be."""
    from tests.support.cli_process import finish, start, stub, write_pairs

    most = parse(quota).count
    source = write_pairs(folder / f"{most}.csv", int(most / window_s * lasts_s))
    limit = {"kind": "log", "count": most, "window_s": float(window_s)}
    with stub(limits=[limit], watch_windows_s=[window_s]) as server:
        options = ("--quota", quota, "--ledger", str(folder / "ledger"), "--existing=skip", "--progress=none")
        done = finish(
            start("run", str(source), "--base-url", server.base_url, "--json", *options), timeout_s=3 * lasts_s
        )
        worst = server.truth()["worst_in_window"][str(window_s)]
    used = done.json["pairs_per_s"] * window_s / most
    say(
        f"{quota} against a real window: {done.json['created']:,} created, at most {worst} arrived in any {window_s} s,"
        f" {done.json['throttled']} throttled, used {100 * used:.1f} %"
    )
    return bool(worst <= most and not done.json["throttled"])


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/days", description=__doc__)
    parser.add_argument("--pairs", type=int, default=100_000)
    parser.add_argument("--only", nargs="*", choices=list(WORLDS), default=list(WORLDS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--smaller", type=int, default=1, help="daily limits that are so many times smaller")
    parser.add_argument("--real", action="store_true", help="short windows in real time instead, against the stub")
    parser.add_argument("--shared", action="store_true", help="short windows that processes share instead")
    given = parser.parse_args(argv)
    if given.shared:
        return 0 if shares.campaign(given.seed) else 1
    if given.real:
        with tempfile.TemporaryDirectory() as folder:
            kept = [real("write:50/s", 1, 60.0, Path(folder)), real("write:600/min", 60, 240.0, Path(folder))]
        return 0 if all(kept) else 1
    found = list(campaign(given.only, given.pairs, seed=given.seed, smaller=given.smaller))
    return 1 if any(finding.broken for finding in found) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
