"""What is printed on stderr never makes a run wait, outlives a dead stderr, and holds no secret."""

from __future__ import annotations

import io
import json
import os
import re
import threading
import time
from typing import Any

import pytest

from bulkwriter.cli.secret import Secrets
from bulkwriter.cli.stderr import QUEUE_LINES, Stderr
from bulkwriter.model import Snapshot
from tests.cli.test_describe import QUIET
from tests.conftest import CANARY

STAMPED = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \S+  ")


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


def test_on_a_terminal_only_progress_lines_have_it() -> None:
    said = Terminal()
    stderr = Stderr(said)
    stderr.print("stopping: SIGINT", event="stopping")
    stderr.print("5 of 10", event="progress")
    stderr.close()
    first, second = said.getvalue().splitlines()
    assert first == "stopping: SIGINT"
    assert STAMPED.match(second)


def test_a_stderr_that_hangs_holds_nobody_up_and_memory_stays_bounded() -> None:
    said = Said()
    said.gate.clear()
    stderr = Stderr(said)
    started = time.monotonic()
    for i in range(3 * QUEUE_LINES):
        stderr.print(f"line {i}")
    stderr.close(0.01)
    assert time.monotonic() - started < 20
    said.gate.set()
    stderr.close()
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
    stderr = Stderr(stream)
    for _ in range(3):
        stderr.print("hello")
    stderr.close()
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

    stderr = Stderr(io.StringIO())
    stderr.use(Slow())
    stderr.print("hold")
    for _ in range(100):
        stderr.draw(QUIET)
    gate.set()
    while not drawn:
        time.sleep(0.001)
    stderr.close()
    assert len(drawn) <= 2


def test_no_secret_is_said() -> None:
    said = io.StringIO()
    stderr = Stderr(said, secrets=[CANARY])
    stderr.keep_secret("other-secret-0b7d")
    stderr.print(f"a {CANARY} and other-secret-0b7d")
    stderr.close()
    assert said.getvalue() == "a (secret) and (secret)\n"


def test_no_part_of_a_secret_is_said_in_json_either() -> None:
    said, password = io.StringIO(), 'pass"wörd\\'
    stderr = Stderr(said, form="json", secrets=["pass", password])
    stderr.print(f"it said {password}", why=password)
    stderr.close()
    line = json.loads(said.getvalue())
    assert (line["text"], line["why"]) == ("it said (secret)", "(secret)")
    assert Secrets(["", "abc"]).strike("abc") == "abc"  # too short to be one
