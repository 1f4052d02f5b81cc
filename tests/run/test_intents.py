"""Room for further pairs: what the intake waits for, and when it would wait for ever."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from bulkwriter.core.pairs import Pairs
from bulkwriter.errors import ConfigurationStop
from bulkwriter.model import SINGLE_SEQ, Intent
from bulkwriter.run.delivery import Deliveries
from bulkwriter.run.intents import Intents
from bulkwriter.run.row_finder import RowFinder
from bulkwriter.settings import Limits
from tests.support.run_loop import a_run_loop

from ..sim.loop import run_virtual


@pytest.mark.parametrize("doubts", [2, 1])
def test_doubts_that_no_look_can_settle_stop_a_run_that_may_risk_no_more(doubts: int) -> None:
    """It waited for them for ever: the token may not list."""
    pairs = Pairs(late_apply_s=60.0, list_lag_s=5.0, max_attempts=5, most_rows=100)
    pairs.adopted([Intent(seq, (1, seq + 1), 1, None, None) for seq in range(doubts)], 0.0)
    failures = SimpleNamespace(hint="")
    looker: Any = SimpleNamespace(doubts=pairs.doubts, forbidden="HTTP 401", failures=failures)
    store: Any = SimpleNamespace(next_single_seq=SINGLE_SEQ)
    breaker, control = SimpleNamespace(is_open=False), SimpleNamespace(paused_until=0.0)
    admission: Any = SimpleNamespace(breaker=breaker, control=control, ceiling=None, quotas=None)

    async def main() -> int:
        clock = asyncio.get_running_loop().time
        run = a_run_loop(clock=clock)
        limits = Limits(outcome_rows=2)
        intents = Intents(
            run,
            store,
            pairs,
            Deliveries(run),
            admission,
            looker,
            limits,
            finder=RowFinder(),
            contention=SimpleNamespace(),  # type: ignore[arg-type]
            list_role="R",
            clock=clock,
        )
        return await intents.room(5)

    if doubts < 2:
        assert run_virtual(main) == 0
    else:
        with pytest.raises(ConfigurationStop, match="2 pairs are in doubt, no more are risked"):
            run_virtual(main)
