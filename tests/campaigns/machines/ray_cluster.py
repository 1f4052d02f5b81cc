"""A Ray cluster of this machine alone, and what may be killed in it."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from tests.conftest import CANARY

NODES: Final = 3
STORE_BYTES: Final = 80_000_000
"""Of each node's object store, which nobody here uses: Ray's least."""
GONE_S: Final = 10
"""How long Ray waits for a head that is gone, instead of its 60 s."""
RAY_NAMES: Final = {
    "RAY_gcs_rpc_server_reconnect_timeout_s": str(GONE_S),
    "RAY_raylet_start_wait_time_s": "180",  # 30 are too few on a busy machine
    "RAY_worker_niceness": "0",  # usually 15: other work of this machine would stop the workers
}
STARTS: Final = 4
"""A node of Ray's may not come up on a busy machine: so often it is tried."""


@contextmanager
def cluster() -> Iterator[tuple[Any, str]]:
    """A cluster whose nodes have the token in their environment, and its address."""
    import ray

    os.environ.update(BULKWRITER_TOKEN=CANARY, RAY_USAGE_STATS_ENABLED="0")
    os.environ.update(RAY_NAMES)
    made = started()
    try:
        yield made, str(made.address)
    finally:
        with suppress(Exception):
            made.shutdown()
        ray.shutdown()
        del os.environ["BULKWRITER_TOKEN"]


def started() -> Any:
    """A cluster of `NODES`."""
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 1, "object_store_memory": STORE_BYTES, "include_dashboard": False}
    for start in range(1, STARTS + 1):
        made = Cluster()
        try:
            made.add_node(**head)
            while len(made.worker_nodes) < NODES - 1:
                add_node(made)
        except Exception:
            with suppress(Exception):
                made.shutdown()
            if start == STARTS:
                raise
        else:
            return made
    raise AssertionError


def add_node(made: Any) -> None:
    for start in range(1, STARTS + 1):
        try:
            made.add_node(num_cpus=1, object_store_memory=STORE_BYTES)
        except Exception:
            if start == STARTS:
                raise
        else:
            return


def kill_actor(made: Any, rng: random.Random) -> bool:
    """SIGKILL to one actor; the process of its worker ends with it."""
    actors = [
        pid for node in made.list_all_nodes() for pid in below(raylet_of(node)) if title(pid).startswith("ray::W")
    ]
    if not actors:
        return False
    with suppress(ProcessLookupError):
        os.kill(rng.choice(actors), signal.SIGKILL)
    return True


def kill_raylet(made: Any, rng: random.Random) -> bool:
    """SIGKILL to the raylet of a node that is not the head; another node comes."""
    nodes = sorted(made.worker_nodes, key=lambda node: str(node.unique_id))
    if not nodes:
        return False
    node = rng.choice(nodes)
    os.kill(raylet_of(node), signal.SIGKILL)
    with suppress(Exception):
        made.remove_node(node, allow_graceful=False)
    add_node(made)
    return True


KILLERS: Final = {"actor": kill_actor, "raylet": kill_raylet}


def kill_head(made: Any) -> None:
    """SIGKILL to all that the head runs."""
    for processes in made.head_node.all_processes.values():
        for info in processes:
            with suppress(ProcessLookupError):
                os.kill(info.process.pid, signal.SIGKILL)


def raylet_of(node: Any) -> int:
    return int(node.all_processes["raylet"][0].process.pid)


def below(pid: int) -> list[int]:
    """A process and all that it has started, and so on."""
    found = [pid]
    with suppress(OSError):
        for path in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in path.read_text().split():
                found += below(int(child))
    return found


def title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def resident_mb(made: Any) -> int:
    """Of all processes of the cluster, pages that they share counted by share."""
    pids = {
        pid for node in made.list_all_nodes() for processes in node.all_processes.values() for info in processes
        for pid in below(info.process.pid)
    }  # fmt: skip
    total_kb = 0
    for pid in pids:
        with suppress(OSError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total_kb += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total_kb // 1_024


def words_of_ray(made: Any) -> str:
    """All that the cluster has written to its session's folder."""
    said = []
    for path in Path(made.head_node.get_session_dir_path()).rglob("*"):
        with suppress(OSError):
            if path.is_file():
                said.append(path.read_text(encoding="utf-8", errors="replace"))
    return "".join(said)
