"""One life of a process under test: its loop, its end by a kill at a chosen event, and its trace.

Events are the moments at which a process touches the world: before and after a commit, a send, a reply.  From the one
at which it is killed on nothing that it does has any effect: its lanes reach nobody, its journal takes nothing.

Invariant: after `is_dead` the world does not change by anything that the process still does in its last turn.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable
from typing import Final

from .loop import VirtualLoop

LINES_KEPT: Final = 400


class Trace:
    """What happened, as lines; all of them count in `digest`, the last ones are kept."""

    def __init__(self, *, keeps_all: bool = False) -> None:
        self.lines: deque[str] = deque(maxlen=None if keeps_all else LINES_KEPT)
        self.digest = 0
        self.count = 0

    def add(self, now: float, what: str) -> None:
        line = f"{now:12.6f} {what}"
        self.count += 1
        self.digest = zlib.crc32(line.encode(), self.digest)
        self.lines.append(line)


class Process:
    """A loop and its death."""

    def __init__(self, trace: Trace, *, start_s: float, most_s: float) -> None:
        self.loop = VirtualLoop(start_s=start_s, most_s=most_s)
        self.trace = trace
        self.events = 0
        self.is_dead = False
        self._at_event: tuple[int, Callable[[], object]] = 0, self.kill

    @property
    def now(self) -> float:
        return self.loop.time()

    def note(self, what: str) -> None:
        self.trace.add(self.loop.time(), what)

    def event(self, what: str) -> bool:
        """Something is about to touch the world, or has; False once the process is dead."""
        if self.is_dead:
            return False
        self.events += 1
        self.trace.add(self.loop.time(), what)
        if self.events == self._at_event[0]:
            self._at_event[1]()
        return not self.is_dead

    def when(self, event: int, act: Callable[[], object]) -> None:
        """Call `act` in the middle of the event of this number."""
        self._at_event = event, act

    def kill(self) -> None:
        if not self.is_dead:
            self.note("killed")
            self.is_dead = True
            self.loop.kill()
