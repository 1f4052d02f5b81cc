"""How many rows the next chunk of intents holds: about as many as the next second sends.

A chunk is committed before its first pair is sent.  Two costs pull in opposite directions:

    short chunks   a crash leaves up to a chunk of doubts, and each of them costs a look
    long chunks    a commit costs about a millisecond, whatever it holds

So a chunk that was used up in less than half of `chunk_s` is followed by one that should last about so long, but at
most `GROWTH` times as many rows.  A chunk that lasted more than twice `chunk_s` halves the next one.  The next chunk is
asked for while the last one is still ready, so the speed at which pairs left the ready queue counts.

First values: 8 rows, so that the first commit of a run risks few pairs, and 8 more behind them.  Then 64, 512 and the
full 2,000 where a server is fast.  Slower growth would make a start wait for commits, since it doubles its rate with
each round trip.  Where a ceiling or a quota allows less, `run.reach` counts instead.  Pure.
"""

from __future__ import annotations

FIRST_ROWS = 8
GROWTH = 8


class ChunkSize:
    """Keeps `rows`, the size of the next chunk: about `chunk_s` seconds of sending, at most `most` rows."""

    def __init__(self, *, most: int, chunk_s: float) -> None:
        self._most = most
        self._chunk_s = chunk_s
        self._last_at: float | None = None
        self._had = 0
        self.rows = min(FIRST_ROWS, most)

    def next(self, now: float, ready: int) -> int:
        """Rows for the chunk that is made at `now`, while `ready` pairs of earlier chunks are not sent yet."""
        used = self._had - ready
        self._had = ready + self.rows
        if self._last_at is not None:
            if used <= 0:
                return self.rows
            lasted_s = (now - self._last_at) * max(1.0, self.rows / used)
            if lasted_s < self._chunk_s / 2:
                self.rows = min(self._most, round(self.rows * min(GROWTH, self._chunk_s / max(lasted_s, 1e-9))))
            elif lasted_s > self._chunk_s * 2:
                self.rows = max(1, self.rows // 2)
            self._had = ready + self.rows
        self._last_at = now
        return self.rows

    def rest(self) -> None:
        """Fewer rows wait than the next chunk may have.  The time until it is full says nothing about the server."""
        self._last_at = None
