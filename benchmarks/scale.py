"""Whether cost stays flat: more pairs, more in flight, longer ways, other formats; always the real `bulkwriter run`.

    pairs      10^5 and 10^6 (10^7 with --long) of clustered ids, and scattered ones: CPU a pair and peak memory
    in flight  1 to 1,024 against the near server
    latency    0 to 200 ms by the stub: pairs a second against in_flight ÷ latency, the most that there can be
    ramp       50 ms and 512 in flight, 100,000 and 500,000 pairs: how much of that the start costs
    formats    every format that `run` reads, and standard input

Each axis takes its turns by itself, so that a row is compared with its neighbours in time.  The rate of a far run holds
its start (a list, one request alone until the first success, then a doubling each round trip), about twelve round trips
at little; so such a run lasts `FAR_TRIPS` round trips at the ideal rate, which makes the start 2.5%, but never longer
than `LONGEST_S`: of a run at 200 ms the start is a tenth.  `--axis` measures some of the axes only.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from .children import BenchmarkFailed
from .commands import bulkwriter_run, wrk_run
from .figures import Row, median_rows, ratio
from .inputs import FORMATS, clustered, scattered, write_pairs
from .servers import Server, cheapest, stub
from .turns import Contender, Findings, Plan, in_turns

AXES = ("pairs", "in-flight", "formats", "latency", "ramp")
SIZES = (100_000, 1_000_000)
LONG_SIZE = 10_000_000
IN_FLIGHT = (1, 4, 16, 64, 256, 1_024)
LATENCIES_S = (0.01, 0.05, 0.2)
FAR_IN_FLIGHT = (64, 512)
PAIRS = 100_000
LONE_SHARE = 0.1
"""One request at a time writes so many fewer pairs: each waits for the round trip before."""
FAR_TRIPS = 480
SHORTEST_S, LONGEST_S = 8.0, 24.0
RAMP_S, RAMP_IN_FLIGHT = 0.05, 512
RAMP_PAIRS = (100_000, 500_000)
NEAR_PER_S = 20_000
"""The stub's own rate on a core, with some room: an ideal above it says nothing about us, and is left out."""
KEYS = ("cpu_us", "pairs_per_s", "share_of_ideal", "rss_bytes", "instructions", "pairs")


def measure(plan: Plan) -> Findings:
    wanted = axes_of(plan)
    runs: list[Row] = []
    with cheapest(plan.folder, plan.cores) as server:
        for name, axis in {"pairs": sizes, "in-flight": in_flights, "formats": formats}.items():
            if name in wanted:
                runs += in_turns(axis(server, plan), plan)[0]
    if "latency" in wanted:
        runs += far_runs(plan)
    if "ramp" in wanted:
        runs += ramp_runs(plan)
    rows = median_rows(runs)
    return Findings(
        runs=runs,
        rows=rows,
        keys=KEYS,
        ratios=ratios_of(rows),
        settings={"server": server.kind, "latency_server": "stub", "far_trips": FAR_TRIPS, "axes": list(wanted)},
    )


def axes_of(plan: Plan) -> tuple[str, ...]:
    """The axes that were asked for, all of them where none was named.  Raises `BenchmarkFailed`."""
    if strange := set(plan.axes) - set(AXES):
        raise BenchmarkFailed(f"no axis {', '.join(sorted(strange))}: there are {', '.join(AXES)}")
    return plan.axes or AXES


def sizes(server: Server, plan: Plan) -> list[Contender]:
    counts = (plan.pairs,) if plan.pairs else (*SIZES, LONG_SIZE) if plan.is_long else SIZES
    found = []
    for count in counts:
        source = write_pairs(plan.folder / f"{count}.csv", clustered(count, plan.seed))
        found.append(run_of(size_name(count), server, source, count, plan))
    count = min(counts[-1], SIZES[-1])
    source = write_pairs(plan.folder / f"{count}-scattered.csv", scattered(count, plan.seed))
    return [*found, run_of(f"{size_name(count)}, scattered ids", server, source, count, plan)]


def in_flights(server: Server, plan: Plan) -> list[Contender]:
    pairs = plan.pairs or PAIRS
    source = write_pairs(plan.folder / f"{pairs}.csv", clustered(pairs, plan.seed))
    found = []
    for count in IN_FLIGHT:
        written = max(1, round(pairs * LONE_SHARE)) if count == 1 else pairs
        less = write_pairs(plan.folder / f"{written}.csv", clustered(written, plan.seed)) if count == 1 else source
        found.append(run_of(f"{count:,} in flight", server, less, written, plan, "--in-flight", str(count)))
    return found


def formats(server: Server, plan: Plan) -> list[Contender]:
    pairs = plan.pairs or PAIRS
    found = []
    for form in FORMATS:
        source = write_pairs(plan.folder / f"{pairs}{form}", clustered(pairs, plan.seed))
        found.append(run_of(form.removeprefix("."), server, source, pairs, plan))
    piped = plan.folder / f"{pairs}.csv"
    name = "csv on standard input"
    found.append(bulkwriter_run(name, server, piped, pairs, cores=plan.cores.client, stdin=piped, has_start=False))
    return found


def far_runs(plan: Plan) -> list[Row]:
    """Runs against a server that takes its time, with their share of what there can be at most."""
    runs: list[Row] = []
    for latency_s in LATENCIES_S:
        with stub(plan.folder, plan.cores, {"latency_s": latency_s}) as server:
            ideals = {far_name(latency_s, count): (count, count / latency_s) for count in FAR_IN_FLIGHT}
            contenders = []
            for name, (count, ideal) in ideals.items():
                if ideal > NEAR_PER_S:
                    continue
                pairs = plan.pairs or round(ideal * min(LONGEST_S, max(SHORTEST_S, FAR_TRIPS * latency_s)))
                source = write_pairs(plan.folder / f"{pairs}.csv", clustered(pairs, plan.seed))
                contenders.append(run_of(name, server, source, pairs, plan, "--in-flight", str(count)))
            for run in in_turns(contenders, plan)[0]:
                rate, ideal = run["pairs_per_s"], ideals[str(run["name"])][1]
                assert isinstance(rate, float)
                runs.append({**run, "share_of_ideal": rate / ideal})
    return runs


def ramp_runs(plan: Plan) -> list[Row]:
    """The same, for as many pairs as bars were set for, and wrk for about ten seconds: what this stub lets anybody
    reach.
    """
    ideal = RAMP_IN_FLIGHT / RAMP_S
    with stub(plan.folder, plan.cores, {"latency_s": RAMP_S}) as server:
        contenders = []
        for pairs in RAMP_PAIRS:
            source = write_pairs(plan.folder / f"{pairs}.csv", clustered(pairs, plan.seed))
            name = f"{far_name(RAMP_S, RAMP_IN_FLIGHT)}, {size_name(pairs)}"
            contenders.append(run_of(name, server, source, pairs, plan, "--in-flight", str(RAMP_IN_FLIGHT)))
        if shutil.which("wrk"):
            wrk = wrk_run(server, RAMP_PAIRS[0], cores=plan.cores.client, in_flight=RAMP_IN_FLIGHT, per_s=ideal)
            contenders.append(replace(wrk, name=f"wrk, {far_name(RAMP_S, RAMP_IN_FLIGHT)}"))
        runs = in_turns(contenders, plan)[0]
    return [{**run, "share_of_ideal": float(run["pairs_per_s"]) / ideal} for run in runs]


def run_of(name: str, server: Server, source: Path, pairs: int, plan: Plan, *options: str) -> Contender:
    return bulkwriter_run(name, server, source, pairs, cores=plan.cores.client, options=options, has_start=False)


def size_name(count: int) -> str:
    return f"{count:,} pairs"


def far_name(latency_s: float, in_flight: int) -> str:
    return f"{latency_s * 1_000:.0f} ms away, {in_flight:,} in flight"


def ratios_of(rows: list[Row]) -> dict[str, float | None]:
    small, large = size_name(SIZES[0]), size_name(SIZES[1])
    return {
        "CPU a pair: 10^6 / 10^5 pairs": ratio(rows, large, small, "cpu_us"),
        "pairs/s: 10^7 / 10^6 pairs": ratio(rows, size_name(LONG_SIZE), large, "pairs_per_s"),
    }
