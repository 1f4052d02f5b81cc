"""Progress drawn over itself on a terminal: a bar, then the lines of `progress.live_lines`.

The only module that imports rich, and it is imported only for `--progress rich` or a terminal.  rich makes the lines;
what is drawn over is decided here:

    draw    erase the last frame, then the new one, without a line end: the cursor stays in its last row
    line    what is said meanwhile goes where the frame was, and the frame below it again
    resize  a terminal whose width changed has wrapped the frame, and tells its new width up to a quarter of a second
            late, so nobody knows how many rows it takes now: the screen is cleared, and shows the lines said last and
            the frame again

The thread of `Stderr` alone calls a `LiveScreen`, so there is no lock and no refresh thread.  A terminal that fails is
given up: the run goes on in silence.  `NO_COLOR` and the size are rich's business; it re-reads the size each time.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, TextIO

from rich.cells import cell_len
from rich.console import Console, Group
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ..model import Snapshot
from . import progress

HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"
"""The cursor would flicker through the frame."""
ERASE_ROW, ROW_UP = "\r\x1b[2K", "\x1b[1A"
KEPT: Final = 200
"""Lines kept for a screen that is shown again: more than a screen has."""


class LiveScreen:
    """A `stderr.Screen` that draws over its last frame."""

    def __init__(self, stream: TextIO, *, earlier: Sequence[str] = ()) -> None:
        """`earlier` are the lines that stand above."""
        self._stream = stream
        self._console = Console(file=stream, highlight=False, markup=False, emoji=False, force_terminal=True)
        self._said: deque[str] = deque(earlier, maxlen=KEPT)
        self._frame: list[str] = []
        self._width = 0
        self._is_usable = True

    def line(self, text: str) -> None:
        def say() -> None:
            with self._console.capture() as said:
                self._console.print(Text(text), soft_wrap=True)
            self._said.extend(said.get().splitlines())
            self._show(self._frame, said.get())

        self._try(say)

    def draw(self, snapshot: Snapshot) -> None:
        def update() -> None:
            with self._console.capture() as drawn:
                self._console.print(picture(snapshot, self._console.width))
            self._show(drawn.get().rstrip("\n").split("\n"), "")

        self._try(update)

    def close(self) -> None:
        def end() -> None:
            if self._frame:
                self._show([], SHOW)

        self._try(end)

    def _show(self, frame: list[str], said: str) -> None:
        """Put `said` where the last frame was, and `frame` below it."""
        begin = HIDE if frame and not self._frame else ""
        width, self._width = self._width, self._console.width
        if self._frame and width != self._width:
            again = shown_again(self._said, self._console.height - len(frame), self._width)
            said = cleared(self._console.height) + "".join(line + "\n" for line in again) + (SHOW if not frame else "")
        elif self._frame:
            said = ERASE_ROW + (ROW_UP + ERASE_ROW) * (len(self._frame) - 1) + said
        self._frame = frame
        self._stream.write(begin + said + "\n".join(frame))
        self._stream.flush()

    def _try(self, act: Callable[[], None]) -> None:
        if not self._is_usable:
            return
        try:
            act()
        except (OSError, ValueError):
            self._is_usable = False  # the terminal is gone


def cleared(rows: int) -> str:
    """What empties a screen, cursor at its top: row by row, or some terminals keep what they showed above it."""
    return "".join(f"\x1b[{row};1H\x1b[2K" for row in range(rows, 0, -1))


def shown_again(said: Sequence[str], rows: int, width: int) -> list[str]:
    """The last lines that fit into so many rows of a terminal that wraps what is longer than `width`."""
    lines: list[str] = []
    for line in reversed(said):
        rows -= max(1, math.ceil(cell_len(line) / max(1, width)))
        if rows < 0:
            break
        lines.append(line)
    return lines[::-1]


def picture(snapshot: Snapshot, width: int) -> Group:
    """The bar with its headline, and the lines below it; at most `width` columns."""
    head = Text("  " + progress.headline(snapshot), no_wrap=True, overflow="ellipsis")
    done = progress.fraction(snapshot)
    lines = [Text(line, no_wrap=True, overflow="ellipsis") for line in progress.live_lines(snapshot, width)]
    room = width - len(head) - 3
    if done is None or room < 8:
        return Group(head, *lines)
    top = Table.grid(padding=(0, 1))
    top.add_row(head, ProgressBar(total=1.0, completed=done, width=min(room, 40)))
    return Group(top, *lines)
