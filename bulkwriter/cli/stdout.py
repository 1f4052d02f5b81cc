"""stdout as the commands see it: whatever they write there, a stdout that fails is noticed once and told at the end.

`main` puts a `Stdout` in the place of `sys.stdout` for the time of one command line, so that everybody who writes there
(`put`, click's `--help`, the CSV of `export`) goes through it.  It never raises: the first failure ends the
writing, and `settle` then answers with the exit code and the sentence for stderr:

    its reader closed it (`| head`)                                nothing to say, the command's own code
    it is full, closed, or failing                                 "error: cannot write stdout: …", 74
    the same, in a `run` that has another code than 0 to tell       the same sentence, the run's own code

A usage error stays a usage error.  `is_read` tells whoever has much to write whether anybody still takes it.

A pipe that is full and that nobody reads makes a writer wait, for ever if need be.  That is right for a long text,
which somebody may read page by page (`export | less`), and wrong for the one line with which a run ends, while signals
are still ours: `write_last` waits for `LAST_S`, and what nobody took by then is told as any other failure.
"""

from __future__ import annotations

import errno
import io
import json
import os
import select
import sys
import time
from collections.abc import Mapping
from typing import Any, Final, TextIO

from ..errors import Exit
from ..shell import visible

LAST_S: Final = 10.0
"""A reader that takes nothing for longer, of a pipe that is full, has been forgotten: no person waits so for a line."""


def put(text: str) -> None:
    """A line on stdout, at once."""
    sys.stdout.write(visible(text) + "\n")
    sys.stdout.flush()


def put_json(facts: Mapping[str, Any]) -> None:
    """The object that ends a command's stdout."""
    text = json.dumps(facts)
    if isinstance(sys.stdout, Stdout):
        sys.stdout.write_last(text + "\n")
    else:
        put(text)


class Stdout(io.TextIOBase):
    """A stream in front of stdout that remembers why it could not be written, and raises nothing."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self.is_gone = False  # nothing that is written arrives any more
        self.trouble = ""  # why, or "" where its reader just left
        self.buffer = Bytes(self)  # click writes the scripts of shell completion as bytes

    @property
    def encoding(self) -> str:  # type: ignore[override]  # read-only: nobody sets it
        return getattr(self._stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        if not isinstance(text, str):  # click tries it out, and then looks for `buffer`
            raise TypeError("only text can be written here")
        if not self.is_gone:
            try:
                if self._stream is None:
                    raise ValueError("closed")
                self._stream.write(text)
            except (OSError, ValueError) as e:
                self._give_up(e)
        return len(text)

    def write_last(self, text: str, *, within_s: float = LAST_S) -> None:
        """Write the line that ends a command, or give it up when nobody takes it in time."""
        self.flush()
        if self._stream is None or self.is_gone or (fd := fd_of(self._stream)) is None:
            self.write(text)
            return
        try:
            if not write_within(fd, text.encode(self.encoding, "backslashreplace"), within_s):
                self.is_gone, self.trouble = True, f"nobody read it for {within_s:g} s"
        except OSError as e:
            self._give_up(e)

    def flush(self) -> None:
        if self._stream is not None and not self.is_gone:
            try:
                self._stream.flush()
            except (OSError, ValueError) as e:
                self._give_up(e)

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        try:
            return self._stream is not None and self._stream.isatty()
        except ValueError:  # it is closed
            return False

    def fileno(self) -> int:
        if self._stream is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return self._stream.fileno()

    def settle(self, code: int, *, is_run: bool) -> tuple[int, str]:
        """Write what is left; then the exit code of a command that ended with `code`, and what to say on stderr."""
        self.flush()
        if not self.trouble:
            return code, ""
        keeps_its_own = code == Exit.USAGE or (is_run and code != Exit.OK)
        return code if keeps_its_own else int(Exit.STDOUT), f"error: cannot write stdout: {self.trouble}"

    def _give_up(self, error: OSError | ValueError) -> None:
        self.is_gone = True
        if isinstance(error, BrokenPipeError):
            return
        if isinstance(error, OSError) and error.errno != errno.EBADF:
            self.trouble = error.strerror or str(error)
        else:
            self.trouble = "it is closed"


class Bytes(io.RawIOBase):
    """The same stream for UTF-8 bytes."""

    def __init__(self, text: Stdout) -> None:
        self._text = text

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._text.write(bytes(data).decode("utf-8", "replace"))
        return len(data)

    def flush(self) -> None:
        if not self.closed:
            self._text.flush()


def fd_of(stream: TextIO) -> int | None:
    """Its file descriptor, if it has one of its own."""
    try:
        return stream.fileno()
    except (OSError, ValueError):
        return None


def write_within(fd: int, data: bytes, within_s: float) -> bool:
    """Write all of it, or give up after `within_s` without a reader: False.  Raises `OSError`.

    By pieces that a pipe takes at once when `poll` calls it ready.  Not by making it non-blocking: that would be so for
    everybody who has the pipe.
    """
    waiting = select.poll()
    waiting.register(fd, select.POLLOUT)
    deadline = time.monotonic() + within_s
    while data:
        if not waiting.poll(max(0.0, deadline - time.monotonic()) * 1_000):
            return False
        data = data[os.write(fd, data[: select.PIPE_BUF]) :]
    return True


def is_read() -> bool:
    """Whether what is written to stdout arrives, as far as is known."""
    return not (isinstance(sys.stdout, Stdout) and sys.stdout.is_gone)
