"""`bulkwriter status JOURNAL --watch`: the same answer again and again, for as long as somebody writes the journal.

    a terminal        the answer, drawn over every `EVERY_S` on the terminal's second screen, wrapped to its size
    anything else     one line with date, time and zone, at growing intervals as those of a log
    --json            one object a line, at the same intervals

When the run has ended the whole answer comes once more, and the command ends with 0.  Ctrl-C ends the watching, and not
the run: nothing is said, and the terminal is as it was before.  A look at a large journal costs seconds, so the pauses
are at least `LOOKS` times as long as a look.

Not here: the answer itself (`status`).
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any, Final

from ..shell import visible
from . import progress
from .stderr import dated
from .stdout import is_read, put

EVERY_S: Final = 2.0
LOOKS: Final = 20
ENTER, LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
"""To a terminal's second screen and back, without a cursor there."""
HOME, END_OF_ROW, END_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"
FOOT: Final = "Ctrl-C ends this watching, and not the run"


@dataclass(frozen=True, slots=True)
class Standing:
    """How a run stands: for people in full and in one line, and for programs."""

    is_alive: bool
    lines: list[str]
    line: str
    facts: dict[str, Any]


class LeftBySignal(Exception):
    """A signal that ends the watching."""

    def __init__(self, number: int) -> None:
        self.exit_code = 128 + number


def watch(look: Callable[[], Standing], *, as_json: bool, is_drawable: bool) -> int:
    """Show it until the run has ended; the exit code.  Raises what `look` raises."""
    began_at = time.monotonic()
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(signals_raise())
            if is_drawable:
                stack.enter_context(second_screen())
            while True:
                looked_at = time.monotonic()
                standing = look()
                took_s = time.monotonic() - looked_at
                if not standing.is_alive:
                    break
                if is_drawable:
                    draw(standing.lines)
                else:
                    put(json.dumps(standing.facts) if as_json else dated(standing.line))
                if not is_read():
                    return 0
                pause_s = EVERY_S if is_drawable else progress.pause_s(looked_at - began_at)
                time.sleep(max(pause_s, LOOKS * took_s))
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except LeftBySignal as ended:
        return ended.exit_code
    put(json.dumps(standing.facts) if as_json else "\n".join(standing.lines))
    return 0


@contextlib.contextmanager
def signals_raise() -> Iterator[None]:
    """SIGTERM and SIGHUP raise, as SIGINT does, so that the terminal is put right."""

    def end(number: int, frame: FrameType | None) -> None:
        raise LeftBySignal(number)

    heeded = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) is not signal.SIG_IGN]
    before = [signal.signal(number, end) for number in heeded]
    try:
        yield
    finally:
        for number, handler in zip(heeded, before, strict=True):
            signal.signal(number, handler)


@contextlib.contextmanager
def second_screen() -> Iterator[None]:
    write(ENTER)
    try:
        yield
    finally:
        write(LEAVE)


def draw(lines: Sequence[str]) -> None:
    """Draw it over what was drawn before; what does not fit below is left out."""
    size = shutil.get_terminal_size((80, 24))
    rows = [row for line in lines for row in wrapped(visible(line), size.columns)]
    foot = wrapped(FOOT, size.columns)
    room = size.lines - 1 - len(foot)
    shown = rows if len(rows) <= room else [*rows[: room - 1], "…"]
    write(HOME + "\r\n".join(f"{END_OF_ROW}{row}" for row in [*shown, "", *foot]) + END_OF_SCREEN)


def wrapped(line: str, columns: int) -> list[str]:
    """A line in rows of a terminal; the rows after the first stand below its text where there is room for that."""
    indent = " " * (11 if columns >= 60 else 2)
    return textwrap.wrap(line, columns, subsequent_indent=indent) or [""]


def write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
