"""The voice never makes a run wait, outlives a dead stderr, and says no secret; events are told in a sane amount."""

from __future__ import annotations

import io
import json
import os
import re
import threading
import time
from typing import Any

import pytest

from bulkwriter import events
from bulkwriter.cli.event_lines import GATHER_S, Teller, name, sentence
from bulkwriter.cli.secret import Secrets
from bulkwriter.cli.stderr import QUEUE_LINES, Voice
from bulkwriter.model import Snapshot, moment
from tests.cli.test_describe import QUIET
from tests.conftest import CANARY

WALL = 1_795_000_000.0
EXAMPLES: list[tuple[events.Event, str]] = [
    (
        events.HeldBack("limit", "the server's limit", None, "the server allows about 98/s"),
        "held back: the server's limit; the server allows about 98/s",
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
    (events.DoubtsSettled(3, 1), "doubts settled: 3 found on the server, 1 not there: 1 is sent again"),
    (events.DoubtsSettled(0, 7, 7), "doubts settled: 0 found on the server, 7 not there: 7 are released to be sent"),
    (
        events.DoubtsSettled(1, 5, 3),
        "doubts settled: 1 found on the server, 5 not there: 2 are sent again, 3 are released to be sent",
    ),
    (events.LookFailed("HTTP 500", 5.0), "a look settled nothing: HTTP 500; again in 5.0 s"),
    (
        events.LaneShifted(195),
        "a connection answered out of step: 195 pairs that it settled are in doubt again",
    ),
    (events.TokenRefreshed(), "signed in again: a new token is in use"),
    (
        events.Remembered(98.2, 7_200.0),
        "an earlier run found that the server allows about 98.2/s, 2 h 00 min ago; this one starts at half of it",
    ),
    (events.NotRemembered("x: full"), "what is learnt of the server is not remembered: x: full"),
    (events.Stopping("401"), "stopping: 401"),
    (events.Note("something"), "note: something"),
]


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


class Said(Terminal):
    """A stderr that can hang, and that tells what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()
        self.text = ""

    def write(self, text: str) -> int:
        self.gate.wait(5)
        self.text += text
        return len(text)

    def flush(self) -> None:
        """Nothing is kept back."""


@pytest.mark.parametrize(("event", "text"), EXAMPLES, ids=lambda e: name(e) if not isinstance(e, str) else "")
def test_every_event_is_a_sentence(event: events.Event, text: str) -> None:
    assert sentence(event, wall=WALL) == text


def test_no_event_is_forgotten() -> None:
    assert {type(e) for e, _ in EXAMPLES} == set(events.Event.__args__)


def test_json_lines_hold_the_event_and_its_facts() -> None:
    said = io.StringIO()
    voice = Voice(said, form="json")
    teller = Teller(voice, is_verbose=True, now=lambda: 0.0)
    for event, _ in EXAMPLES:
        teller(event)
    voice.close()
    lines = [json.loads(line) for line in said.getvalue().splitlines()]
    assert [line["event"] for line in lines] == [name(e) for e, _ in EXAMPLES]
    assert lines[0]["by"] == "limit"
    assert lines[0]["at"].endswith("Z")


STAMPED = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \S+  ")


def test_in_a_log_every_line_of_an_event_has_its_date_time_and_zone() -> None:
    """A log of a run of days is read later, perhaps elsewhere."""
    said = io.StringIO()
    voice = Voice(said)
    teller = Teller(voice, is_verbose=True, now=lambda: 0.0)
    for event, _ in EXAMPLES:
        teller(event)
    voice.say("Every pair is there\n\n  pairs  3", event="summary")
    voice.say("Type yes to go on:")
    voice.close()
    lines = said.getvalue().splitlines()
    assert all(STAMPED.match(line) for line in lines[: len(EXAMPLES) + 1])
    assert lines[len(EXAMPLES) + 1 :] == ["", "  pairs  3", "Type yes to go on:"]


def test_on_a_terminal_only_progress_lines_have_it() -> None:
    said = Terminal()
    voice = Voice(said)
    voice.say("stopping: SIGINT", event="stopping")
    voice.say("5 of 10", event="progress")
    voice.close()
    first, second = said.getvalue().splitlines()
    assert first == "stopping: SIGINT"
    assert STAMPED.match(second)


def test_what_progress_shows_anyway_is_said_in_text_only_when_asked_for() -> None:
    event = events.HeldBack("cpu", "this machine's CPU", None, "the server has shown no limit")
    for form, is_verbose, count in (("text", False, 0), ("text", True, 1), ("json", False, 1)):
        said = io.StringIO()
        voice = Voice(said, form=form)  # type: ignore[arg-type]
        Teller(voice, is_verbose=is_verbose, now=lambda: 0.0)(event)
        voice.close()
        assert len(said.getvalue().splitlines()) == count


def test_frequent_events_are_gathered_and_rare_ones_are_not() -> None:
    said, now = Terminal(), [0.0]
    voice = Voice(said)
    teller = Teller(voice, is_verbose=False, now=lambda: now[0])
    for _ in range(5):
        teller(events.Throttled(1.0, None, 8))
        teller(events.LaneShifted(1))  # some servers send a line end behind each reply
        teller(events.Stopping("x"))
    now[0] = GATHER_S
    teller(events.Throttled(1.0, None, 8))
    voice.close()
    lines = said.getvalue().splitlines()
    assert len([line for line in lines if line.startswith("throttled")]) == 2
    assert lines[-1].endswith("(4 more like this before)")
    assert lines.count("a connection answered out of step: 1 pair that it settled is in doubt again") == 1
    assert lines.count("stopping: x") == 5


def test_trouble_of_a_moment_is_gathered_and_an_outage_is_told_as_it_goes() -> None:
    said, now = Terminal(), [0.0]
    voice = Voice(said)
    teller = Teller(voice, is_verbose=False, now=lambda: now[0])
    for i in range(20):  # one bad backend of three
        now[0] = 2.0 * i
        teller(events.ConnectionTrouble(0.4, "HTTP 502"))
        now[0] += 0.1 if i < 19 else 0.0
        teller(events.Recovered(0.0))
    for pause_s in (0.4, 0.9, 1.5, 3.0):
        teller(events.ConnectionTrouble(pause_s, "HTTP 502"))
    teller(events.Recovered(7.0))
    voice.close()
    lines = said.getvalue().splitlines()
    assert [line.partition(";")[0] for line in lines] == [
        "trouble: HTTP 502", "the server is back after 0.0 s",
        "trouble: HTTP 502", "the server is back after 0.0 s (14 more like this before)",
        "trouble: HTTP 502", "trouble: HTTP 502", "the server is back after 7.0 s",
    ]  # fmt: skip
    assert lines[2].endswith("in 0.4 s (14 more like this before)")
    assert lines[4].endswith("in 1.5 s")


def test_every_doubt_that_was_settled_is_in_some_line() -> None:
    said, now = Terminal(), [0.0]
    voice = Voice(said)
    teller = Teller(voice, is_verbose=False, now=lambda: now[0])
    for found, absent in ((1, 0), (2, 1), (3, 0)):
        teller(events.DoubtsSettled(found, absent))
    now[0] = GATHER_S
    teller(events.DoubtsSettled(4, 0))
    teller(events.DoubtsSettled(5, 0))
    teller(events.LookFailed("x", 1.0))
    teller.finish()
    teller.finish()
    voice.close()
    lines = [line for line in said.getvalue().splitlines() if line.startswith("doubts settled")]
    assert [line.partition(" on")[0] for line in lines] == [f"doubts settled: {n} found" for n in (1, 9, 5)]
    assert "1 not there" in lines[1]


def test_a_stderr_that_hangs_holds_nobody_up_and_memory_stays_bounded() -> None:
    said = Said()
    said.gate.clear()
    voice = Voice(said)
    started = time.monotonic()
    for i in range(3 * QUEUE_LINES):
        voice.say(f"line {i}")
    voice.close(0.01)
    assert time.monotonic() - started < 20
    said.gate.set()
    voice.close()
    assert "lines were dropped" in said.text
    # those that wait, those taken together with the first, the one in hand, and the word of those that were dropped
    assert said.text.count("\n") <= 2 * QUEUE_LINES + 2


@pytest.mark.parametrize("kind", ["none", "closed", "broken pipe"])
def test_a_stderr_that_is_gone_is_no_error(kind: str) -> None:
    read_end, write_end = os.pipe()
    stream: Any = None if kind == "none" else os.fdopen(write_end, "w")
    os.close(read_end)
    if kind == "closed":
        stream.close()
    voice = Voice(stream)
    for _ in range(3):
        voice.say("hello")
    voice.close()
    if kind == "none":
        os.close(write_end)
    elif kind == "broken pipe":
        with pytest.raises(BrokenPipeError):
            stream.close()


def test_progress_that_nobody_drew_yet_is_replaced() -> None:
    drawn: list[Snapshot] = []
    gate = threading.Event()

    class Slow:
        def line(self, text: str) -> None:
            gate.wait(5)

        def draw(self, snapshot: Snapshot) -> None:
            drawn.append(snapshot)

        def close(self) -> None:
            """Nothing is held."""

    voice = Voice(io.StringIO())
    voice.use(Slow())
    voice.say("hold")
    for _ in range(100):
        voice.show(QUIET)
    gate.set()
    while not drawn:
        time.sleep(0.001)
    voice.close()
    assert len(drawn) <= 2


def test_no_secret_is_said() -> None:
    said = io.StringIO()
    voice = Voice(said, secrets=[CANARY])
    voice.keep_secret("other-secret-0b7d")
    voice.say(f"a {CANARY} and other-secret-0b7d")
    voice.close()
    assert said.getvalue() == "a (secret) and (secret)\n"


def test_no_part_of_a_secret_is_said_in_json_either() -> None:
    said, password = io.StringIO(), 'pass"wörd\\'
    voice = Voice(said, form="json", secrets=["pass", password])
    voice.say(f"it said {password}", why=password)
    voice.close()
    line = json.loads(said.getvalue())
    assert (line["text"], line["why"]) == ("it said (secret)", "(secret)")
    assert Secrets(["", "abc"]).strike("abc") == "abc"  # too short to be one


@pytest.mark.parametrize(
    ("secret", "text", "shown"),
    [
        ("server", "the server is back", "the server is back"),  # of six letters
        ("password", "no --password-file, no passwords", "no --password-file, no passwords"),
        ("password", "it sent password.", "it sent (secret)."),
        ("password", '{"a": "x\\npassword"}', '{"a": "x\\n(secret)"}'),
        ("throttled", "throttled_s unthrottled throttled: slower", "throttled_s unthrottled (secret): slower"),
        ("0123456789abcdef.ghij", "x0123456789abcdef.ghijx", "x(secret)x"),
    ],
)
def test_a_secret_that_is_a_common_word_leaves_sentences_alone(secret: str, text: str, shown: str) -> None:
    assert Secrets([secret]).strike(text) == shown
