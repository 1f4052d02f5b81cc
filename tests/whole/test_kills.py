"""SIGKILL at random moments with faults on: nothing missing or doubled, all ids in the journal true (see kills.py)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import kills

SEED = 20_261_123
KINDS = sorted(kills.survivable(), key=lambda kind: kind in kills.SLOW)
FOURS = [KINDS[at : at + 4] for at in range(0, len(KINDS), 4)]
"""All kinds, some at a time, since each campaign is three processes; the slow ones together."""


@pytest.mark.slow
def test_a_run_killed_again_and_again_with_all_faults_ends_whole(tmp_path: Path) -> None:
    found = kills.campaign(tmp_path, pairs=4_000, cycles=8, seed=SEED, faults=kills.all_faults())
    assert found.is_clean, found
    assert found.killed >= 4, "the run ended before it could be killed: make it longer"


@pytest.mark.slow
@pytest.mark.parametrize("kinds", FOURS, ids=" ".join)
def test_a_run_killed_under_each_kind_of_fault_ends_whole(tmp_path: Path, kinds: list[str]) -> None:
    faults = [kills.fault(kind, 0.004 if kind in kills.SLOW else 0.05) for kind in kinds]
    found = kills.campaign(tmp_path, pairs=400, cycles=1, seed=SEED, faults=faults, most_s=0.2)
    assert found.is_clean, found
