"""Where the microseconds go: each stage of a pair's way alone, and what each feature adds to a whole run.

Stages are timed from inside their process, without its start (see `stages`); dedupe, statistics and control cannot be
turned off and are told as stages only.  Features are whole runs through the library with one setting changed; what one
adds is the difference of two medians of the same run, so it is only as exact as both.
"""

from __future__ import annotations

import json
from pathlib import Path

from .commands import read_summary, remove_journal
from .figures import Row, figure_of, median_rows, turn_ratios
from .inputs import clustered, write_pairs
from .servers import Server, cheapest
from .turns import PYTHON, Contender, Findings, Plan, in_turns, last_json

PAIRS = 100_000
KEYS = ("stage_us", "cpu_us", "added_us", "pairs_per_s")
BASE = "run: with journal, existing skip"
STAGES = {
    "source": "source: read the CSV",
    "dedupe": "dedupe",
    "intake": "intake: dedupe, rows and intents",
    "append": "journal: append",
    "encode": "request: encode",
    "engine": "engine with fake lanes, no journal",
    "framing": "reply: framing",
    "classify": "reply: classify",
    "record_ids": "reply: record id seen before?",
    "stats": "statistics",
    "controller": "control: adaptive",
    "settle": "journal: settle",
    "bare_lane": "bare lanes: request, network, reply",
}
CEILING_PER_S = 1_000_000
"""High enough never to hold anything back, so that only the ceiling's own cost is added."""
QUOTAS = ["write:100000/s", "write:1000000000/day"]
"""Neither holds anything back."""
WITH_QUOTAS = "+ quotas"
RATIO = "CPU a pair with quotas / without (at most 1.15)"


def measure(plan: Plan) -> Findings:
    pairs = plan.pairs or PAIRS
    source = write_pairs(plan.folder / f"{pairs}.csv", clustered(pairs, plan.seed))
    with cheapest(plan.folder, plan.cores) as server:
        contenders = [stage_run(name, server, source, pairs, plan) for name in STAGES]
        contenders += feature_runs(server, source, pairs, plan)
        runs, _ = in_turns(contenders, plan)
    rows = median_rows(runs)
    ratios = sorted(turn_ratios(runs, WITH_QUOTAS, BASE, "cpu_us"))
    return Findings(
        runs=runs,
        rows=[shown(row, figure_of(rows, BASE, "cpu_us") or 0.0) for row in rows],
        keys=KEYS,
        ratios={RATIO: ratios[len(ratios) // 2]},
        spreads={RATIO: (ratios[0], ratios[-1])},
        notes=["a stage's CPU is without the start of its process, a run's is with it"],
        settings={"server": server.kind, "pairs_each": pairs},
    )


def stage_run(name: str, server: Server, source: Path, pairs: int, plan: Plan) -> Contender:
    return Contender(
        name=STAGES[name],
        pairs=pairs,
        argv=lambda count: [PYTHON, "-m", "benchmarks.stages", name, str(source), str(count), server.base_url],
        cores=plan.cores.client,
        read=last_json,
        before=lambda: remove_journal(source.parent / "stage.journal"),
        has_start=False,
    )


def feature_runs(server: Server, source: Path, pairs: int, plan: Plan) -> list[Contender]:
    """The base, and one run for each feature: its name begins with + or - for what it changes."""
    journal = source.with_suffix(".journal")
    kept = (f"journal={journal}",)

    def contender(name: str, url: str, *settings: str) -> Contender:
        base = [PYTHON, "-m", "benchmarks.library", url, str(source), *settings]
        return Contender(
            name=name,
            pairs=pairs,
            argv=lambda count: [*base, f"limit={count}"],
            cores=plan.cores.client,
            read=read_summary,
            before=lambda: remove_journal(journal),
            has_start=False,
        )

    found = [
        contender(BASE, server.base_url, *kept),
        contender("journal in memory, no file", server.base_url),
        contender("+ ceiling", server.base_url, *kept, f"rate={CEILING_PER_S}"),
        contender(
            WITH_QUOTAS,
            server.base_url,
            *kept,
            f"quota={json.dumps(QUOTAS)}",
            f"ledger={source.with_suffix('.ledger')}",
        ),
    ]
    if server.kind == "nginx":  # the stub has all pairs from the runs before, and a check would find them
        found.append(contender("+ existing check", server.base_url, *kept, "existing=check"))
    if server.tls_url:
        found.append(contender("+ TLS", server.tls_url, *kept, f"ca_file={server.ca_file}"))
    return found


def shown(row: Row, base_us: float) -> Row:
    """A stage without its process, a feature with what it adds."""
    cpu_us = row["cpu_us"]
    assert isinstance(cpu_us, float)
    if "stage_us" in row:
        return {key: value for key, value in row.items() if key not in ("cpu_us", "pairs_per_s")}
    return row if row["name"] == BASE else {**row, "added_us": cpu_us - base_us}
