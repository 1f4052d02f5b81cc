"""How many rows the next chunk of intents holds: about what the next second sends.

A chunk is committed before its first pair is sent, so a crash leaves up to a chunk of doubts, each of which costs a
look: short chunks.  A commit costs about a millisecond whatever it holds: long chunks where sending is fast.  A chunk
that was used up in less than half of `chunk_s` is followed by as many rows as would have lasted so long, at most
`GROWTH` times as many; one that lasted more than twice as long halves the next.

A chunk is asked for while the one before it is still ready, so what counts is how fast pairs left the ready queue.

First values: 8 rows, so the first commit of a run puts few pairs at stake, and 8 more behind them; then 64, 512, and
the full 2,000 where a server is fast.  More slowly, and a start would wait for commits: it doubles its pace with each
round trip.  Where a ceiling or a quota allows less, `run.reach` counts instead.  Pure.
"""

from __future__ import annotations

FIRST_ROWS = 8
GROWTH = 8


class ChunkSize:
    """Answers `rows` for the next chunk; `most` rows at most, about `chunk_s` seconds of sending."""

    def __init__(self, *, most: int, chunk_s: float) -> None:
        self._most = most
        self._chunk_s = chunk_s
        self._last_at: float | None = None
        self._had = 0
        self.rows = min(FIRST_ROWS, most)

    def next(self, now: float, ready: int) -> int:
        """Rows for the chunk that is made at `now`, while `ready` pairs of those before it are not sent yet."""
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
