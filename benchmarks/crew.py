"""Workers of a job as one command: `python -m benchmarks.crew DATABASE SERVER CSV PAIRS WORKERS IN_FLIGHT`.

It loads the first PAIRS pairs into a new job, starts that many `bulkwriter work` at once, and says what they took
together: CPU a pair without their starts, and pairs a second from the first group that they shipped to the last.  A
start is what the same command takes for a job of one pair.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bulkwriter.postgres.address import Address
from bulkwriter.postgres.connect import connect

from .inputs import read_csv, write_pairs
from .turns import PYTHON

PARTS = 4
DONE = """SELECT (SELECT sum((counts->>'created')::int) FROM bulkwriter.parts WHERE job = groups.job),
    extract(epoch FROM max(shipped_at) - min(shipped_at))::double precision
    FROM bulkwriter.groups AS groups WHERE job = %s GROUP BY job"""


def main(database: str, url: str, source: str, count: str, workers: str, in_flight: str) -> None:
    pairs = read_csv(Path(source), int(count))
    name, start = loaded(database, url, pairs, PARTS), loaded(database, url, pairs[:1], 1)
    options = ["--base-url", url, "--existing", "skip", "--quota", "none", "--in-flight", in_flight]
    start_s = together(["work", in_database(database, start), *options], 1)
    cpu_s = together(["work", in_database(database, name), *options], int(workers)) - int(workers) * start_s
    with connect(Address.parse(database)) as connection:
        created, elapsed_s = connection.execute(DONE, [name]).fetchone() or (0, 0.0)
    created, elapsed_s = int(str(created)), float(str(elapsed_s))
    print(json.dumps({"pairs": created, "stage_us": cpu_s / created * 1e6, "pairs_per_s": created / elapsed_s}))


def loaded(database: str, url: str, pairs: Sequence[tuple[int, int]], parts: int) -> str:
    """The name of a new job of these pairs."""
    name = f"bench-{secrets.token_hex(4)}"
    with tempfile.TemporaryDirectory() as folder:
        source = write_pairs(Path(folder) / "pairs.csv", pairs)
        load = ["run", str(source), "--journal", in_database(database, name), "--parts", str(parts), "--load-only"]
        subprocess.run(
            [PYTHON, "-m", "bulkwriter", *load, "--base-url", url], check=True, stderr=subprocess.DEVNULL
        )  # fmt: skip
    return name


def in_database(database: str, job: str) -> str:
    return str(Address.parse(database).with_job(job, ""))


def together(work: Sequence[str], workers: int) -> float:
    """CPU of so many workers, from their first instruction on."""
    argv = [PYTHON, "-m", "bulkwriter", *work]
    running = [subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(workers)]
    cpu_s = 0.0
    for process in running:
        _, status, used = os.wait4(process.pid, 0)
        assert os.waitstatus_to_exitcode(status) == 0, f"a worker ended with {status}"
        cpu_s += used.ru_utime + used.ru_stime
    return cpu_s


if __name__ == "__main__":
    main(*sys.argv[1:])
