"""One client as a process: `python -m benchmarks.clients NAME BASE_URL TOKEN SOURCE.csv PAIRS WORKERS`.

The last line of stdout is an object: `pairs` that the server said it created, and `elapsed_s` from before the first
connection to the last reply.  A reply that is not the documented success ends it with an exception.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import orjson
import uvloop

from ..inputs import read_csv
from . import CLIENTS

PATH = "/api/content/coursecompletedlessons"


def main(name: str, base_url: str, token: str, source: str, count: str, workers: str) -> None:
    client = next(client for client in CLIENTS if client.module == name)
    module: Any = importlib.import_module(f".{name}", __package__)
    pairs = read_csv(Path(source), int(count))
    url = base_url + PATH
    gc.freeze()  # the pairs are not what the collector should walk through, in any client
    began_at = time.monotonic()
    if client.is_own_loop:
        created = asyncio.run(module.write_all(url, token, pairs))
    else:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            created = runner.run(write_all(module, url, token, pairs, int(workers)))
    print(json.dumps({"pairs": created, "elapsed_s": time.monotonic() - began_at}))


async def write_all(module: Any, url: str, token: str, pairs: list[tuple[int, int]], workers: int) -> int:
    """All pairs through `workers` workers; how many were created."""
    rest = iter(pairs)

    async def work(post: Any) -> int:
        created = 0
        for lesson, member in rest:
            status, body = await post(orjson.dumps({"CourseLessonId": lesson, "CourseMemberId": member}))
            created += is_created(status, body)
        return created

    async with module.posting(url, token, workers) as post:
        async with asyncio.TaskGroup() as tasks:
            working = [tasks.create_task(work(post)) for _ in range(workers)]
        return sum(task.result() for task in working)


def is_created(status: int, body: bytes) -> bool:
    """Whether the reply is the documented success.  Raises where it is not: there is nothing to measure then."""
    said = orjson.loads(body)
    if status != 200 or said["WasSuccessful"] is not True or said["Value"]["Id"] < 1:
        raise RuntimeError(f"HTTP {status}: {body[:200]!r}")
    return True


if __name__ == "__main__":
    main(*sys.argv[1:])
