"""Everything that a running command says on stderr, written by one thread of its own.

A terminal can stop reading (Ctrl-S, a full pipe, a dead ssh) for hours.  If the event loop wrote to it, the run would
stand still and its requests in flight would become doubts.  So `Stderr` only queues; its thread writes, and what it
cannot write it drops: first progress (only the newest matters), then, past `QUEUE_LINES`, lines.  A stream that fails
is not tried again.

Two forms: text, where a `Screen` may draw progress below the lines, and JSON lines (`--log-format json`), where
everything said is an object with `at` and `event`.  What is said goes into the file of `--log-file` as well, and
progress with it, as lines.  No secret that the command knows is ever written (`Secrets`); no e-mail but those of the
command line goes into a file.

Invariant: no method but `settle` and `close` waits, and these wait at most the time they are given.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, TextIO

from ..model import Snapshot
from ..shell import visible
from .log_file import LogFile
from .secret import Secrets

QUEUE_LINES = 2_000
"""Lines waiting for a stderr that does not read; more are dropped and counted.  About 200 kB."""

FIRST_LINES = 50
"""Lines kept for a screen that comes into use when they are written."""


class Screen(Protocol):
    """What draws progress.  Called by the thread of `Stderr` only."""

    def line(self, text: str) -> None: ...
    def draw(self, snapshot: Snapshot) -> None: ...
    def close(self) -> None: ...


class Stderr:
    """Queue of what to print, and the thread that writes it."""

    def __init__(
        self,
        stream: TextIO | None,
        *,
        form: Literal["text", "json"] = "text",
        secrets: Sequence[str] = (),
        log: Path | None = None,
        own_name: str = "",
    ) -> None:
        """`log` is a file that gets all lines too; the e-mail `own_name` may stand there.  Raises `UsageError`."""
        self.form = form
        self._log = LogFile(log, warn=self.note, missing=self._missing, own_name=own_name) if log else None
        self._stream = stream
        self.is_terminal = stream is not None and is_terminal(stream)
        self._secrets = Secrets(secrets)
        self._screen: Screen = PlainScreen(self._write)
        self._lines: deque[str] = deque()
        self._written: deque[str] = deque(maxlen=FIRST_LINES)
        self._snapshot: Snapshot | None = None
        self._dropped = 0
        self._errors: set[str] = set()
        self._asked: Literal["", "settle", "close"] = ""
        self._wake = threading.Condition()
        self._thread = threading.Thread(target=self._write_queued, name="stderr", daemon=True)
        self._thread.start()

    @property
    def has_log(self) -> bool:
        """Whether there is a file that gets all lines."""
        return self._log is not None

    def use(self, screen: Screen) -> None:
        """Draw progress with `screen` from now on."""
        with self._wake:
            self._screen = screen

    def draw_over(self) -> None:
        """Draw progress over itself from now on, below the lines."""
        if self._stream is not None:
            from .live import LiveScreen

            with self._wake:
                earlier = [line for text in self._written for line in text.splitlines()]
            self.use(LiveScreen(self._stream, earlier=earlier))

    def keep_secret(self, secret: str | None) -> None:
        if secret:
            self._secrets.add(secret)

    def print(self, text: str, /, **facts: Any) -> None:
        """A line (or several) for people; in JSON form an object with the `facts`, its `event` "said" if unnamed.

        In a log an event's line begins with date, time and zone, since it may be read days later; so does progress
        wherever it is lines.
        """
        self.log(text, **facts)
        if self.form == "json":
            text = json_line({"event": "said", **facts, "text": text})
        else:
            is_log = self._stream is not None and not self.is_terminal
            is_dated = (is_log and "event" in facts) or facts.get("event") == "progress"
            text = visible(dated(text) if is_dated else text)
        with self._wake:
            if len(self._lines) >= QUEUE_LINES:
                self._dropped += 1
                return
            self._lines.append(self._secrets.strike(text))
            self._wake.notify()

    def note(self, text: str) -> None:
        """As `print`, for what a person should know, though nothing ends of it."""
        self.print(f"note: {text}", event="note")

    def log(self, text: str, /, **facts: Any) -> None:
        """As `print`, for the log file alone; each of its lines begins with date, time and zone."""
        if self._log is None:
            return
        if self.form == "json":
            lines = [json_line({"event": "said", **facts, "text": text})]
        else:
            lines = [visible(dated(line)) for line in text.splitlines() if line]
        for line in lines:
            self._log.add(self._secrets.strike(line))

    def print_once(self, text: str, /, **facts: Any) -> None:
        """As `print`, for an error that ends the command: in text once, though it is told when it happens and at the
        end."""
        if self.form == "text" and text in self._errors:
            return
        self._errors.add(text)
        self.print(text, **facts)

    def draw(self, snapshot: Snapshot) -> None:
        """Progress as it stands; replaces one that is not drawn yet."""
        with self._wake:
            self._snapshot = snapshot
            self._wake.notify()

    def settle(self, timeout_s: float = 2.0) -> None:
        """Write what is queued and draw no more, so that another process may write there; wait as `close` does."""
        with self._wake:
            self._asked = self._asked or "settle"
            self._wake.notify_all()
            self._wake.wait_for(lambda: self._asked != "settle", timeout_s)

    def close(self, timeout_s: float = 2.0) -> None:
        """Write what is queued, but wait no longer than `timeout_s`.  A second call does nothing."""
        with self._wake:
            self._asked = "close"
            self._wake.notify_all()
        self._thread.join(timeout_s)
        if self._log is not None:
            self._log.close(timeout_s)

    def _write_queued(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # they are for `signals`' thread
        while True:
            with self._wake:
                while not (self._lines or self._snapshot or self._asked):
                    self._wake.wait()
                lines, self._lines = self._lines, deque()
                self._written.extend(lines)
                snapshot, self._snapshot = self._snapshot, None
                dropped, self._dropped = self._dropped, 0
                screen, asked = self._screen, self._asked
            for line in lines:
                screen.line(line)
            if dropped:
                screen.line(f"({dropped:,} lines were dropped: nobody read stderr)")
            if snapshot is not None and not asked:
                screen.draw(snapshot)
            if asked and not lines:
                screen.close()
                if asked == "close":
                    return
                self._settled()

    def _settled(self) -> None:
        with self._wake:
            self._screen = PlainScreen(self._write)
            self._asked = "" if self._asked == "settle" else self._asked
            self._wake.notify_all()

    def _missing(self, count: int, why: str) -> str:
        """The line in the log in the place of those that could not be written."""
        text = f"({count:,} {'line is' if count == 1 else 'lines are'} missing here: {why})"
        return json_line({"event": "missing", "count": count, "text": text}) if self.form == "json" else dated(text)

    def _write(self, text: str) -> None:
        if self._stream is None:
            return
        try:
            self._stream.write(text + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            self._stream = None  # closed, or its reader is gone: the run goes on in silence


def own_stderr() -> TextIO | None:
    """A stream of our own onto stderr.  A thread that hangs in a write holds the lock of its stream, and then whoever
    flushes that stream at exit would hang as well: so it must not be `sys.stderr`."""
    if sys.stderr is not sys.__stderr__ or sys.stderr is None:
        return sys.stderr  # a test captures it
    # Open until the process ends, since a thread may hang in it; `closefd` keeps Python's warning of that out of sight.
    return os.fdopen(os.dup(sys.stderr.fileno()), "w", encoding="utf-8", errors="backslashreplace", closefd=False)


class PlainScreen:
    """Lines and nothing else; progress is a line too."""

    def __init__(self, write: Any) -> None:
        self.line = write

    def draw(self, snapshot: Snapshot) -> None:
        """Nothing: this screen has no place that is drawn over."""

    def close(self) -> None:
        """Nothing is held."""


def is_terminal(stream: TextIO) -> bool:
    with contextlib.suppress(ValueError):  # closed
        return stream.isatty()
    return False


def stamp() -> str:
    """Now, as local time to the second with its zone."""
    return datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S %Z").rstrip()


def dated(text: str) -> str:
    return f"{stamp()}  {text}"


def json_line(facts: Mapping[str, Any]) -> str:
    """One object on one line, with the time in UTC first."""
    at = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line = json.dumps({"at": at, **facts}, ensure_ascii=False, default=str)
    return line if line.isprintable() else "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in line)
