"""One run through the library, so that single features can be on or off.

    python -m benchmarks.library URL CSV key=value ...

Keys are those of `Settings` (`limit` is the pairs to write); values are JSON, or else text.  Without any this is
`bulkwriter run --existing skip --quota none`, but for the command line, and with no journal.  The last line of stdout
is the summary.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import uvloop

from bulkwriter import BulkWriter, Settings
from bulkwriter.model import Summary
from bulkwriter.sources import open_source

from .turns import TOKEN

PATHS = frozenset({"journal", "ca_file", "ledger"})


async def write(url: str, source: str, given: dict[str, Any]) -> Summary:
    settings = Settings(base_url=url, token=TOKEN, **{"existing": "skip", "quota": ("none",), **given})
    async with BulkWriter(settings) as writer:
        return await writer.write_all(open_source(source))


def setting(text: str) -> tuple[str, Any]:
    """A setting from `key=value`."""
    key, _, value = text.partition("=")
    if key in PATHS:
        return key, Path(value)
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def main(url: str, source: str, *settings: str) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(write(url, source, dict(map(setting, settings)))).to_json()))


if __name__ == "__main__":
    main(*sys.argv[1:])
