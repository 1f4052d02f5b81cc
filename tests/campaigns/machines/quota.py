"""`scripts/machines quota`: three hosts, each with a run of its own, share `write:120/10s` by one ledger in PostgreSQL.

Judged by the stub: never above the window by arrival; at least 97% of it used; the hosts' shares within 20% of each
other.  Then the database is away for a while: nobody sends, nobody ends, and all go on by themselves.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.support.cli_process import stub, write_pairs
from tests.support.progress import say

from .fleet import Fleet
from .hosts import isolation
from .judge import Sampler
from .proxy import Proxy
from .server import Server

MOST: Final = 120
WINDOW_S: Final = 10.0
HOSTS: Final = 3
LEASED_S: Final = 6.0
"""After the database went: what was leased before may still be sent.  Two seconds of it, and the turn of each."""
BACK_S: Final = 15.0
"""After the database is back: the longest pause between two tries to reach it, and one exchange."""
START_S: Final = 30.0
"""Sources last so much longer than all that is looked at."""
LONG_S: Final = 120.0
"""Half of a shorter campaign has few windows, and one lease at its ends weighs 2% and more."""
HOW: Final = ("--existing=skip", "--doubt-wait=0.4", "--timeout=5", "--progress=none", "--json")


def campaign(folder: Path, server: Server, *, seconds: float, away_s: float, seed: int) -> bool:
    """Three runs for about `seconds`, with the database away for `away_s` in the middle."""
    each = int(MOST / WINDOW_S * (seconds + away_s + BACK_S + START_S)) // HOSTS
    first_of = {f"host{n}": 100_000 * (n + 1) for n in range(HOSTS)}
    sources = {name: write_pairs(folder / f"{name}.csv", each, first=first) for name, first in first_of.items()}
    database = server.new_database()
    half_s = seconds / 2
    with stub(watch_windows_s=[WINDOW_S], latency_s=0.02, seed=seed) as server_stub, Sampler(server_stub) as sampler:
        names = iter(sources)

        def command_for(name: str) -> Sequence[str]:
            return ("run", str(sources[name]), "--base-url", server_stub.base_url, "--quota", f"write:{MOST}/10s", *HOW)

        of: dict[int, str] = {}

        def command(proxy: Proxy) -> Sequence[str]:
            name = of.setdefault(id(proxy), next(names, ""))
            return (*command_for(name), "--ledger", server.url(database, port=proxy.port))

        with Fleet(list(sources), folder, server.socket, command, way=isolation(), seed=seed) as fleet:
            while sampler.creates < MOST:
                time.sleep(0.1)
            began_at = time.monotonic()
            time.sleep(half_s)
            used = sampler.between(began_at, began_at + half_s) / (half_s * MOST / WINDOW_S)
            by_host = share_of(server_stub.records(), first_of)
            gone_at = time.monotonic()
            if away_s:
                server.stop()
                time.sleep(away_s)
                server.start()
            back_at = time.monotonic()
            while_away = sampler.between(gone_at + LEASED_S, back_at) if away_s else 0
            time.sleep(BACK_S + half_s)
            after = sampler.between(back_at + BACK_S, back_at + BACK_S + half_s) / (half_s * MOST / WINDOW_S)
            crashed = fleet.ended()
            strange = fleet.strange()
        worst = server_stub.truth()["worst_in_window"][f"{WINDOW_S:g}"]
    spread = max(by_host) / max(1, min(by_host)) - 1
    say(
        f"{MOST} in {WINDOW_S:g} s by {HOSTS} hosts: at most {worst} arrived, used {100 * used:.1f} %, shares {by_host}"
        f" ({100 * spread:.0f} % apart); the database {away_s:g} s away: {while_away} creates later than {LEASED_S:g} s"
        f" after it went, {100 * after:.1f} % used once it was back; ended meanwhile {crashed or 'none'}",
        *strange,
    )
    is_fair = spread <= 0.2 or half_s < 2 * WINDOW_S
    least = 0.97 if seconds >= LONG_S else 0.92
    return worst <= MOST and min(used, after) >= least and is_fair and not (while_away or crashed or strange)


def share_of(records: Sequence[tuple[int, int, int]], first_of: dict[str, int]) -> list[int]:
    """How many records each host made: their members tell."""
    firsts = sorted(first_of.values())
    counts = [0] * len(firsts)
    for _, _, member in records:
        counts[max(n for n, first in enumerate(firsts) if member >= first)] += 1
    return counts
