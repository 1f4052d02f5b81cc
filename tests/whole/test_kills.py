"""SIGKILL at random moments with faults on: nothing missing or doubled, all ids in the journal true (see kills.py)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import kills

SEED = 20_261_123


@pytest.mark.slow
def test_a_run_killed_fifteen_times_with_all_faults_ends_whole(tmp_path: Path) -> None:
    found = kills.campaign(tmp_path, pairs=10_000, cycles=15, seed=SEED, faults=kills.all_faults())
    assert found.is_clean, found
    assert found.killed >= 5, "the run ended before it could be killed: make it longer"


@pytest.mark.slow
@pytest.mark.parametrize("kind", kills.survivable())
def test_a_run_killed_under_each_kind_of_fault_ends_whole(tmp_path: Path, kind: str) -> None:
    share = 0.004 if kind in kills.SLOW else 0.1
    found = kills.campaign(tmp_path, pairs=400, cycles=1, seed=SEED, faults=[kills.fault(kind, share)], most_s=0.2)
    assert found.is_clean, found
