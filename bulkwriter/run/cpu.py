"""How much processor time the calling thread has used, and how long it was ready to run and had to wait for it.

The second is what a run on a busy machine loses, and what no clock of the thread shows.  Linux tells both in
`/proc/thread-self/schedstat`, in nanoseconds; elsewhere, and where it cannot be read, the wait counts as 0.

Invariant: neither number ever falls.  Not here: what is made of it (`run.bottleneck`).
Source: the kernel's Documentation/scheduler/sched-stats.rst.
"""

from __future__ import annotations

import time
from pathlib import Path

SCHEDSTAT = Path("/proc/thread-self/schedstat")


def cpu_times(path: Path = SCHEDSTAT) -> tuple[float, float]:
    """Seconds of this thread on a processor, and waiting for one."""
    try:
        used, waited = path.read_bytes().split()[:2]
        return int(used) / 1e9, int(waited) / 1e9
    except (OSError, ValueError):
        return time.thread_time(), 0.0
