"""A run loop for tests that need no more of a run than its steps, its tasks and its stops."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from bulkwriter.clocks import Clocks
from bulkwriter.core.suspension import Suspension
from bulkwriter.events import Event
from bulkwriter.run.run_loop import RunLoop
from bulkwriter.settings import Settings


def a_run_loop(
    step: Callable[[], float] = lambda: math.inf,
    *,
    clock: Callable[[], float],
    tell: Callable[[Event], object] = lambda event: None,
) -> RunLoop:
    """One in which nothing has to be done again, unless `step` says so."""

    def told(event: Event) -> None:
        tell(event)

    return RunLoop(
        step, Settings(), suspension=Suspension(rng=random.Random(1)), clocks=Clocks(clock=clock, wall=clock), tell=told
    )
