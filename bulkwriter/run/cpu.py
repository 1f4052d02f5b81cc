"""How much processor time the calling thread has used, and how long it was ready to run but had to wait.

A run on a busy machine loses the waiting time, and no clock of the thread shows it.  Linux tells both numbers in
`/proc/thread-self/schedstat`, in nanoseconds.  On other systems, and where the file cannot be read, the wait counts as
0.

Invariant: neither number ever falls.  Not here: what follows from them (`run.bottleneck`).
Source: the kernel's Documentation/scheduler/sched-stats.rst.
"""

from __future__ import annotations

import time
from pathlib import Path

SCHEDSTAT = Path("/proc/thread-self/schedstat")


def cpu_times(path: Path = SCHEDSTAT) -> tuple[float, float]:
    """Seconds for which this thread ran on a processor, and for which it waited for one."""
    try:
        used, waited = path.read_bytes().split()[:2]
        return int(used) / 1e9, int(waited) / 1e9
    except (OSError, ValueError):
        return time.thread_time(), 0.0
