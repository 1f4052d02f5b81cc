"""Three real processes share a ledger in PostgreSQL: each with a clock of its own, killed, and the database killed too.

Judged by what arrived at the stub.  Where the system allows it, each process is in a time namespace, so that it has
another clock since boot and counts as a machine of its own.
"""

from __future__ import annotations

import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.campaigns.machines.hosts import HIDDEN
from tests.postgres_server import Database, PostgresServer
from tests.support.cli_process import start, stub, wait_for, write_pairs

pytestmark = pytest.mark.slow

WINDOW_S, MOST = 2.0, 20
KILLS = 2


def namespace(folder: Path, boot_s: int) -> list[str]:
    """What starts a process on a machine that was up for so much longer; nothing where that is not allowed."""
    boot = folder / f"boot-{boot_s}"
    boot.write_text(f"{boot_s}\n")
    mounts = f"mount --bind {boot} /proc/sys/kernel/random/boot_id && {HIDDEN}"
    command = ["unshare", "-m", "-T", "--boottime", str(boot_s), "sh", "-c", f'{mounts} && exec "$@"', "sh"]
    try:
        allowed = subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        allowed = False
    return command if allowed else []


def test_machines_never_exceed_their_account_s_window_and_go_on_after_the_database_was_away(
    tmp_path: Path, postgres: Database, postgres_server: PostgresServer
) -> None:
    rng = random.Random(3)
    sources = [write_pairs(tmp_path / f"{n}.csv", 2_000, first=1_000 * n + 1) for n in range(3)]
    hosts = [namespace(tmp_path, 86_400 * (n + 1)) for n in range(3)]
    quotas = ("--quota", f"write:{MOST}/{WINDOW_S:g}s", "--ledger", postgres.url)
    how = ("--doubt-wait=0.4", "--progress=none", "--existing=skip", "--timeout=1")
    with stub(watch_windows_s=[WINDOW_S]) as server:

        def begin(n: int) -> subprocess.Popen[str]:
            argv = ("run", str(sources[n]), "--base-url", server.base_url, *quotas, *how)
            with (tmp_path / f"{n}.err").open("a") as said:
                return start(*argv, before=hosts[n], stdout=subprocess.DEVNULL, stderr=said)

        def creates() -> int:
            return int(server.truth()["operations"].get("create", 0))

        processes = [begin(n) for n in range(3)]
        try:
            wait_for(lambda: creates() > MOST)
            for _ in range(KILLS):
                time.sleep(rng.uniform(0.1, 0.6))
                n = rng.randrange(3)
                processes[n].kill()
                processes[n].wait()
                processes[n] = begin(n)
            told = [tmp_path / f"{n}.err" for n in range(3)]
            wait_for(lambda: creates() > 2 * MOST)
            postgres_server.stop(signal.SIGQUIT)
            wait_for(lambda: any("until the quota ledger answers" in err.read_text() for err in told))
            before = creates()
            time.sleep(WINDOW_S)
            assert creates() - before <= MOST  # what was leased
            before = creates()
            time.sleep(0.5)
            assert creates() == before
            postgres_server.start()
            wait_for(lambda: creates() > before)
            assert all(process.poll() is None for process in processes)
        finally:
            for process in processes:
                process.kill()
                process.wait()
        assert server.truth()["worst_in_window"][f"{WINDOW_S:g}"] <= MOST
    boots = postgres.sql("SELECT count(DISTINCT boot) FROM bulkwriter.clients")
    assert boots == [(3 if all(hosts) else 1,)]
