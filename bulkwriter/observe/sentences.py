"""Events of a run as sentences, for the log and for the command line.

`sentence` is total over `events.Event`.  It says what happened in the present or past tense, without a full stop.
`name` is the event's name for programs: in JSON lines, in log records, as a label of a metric.

Pure: the time of day is an argument.  Not here: how many of them a person gets to see (`cli.event_lines`).
"""

from __future__ import annotations

import re
from typing import Any, Final

from .. import events
from ..amounts import duration, per_second, quantity
from ..model import moment

STATED_MORE_S: Final = 2.0
"""By so much a pause may be longer than the server asked for, and still be what it asked for; see `adaptive`."""
SHORTEST_S: Final = 0.05
"""What lasted less would be told as 0.0 s."""
CLOCK_S: Final = 60.0
"""Of what lasts longer the end is told as a time of day as well."""


def name(event: events.Event) -> str:
    """An event's name in JSON lines: `LaneShifted` is `lane_shifted`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(event).__name__).lower()


def facts(event: events.Event) -> dict[str, Any]:
    """The fields of an event that are values, for JSON."""
    return {key: value for key, value in event._asdict().items() if not callable(value)}


def sentence(event: events.Event, *, wall: float) -> str:
    """An event that came at `wall` (epoch seconds) in words, in the present or past tense, without a full stop."""
    match event:
        case events.HeldBack(_, by, more_s, believes):
            more = "" if more_s is None else f", {duration(more_s)} more"
            return f"held back: {by}{more}; {believes}"
        case events.Throttled(pause_s, retry_after_s, limit):
            return f"throttled: {slower(pause_s, retry_after_s, limit, wall)}"
        case events.ServerBusy(pause_s, retry_after_s, limit):
            return f"busy: {slower(pause_s, retry_after_s, limit, wall)}"
        case events.ConnectionTrouble(pause_s, reason, gone_s, gives_up_s):
            lasts = f", for {duration(gone_s)} now" if gone_s >= CLOCK_S else ""
            end = "" if not lasts or gives_up_s is None else f"; the run gives up in {duration(gives_up_s)}"
            return f"trouble: {reason}{lasts}; one request tries again in {duration(pause_s)}{end}"
        case events.Recovered(gone_s):
            lasted = f"after {duration(gone_s)}" if gone_s >= SHORTEST_S else "at once"
            return f"the server is back {lasted}"
        case events.DoubtsParked(count, reason):
            return f"{quantity(count, 'pair')} in doubt: {reason}"
        case events.DoubtsSettled(found, absent, released):
            return "doubts settled: " + settled(found, absent - released, released)
        case events.LookFailed(reason, pause_s):
            return f"a list call failed, and settles nothing: {reason}; again in {duration(pause_s)}"
        case events.LaneShifted(pairs):
            they = f"{quantity(pairs, 'pair')} that it settled {'is' if pairs == 1 else 'are'} in doubt again"
            return f"a connection answered out of step: {they}"
        case events.TokenRefreshed():
            return "signed in again: a new token is in use"
        case events.Remembered(rate_per_s, age_s):
            rate, age = per_second(rate_per_s), duration(age_s)
            return f"an earlier run ended at a pace of {rate}, {age} ago; this one starts at half of it"
        case events.NotRemembered(reason):
            return f"what is learnt of the server is not remembered: {reason}"
        case events.Stopping(reason, hint, True, _):
            return f"error: {reason}" + (f"\n  {hint}" if hint else "")
        case events.Stopping(reason):
            return f"stopping: {reason}"
        case events.Unwell(reason, hint, tries_s):
            more = f" ({hint})" if hint else ""
            tries = "" if tries_s is None else f"; one request tries again in {duration(tries_s)}"
            return f"nothing can be sent: {reason}{more}{tries}"
        case events.Well(unwell_s):
            return f"sending goes on after {duration(unwell_s)}"
        case events.SameRejections(count, reason):
            return f"the last {count:,} single pairs were rejected with the same words: {reason}"
        case events.Unreadable(reason, hint):
            return f"trouble: {reason} ({hint})"
        case events.Note(text):
            return f"note: {text}"
        case events.Opened(base_url, journal):
            return f"open for {base_url}, {f'with the journal {journal}' if journal else 'without a journal'}"
        case events.ChunkReady(first_seq, rows):
            return f"{quantity(rows, 'pair')} may be sent, from seq {first_seq:,} on"
        case events.Sampled(latencies_s, waits_s):
            return f"sampled {quantity(len(latencies_s), 'request')} and {quantity(len(waits_s), 'wait')}"
        case events.Closed(reason, exit_code):
            return f"ended with code {exit_code}: {reason}"
        case events.ObserverDropped(observer, error):
            return f"the observer {observer} raised, so it is told nothing more: {error}"


def requests(count: int) -> str:
    return quantity(count, "request")


def slower(pause_s: float, retry_after_s: float | None, limit: int, wall: float) -> str:
    """How the run slows down for the server."""
    if pause_s <= 0:
        return f"the run sends slower from here on, with at most {requests(limit)} in flight"
    is_theirs = retry_after_s is not None and pause_s <= retry_after_s + STATED_MORE_S
    who = "the server asks for a pause of" if is_theirs else "the run pauses for"
    return f"{who} {duration(pause_s)}{until(wall, pause_s)}; then at most {requests(limit)} may be in flight"


def until(wall: float, seconds: float) -> str:
    """When something ends that lasts so long, or nothing where that is soon."""
    return f", until {moment(wall + seconds)}" if seconds >= CLOCK_S else ""


def settled(found: int, again: int, released: int) -> str:
    """First value: "9 found on the server, 3 not there: 2 are to be sent again, 1 is released to be sent"."""
    facts = []
    if again:
        facts.append(f"{again:,} {'is' if again == 1 else 'are'} to be sent again")
    if released:
        facts.append(f"{released:,} {'is' if released == 1 else 'are'} released to be sent")
    absent = f", {again + released:,} not there: {', '.join(facts)}" if facts else ""
    return f"{found:,} found on the server{absent}"
