"""`scripts/machines standby`: the database fails over to a standby that lacks the last commits.

The standby is asynchronous and its link is stalled, so that it misses groups which the workers took for durable, and
whose pairs they sent.  Then the primary ends at once, the standby is promoted, and all ways lead there.  The workers
must stop with 75 and name `--after-loss`.  Workers that are started with it must bring the job to its end with nothing
doubled, since they look up what the lost commits knew.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.support.cli_process import stub, write_pairs
from tests.support.compare import pairs_in
from tests.support.kills import scenario
from tests.support.progress import say

from .dense import HOSTS, HOW, load
from .fleet import Fleet
from .hosts import isolation
from .judge import Sampler, truth_of
from .proxy import Proxy
from .server import Server

LOST: Final = 300
"""Creates that arrive while the link is stalled, at least: so many pairs the standby knows nothing of."""
ENDS_S: Final = 60.0
"""The longest until a worker has seen that the database is another one: its lease, and a reconnect with its pauses."""
HINT: Final = "--after-loss"


def campaign(folder: Path, server: Server, *, pairs: int, seed: int) -> bool:
    source = write_pairs(folder / "pairs.csv", pairs)
    database = server.new_database()
    rate = max(50, pairs // 40)
    with (
        stub(**scenario(seed, [])) as server_stub, Sampler(server_stub) as sampler, Proxy(server.socket) as link,
    ):  # fmt: skip
        load(source, server, database, server_stub.base_url, parts=4 * len(HOSTS))
        is_after_loss = False

        def command(proxy: Proxy) -> Sequence[str]:
            extra = ("--after-loss",) if is_after_loss else ()
            return (
                "work",
                server.job_url(database, "job", port=proxy.port),
                "--base-url",
                server_stub.base_url,
                "--rate",
                f"{rate / 3:g}/s",
                *HOW,
                *extra,
            )

        def stood(upstream: str, name: str) -> Fleet:
            root = folder / name
            root.mkdir()
            return Fleet(HOSTS, root, upstream, command, way=isolation(), seed=seed, again=frozenset())

        with server.standby(link.port) as standby, stood(server.socket, "before") as fleet:
            while sampler.creates < pairs / 10 and not fleet.is_done:
                time.sleep(0.05)
            link.stall()
            stalled_at = sampler.creates
            while sampler.creates < stalled_at + LOST and not fleet.is_done:
                time.sleep(0.05)
            server.stop()
            lost = sampler.creates - stalled_at
            link.cut()
            standby.promote()
            fleet.lead_to(standby.socket)
            is_over = fleet.join(ENDS_S)
            ended, strange = fleet.ended(), fleet.strange()
            hinted = sum(HINT in station.host.says() for station in fleet.stations)
            say(f"{lost} creates after the link was stalled; the workers ended {ended}, {hinted} named {HINT}")
            is_after_loss = True
            with stood(standby.socket, "after") as fleet:
                is_whole = fleet.join(ENDS_S + 4 * pairs / rate)
                strange += fleet.strange()
                say(f"with {HINT} they ended {fleet.ended()}")
        truth = truth_of(server_stub, pairs_in(source))
    say(str(truth), *strange)
    is_clean = not (truth.missing or truth.doubled or strange)
    return is_clean and is_over and is_whole and ended == {"75": len(HOSTS)} and hinted == len(HOSTS)
