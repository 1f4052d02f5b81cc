"""Kill a run with SIGKILL at random moments, start it again with the same command, and ask the server what it has.

`campaign` is the whole of it, used by tests/whole/test_kills.py (some cycles) and scripts/kills (as many as one likes).
A cycle is one start: a process that is killed at a moment drawn from the seed, counted from its first request, so that
slow starts are not all that is killed.  After the cycles the same command is given until it ends with exit 0, as its
user would, at most `MOST_LAST_STARTS` times: a start may end with pairs `failed` (with a fault in every third attempt,
one pair in some ten thousand uses its five attempts up; the next start sends it again) or with 75.  What is judged is
what the stub itself counts: 0 missing, 0 doubled; and the journal's record ids are compared with the stub's, pair by
pair.

`all_faults` are all kinds that a run must survive by itself, together 30% of the creates, and lists that fail too.
Left out are the kinds that rightly end a run (403, redirects) or reject a pair.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bulkwriter.stub.faults import KINDS
from bulkwriter.stub.thread import StubThread
from tests.support.cli_process import CALM, Done, finish, start, write_pairs
from tests.support.compare import compare, pairs_in

ENDS_A_RUN = frozenset({"forbidden_403", "redirect_307", "unsuccessful", "expired_401"})
SLOW = frozenset({"silence_before", "silence_after", "connect_silence", "503_wait_before", "503_wait_after", "slow"})
"""Kinds that cost a run the deadline or a second each: dealt rarely, or a test would take minutes."""
LAST_S = 1_500.0
"""The last start may have all the work to do, under faults that cost it seconds, on a machine that is busy."""
MOST_LAST_STARTS = 5
LIST_FAULTS = ("list_short", "list_empty", "list_miscount", "list_overlap")
QUICK = ("--late-apply=0.4", "--list-lag=0.2", "--timeout=1", "--progress=none", "--in-flight=32")
"""Waits as short as the stub keeps them: it applies late within 0.3 s and lists within 0.1 s."""


def survivable() -> list[str]:
    """Every kind of fault on creates and connections that a run must survive by itself."""
    return [kind for kind in KINDS if kind not in ENDS_A_RUN and not kind.startswith(("list_", "status_"))]


def fault(kind: str, share: float) -> dict[str, Any]:
    told: dict[str, Any] = {"kind": kind, "share": share}
    if kind == "late_apply":
        told["delay_s"] = 0.3
    if kind == "slow":
        told["delay_s"] = 0.2
    return told


def all_faults(total: float = 0.3, lists: float = 0.1) -> list[dict[str, Any]]:
    """All kinds at once, `total` of the creates; some lists fail as well."""
    kinds = survivable()
    quick = [kind for kind in kinds if kind not in SLOW]
    told = [fault(kind, total / len(quick)) for kind in quick]
    told += [fault(kind, 0.0005) for kind in kinds if kind in SLOW]
    return told + [{"kind": kind, "share": lists / len(LIST_FAULTS)} for kind in LIST_FAULTS]


def scenario(seed: int, faults: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {**CALM, "seed": seed, "list_lag_s": 0.1, "latency_s": 0.004, "latency_sigma": 0.5, "faults": list(faults)}


@dataclass(slots=True)
class Findings:
    """What a campaign saw."""

    cycles: int = 0
    killed: int = 0
    starts: int = 0
    last_starts: int = 0
    """How often the command was given after the last kill."""
    posts: int = 0
    lists: int = 0
    records: int = 0
    missing: int = 0
    doubled: int = 0
    untrue_ids: int = 0
    ended: dict[str, Any] = field(default_factory=dict)

    @property
    def is_clean(self) -> bool:
        return not (self.missing or self.doubled or self.untrue_ids) and self.ended.get("exit_code") == 0


def campaign(
    folder: Path, *, pairs: int, cycles: int, seed: int, faults: Sequence[Mapping[str, Any]], most_s: float = 1.0
) -> Findings:
    """Kill `cycles` starts of a run of `pairs` at up to `most_s` after their first request, then let it end."""
    rng = random.Random(seed)
    source = write_pairs(folder / "pairs.csv", pairs)
    found = Findings(cycles=cycles)
    with StubThread(scenario(seed, faults)) as stub:
        for _ in range(cycles):
            found.starts += 1
            if not kill_one(source, stub, rng.uniform(0.0, most_s)):
                break  # it ended before it could be killed
            found.killed += 1
        found.ended = last_start(source, stub, found).json
        judge(source, stub, found)
    return found


def arguments(source: Path, stub: StubThread) -> list[str]:
    return ["run", str(source), "--base-url", stub.base_url, "--json", *QUICK]


def kill_one(source: Path, stub: StubThread, after_s: float) -> bool:
    """Start, wait for the first request of this start and `after_s` more, kill.  False if it had ended by itself."""
    before = requests(stub)
    process = start(*arguments(source, stub))
    deadline = time.monotonic() + 30
    while requests(stub) == before and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(after_s)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return process.returncode == -signal.SIGKILL


def requests(stub: StubThread) -> int:
    told: dict[str, int] = stub.truth()["requests"]
    return sum(told.values())


def last_start(source: Path, stub: StubThread, found: Findings) -> Done:
    """Run to the end: the same command again until every pair is there, as its user would, but not for ever."""
    while True:
        found.starts, found.last_starts = found.starts + 1, found.last_starts + 1
        done = finish(start(*arguments(source, stub)), timeout_s=LAST_S)
        if done.code not in (1, 75) or found.last_starts == MOST_LAST_STARTS:
            return done


def judge(source: Path, stub: StubThread, found: Findings) -> None:
    """Compare source, server and journal."""
    truth = stub.truth()
    found.records, found.posts, found.lists = truth["records"], truth["requests"]["POST"], truth["list_calls"]
    journal = source.with_name(f"{source.name}.journal")
    found.missing, found.doubled, found.untrue_ids = compare(pairs_in(source), stub, journal)
