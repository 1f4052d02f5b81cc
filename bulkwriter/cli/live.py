"""Progress drawn over itself on a terminal, with rich: a bar, then the lines of `progress.live_lines`.

The only module that imports rich, and it is imported only for `--progress rich` or a terminal.  Its `LiveScreen` is
called by the voice's thread alone, so no lock and no refresh thread of rich's own.  Lines said meanwhile go above the
display.  A terminal that fails is given up: the run goes on in silence.

`NO_COLOR`, `TERM=dumb` and the width of the terminal are rich's business; it re-reads the width at each drawing.
"""

from __future__ import annotations

from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ..model import Snapshot
from . import progress


class LiveScreen:
    """A `voice.Screen` that draws with rich."""

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream, highlight=False, markup=False, emoji=False, force_terminal=True)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._is_usable = True

    def line(self, text: str) -> None:
        self._try(lambda: self._console.print(Text(text), soft_wrap=True))

    def draw(self, snapshot: Snapshot) -> None:
        def update() -> None:
            if not self._live.is_started:
                self._live.start()
            self._live.update(picture(snapshot, self._console.width), refresh=True)

        self._try(update)

    def close(self) -> None:
        self._try(self._live.stop)

    def _try(self, act: object) -> None:
        if not self._is_usable:
            return
        try:
            act()  # type: ignore[operator]
        except (OSError, ValueError):
            self._is_usable = False  # the terminal is gone


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
