"""Three real processes share a ledger, and are killed and stopped at random: judged by what arrived at the stub.

A stop is the worse of the two: what the process held is void when it goes on, but nobody has told it.
"""

from __future__ import annotations

import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.cli_process import start, stub, wait_for, write_pairs

pytestmark = pytest.mark.slow

WINDOW_S, MOST, MOST_A_DAY = 5.0, 25, 90
ACTS = 15
SLEEPS_S = (0.05, 0.5, 1.5, 6.0)
"""Within a lease, beyond its grace, beyond its end, and beyond the short window."""


def test_killed_and_stopped_processes_exceed_no_window(tmp_path: Path) -> None:
    rng = random.Random(1)
    sources = [write_pairs(tmp_path / f"{n}.csv", 400, first=1_000 * n + 1) for n in range(3)]
    quotas = ("--quota", f"write:{MOST}/5s", "--quota", f"write:{MOST_A_DAY}/day", "--ledger", str(tmp_path / "ledger"))
    how = ("--doubt-wait=0.4", "--progress=none", "--existing=skip", "--in-flight=8", "--timeout=2")
    with stub(watch_windows_s=[WINDOW_S], latency_s=0.02) as server:

        def begin(source: Path) -> subprocess.Popen[str]:
            argv = ("run", str(source), "--base-url", server.base_url, *quotas, *how)
            return start(*argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        processes = [begin(source) for source in sources]
        try:
            wait_for(lambda: server.truth()["operations"].get("create", 0) > 0)
            for _ in range(ACTS):
                time.sleep(rng.uniform(0.05, 0.5))
                n = rng.randrange(len(processes))
                if rng.random() < 0.4:
                    processes[n].kill()
                    processes[n].wait()
                    processes[n] = begin(sources[n])
                else:
                    processes[n].send_signal(signal.SIGSTOP)
                    time.sleep(rng.choice(SLEEPS_S) * rng.random())
                    processes[n].send_signal(signal.SIGCONT)
        finally:
            for process in processes:
                process.kill()
                process.wait()
        truth = server.truth()
    creates = truth["operations"]["create"]
    assert truth["worst_in_window"][f"{WINDOW_S:g}"] <= MOST
    assert MOST < creates <= MOST_A_DAY
