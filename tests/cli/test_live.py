"""The live display draws over its last frame, whatever became of the terminal's width meanwhile.

`Screen` is a terminal of a few lines of code: it wraps what is too long, and wraps anew when its width changes, as
terminals do.  What it shows is what a person sees.
"""

from __future__ import annotations

import dataclasses
import io
import re

import pytest
from rich.console import Console

from bulkwriter.cli.live import LiveScreen, shown_again
from tests.cli.test_describe import BUSY

STEP = re.compile(r"\x1b\[(\?25[lh]|2K|1A|(\d+);1H|[\d;]*m)|\r|\n|[^\x1b\r\n]+")


class Screen(io.StringIO):
    """Rows of text, each with whether the next one is its rest; the cursor is in row `at`."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = self.told = width
        self.rows: list[tuple[str, bool]] = [("", False)]
        self.at = 0
        self.is_cursor_seen = True

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        for step in STEP.finditer(text):
            self._do(step.group(), step.group(1))
        return len(text)

    def _do(self, text: str, code: str | None) -> None:
        if code == "2K":
            self.rows[self.at] = ("", False)
        elif code and code.endswith("H"):
            self.at = int(code.partition(";")[0]) - 1
            self.rows += [("", False)] * (self.at + 1 - len(self.rows))
        elif code == "1A":
            self.at -= 1
            assert self.at >= 0
        elif code and code.startswith("?25"):
            self.is_cursor_seen = code.endswith("h")
        elif text == "\n":
            self.at += 1
            if self.at == len(self.rows):
                self.rows.append(("", False))
        elif code is None and text != "\r":
            self._write(text)

    def _write(self, text: str) -> None:
        line = self.rows[self.at][0] + text
        self.rows[self.at : self.at + 1] = wrapped(line, self.width)
        self.at += len(wrapped(line, self.width)) - 1

    def resize(self, width: int) -> None:
        lines, line = [], ""
        for text, goes_on in self.rows[: self.at + 1]:
            line += text
            if not goes_on:
                lines.append(line)
                line = ""
        self.width = width
        self.rows = [row for line in lines for row in wrapped(line, width)]
        self.at = len(self.rows) - 1

    def shown(self) -> str:
        return "\n".join(text for text, _ in self.rows)


def wrapped(line: str, width: int) -> list[tuple[str, bool]]:
    parts = [line[i : i + width] for i in range(0, len(line), width)] or [""]
    return [(part, i < len(parts) - 1) for i, part in enumerate(parts)]


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    made = Screen(100)
    monkeypatch.setattr(Console, "width", property(lambda self: made.told))
    return made


def test_no_frame_is_left_behind_by_a_terminal_that_changes_its_width(screen: Screen) -> None:
    """It wraps at once, and tells its new width a frame or two later, as tmux does."""
    display = LiveScreen(screen)
    begin = "bulkwriter: pairs.csv -> https://example.test, journal pairs.csv.journal"
    display.line(begin)
    for width in (100, 60, 35, 20, 110, 48):
        screen.resize(width)
        display.draw(dataclasses.replace(BUSY, done=1_000))
        screen.told = width
        display.draw(dataclasses.replace(BUSY, done=1_000 + width))
        shown = screen.shown().replace("\n", "")
        assert shown.count(" of about") == 1, width
        assert f"{1_000 + width:,} of about" in shown
        assert shown.startswith(begin)
    screen.resize(30)
    screen.told = 30
    display.close()
    assert screen.shown().strip().replace("\n", "") == begin
    assert screen.is_cursor_seen


def test_what_is_said_goes_above_the_frame_and_the_frame_stays(screen: Screen) -> None:
    display = LiveScreen(screen)
    display.draw(BUSY)
    assert not screen.is_cursor_seen
    display.line("throttled: the run pauses for 9.0 s; then at most 1 request may be in flight")
    assert screen.shown().startswith("throttled: ")
    assert screen.shown().count("1,234 of about") == 1
    display.close()
    assert screen.shown().rstrip().endswith("in flight")


def test_as_many_lines_as_fit_are_shown_again() -> None:
    said = ["a" * 10, "b" * 25, "c", "d" * 10]
    assert shown_again(said, 10, 10) == said
    assert shown_again(said, 5, 10) == said[1:]
    assert shown_again(said, 4, 10) == said[2:]
    assert shown_again(said, 0, 10) == []


def test_a_terminal_that_is_gone_is_left_in_peace() -> None:
    closed = io.StringIO()
    display = LiveScreen(closed)
    closed.close()
    display.draw(BUSY)
    display.line("x")
    display.close()
