"""A process that writes pairs into a part of a job, until it is done, stopped, killed, or has lost its part.

    python -m tests.support.part_child BASE_URL JOURNAL COUNT [unfenced]

It prints "open" once it holds the part, and at the end its counts as JSON, or the code of the error that ended it.
With `unfenced` it is the broken twin that sends whatever its lease says: the log alone refuses it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import replace
from typing import Any

from bulkwriter import BulkWriter, BulkwriterError
from bulkwriter.run.ports import Ports
from bulkwriter.settings import Settings
from bulkwriter.wiring import Assembly
from tests.support.library import settings_for, some_pairs

LEASE_S = 1.0
TIMEOUT_S = 1.0


def say(text: object) -> None:
    os.write(1, f"{text}\n".encode())


class Unfenced:
    """A lease that is never over."""

    renew_s = LEASE_S / 3

    def over_s(self) -> float:
        return 0.0

    def renew(self) -> None: ...

    def hurry(self) -> None: ...


class UnfencedAssembly(Assembly):
    """Its requests have a long deadline, so that the replies that came while it slept let it send at once."""

    def _part_of(self, settings: Settings, *args: Any) -> Any:
        return super()._part_of(replace(settings, timeout_s=TIMEOUT_S), *args)

    def _make_ports(self) -> Ports:
        ports = super()._make_ports()
        ports.fence = Unfenced()
        return ports


def settings_of(base_url: str, journal: str) -> Settings:
    return settings_for(base_url, journal, lease_s=LEASE_S, timeout_s=TIMEOUT_S, in_flight=4, give_up_after_s=30.0)  # type: ignore[arg-type]


async def main(base_url: str, journal: str, count: str, *twin: str) -> None:
    settings = replace(settings_of(base_url, journal), timeout_s=90.0 if twin else TIMEOUT_S)
    assembly = UnfencedAssembly(settings, columns=None) if twin else None
    try:
        async with BulkWriter(settings, assembly=assembly) as writer:
            say("open")
            summary = await writer.write_all(some_pairs(int(count)))
        say(json.dumps(summary.to_json()))
    except BulkwriterError as error:
        say(error.code)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
