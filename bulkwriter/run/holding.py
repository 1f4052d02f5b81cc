"""Keeps hold of the part of a job that this process writes, where its journal is kept in a database.

Only the holder of a part may send.  Its *fence* is the end of its lease on its own clock: admission asks it before each
request.  Each commit renews the lease.  Where nothing is committed, `renew` does it here, in the journal's thread, so
that a process whose loop or disk hangs loses its part.

When the lease is over, nothing is sent, and nothing ends.  The journal's thread goes on trying to reach the database.
If nobody took the part meanwhile, the renewal makes sending go on; if somebody did, it raises `FenceLost`, and after
`give_up_after_s` `StoreGone`.  Either ends the run without another write.

Invariant: nothing here decides whether a request may go.
Not here: the lease, and how the database is reached (`postgres`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

import anyio

from ..events import Unwell, Well

if TYPE_CHECKING:
    from .engine import Engine
    from .ports import Store

TICK_S: Final = 0.25
"""How often people and waiting calls may learn that sending has stopped, or goes on."""
GONE: Final = "the lease of this part is over, and the database has not renewed it"
HINT: Final = "it goes on by itself once the database answers, unless another process has taken the part"


class Fence(Protocol):
    """The lease of a part.  `renew` is called in the journal's thread, and the others on the event loop."""

    renew_s: float
    """A lease is renewed so long after it was renewed last."""

    def over_s(self) -> float:
        """For how long nothing may have been sent, since the lease is over; 0.0 while requests may go."""
        ...

    def renew(self) -> None:
        """Renew it if that is due.  Blocks until it is renewed.  Raises `JournalError` if it never will be."""
        ...

    def hurry(self) -> None:
        """The process ends: a database that does not answer is given up within seconds."""
        ...


async def renew(store: Store, fence: Fence, then: Callable[[], object] = lambda: None) -> None:
    """Renew the lease for ever, and call `then` each time."""
    while True:
        await anyio.sleep(fence.renew_s / 4)
        await store.run(lambda journal: fence.renew())
        then()


async def watch(engine: Engine, fence: Fence) -> None:
    """Say when sending stops because the lease is over, and when it goes on."""
    run, longest_s, is_over = engine.run, 0.0, False
    while True:
        over_s = fence.over_s()
        if over_s and not is_over:
            run.tell(Unwell(GONE, HINT, None))
        if is_over and not over_s:
            run.tell(Well(longest_s))
        if over_s or is_over:
            run.soon()
        is_over, longest_s = over_s > 0, over_s
        if run.is_stopping:
            fence.hurry()
        await anyio.sleep(TICK_S)
