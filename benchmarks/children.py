"""Runs one child process to its end and says what it took: CPU, peak memory, wall time, and what it said.

CPU comes from `wait4` on this very child, so it holds user and system time of all its threads from its first
instruction on, and nothing of anybody else.  Peak memory does too; a small process of its own makes the child, or the
peak would never be less than ours (see `launcher`).  A peak that may be the launcher's is not told.

A child is bound to cores by binding ourselves while it is started, since affinity is inherited and a hook between fork
and exec is not safe everywhere.  Where the system cannot bind (macOS), nothing is bound, and the result says so.
Output goes to files, so that a child that talks cannot hang, and a time limit ends one that does not come back.  For
the main thread only: the limit is an alarm, which alone interrupts a wait without a thread that looks on.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

KEEPS_COMPILED = {"PYTHONDONTWRITEBYTECODE": ""}
"""A warm start finds compiled modules, also where whoever measures keeps Python from writing them."""
LAUNCHER = Path(__file__).with_name("launcher.py")
ERR_CHARS = 2_000
PEAK_UNIT = 1 if sys.platform == "darwin" else 1_024
LAUNCHER_BYTES = 16_000_000
"""A peak below it may be the launcher's own: twice what that has."""


class BenchmarkFailed(Exception):
    """A run did not do what it was to measure, so there is no figure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A child's end.  `began_at` is on the monotonic clock; `rss_bytes` is its peak, None where that is not known."""

    began_at: float
    exit_code: int
    out: str
    err: str
    wall_s: float
    user_s: float
    system_s: float
    rss_bytes: int | None

    @property
    def cpu_s(self) -> float:
        return self.user_s + self.system_s


@dataclass(frozen=True, slots=True)
class Cores:
    """Who runs where: `client` and `server` one core each, `both` all of them.  Empty sets bind nothing."""

    client: frozenset[int] = frozenset()
    server: frozenset[int] = frozenset()
    both: frozenset[int] = frozenset()

    @classmethod
    def of_this_machine(cls) -> Cores:
        """The first core allowed to us for servers, the last for clients; one core alone serves neither well."""
        if not hasattr(os, "sched_getaffinity"):
            return cls()
        allowed = sorted(os.sched_getaffinity(0))
        if len(allowed) < 2:
            return cls()
        return cls(frozenset(allowed[-1:]), frozenset(allowed[:1]), frozenset((allowed[0], allowed[-1])))

    @property
    def are_bound(self) -> bool:
        return bool(self.client)


@contextlib.contextmanager
def bound_to(cores: frozenset[int]) -> Iterator[None]:
    """Children started inside run on these cores only."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def time_limit(limit_s: float, what: str) -> Iterator[None]:
    """Raise `BenchmarkFailed` inside the block when it takes longer."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise BenchmarkFailed(f"{what} took longer than {limit_s:,.0f} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def run_child(
    argv: Sequence[str],
    *,
    cores: frozenset[int] = frozenset(),
    env: Mapping[str, str] | None = None,
    stdin: Path | None = None,
    limit_s: float = 600.0,
) -> Ended:
    """Run a command to its end.  Raises `BenchmarkFailed`, the child killed, when that takes longer than `limit_s`."""
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(tempfile.TemporaryFile())
        err = stack.enter_context(tempfile.TemporaryFile())
        report = stack.enter_context(tempfile.TemporaryFile())
        given = stack.enter_context((stdin or Path(os.devnull)).open("rb"))
        stack.enter_context(time_limit(limit_s, argv[0]))
        with bound_to(cores):
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(LAUNCHER), str(report.fileno()), *argv],
                stdin=given,
                stdout=out,
                stderr=err,
                env={**os.environ, **KEEPS_COMPILED, **(env or {})},
                pass_fds=(report.fileno(),),
                process_group=0,  # so that launcher and child can be ended together
            )
        try:
            process.wait()
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        return ended_by(all_of(report), all_of(out), all_of(err))


def ended_by(report: str, out: str, err: str) -> Ended:
    """A child's end, by the launcher's report.  Raises `BenchmarkFailed` where there is none."""
    if not report:
        raise BenchmarkFailed(f"the launcher failed: {err[-ERR_CHARS:].strip()}")
    told = json.loads(report)
    peak_bytes = told.pop("peak") * PEAK_UNIT
    return Ended(out=out, err=err, rss_bytes=peak_bytes if peak_bytes > LAUNCHER_BYTES else None, **told)


def all_of(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def check_ended(name: str, ended: Ended) -> None:
    """Raise `BenchmarkFailed` unless the child ended well."""
    if ended.exit_code:
        raise BenchmarkFailed(f"{name} ended with {ended.exit_code}: {ended.err[-ERR_CHARS:].strip()}")
