"""A run that ends at some writes and syncs of journal and ledger; `scripts/crashes` ends it at all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import crash_points

PARTS = 2
POINTS = 8
"""Of some 1,500."""


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_nothing_is_lost_or_doubled_when_a_write_or_sync_fails_or_is_the_last(tmp_path: Path, part: int) -> None:
    if reason := crash_points.why_not():
        pytest.skip(reason)
    chosen = crash_points.points(tmp_path, share=0.5)  # how many calls a run makes is never quite the same
    found = crash_points.try_points(tmp_path, chosen[part * 7 :: len(chosen) * PARTS // POINTS - 7])
    assert not found.wrong, "\n".join(found.wrong)
    assert found.reached >= 2, "the points were not reached: the run makes fewer calls than were counted"
