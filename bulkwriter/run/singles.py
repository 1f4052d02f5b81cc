"""Single writes: pairs from a service, through the same journal, lanes and limits as the pairs of a source.

An error that keeps the writer from sending (`health`) ends no write.  The pair waits and goes on later.  Each caller
waits only as long as the settings say.  Only a journal that fails, a bug, and the end of the writer end all writes.

A pair that the journal has settled is answered from there.  A pair on its way is waited for.  A pair that an earlier
start left unsent is sent.  Simultaneous calls for the same pair become one.  The rows of single writes have seqs from
`SINGLE_SEQ` on.  No task is made for a pair.

Invariant: a pair is given to the entrance once, until it is answered.  Not here: the way of a pair into the journal
(`entrance`), and what becomes of it then.
"""

from __future__ import annotations

import asyncio

from ..errors import BulkwriterError
from ..model import Outcome
from .committer import Committer
from .health import Health
from .single import Single


class Singles:
    """Writes single pairs."""

    def __init__(self, committer: Committer, health: Health) -> None:
        self._committer = committer
        self._health = health
        self._open: dict[tuple[int, int], Single] = {}
        self.closed: BulkwriterError | None = None
        """The error after which nothing more is written."""

    async def write(self, pair: tuple[int, int], *, retries: bool = False) -> Outcome:
        """Write `pair`, or wait for a write of it that is under way.  A cancel of the caller does not end the write.

        `retries`: send it again if it was rejected.
        """
        if self.closed:
            raise self.closed
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        single = self._given(pair)
        if retries:
            single.retry()
        single.asks(future)
        self._health.waits(future, pair)
        try:
            return await future
        finally:
            self._health.waits_no_more(future)

    def _given(self, pair: tuple[int, int]) -> Single:
        single = self._open.get(pair)
        if single is None:
            single = self._open[pair] = Single(pair, self._answered)
            self._committer.entrance.add(single)
        return single

    def _answered(self, single: Single) -> None:
        del self._open[single.pair]

    async def aclose(self, error: BulkwriterError) -> None:
        """Write nothing more.  Pairs that were not sent have a `pending` row, and their callers get `error`."""
        self.closed = self.closed or error
        try:
            await self._committer.committed()
        finally:
            self._committer.deliveries.waiters.clear()
            unanswered, self._open = self._open, {}
            for single in unanswered.values():
                single.fail(self.closed)
