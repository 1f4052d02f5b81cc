"""`bulkwriter run`, the reference clients and wrk as contenders: the command lines, and how to read what they say.

`bulkwriter run` is the real command as a user types it, with a durable journal that is new in every run; only
`--existing skip --quota none` are set, since the peers neither look things up nor know quotas, and `--json` to read the
summary.  Pairs a second are counted from opening the journal to the last durable outcome.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from .children import BenchmarkFailed, Ended
from .clients import Client
from .figures import Row
from .servers import PATH, Server
from .turns import PYTHON, TOKEN, Contender, last_json

IN_FLIGHT = 64
WRK_LUA = Path(__file__).parent / "clients" / "wrk.lua"
WRK_PAIRS_PER_S = 100_000
"""A turn of wrk lasts as long as the benchmark's pairs would take at this rate, at least a second."""


def bulkwriter_run(
    name: str,
    server: Server,
    source: Path,
    pairs: int,
    *,
    cores: frozenset[int],
    options: Sequence[str] = (),
    stdin: Path | None = None,
    has_start: bool = True,
) -> Contender:
    """`bulkwriter run` of the first `pairs` pairs of `source`."""
    journal = source.parent / f"{source.name}.journal"

    def argv(count: int) -> list[str]:
        argv = [PYTHON, "-m", "bulkwriter", "run", "-" if stdin else str(source), "--base-url", server.base_url]
        argv += ["--journal", str(journal), "--existing", "skip", "--quota", "none", "--json", *options]
        return argv if count == pairs else [*argv, "--limit", str(count)]

    return Contender(
        name=name,
        pairs=pairs,
        argv=argv,
        cores=cores,
        read=read_summary,
        stdin=stdin,
        before=lambda: remove_journal(journal),
        has_start=has_start,
    )


def read_summary(ended: Ended) -> Row:
    """The figures of `--json`; every pair must be created."""
    said = last_json(ended)
    return {"pairs": said["created"], "pairs_per_s": float(said["pairs_per_s"]), "elapsed_s": float(said["elapsed_s"])}


def remove_journal(journal: Path) -> None:
    for suffix in ("", "-wal", "-shm", ".lock"):
        journal.with_name(journal.name + suffix).unlink(missing_ok=True)


def client_run(client: Client, server: Server, source: Path, pairs: int, *, cores: frozenset[int]) -> Contender:
    """One of the reference clients, with its share of `pairs`."""
    base = [PYTHON, "-m", "benchmarks.clients", client.module, server.base_url, TOKEN, str(source)]
    return Contender(
        name=client.title,
        pairs=max(1, round(pairs * client.share)),
        argv=lambda count: [*base, str(count), str(IN_FLIGHT)],
        cores=cores,
        read=read_elapsed,
    )


def read_elapsed(ended: Ended) -> Row:
    said = last_json(ended)
    return {**said, "pairs_per_s": said["pairs"] / said["elapsed_s"]}


def wrk_run(
    server: Server,
    pairs: int,
    *,
    cores: frozenset[int],
    in_flight: int = IN_FLIGHT,
    per_s: float = WRK_PAIRS_PER_S,
) -> Contender:
    """wrk, the load generator in C, on one thread, at nginx's cheapest reply."""

    def argv(count: int) -> list[str]:
        seconds = max(1, round(count / per_s))
        url = f"{server.base_url}{'/static' if server.is_cheap else ''}{PATH}"
        return ["wrk", "-t1", f"-c{in_flight}", f"-d{seconds}s", "-s", str(WRK_LUA), url]

    return Contender(
        name="wrk (C, bare requests)",
        pairs=pairs,
        argv=argv,
        cores=cores,
        read=read_wrk,
        has_start=False,
        has_own_count=True,
    )


def read_wrk(ended: Ended) -> Row:
    """What wrk counted.  Raises `BenchmarkFailed` where a reply was an error, or none came."""
    found = re.search(r"(\d+) requests in ([\d.]+)(m?s|m),", ended.out)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", ended.out)
    if not found or not rate or "Non-2xx" in ended.out or not int(found[1]):
        raise BenchmarkFailed(f"wrk: {ended.out[-500:]} {ended.err[-500:]}")
    return {"pairs": int(found[1]), "pairs_per_s": float(rate[1])}
