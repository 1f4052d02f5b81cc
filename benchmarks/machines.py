"""What several machines cost: a job in PostgreSQL by one worker and by two, and what shipping adds to a journal.

    file, one worker, two workers    CPU a pair of `bulkwriter run` with a file, and of `bulkwriter work`, at full speed
                                     against a cheap server, all on one core; without the start of any process
    one and two workers, 50 ms       pairs a second against a server that takes so long, with so many in flight at
                                     most: then latency is the limit, and two should reach twice as much
    settled and shipped by N         appending and settling in groups of N pairs, alone and with each group shipped

PostgreSQL is a private one in memory, on the servers' core, as the tests have it: what it does itself is not counted.
The job has four parts for one worker as for two.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.postgres_server import MISSING, Database, PostgresServer, binaries, memory

from .children import BenchmarkFailed, bound_to
from .commands import bulkwriter_run, remove_journal
from .figures import Row, median_rows, turn_ratios
from .inputs import clustered, write_pairs
from .servers import Server, cheapest, stub
from .turns import PYTHON, Contender, Findings, Plan, in_turns, last_json, with_starts

PAIRS = 40_000
LATENCY_S = 0.05
IN_FLIGHT = 64
"""Of one worker: 1,280 pairs/s at most."""
GROUPS = (100, 1_000)
KEYS = ("stage_us", "running_us", "added_us", "pairs_per_s")
ONE, TWO, SLOW = "one worker", "two workers", ", 50 ms"
CLAIMS = {
    "two workers' CPU a pair / one's (at most 1.1)": (TWO, ONE, "stage_us"),
    "two workers' pairs/s / one's at 50 ms (at least 1.9)": (TWO + SLOW, ONE + SLOW, "pairs_per_s"),
}


def measure(plan: Plan) -> Findings:
    pairs = plan.pairs or PAIRS
    source = write_pairs(plan.folder / f"{pairs}.csv", clustered(pairs, plan.seed))
    with (
        postgres(plan) as database,
        cheapest(plan.folder, plan.cores) as server,
        stub(plan.folder, plan.cores, {"latency_s": LATENCY_S}) as slow,
    ):
        contenders = [bulkwriter_run("file", server, source, pairs, cores=plan.cores.client)]
        for name, workers in ((ONE, 1), (TWO, 2)):
            contenders += [
                crew(name, database, server, source, pairs, workers, plan),
                crew(name + SLOW, database, slow, source, pairs // 2, workers, plan),
            ]
        contenders += [journal(f"{kind}_{size}", database, source, pairs, plan) for size in GROUPS
                       for kind in ("settled", "shipped")]  # fmt: skip
        runs, starts = in_turns(contenders, plan)
    ratios = {name: turn_ratios(runs, *claim) for name, claim in CLAIMS.items()}
    rows = [shown(row) for row in with_starts(median_rows(runs), starts)]
    by_name = {str(row["name"]): row for row in rows}
    for size in GROUPS:
        alone, with_it = by_name[f"settled_{size}"], by_name[f"shipped_{size}"]
        with_it["added_us"] = float(with_it["stage_us"]) - float(alone["stage_us"])
    return Findings(
        runs=runs,
        rows=rows,
        keys=KEYS,
        ratios={name: sorted(found)[len(found) // 2] for name, found in ratios.items()},
        spreads={name: (min(found), max(found)) for name, found in ratios.items()},
        notes=["added_us is what shipping costs a pair, its intent and its outcome (at most 4)"],
        settings={"server": server.kind, "pairs_each": pairs, "in_flight": IN_FLIGHT},
    )


def crew(
    name: str, database: Database, server: Server, source: Path, pairs: int, workers: int, plan: Plan
) -> Contender:
    command = [PYTHON, "-m", "benchmarks.crew", database.url, server.base_url, str(source)]
    return Contender(
        name=name,
        pairs=pairs,
        argv=lambda count: [*command, str(count), str(workers), str(IN_FLIGHT)],
        cores=plan.cores.client,
        read=last_json,
        has_start=False,
    )


def journal(name: str, database: Database, source: Path, pairs: int, plan: Plan) -> Contender:
    command = [PYTHON, "-m", "benchmarks.stages", name, str(source)]
    return Contender(
        name=name,
        pairs=pairs,
        argv=lambda count: [*command, str(count), database.url],
        cores=plan.cores.client,
        read=last_json,
        before=lambda: remove_journal(source.parent / "stage.journal"),
        has_start=False,
    )


def shown(row: Row) -> Row:
    """Without the process of a stage or a crew, which is not what was measured."""
    return {key: value for key, value in row.items() if key != "cpu_us" or "stage_us" not in row}


@contextlib.contextmanager
def postgres(plan: Plan) -> Iterator[Database]:
    """A fresh database with our tables, on the servers' core."""
    found = binaries()
    if found is None:
        raise BenchmarkFailed(MISSING)
    with tempfile.TemporaryDirectory(prefix="bulkwriter-pg-", dir=memory(), ignore_cleanup_errors=True) as name:
        with bound_to(plan.cores.server):
            server = PostgresServer(Path(name), found)
        try:
            yield server.database()
        finally:
            server.stop()
