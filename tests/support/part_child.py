"""A process that writes pairs into a part of a job, until it is done, stopped, killed, or has lost its part.

    python -m tests.support.part_child BASE_URL JOURNAL COUNT

It prints "open" once it holds the part, and at the end its counts as JSON, or the code of the error that ended it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys

from bulkwriter import BulkWriter, BulkwriterError
from bulkwriter.settings import Settings
from tests.support.library import settings_for, some_pairs

LEASE_S = 1.0
TIMEOUT_S = 1.0


def say(text: object) -> None:
    os.write(1, f"{text}\n".encode())


def settings_of(base_url: str, journal: str) -> Settings:
    return settings_for(base_url, journal, lease_s=LEASE_S, timeout_s=TIMEOUT_S, in_flight=4, give_up_after_s=30.0)  # type: ignore[arg-type]


async def main(base_url: str, journal: str, count: str) -> None:
    try:
        async with BulkWriter(settings_of(base_url, journal)) as writer:
            say("open")
            summary = await writer.write_all(some_pairs(int(count)))
        say(json.dumps(summary.to_json()))
    except BulkwriterError as error:
        say(error.code)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
