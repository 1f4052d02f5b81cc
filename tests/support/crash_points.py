"""End a run at its k-th write or sync of journal or ledger, start it again, and ask the server what it has.

`strace` counts the calls of an undisturbed run on each file, then ends one run at each of these points: by SIGKILL in
place of the call, or by EIO or ENOSPC from it.  What is started again is the same command without `strace`; after it
the stub's records are compared with the source, the journal's ids with the stub's, and the ledger's count with what the
stub was sent.  A start that had EIO or ENOSPC must end with 5 (journal or ledger unusable), or with 0 where the failed
call mattered to nothing.

A point is a file, a call and its number.  `-P` makes strace count only calls on that file; a run is not the same to the
last call each time, so a late point may not be reached: such a run ends by itself, is judged alike, and is counted.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from bulkwriter.stub.thread import StubThread
from tests.conftest import CANARY
from tests.support.cli_process import CALM, finish, start, write_pairs
from tests.support.compare import compare, pairs_in, query

PAIRS: Final = 80
"""So many that several leases are needed."""
CALLS: Final = ("pwrite64", "fdatasync", "fsync", "ftruncate")
WAYS: Final = ("SIGKILL", "EIO", "ENOSPC")
FILES: Final = {"journal": ("p.csv.journal", "p.csv.journal-wal"), "ledger": ("ledger", "ledger-journal")}
"""By name."""
SCENARIO: Final = {**CALM, "latency_s": 0.004, "seed": 5, "faults": {"rst_after": 0.03, "rst_before": 0.03}}
COMMAND: Final = ("--json", "--doubt-wait=0.3", "--timeout=2", "--progress=none", "--in-flight=4",
                  "--quota=write:60000/day", "--quota=any:90000/day")  # fmt: skip
STRACE: Final = ("strace", "-f", "-qq")  # with --seccomp-bpf it injects no signals
TIMEOUT_S: Final = 60.0


class Point(NamedTuple):
    """The `number`-th `call` on a file, and the way in which it goes wrong."""

    file: str
    call: str
    number: int
    way: str


@dataclass(slots=True)
class Found:
    """What came of some points."""

    points: int = 0
    reached: int = 0
    wrong: list[str] = field(default_factory=list)
    codes: Counter[int] = field(default_factory=Counter)


def why_not() -> str:
    """Why there can be no crash points here, or an empty text."""
    if shutil.which("strace") is None:
        return "strace is not installed, so that no write can be made to fail (Debian: apt install strace)"
    tried = subprocess.run([*STRACE, "-e", "trace=none", "true"], capture_output=True, check=False)
    return "" if tried.returncode == 0 else f"strace may not trace here: {tried.stderr.decode().strip()}"


def points(folder: Path, *, every: int = 1, first: int = 0, share: float = 1.0) -> list[Point]:
    """Every `every`-th point of a run from the `first` on, all ways in turn; of each call the first `share`."""
    counted = count_calls(folder)
    numbered = [(file, call, n) for (file, call), most in counted.items() for n in range(1, 1 + round(most * share))]
    return [Point(*where, way) for where in numbered for way in WAYS][first::every]


def count_calls(folder: Path) -> dict[tuple[str, str], int]:
    """How many calls of each kind the thread of each file makes in an undisturbed run."""
    counted = {}
    with StubThread(SCENARIO) as stub:
        for file in FILES:
            place = folder / f"count-{file}"
            place.mkdir()
            done = run_traced(place, stub, file, [])
            assert done.returncode == 0, done.stderr
            lines = (place / "trace").read_text().splitlines()
            for call in CALLS:
                by_thread = Counter(line.split()[0] for line in lines if f" {call}(" in line)
                counted[file, call] = max(by_thread.values(), default=0)  # `strace` counts them thread by thread
            stub.reset()
    return counted


def run_traced(place: Path, stub: StubThread, file: str, injected: list[str]) -> subprocess.CompletedProcess[str]:
    write_pairs(place / "p.csv", PAIRS)
    paths = [word for name in FILES[file] for word in ("-P", str(place / name))]
    trace = [
        *STRACE,
        "-o",
        str(place / "trace"),
        "-e",
        f"trace={','.join(CALLS)}",
        *paths,
        *injected,
    ]
    command = [*trace, sys.executable, "-m", "bulkwriter", *arguments(place, stub)]
    env = {**os.environ, "BULKWRITER_TOKEN": CANARY}
    return subprocess.run(command, capture_output=True, text=True, env=env, check=False, timeout=TIMEOUT_S)


def arguments(place: Path, stub: StubThread) -> list[str]:
    return ["run", str(place / "p.csv"), "--base-url", stub.base_url, "--ledger", str(place / "ledger"), *COMMAND]


def try_points(folder: Path, chosen: list[Point]) -> Found:
    """End a run at each of these points, start it again, and judge."""
    found = Found()
    with StubThread(SCENARIO) as stub:
        for number, point in enumerate(chosen):
            place = folder / str(number)
            place.mkdir()
            found.points += 1
            found.wrong += [f"{point}: {what}" for what in try_point(place, stub, point, found)]
            shutil.rmtree(place)
            stub.reset()
    return found


def try_point(place: Path, stub: StubThread, point: Point, found: Found) -> Iterator[str]:
    what = "signal=KILL" if point.way == "SIGKILL" else f"error={point.way}"
    first = run_traced(place, stub, point.file, ["-e", f"inject={point.call}:{what}:when={point.number}"])
    is_reached = first.returncode == -signal.SIGKILL or "(INJECTED)" in (place / "trace").read_text()
    found.reached += is_reached
    found.codes[first.returncode] += 1
    right = {-signal.SIGKILL, 0} if point.way == "SIGKILL" else {5, 0}
    if first.returncode not in right:
        yield f"ended with {first.returncode}: {first.stderr}"
    again = finish(start(*arguments(place, stub)), timeout_s=TIMEOUT_S)
    if again.code != 0:
        yield f"the same command again ended with {again.code}: {again.err}"
    yield from judge(place, stub)


def judge(place: Path, stub: StubThread) -> Iterator[str]:
    """Compare source, server, journal and ledger."""
    compared = compare(pairs_in(place / "p.csv"), stub, place / "p.csv.journal")
    if any(compared):
        yield f"{compared}"
    ((booked,),) = query(place / "ledger", "SELECT sum(count) FROM spent WHERE kind = 'write'")
    if (booked or 0) < (sent := stub.truth()["requests"]["POST"]):
        yield f"{sent} writes were sent, the ledger has {booked}: {query(place / 'ledger', 'SELECT * FROM spent')}"
