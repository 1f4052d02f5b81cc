"""The start and the end of the process, for `bulkwriter` and `python -m bulkwriter`.

This module deals with the process alone:

- A standard stream that the caller closed is opened on the null device.  Otherwise the next opened file, such as a
  journal, would become "standard error" and be written to.
- The limit on open files is raised as far as the system allows.  Each connection is a file, and the usual limit is
  1,024, on macOS 256.
- A thread that hangs in a read or a write does not hold up the end of the process.  All that must last is durable by
  then.
- A Ctrl-C while modules are imported ends the process by that signal, and not with a traceback: nothing has begun.  One
  after the end changes nothing.  So this module imports little before `main`.
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]  # what `signal` wraps, without the enums that take a while
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # `typing` itself would take a while
    from typing import NoReturn

COLLECT_AFTER = 50_000
"""New objects before the garbage collector looks for cycles; 700 by default.  Each pair makes some ten objects that
live for a tenth of a second and are in no cycle.  To look through them took 3.5% of a run's CPU, and 5% of a start's.
"""
MOST_FILES = 8_192
"""Twice the most connections that a setting may ask for."""


NOT_HERE = (
    "bulkwriter runs on Linux and macOS, not on Windows itself: "
    "run it in WSL (wsl --install, then install it in there) or in a Linux container\n"
)


def main(platform: str = sys.platform) -> None:
    if platform == "win32":  # said before anything is imported that is not there
        sys.stderr.write(NOT_HERE)
        sys.exit(2)
    is_heeded = set_sigint(signal.SIG_DFL)
    import gc

    gc.set_threshold(COLLECT_AFTER, 20, 50)
    open_standard_streams()
    allow_files()
    from .cli.main import main as command_line

    try:
        if is_heeded:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        code = command_line(sys.argv[1:])
    except KeyboardInterrupt:  # just before the command began, or just after its end
        code = 130
    leave(code)


def set_sigint(handler: int) -> bool:
    """Handle SIGINT so, where it is handled as Python does by itself; whoever ignores it goes on ignoring it."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return False
    signal.signal(signal.SIGINT, handler)
    return True


def open_standard_streams() -> None:
    for fd, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(fd)
        except OSError:
            # Takes the lowest free number, which is this one.  To write to a closed stdout must fail, and be told.
            os.open(os.devnull, os.O_RDONLY if fd == 1 else os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, open(fd, mode, encoding="utf-8"))  # noqa: PTH123, SIM115  a descriptor, open for good
    import io

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal without UTF-8 must not make us fall silent


def allow_files() -> None:
    """Raise this process's own limit on open files as far as allowed."""
    from contextlib import suppress

    with suppress(ImportError, OSError, ValueError):  # Windows has none; macOS refuses more than its kernel's
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = min(hard, MOST_FILES) if hard >= 0 else MOST_FILES  # below 0: any number
        if 0 <= soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def leave(code: int) -> NoReturn:
    """End the process with `code`, whatever the state of the standard streams and of other threads."""
    import threading

    set_sigint(signal.SIG_IGN)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # else the exit code would become 120
    if threading.active_count() > 1:  # a hanging one would delay or even crash an orderly exit
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    main()
