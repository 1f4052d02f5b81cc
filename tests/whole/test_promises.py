"""The promise in figures, each against a real stub: how many writes and list calls, what is missing, doubled, untrue.

What costs more than some seconds is in campaigns (`scripts/kills`, `scripts/crashes`, `scripts/sim`); what `undo` takes
back after faults and kills is in `cli/test_undo.py`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bulkwriter import BulkWriter, State, Summary, events
from bulkwriter.stub.thread import StubThread
from tests.support.cli_process import stub
from tests.support.compare import compare, query
from tests.support.library import on_loop, settings_for, some_pairs, truth

pytestmark = pytest.mark.slow
Pairs = Sequence[tuple[int, int]]


def written(server: StubThread, journal: Path, pairs: Pairs, told: list[events.Event], **chosen: Any) -> Summary:
    """Write all pairs; nothing may be missing, doubled or untrue."""

    async def main() -> Summary:
        async with BulkWriter(settings_for(server, journal, **chosen), observers=[told.append]) as writer:
            return await writer.write_all(pairs)

    summary = on_loop(main, server=server)
    assert compare(pairs, server, journal) == (0, 0, 0)
    assert truth(server) == (len(pairs), 0)
    assert query(journal, "SELECT count(*) FROM pair WHERE state = ?", State.CREATED) == [(summary.counts.created,)]
    return summary


@pytest.mark.parametrize(("lessons", "members", "most_calls"), [(50, 1_000, 100), (5_000, 10, 150)])
def test_what_exists_is_found_by_few_lists_and_not_written(
    tmp_path: Path, lessons: int, members: int, most_calls: int
) -> None:
    pairs = [(lesson, member) for lesson in range(1, lessons + 1) for member in range(1, members + 1)]
    with stub(existing=[list(pair) for pair in pairs[::2]]) as server:
        summary = written(server, tmp_path / "j", pairs, [])
        done = server.truth()
    assert (summary.counts.existing, summary.counts.created) == (25_000, 25_000)
    assert done["requests"]["POST"] == 25_000
    assert done["list_calls"] <= most_calls


def test_a_twentieth_of_the_replies_lost_after_application(tmp_path: Path) -> None:
    told: list[events.Event] = []
    with stub(faults={"rst_after": 0.05}, latency_s=0.005, seed=20) as server:
        chosen = {"rate": 2_000.0, "in_flight": 64, "late_apply_s": 5.0, "list_lag_s": 1.0}
        began_at = time.monotonic()
        written(server, tmp_path / "j", some_pairs(20_000), told, **chosen)
        took_s = time.monotonic() - began_at
        done = server.truth()
    doubts = done["faults"]["rst_after"]
    assert doubts > 900
    # Looks come by the clock, one in 1.2 s, and each reads 20 pages: 4 where nothing else runs, more on a busy machine.
    assert done["list_calls"] <= max(doubts / 8, 21 * (took_s / 1.2 + 1)), (
        f"{done['list_calls']} list calls for {doubts} doubts"
    )


def test_a_repeated_reply_in_one_lane_of_many(tmp_path: Path) -> None:
    """Replies name no request: from the repeated one on, every reply of its lane answers for the pair before."""
    told: list[events.Event] = []
    with stub(faults=[{"kind": "stray", "limit": 1, "skip": 7_000}], latency_s=0.005, seed=64) as server:
        written(server, tmp_path / "j", some_pairs(20_000), told, in_flight=64)
        done = server.truth()
    assert done["faults"] == {"stray": 1}
    assert sum(isinstance(event, events.LaneShifted) for event in told) == 1
    assert done["peak_in_flight"] > 1
