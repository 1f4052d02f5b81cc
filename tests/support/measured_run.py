"""A run against a stub that throttles, rejects and loses replies, with an observer: what tests of metrics look at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bulkwriter import BulkWriter, Summary
from bulkwriter.events import Observer, SharedObserver
from bulkwriter.stub.thread import StubThread

from .cli_process import stub
from .library import on_loop, settings_for, some_pairs

PAIRS = 400
BAD_LESSON = 5
ROUGH: dict[str, Any] = {
    "faults": [
        {"kind": "rst_after", "share": 0.03},
        {"kind": "status_before", "status": 429, "share": 0.9, "skip": 50, "limit": 3},
    ],
    "seed": 3,
}


def measured_run(tmp_path: Path, observers: Sequence[Observer | SharedObserver], **chosen: Any) -> Summary:
    """Write the pairs; the stub is rough but for `chosen`."""

    async def main(server: StubThread) -> Summary:
        settings = settings_for(server, tmp_path / "j", in_flight=16)
        async with BulkWriter(settings, observers=observers) as writer:
            return await writer.write_all(some_pairs(PAIRS))

    with stub(**{**ROUGH, **chosen}) as server:
        return on_loop(lambda: main(server), server=server)
