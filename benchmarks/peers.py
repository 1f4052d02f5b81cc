"""The same pairs through bulkwriter and through what people use instead, against the same server, in turns.

bulkwriter does all of its work (a durable journal, dedupe, classifying, statistics, control); the others make bare
requests, and wrk does not even look at replies.  Everything has 64 requests in flight and one core; bulkwriter runs a
second time with two, where its journal's thread and its event loop compete and the server is in the way.  Slow clients
write fewer pairs, and whole-process CPU then holds more of their start; so that, and what a pair costs without it, are
told too.

bulkwriter and wrk run once more over TLS.  A ratio is taken within each turn, and told as the median of the turns with
the least and the most of them: what a neighbour does touches both sides of a turn alike.

With nginx on its own core pairs a second are the client's; with the stub only CPU is worth comparing, and wrk, which
sends one pair again and again, is left out.
"""

from __future__ import annotations

import shutil
import statistics
from dataclasses import replace
from pathlib import Path

from .clients import CLIENTS
from .commands import IN_FLIGHT, bulkwriter_run, client_run, wrk_run
from .figures import Row, median_rows, ratio, turn_ratios
from .inputs import clustered, write_pairs
from .servers import Server, cheapest
from .turns import Contender, Findings, Plan, in_turns, with_starts

PAIRS = 200_000
KEYS = ("cpu_us", "running_us", "pairs_per_s", "rss_bytes", "start_cpu_s", "instructions", "pairs")
OURS, LOOP, WRK = "bulkwriter", "aiohttp, ClientSession loop", "wrk (C, bare requests)"
TWO_CORES, TLS = ", two cores", ", TLS"
RUST = ("pyreqwest (Rust)", "rnet (Rust)", "wreq (Rust)")


def measure(plan: Plan) -> Findings:
    with cheapest(plan.folder, plan.cores) as server:
        contenders, missing = contenders_at(server, plan)
        runs, starts = in_turns(contenders, plan)
        rows = with_starts(median_rows(runs), starts)
    ratios, spreads = ratios_of(rows, with_starts(runs, starts))
    return Findings(
        runs=[*starts, *runs],
        rows=rows,
        keys=KEYS,
        ratios=ratios,
        spreads=spreads,
        notes=notes_of(server, missing),
        settings={"server": server.kind, "in_flight": IN_FLIGHT, "pairs_each": plan.pairs or PAIRS},
    )


def contenders_at(server: Server, plan: Plan) -> tuple[list[Contender], list[str]]:
    """Everyone who can take part, and the names of those who cannot."""
    pairs, one, two = plan.pairs or PAIRS, plan.cores.client, plan.cores.both
    source = write_pairs(plan.folder / f"{pairs}.csv", clustered(pairs, plan.seed))
    contenders = [bulkwriter_run(OURS, server, source, pairs, cores=one)]
    if two:
        contenders.append(bulkwriter_run(OURS + TWO_CORES, server, source, pairs, cores=two, has_start=False))
    missing = []
    for client in CLIENTS:
        if client.is_installed:
            contenders.append(client_run(client, server, source, pairs, cores=one))
        else:
            missing.append(client.title)
    if server.is_cheap and shutil.which("wrk"):
        contenders.append(wrk_run(server, pairs, cores=one))
    else:
        missing.append(WRK)
    if server.tls_url:
        contenders += over_tls(server, source, pairs, one)
    return contenders, missing


def over_tls(server: Server, source: Path, pairs: int, core: frozenset[int]) -> list[Contender]:
    """bulkwriter and wrk, which looks at no certificate, on the server's TLS port."""
    there = replace(server, base_url=server.tls_url)
    options = ("--ca-file", server.ca_file)
    contenders = [bulkwriter_run(OURS + TLS, there, source, pairs, cores=core, options=options)]
    if server.is_cheap and shutil.which("wrk"):
        contenders.append(replace(wrk_run(there, pairs, cores=core), name=WRK + TLS))
    return contenders


def ratios_of(rows: list[Row], runs: list[Row]) -> tuple[dict[str, float | None], dict[str, tuple[float, float]]]:
    """What the project claims: medians of ratios that were each taken within one turn, and their spread."""
    best_rust = min(RUST, key=lambda name: ratio(rows, name, OURS, "cpu_us") or float("inf"))
    claims = {
        "CPU a pair: bulkwriter / ClientSession loop": (OURS, LOOP, "cpu_us"),
        "the same without their starts": (OURS, LOOP, "running_us"),
        "CPU a pair: bulkwriter / wrk": (OURS, WRK, "cpu_us"),
        "pairs/s: bulkwriter / ClientSession loop": (OURS, LOOP, "pairs_per_s"),
        f"pairs/s: bulkwriter / the best Rust client, {best_rust}": (OURS, best_rust, "pairs_per_s"),
        "pairs/s: bulkwriter / wrk": (OURS, WRK, "pairs_per_s"),
        "pairs/s: bulkwriter on two cores / on one": (OURS + TWO_CORES, OURS, "pairs_per_s"),
        "CPU a pair over TLS: bulkwriter / wrk": (OURS + TLS, WRK + TLS, "cpu_us"),
        "pairs/s over TLS: bulkwriter / wrk": (OURS + TLS, WRK + TLS, "pairs_per_s"),
    }
    turns = {name: turn_ratios(runs, *claim) for name, claim in claims.items()}
    medians = {name: statistics.median(found) if found else None for name, found in turns.items()}
    return medians, {name: (min(found), max(found)) for name, found in turns.items() if found}


def notes_of(server: Server, missing: list[str]) -> list[str]:
    notes = [f"left out, not installed: {', '.join(missing)} (pip install --group bench)"] if missing else []
    if not server.is_cheap:
        notes.append("the server was the stub, which is slower than the clients: pairs/s say nothing here, CPU does")
    return notes
