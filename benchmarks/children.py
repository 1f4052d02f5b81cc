"""Runs one child process to its end and says what it took: CPU, peak memory, wall time, and what it said.

CPU comes from `wait4` on this very child, so it holds user and system time of all its threads from its first
instruction on, and nothing of anybody else.  Peak memory does too, but a child starts as a copy of us: it never reads
less than this process has, which therefore imports nothing big.  A peak that may be ours is not told.

A child is bound to cores by binding ourselves while it is started, since affinity is inherited and a hook between fork
and exec is not safe everywhere.  Where the system cannot bind (macOS), nothing is bound, and the result says so.
Output goes to files, so that a child that talks cannot hang, and a time limit ends one that does not come back.  For
the main thread only: the limit is an alarm, which alone interrupts `wait4` without a thread that looks on.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

ERR_CHARS = 2_000


class BenchmarkFailed(Exception):
    """A run did not do what it was to measure, so there is no figure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A child's end.  `began_at` is on the monotonic clock; `rss_bytes` is its peak, None where that may be ours."""

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
        given = stack.enter_context((stdin or Path(os.devnull)).open("rb"))
        stack.enter_context(time_limit(limit_s, argv[0]))
        with bound_to(cores):
            began_at = time.monotonic()
            process = subprocess.Popen(argv, stdin=given, stdout=out, stderr=err, env={**os.environ, **(env or {})})
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
        wall_s = time.monotonic() - began_at
        own = resource.getrusage(resource.RUSAGE_SELF)
        process.returncode = os.waitstatus_to_exitcode(status)  # it is gone already: nothing is left to wait for
        return Ended(
            began_at=began_at,
            exit_code=process.returncode,
            out=all_of(out),
            err=all_of(err),
            wall_s=wall_s,
            user_s=usage.ru_utime,
            system_s=usage.ru_stime,
            rss_bytes=peak_bytes(usage) if peak_bytes(usage) > peak_bytes(own) else None,
        )


def peak_bytes(usage: resource.struct_rusage) -> int:
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1_024)


def all_of(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def check_ended(name: str, ended: Ended) -> None:
    """Raise `BenchmarkFailed` unless the child ended well."""
    if ended.exit_code:
        raise BenchmarkFailed(f"{name} ended with {ended.exit_code}: {ended.err[-ERR_CHARS:].strip()}")
