"""What it costs to come back: the command given again when everything is done, by journal size, and its parts.

Journals of 10^5 and 10^6 rows (10^7 with --long), every row created, are made once with the CSV that they belong to.
Then the whole command, which reads both, compares them and ends; and its parts alone, in a process of their own:

    open      take the lock, open the file, read the state of every row
    ids       read the record ids and note them, so that one that comes again is seen
    source    read the CSV
    rows      read the stored pairs
    compare   compare the two, and look for rows to be sent again
    bitmap    note every pair, so that rows added to the source are deduped against them

The command overlaps some of them (the journal and the source have threads), so it may take less than their sum.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from .children import Ended, check_ended, run_child
from .commands import bulkwriter_run, read_summary
from .figures import Row, median_rows
from .inputs import clustered, write_pairs
from .servers import stub
from .turns import PYTHON, Contender, Findings, Plan, in_turns, last_json

SIZES = (100_000, 1_000_000)
LONG_SIZE = 10_000_000
KEYS = ("took_s", "row_us", "cpu_s", "rss_bytes")
WHOLE = "the whole command"
PARTS = ("open", "ids", "source", "rows", "compare", "bitmap")
PARTS_TOGETHER = "the parts"


def measure(plan: Plan) -> Findings:
    counts = (plan.pairs,) if plan.pairs else (*SIZES, LONG_SIZE) if plan.is_long else SIZES
    runs: list[Row] = []
    with stub(plan.folder, plan.cores) as server:
        for count in counts:
            source = write_pairs(plan.folder / f"{count}.csv", clustered(count, plan.seed))
            journal = source.with_name(f"{source.name}.journal")
            plan.say(f"  making a journal of {count:,} rows")
            child = [PYTHON, "-m", "benchmarks.reopening", str(source), str(journal), server.base_url]
            ended = run_child([*child, "make"])
            check_ended("making the journal", ended)
            command = bulkwriter_run(WHOLE, server, source, count, cores=plan.cores.client, has_start=False)
            contenders = [
                dataclasses.replace(command, argv=whole_argv(command), before=lambda: None, read=read_whole),
                parts_run([*child, "parts"], count, plan),
            ]
            for run in in_turns([dataclasses.replace(c, has_own_count=True) for c in contenders], plan)[0]:
                runs += rows_of(run, count)
    return Findings(runs=runs, rows=median_rows(runs), keys=KEYS, settings={"server": "stub, never asked"})


def whole_argv(command: Contender) -> Callable[[int], Sequence[str]]:
    """Always the whole source: what is measured is that there is nothing left to do."""
    argv = command.argv(command.pairs)
    return lambda count: argv


def read_whole(ended: Ended) -> Row:
    return {**read_summary(ended), "took_s": ended.wall_s}


def parts_run(argv: list[str], count: int, plan: Plan) -> Contender:
    return Contender(
        name=PARTS_TOGETHER,
        pairs=count,
        argv=lambda _: argv,
        cores=plan.cores.client,
        read=last_json,
        has_start=False,
    )


def rows_of(run: Row, count: int) -> list[Row]:
    """A run as rows: the whole command is one, and each part that was timed is one."""
    shown = {key: value for key, value in run.items() if key in ("turn", "pairs")}
    if run["name"] == WHOLE:
        took_s = run["took_s"]
        assert isinstance(took_s, float)
        return [{**run, "name": f"{count:,} rows: {WHOLE}", "row_us": took_s / count * 1e6}]
    rows = []
    for part in PARTS:
        took_s = run[part]
        assert isinstance(took_s, float)
        rows.append({**shown, "name": f"{count:,} rows: {part}", "took_s": took_s, "row_us": took_s / count * 1e6})
    return rows
