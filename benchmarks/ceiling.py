"""Whether `--rate N` holds: the whole command against the stub, judged by when requests arrived there.

A row is one rate.  `issued` is what was sent, divided by what the ceiling allows in the time that the summary tells,
its start and end included; `worst` is the most that arrived in any second (below 1/s: in any 1/rate seconds), which may
never be more than `allowed`.  The network is loopback, so requests arrive as evenly as they are sent, unless others
keep the stub from its processor: then it sees them closer together.  A row takes up to a minute.
"""

from __future__ import annotations

import math
from dataclasses import replace

from bulkwriter.stub.thread import StubThread

from .commands import bulkwriter_run
from .figures import Row
from .inputs import clustered, write_pairs
from .servers import Server
from .turns import TOKEN, Findings, Plan, run_once

KEYS = ("issued", "worst", "allowed")
RATES = (0.2, 1.0, 5.0, 40.0, 49.0, 500.0)
SECONDS = 60


def measure(plan: Plan) -> Findings:
    runs = [row_of(rate, plan) for rate in RATES]
    late = [run for run in runs if float(run["worst"]) > float(run["allowed"])]
    return Findings(
        runs=runs,
        rows=runs,
        keys=KEYS,
        ratios={"least issued": min(float(run["issued"]) for run in runs)},
        notes=[f"{len(late)} of {len(runs)} rates were exceeded in some second."],
        settings={"seconds": SECONDS},
    )


def row_of(rate: float, plan: Plan) -> Row:
    """One run of about a minute."""
    pairs = max(4, round(rate * SECONDS))
    window_s = max(1.0, 1 / rate)
    source = write_pairs(plan.folder / f"{rate:g}.csv", clustered(pairs, plan.seed))
    with StubThread({"tokens": [TOKEN], "watch_windows_s": [window_s]}) as stub:
        server = Server("stub", stub.base_url)
        run = bulkwriter_run(
            f"--rate {rate:g}/s", server, source, pairs, cores=frozenset(), options=("--rate", f"{rate:g}/s")
        )
        took_s = float(run_once(replace(run, limit_s=120.0), pairs)["elapsed_s"])
        truth = stub.truth()
    row: Row = {
        "name": f"--rate {rate:g}/s",
        "issued": (pairs - 1) / (rate * took_s),
        "worst": max(truth["worst_in_window"].values()),
        "allowed": max(1, math.floor(rate * window_s)),
    }
    plan.say(f"  {row['name']}: {float(row['issued']):.1%} issued, {row['worst']} in the worst {window_s:g} s")
    return row
