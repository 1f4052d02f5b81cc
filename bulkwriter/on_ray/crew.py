"""The workers of a job on Ray, as seen by who started them: a driver process, and what it tells of each worker.

    waiting    to be placed for the first time, or again
    working    its command is at work on some node
    ended      its command has ended: nothing is left to do, or an error

The run is over once every worker has ended; or, where some wait to be placed again, once another has found nothing
left to do and none is at work: a node that never comes back must not keep a finished job waiting.  An error of one
worker stops the others, since each would meet it: a bad token, a server that is gone.

Source: the events of `driver`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from ..errors import (
    COMMITS_LOST,
    BulkwriterError,
    ConfigurationStop,
    JournalError,
    SourceError,
    StoreGone,
    TryLater,
    UsageError,
)
from ..postgres.lease import LOST_HINT
from .driver import Placing

Tell = Callable[[str, dict[str, Any]], object]
"""Called with the name and the facts of each event of the driver."""

DRIVER: Final = (sys.executable, "-m", "bulkwriter.on_ray.driver")
ENDS_WELL: Final = frozenset({0, 1, 3})
"""Exit codes of a worker that found nothing left to do."""
KINDS: Final[dict[int, type[BulkwriterError]]] = {
    2: UsageError, 4: ConfigurationStop, 5: JournalError, 6: SourceError, 75: TryLater,
}  # fmt: skip
LOG_HINT: Final = "the log of its actor has more: `ray logs`, or the dashboard"
GONE: Final = "the Ray cluster is gone, or has ended its driver"
RESUMES: Final = "the same job goes on, on this cluster or on another one; -v shows what Ray says"
LEAVE_S: Final = 10.0
"""How long the driver may take to leave its cluster, once the work is done: without a head Ray takes longer."""
MOST_LINE_BYTES: Final = 1 << 20


@dataclass(slots=True)
class Crew:
    """`ends` are the objects of `--json` of the workers that ended; `lost` counts how often Ray called one lost."""

    placing: Placing
    tell: Tell
    is_verbose: bool = False
    ends: list[dict[str, Any]] = field(default_factory=list)
    lost: int = 0
    hosts: set[str] = field(default_factory=set)
    _working: set[int] = field(default_factory=set)
    _missed: set[int] = field(default_factory=set)
    _ended: set[int] = field(default_factory=set)
    _error: BulkwriterError | None = None
    _is_over: bool = False
    _process: asyncio.subprocess.Process | None = None

    async def run(self) -> None:
        """Place the workers, and return once it is over.  Raises the error of a worker, `TryLater` for one of Ray's."""
        process = self._process = await asyncio.create_subprocess_exec(
            *DRIVER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, limit=MOST_LINE_BYTES, start_new_session=True,
            stderr=None if self.is_verbose else subprocess.DEVNULL,
        )  # fmt: skip
        assert process.stdin
        assert process.stdout
        try:
            process.stdin.write(f"{self.placing.line()}\n".encode())
            async for line in process.stdout:
                self._heard(json.loads(line))
                if len(self._ended) == self.placing.workers:
                    break
        finally:
            process.stdin.close()  # the driver then drains its workers, and ends by itself
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), LEAVE_S)
        if self._error:
            raise self._error
        if not self._is_over:
            raise TryLater(GONE, hint=RESUMES, code="ray")

    def told(self, name: str) -> int:
        """The sum of a count over all workers that ended."""
        return sum(int(facts.get(name) or 0) for facts in self.ends)

    def stop(self) -> None:
        """Drain all workers.  `run` returns once they have ended."""
        self._is_over = True
        if self._process and self._process.stdin:
            with contextlib.suppress(OSError, RuntimeError):
                self._process.stdin.write(b"stop\n")

    def _heard(self, event: dict[str, Any]) -> None:
        name, n = str(event.pop("event")), int(event.get("worker", -1))
        match name:
            case "placed":
                self._missed.discard(n)
                self._working.add(n)
                self.hosts.add(str(event["host"]))
            case "lost" if n in self._missed:
                return  # it was told: Ray says it again until the actor is placed
            case "lost":
                self._working.discard(n)
                self._missed.add(n)
                self.lost += 1
            case "ended":
                self._working.discard(n)
                self._ended.add(n)
                self._note_end(event)
            case "failed":
                self._error = TryLater(str(event["message"]), hint=str(event["hint"]), code="ray")
        self.tell(name, event)
        if self._is_finished() and not self._is_over:
            self.stop()

    def _note_end(self, event: dict[str, Any]) -> None:
        code = int(event["code"])
        if event["facts"]:
            self.ends.append(event["facts"])
        if code not in ENDS_WELL and not self._is_over:
            kind, hint, own = KINDS.get(code, TryLater), LOG_HINT, ""
            if event["facts"].get("ended_code") == COMMITS_LOST:
                kind, hint, own = StoreGone if kind is TryLater else kind, LOST_HINT, COMMITS_LOST
            words = f"a worker ended with {code}" + (f": {reason}" if (reason := event["reason"]) else "")
            self._error = kind(words, hint=hint, code=own)
            self.stop()

    def _is_finished(self) -> bool:
        return bool(self._ended) and not self._working
