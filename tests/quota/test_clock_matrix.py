"""The clock matrix: whatever the clocks do and wherever the ledger goes, no window holds more than it may.

Judged by arrival at the server, which counts by its own clock (`support/clock_stage.py`).  Here each way of going wrong
meets each kind of server once, with a window and a wrong clock in turn; `scripts/clocks` lives every cell.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from tests.support.clock_cells import DATES, QUOTAS, WALLS, WHENS, live

ONE_EACH = [
    (list(QUOTAS)[n % 2], dates, when, list(WALLS)[n // 2 % len(WALLS)])
    for n, (dates, when) in enumerate(product(DATES, WHENS))
]


@pytest.mark.slow
@pytest.mark.parametrize(("quota", "dates", "when", "wall"), ONE_EACH)
def test_no_window_is_exceeded_and_a_true_date_wastes_one_lease_a_death(
    tmp_path: Path, quota: str, dates: str, when: str, wall: str
) -> None:
    life = live(tmp_path, wall=wall, when=when, dates=dates, quota=quota, seed=1)
    assert life.server.broken(life.windows) == []
    if dates == "true":
        assert life.wasted() <= life.deaths


@pytest.mark.slow
@pytest.mark.parametrize("quota", QUOTAS)
@pytest.mark.parametrize("when", WHENS)
def test_stops_of_processes_exceed_nothing(tmp_path: Path, quota: str, when: str) -> None:
    """SIGSTOP for up to four hours at any moment: between a commit and its answer too."""
    life = live(tmp_path, wall="+1 h", when=when, dates="true", quota=quota, seed=2, stops=True)
    assert life.server.broken(life.windows) == []
