"""`scripts/service`: the example service under faults and throttles, stopped by SIGTERM and SIGKILL at random moments.

Callers ask for one pair each and ask again until they have its outcome.  A pair was told untruly if its caller was
told anything but `created` with the id of the server's record of that pair: nobody else writes there.
"""

from __future__ import annotations

import asyncio
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

import aiohttp

from tests.examples.test_service import Service, ask, until_ready
from tests.support.cli_process import stub
from tests.support.library import truth
from tests.support.progress import say

SCENARIO: Final[dict[str, Any]] = {
    "faults": {"rst_after": 0.03, "rst_before": 0.02, "500_before": 0.02, "500_after": 0.02},
    "limits": [{"kind": "bucket", "count": 400, "window_s": 1, "burst": 50, "retry_after": "none"}],
    "latency_s": 0.005,
}
CALLERS: Final = 100
MOST_S: Final = 1_800.0


class Campaign:
    """One journal, one server, and a service that is started again after each end."""

    def __init__(self, service: Service, pairs: int) -> None:
        self.service = service
        self.waiting = [(1 + i % 7, 1 + i) for i in range(pairs)]
        self.answers: dict[tuple[int, int], dict[str, Any]] = {}
        self.ended = Counter[str]()
        self.longest_term_s = 0.0

    async def caller(self, session: aiohttp.ClientSession) -> None:
        while self.waiting:
            pair = self.waiting.pop()
            self.answers[pair] = await ask(session, f"http://127.0.0.1:{self.service.port}/completed", pair)

    async def run(self, ends: int, rng: random.Random) -> None:
        total = len(self.waiting)
        url = f"http://127.0.0.1:{self.service.port}"
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            await until_ready(session, url)
            callers = asyncio.gather(*(self.caller(session) for _ in range(CALLERS)))
            for at in sorted(rng.uniform(0.0, 0.95) * total for _ in range(ends)):
                while len(self.answers) < at:
                    await asyncio.sleep(0.005)
                await asyncio.sleep(rng.uniform(0.0, 0.3))
                await asyncio.to_thread(self.end, rng.choice((signal.SIGTERM, signal.SIGKILL)))
                self.service.start()
            await callers
        await asyncio.to_thread(self.end, signal.SIGTERM)

    def end(self, number: signal.Signals) -> None:
        began = time.monotonic()
        self.service.end(number)
        self.ended[number.name] += 1
        if number is signal.SIGTERM:
            self.longest_term_s = max(self.longest_term_s, time.monotonic() - began)


def main(pairs: int = 10_000, ends: int = 30, seed: int = 1) -> int:
    began_at = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, stub(**SCENARIO, seed=seed) as server:
        campaign = Campaign(Service(server.base_url, Path(folder) / "j"), pairs)
        try:
            asyncio.run(asyncio.wait_for(campaign.run(ends, random.Random(seed)), MOST_S))
        finally:
            campaign.service.process.kill()
        there = {(lesson, member): number for number, lesson, member in server.records()}
        written, doubled = truth(server)
        requests = server.truth()["operations"]["create"]
    told = campaign.answers
    untrue = sum(
        (answer["state"], answer["record_id"]) != ("created", there.get(pair)) for pair, answer in told.items()
    )
    missing = pairs - written
    say(f"{pairs:,} pairs, {requests:,} creates, {dict(campaign.ended)}: {missing} missing, {doubled} doubled")
    say(f"{untrue} of {len(told):,} told untruly; the longest end by SIGTERM took {campaign.longest_term_s:.1f} s")
    say(f"({time.monotonic() - began_at:.0f} s; scripts/service {pairs} {ends} {seed})")
    return 1 if missing or doubled or untrue or len(told) != pairs else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
