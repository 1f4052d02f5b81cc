"""One request to stop that everybody of a command hears: nothing new begins, and no pause outlasts it.

Whoever waits, be it an hour for a server that asked for it, waits through `sleep` or `pause`, so that a Ctrl-C ends it
at once.  Requests on the wire are not touched: they may end.

Invariant: once set it stays set; the first error that stops the work is kept in `error`, and no other.
"""

from __future__ import annotations

from collections.abc import Callable

import anyio

from ..errors import BulkwriterError


class StopSet(Exception):
    """A pause was cut short: whoever needed it gives up what it was about to do."""


class StopSignal:
    """Set once, by a signal or by an error.  `on_set` ends waits that are not made through here: those for quotas."""

    def __init__(self, on_set: Callable[[], None] = lambda: None) -> None:
        self._event = anyio.Event()
        self._on_set = on_set
        self.error: BulkwriterError | None = None

    @property
    def is_set(self) -> bool:
        return self._event.is_set()

    def set(self, error: BulkwriterError | None = None) -> None:
        """Stop; of several errors the first counts."""
        self.error = self.error or error
        self._event.set()
        self._on_set()

    def check(self) -> None:
        """Raises `StopSet` when it is time to stop."""
        if self.is_set:
            raise StopSet

    async def pause(self, seconds: float) -> bool:
        """Wait; False at once when it is or becomes time to stop."""
        if not self.is_set:
            with anyio.move_on_after(seconds):
                await self._event.wait()
        return not self.is_set

    async def sleep(self, seconds: float) -> None:
        """Wait; raises `StopSet` when it is or becomes time to stop."""
        await self.pause(seconds)
        self.check()
