"""Events as sentences, each in its words, and in a sane amount."""

from __future__ import annotations

import io
import json

import pytest

from bulkwriter import events
from bulkwriter.cli.event_lines import FOR_PROGRAMS, GATHER_S, EventLines
from bulkwriter.cli.stderr import Stderr
from bulkwriter.model import moment
from bulkwriter.observe.sentences import name, sentence
from tests.cli.test_stderr import STAMPED, Terminal

WALL = 1_795_000_000.0
EXAMPLES: list[tuple[events.Event, str]] = [
    (
        events.HeldBack("limit", "the pace", None, "the pace is 98/s now"),
        "held back: the pace; the pace is 98/s now",
    ),
    (
        events.HeldBack("pause", "the server asked for a pause", 12.0, "the server has shown no limit"),
        "held back: the server asked for a pause, 12 s more; the server has shown no limit",
    ),
    (
        events.Throttled(0.0, None, 8),
        "throttled: the run sends slower from here on, with at most 8 requests in flight",
    ),
    (
        events.Throttled(1.0, 1.0, 8),
        "throttled: the server asks for a pause of 1.0 s; then at most 8 requests may be in flight",
    ),
    (
        events.Throttled(9.0, 1.0, 1),
        "throttled: the run pauses for 9.0 s; then at most 1 request may be in flight",
    ),
    (
        events.Throttled(5_400.0, 5_400.0, 8),
        (
            f"throttled: the server asks for a pause of 1 h 30 min, until {moment(WALL + 5_400)}; "
            "then at most 8 requests may be in flight"
        ),
    ),
    (
        events.ServerBusy(1.0, 1.0, 8),
        "busy: the server asks for a pause of 1.0 s; then at most 8 requests may be in flight",
    ),
    (
        events.ConnectionTrouble(2.0, "connection refused"),
        "trouble: connection refused; one request tries again in 2.0 s",
    ),
    (
        events.ConnectionTrouble(30.0, "connection refused", 600.0, 3_000.0),
        (
            "trouble: connection refused, for 10 min 00 s now; one request tries again in 30 s; the run gives up in "
            "50 min 00 s"
        ),
    ),
    (events.Recovered(61), "the server is back after 1 min 01 s"),
    (events.DoubtsParked(1, "no reply in time"), "1 pair in doubt: no reply in time"),
    (events.DoubtsSettled(3, 0), "doubts settled: 3 found on the server"),
    (events.DoubtsSettled(3, 1), "doubts settled: 3 found on the server, 1 not there: 1 is to be sent again"),
    (events.DoubtsSettled(0, 7, 7), "doubts settled: 0 found on the server, 7 not there: 7 are released to be sent"),
    (
        events.DoubtsSettled(1, 5, 3),
        "doubts settled: 1 found on the server, 5 not there: 2 are to be sent again, 3 are released to be sent",
    ),
    (events.LookFailed("HTTP 500", 5.0), "a list call failed, and settles nothing: HTTP 500; again in 5.0 s"),
    (
        events.LaneShifted(195),
        "a connection answered out of step: 195 pairs that it settled are in doubt again",
    ),
    (events.TokenRefreshed(), "signed in again: a new token is in use"),
    (
        events.Remembered(98.2, 7_200.0),
        "an earlier run ended at a pace of 98.2/s, 2 h 00 min ago; this one starts at half of it",
    ),
    (events.NotRemembered("x: full"), "what is learnt of the server is not remembered: x: full"),
    (events.Stopping("401"), "stopping: 401"),
    (events.Note("something"), "note: something"),
    (events.Unreadable("none was read", "check base_url"), "trouble: none was read (check base_url)"),
    (events.Opened("https://h", "p.journal"), "open for https://h, with the journal p.journal"),
    (events.Opened("https://h", None), "open for https://h, without a journal"),
    (events.ChunkReady(2_000, 1), "1 pair may be sent, from seq 2,000 on"),
    (events.Sampled((0.1, 0.2), (0.1,)), "sampled 2 requests and 1 wait"),
    (events.Closed("every pair was written", 0), "ended with code 0: every pair was written"),
    (
        events.Unwell("HTTP 403", "give the role", 1.5),
        "nothing can be sent: HTTP 403 (give the role); one request tries again in 1.5 s",
    ),
    (
        events.Unwell("the quota is spent", "", 3_600.0),
        "nothing can be sent: the quota is spent; one request tries again in 1 h 00 min",
    ),
    (events.Well(61.0), "sending goes on after 1 min 01 s"),
    (
        events.SameRejections(50, "CourseMemberId: unknown"),
        "the last 50 single pairs were rejected with the same words: CourseMemberId: unknown",
    ),
    (
        events.ObserverDropped("Mine", "ValueError('no')"),
        "the observer Mine raised, so it is told nothing more: ValueError('no')",
    ),
]


SAID = [event for event, _ in EXAMPLES if not isinstance(event, FOR_PROGRAMS)]


@pytest.mark.parametrize(("event", "text"), EXAMPLES, ids=lambda e: name(e) if not isinstance(e, str) else "")
def test_every_event_is_a_sentence(event: events.Event, text: str) -> None:
    assert sentence(event, wall=WALL) == text


def test_no_event_is_forgotten() -> None:
    assert {type(e) for e, _ in EXAMPLES} == set(events.Event.__args__)


def test_json_lines_hold_the_event_and_its_facts() -> None:
    said = io.StringIO()
    stderr = Stderr(said, form="json")
    lines_of_events = EventLines(stderr, is_verbose=True, now=lambda: 0.0)
    for event, _ in EXAMPLES:  # those for programs are passed over
        lines_of_events(event)
    stderr.close()
    lines = [json.loads(line) for line in said.getvalue().splitlines()]
    assert [line["event"] for line in lines] == [name(event) for event in SAID]
    assert lines[0]["by"] == "limit"
    assert lines[0]["at"].endswith("Z")


def test_in_a_log_every_line_of_an_event_has_its_date_time_and_zone() -> None:
    """A log of a run of days is read later, perhaps elsewhere."""
    said = io.StringIO()
    stderr = Stderr(said)
    lines_of_events = EventLines(stderr, is_verbose=True, now=lambda: 0.0)
    for event, _ in EXAMPLES:  # those for programs are passed over
        lines_of_events(event)
    stderr.print("Every pair is there\n\n  pairs  3", event="summary")
    stderr.print("Type yes to go on:")
    stderr.close()
    lines = said.getvalue().splitlines()
    assert all(STAMPED.match(line) for line in lines[: len(SAID) + 1])
    assert lines[len(SAID) + 1 :] == ["", "  pairs  3", "Type yes to go on:"]


def test_what_progress_shows_anyway_is_said_in_text_only_when_asked_for() -> None:
    event = events.HeldBack("cpu", "this machine's CPU", None, "the server has shown no limit")
    for form, is_verbose, count in (("text", False, 0), ("text", True, 1), ("json", False, 1)):
        said = io.StringIO()
        stderr = Stderr(said, form=form)  # type: ignore[arg-type]
        EventLines(stderr, is_verbose=is_verbose, now=lambda: 0.0)(event)
        stderr.close()
        assert len(said.getvalue().splitlines()) == count


def test_frequent_events_are_gathered_and_rare_ones_are_not() -> None:
    said, now = Terminal(), [0.0]
    stderr = Stderr(said)
    lines_of_events = EventLines(stderr, is_verbose=False, now=lambda: now[0])
    for _ in range(5):
        lines_of_events(events.Throttled(1.0, None, 8))
        lines_of_events(events.LaneShifted(1))  # some servers send a line end behind each reply
        lines_of_events(events.Stopping("x"))
    now[0] = GATHER_S
    lines_of_events(events.Throttled(1.0, None, 8))
    stderr.close()
    lines = said.getvalue().splitlines()
    assert len([line for line in lines if line.startswith("throttled")]) == 2
    assert lines[-1].endswith("(4 more like this before)")
    assert lines.count("a connection answered out of step: 1 pair that it settled is in doubt again") == 1
    assert lines.count("stopping: x") == 5


def test_trouble_of_a_moment_is_gathered_and_an_outage_is_told_as_it_goes() -> None:
    said, now = Terminal(), [0.0]
    stderr = Stderr(said)
    lines_of_events = EventLines(stderr, is_verbose=False, now=lambda: now[0])
    for i in range(20):  # one bad backend of three
        now[0] = 2.0 * i
        lines_of_events(events.ConnectionTrouble(0.4, "HTTP 502"))
        now[0] += 0.1 if i < 19 else 0.0
        lines_of_events(events.Recovered(0.0))
    for pause_s in (0.4, 0.9, 1.5, 3.0):
        lines_of_events(events.ConnectionTrouble(pause_s, "HTTP 502"))
    lines_of_events(events.Recovered(7.0))
    stderr.close()
    lines = said.getvalue().splitlines()
    assert [line.partition(";")[0] for line in lines] == [
        "trouble: HTTP 502", "the server is back at once",
        "trouble: HTTP 502", "the server is back at once (14 more like this before)",
        "trouble: HTTP 502", "trouble: HTTP 502", "the server is back after 7.0 s",
    ]  # fmt: skip
    assert lines[2].endswith("in 0.4 s (14 more like this before)")
    assert lines[4].endswith("in 1.5 s")


def test_every_doubt_that_was_settled_is_in_some_line() -> None:
    said, now = Terminal(), [0.0]
    stderr = Stderr(said)
    lines_of_events = EventLines(stderr, is_verbose=False, now=lambda: now[0])
    for found, absent in ((1, 0), (2, 1), (3, 0)):
        lines_of_events(events.DoubtsSettled(found, absent))
    now[0] = GATHER_S
    lines_of_events(events.DoubtsSettled(4, 0))
    lines_of_events(events.DoubtsSettled(5, 0))
    lines_of_events(events.LookFailed("x", 1.0))
    lines_of_events.finish()
    lines_of_events.finish()
    stderr.close()
    lines = [line for line in said.getvalue().splitlines() if line.startswith("doubts settled")]
    assert [line.partition(" on")[0] for line in lines] == [f"doubts settled: {n} found" for n in (1, 9, 5)]
    assert "1 not there" in lines[1]
