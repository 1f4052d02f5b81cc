"""`scripts/machines sparse`: a job at `write:600/min` by three hosts, and something befalls one of them now and then.

What a fault costs in the long run: from a take-over to the next fault at least 97% of the pace must be kept, with no
throttle.  The take-over is over once the lease of the one that failed has ended and what it was granted has run out.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.support.cli_process import stub, write_pairs
from tests.support.compare import pairs_in
from tests.support.kills import scenario
from tests.support.progress import say

from .dense import load
from .fleet import Fleet
from .hosts import isolation
from .judge import Sampler, truth_of
from .mischief import Mischief
from .proxy import Proxy
from .server import Server

HOSTS: Final = ("ada", "bob", "cyd")
MOST: Final = 600
WINDOW_S: Final = 60
PER_S: Final = MOST / WINDOW_S
LEASE_S: Final = 5.0
GRANTED_S: Final = 5.0
"""What the dead were granted of the quota is gone: two seconds of it, planned at most a few seconds ahead."""
SLEEP_MOST_S: Final = 3.5 * LEASE_S
"""The longest that `mischief` makes anything last."""
WEIGHTS: Final = {"kill": 3, "replace": 2, "sleep": 1, "stall": 1, "cut": 1}
STEP_S: Final = 5.0
LONG_S: Final = 600.0
"""A shorter campaign hangs on when in the minute the quota was spent: what a window allows may go early in it."""
HOW: Final = (
    "--late-apply=0.4", "--list-lag=0.2", "--timeout=5", f"--lease={LEASE_S:g}", "--in-flight=16", "--progress=none",
)  # fmt: skip


def campaign(folder: Path, server: Server, *, seconds: float, every_s: float, seed: int) -> bool:
    """A job that lasts about `seconds`, with a fault every `every_s`."""
    source = write_pairs(folder / "pairs.csv", int(PER_S * seconds))
    limit = {"kind": "log", "count": MOST, "window_s": float(WINDOW_S)}
    with (
        stub(**{**scenario(seed, []), "limits": [limit], "watch_windows_s": [WINDOW_S]}) as server_stub,
        Sampler(server_stub) as sampler,
    ):
        database = server.new_database()

        def command(proxy: Proxy) -> Sequence[str]:
            url = server.url(database, port=proxy.port)
            quotas = ("--quota", f"write:{MOST}/min", "--ledger", url)
            return (
                "work",
                server.job_url(database, "job", port=proxy.port),
                "--base-url",
                server_stub.base_url,
                *quotas,
                *HOW,
            )

        load(source, server, database, server_stub.base_url, parts=4 * len(HOSTS))
        with Fleet(HOSTS, folder, server.socket, command, way=isolation(), seed=seed) as fleet:
            while not sampler.creates:
                time.sleep(0.1)
            mischief = Mischief(fleet.stations, server, lease_s=LEASE_S, deadline_s=5.0, seed=seed, weights=WEIGHTS)
            spans: list[tuple[str, float, float]] = []
            if seconds >= LONG_S:
                time.sleep(WINDOW_S)
            finish_by = time.monotonic() + seconds - every_s
            while time.monotonic() < finish_by and not fleet.is_done:
                began_at = time.monotonic()
                if mischief.deal():
                    calm_at = began_at + LEASE_S + GRANTED_S
                    spans.append((mischief.log[-1][1], calm_at, began_at + every_s))
                time.sleep(every_s)
            mischief.settle()
            is_over = fleet.join(2 * seconds)
            strange, ended = fleet.strange(), fleet.ended()
        truth = truth_of(server_stub, pairs_in(source))
    paces = [(sampler.between(calm, until) / ((until - calm) * PER_S), kind) for kind, calm, until in spans]
    lowest, kind = min(paces)
    mean = sum(pace for pace, _ in paces) / len(paces)
    for kind_of, calm, until in spans:
        began_at = until - every_s
        steps = [began_at + n * STEP_S for n in range(round(every_s / STEP_S) + 1)]
        arrived = [sampler.between(begin, finish) for begin, finish in itertools.pairwise(steps)]
        pace = sampler.between(calm, until) / ((until - calm) * PER_S)
        say(f"{kind_of:<8} {100 * pace:5.1f} %; creates in each {STEP_S:g} s from it on: {arrived}")
    say(
        f"{truth}; {len(paces)} faults {dict(mischief.dealt)}: from the take-over to the next fault {100 * mean:.1f} %"
        f" of the pace, at least {100 * lowest:.1f} % (after {kind}); workers ended {ended}",
        *strange,
    )
    is_clean = not (truth.missing or truth.doubled or truth.throttles or strange) and is_over
    least = 0.97 if seconds >= LONG_S else 0.8
    return is_clean and truth.worst[str(WINDOW_S)] <= MOST and mean >= least
