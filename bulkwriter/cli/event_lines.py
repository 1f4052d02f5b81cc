"""Events of a run as sentences, and how many of them a person gets to see.

`sentence` is total over `events.Event`.  `EventLines` is the observer that the command line gives to a writer.  With
`-v` it prints every event.  Without, what a person should know at once is always said (stops, trouble, notes), while
throttles, doubts, shifted lanes and trouble of a moment, which a bad hour brings by the hundred, are gathered: the
first is said at once, then at most one line a kind in `GATHER_S`, with how many there were.  Doubts that looks settled
are added up, and what is not said yet is at the end (`finish`): every one of them is in some line.  Of the rest the
totals are in progress and summary.

Pure but for the `Stderr` it prints to; the clock is an argument.
"""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Callable

from .. import events
from ..model import moment
from . import describe
from .stderr import Stderr

GATHER_S = 30.0
"""Shortest time between two lines on the same kind of frequent event.  More is quieter."""

STATED_MORE_S = 2.0
"""By so much a pause may be longer than the server asked for, and still be what it asked for; see `adaptive`."""

FREQUENT = (
    events.Throttled, events.DoubtsParked, events.DoubtsSettled, events.LookFailed, events.LaneShifted,
    events.TokenRefreshed,
)  # fmt: skip

BRIEF_S = 1.0
"""Trouble that pauses or lasted no longer is frequent too: one bad backend of three makes it every other second."""

SHORTEST_S = 0.05
"""What lasted less would be told as 0.0 s."""

CLOCK_S = 60.0
"""Of what lasts longer the end is told as a time of day as well."""

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
        is_sum = isinstance(event, events.DoubtsSettled)
        text = sentence(event, wall=self._wall()) + (
            f" ({more:,} more like this before)" if more and not is_sum else ""
        )
        is_end = isinstance(event, events.Stopping) and event.is_error
        put = self._stderr.print_once if is_end else self._stderr.print
        put(text, event=name(event), **dataclasses.asdict(event), **({"more": more} if more else {}))


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


def name(event: events.Event) -> str:
    """An event's name in JSON lines: `LaneShifted` is `lane_shifted`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(event).__name__).lower()


def sentence(event: events.Event, *, wall: float) -> str:
    """An event that came at `wall` (epoch seconds) in words, in the present or past tense, without a full stop."""
    match event:
        case events.HeldBack(_, by, more_s, believes):
            more = "" if more_s is None else f", {describe.duration(more_s)} more"
            return f"held back: {by}{more}; {believes}"
        case events.Throttled(pause_s, retry_after_s, limit):
            if pause_s <= 0:
                return f"throttled: the run sends slower from here on, with at most {requests(limit)} in flight"
            is_theirs = retry_after_s is not None and pause_s <= retry_after_s + STATED_MORE_S
            who = "the server asks for a pause of" if is_theirs else "the run pauses for"
            pause = f"{who} {describe.duration(pause_s)}{until(wall, pause_s)}"
            return f"throttled: {pause}; then at most {requests(limit)} may be in flight"
        case events.ConnectionTrouble(pause_s, reason, gone_s, gives_up_s):
            lasts = f", for {describe.duration(gone_s)} now" if gone_s >= CLOCK_S else ""
            end = "" if not lasts or gives_up_s is None else f"; the run gives up in {describe.duration(gives_up_s)}"
            return f"trouble: {reason}{lasts}; one request tries again in {describe.duration(pause_s)}{end}"
        case events.Recovered(gone_s):
            lasted = f"after {describe.duration(gone_s)}" if gone_s >= SHORTEST_S else "at once"
            return f"the server is back {lasted}"
        case events.DoubtsParked(count, reason):
            return f"{describe.quantity(count, 'pair')} in doubt: {reason}"
        case events.DoubtsSettled(found, absent, released):
            return "doubts settled: " + settled(found, absent - released, released)
        case events.LookFailed(reason, pause_s):
            return f"a look settled nothing: {reason}; again in {describe.duration(pause_s)}"
        case events.LaneShifted(pairs):
            they = f"{describe.quantity(pairs, 'pair')} that it settled {'is' if pairs == 1 else 'are'} in doubt again"
            return f"a connection answered out of step: {they}"
        case events.TokenRefreshed():
            return "signed in again: a new token is in use"
        case events.Remembered(rate_per_s, age_s):
            rate, age = describe.per_second(rate_per_s), describe.duration(age_s)
            return f"an earlier run found that the server allows about {rate}, {age} ago; this one starts at half of it"
        case events.NotRemembered(reason):
            return f"what is learnt of the server is not remembered: {reason}"
        case events.Stopping(reason, hint, True):
            return f"error: {reason}" + (f"\n  {hint}" if hint else "")
        case events.Stopping(reason):
            return f"stopping: {reason}"
        case events.Note(text):
            return f"note: {text}"


def requests(count: int) -> str:
    return describe.quantity(count, "request")


def until(wall: float, seconds: float) -> str:
    """When something ends that lasts so long, or nothing where that is soon."""
    return f", until {moment(wall + seconds)}" if seconds >= CLOCK_S else ""


def settled(found: int, again: int, released: int) -> str:
    """First value: "9 found on the server, 3 not there: 2 are sent again, 1 is released to be sent"."""
    facts = []
    if again:
        facts.append(f"{again:,} {'is' if again == 1 else 'are'} sent again")
    if released:
        facts.append(f"{released:,} {'is' if released == 1 else 'are'} released to be sent")
    absent = f", {again + released:,} not there: {', '.join(facts)}" if facts else ""
    return f"{found:,} found on the server{absent}"
