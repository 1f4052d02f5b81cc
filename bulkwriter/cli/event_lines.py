"""Events of a run as sentences, and how many of them a person gets to see.

The words are those of `observe.sentences`, which the log has too.  `EventLines` is the observer that the command line
gives to a writer.

With `-v` it prints every event. Without, what a person should know at once is always said (stops, trouble, notes),
while throttles, doubts, shifted lanes and trouble of a moment, which a bad hour brings by the hundred, are gathered:
the first is said at once, then at most one line a kind in `GATHER_S`, with how many there were. Doubts that looks
settled are added up, and what is not said yet is at the end (`finish`): every one of them is in some line. Of the
rest the totals are in progress and summary.

Pure but for the `Stderr` it prints to; the clock is an argument.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from .. import events
from ..observe.sentences import name, sentence
from ..wording import Worded
from .stderr import Stderr

GATHER_S = 30.0
"""Shortest time between two lines on the same kind of frequent event.  More is quieter."""

FREQUENT = (
    events.Throttled, events.ServerBusy, events.DoubtsParked, events.DoubtsSettled, events.LookFailed,
    events.LaneShifted, events.TokenRefreshed,
)  # fmt: skip

BRIEF_S = 1.0
"""Trouble that pauses or lasted no longer is frequent too: one bad backend of three makes it every other second."""

FOR_PROGRAMS = (events.Opened, events.Closed, events.ChunkReady, events.Sampled)
"""Never said: the command line itself says when it begins and ends, and how it goes."""

ASKED_FOR = (events.HeldBack, events.Remembered, events.NotRemembered)
"""Shown by progress all the time, or of no consequence: in text they are said with `-v` only."""


class EventLines:
    """Prints events on stderr; callable as an observer."""

    def __init__(
        self, stderr: Stderr, *, is_verbose: bool, now: Callable[[], float], wall: Callable[[], float] = time.time
    ) -> None:
        self._stderr = stderr
        self._is_verbose = is_verbose
        self._now, self._wall = now, wall
        self._said_at: dict[type, float] = {}
        self._unsaid: dict[type, tuple[events.Event, int]] = {}  # the latest of each kind, and how many

    def __call__(self, event: events.Event) -> None:
        kind = type(event)
        if kind in FOR_PROGRAMS:
            return
        if kind in ASKED_FOR and not self._is_verbose and self._stderr.form == "text":
            return
        more = 0
        if not self._is_verbose and is_frequent(event):
            now = self._now()
            earlier, more = self._unsaid.pop(kind, (None, 0))
            event = together(earlier, event)
            if now - self._said_at.get(kind, float("-inf")) < GATHER_S:
                self._unsaid[kind] = event, more + 1
                return
            self._said_at[kind] = now
        if kind is events.ConnectionTrouble:
            self._said_at.pop(events.Recovered, None)  # whoever hears of the one shall hear of the other
        self._print(event, more)

    def finish(self) -> None:
        """Say what is to be told in full and was not said yet."""
        if events.DoubtsSettled in self._unsaid:
            event, count = self._unsaid.pop(events.DoubtsSettled)
            self._print(event, count - 1)

    def _print(self, event: events.Event, more: int) -> None:
        event = as_typed(event)
        is_sum = isinstance(event, events.DoubtsSettled)
        text = sentence(event, wall=self._wall()) + (
            f" ({more:,} more like this before)" if more and not is_sum else ""
        )
        is_end = isinstance(event, events.Stopping) and event.is_error
        put = self._stderr.print_once if is_end else self._stderr.print
        put(text, event=name(event), **event._asdict(), **({"more": more} if more else {}))


def as_typed(event: events.Event) -> events.Event:
    """An event with its texts in the words of the command line."""
    texts: dict[str, Any] = {k: value.typed for k, value in event._asdict().items() if isinstance(value, Worded)}
    return event._replace(**texts)


def together(earlier: events.Event | None, event: events.Event) -> events.Event:
    """One event for both: the later one, or their sum."""
    match earlier, event:
        case events.DoubtsSettled(), events.DoubtsSettled():
            return events.DoubtsSettled(
                earlier.found + event.found, earlier.absent + event.absent, earlier.released + event.released
            )
    return event


def is_frequent(event: events.Event) -> bool:
    """Whether a bad hour brings many of these."""
    match event:
        case events.ConnectionTrouble(span_s) | events.Recovered(span_s):
            return span_s < BRIEF_S
    return isinstance(event, FREQUENT)
