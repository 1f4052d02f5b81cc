"""`run --on-end COMMAND`: a command of the user's own that is told how the run ended.

It is started after everything has been said, with the object of `--json` on its stdin, by `/bin/sh -c COMMAND`.  The
text is the user's and nothing is put into it: what the run was about, such as the name of a file, stands on stdin
alone, where no shell reads it.  The variables that hold secrets are not among its environment.  What it prints goes to
our stderr, since stdout belongs to `--json`.

It has `WITHIN_S`; then its process group gets SIGTERM, and SIGKILL after `GRACE_S`.  A signal ends the waiting.  If it
fails, that is told, and the run's exit code stays as it is.  Where a second signal makes us leave at once, it is
started and not waited for.

`posix_spawn` is used since it gives the child a signal mask of its own: in our threads the watched signals are blocked.

Not here: which ends there are, and when (`lifecycle`).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

from ..threads import started
from .secret import SECRET_ENV

WITHIN_S: Final = 60.0
"""Long enough for a mail or a request to a chat, short enough for cron to start the next run."""
GRACE_S: Final = 2.0
HANDED_S: Final = 0.3
"""A pipe takes the object at once; a command that does not read is not waited for longer."""


class OnEnd:
    """One command, started once.  `tell` tells a person what went wrong with it."""

    def __init__(
        self, command: str, tell: Callable[[str], object], *, env: Mapping[str, str], within_s: float = WITHIN_S
    ) -> None:
        self._command, self._tell, self._within_s = command, tell, within_s
        self._env = {name: value for name, value in env.items() if name not in SECRET_ENV}
        self._pid = 0
        self._is_begun = False
        self._status: int | None = None  # its wait status, once it ended
        self._has_news = threading.Event()  # it ended, or is not to be waited for

    def start(self, facts: Mapping[str, Any]) -> None:
        """Start it, if it was not started before, and give it the object."""
        if self._is_begun:
            return
        self._is_begun = True
        reading, writing = os.pipe()
        try:
            self._pid = os.posix_spawn(
                "/bin/sh",
                ["sh", "-c", self._command],
                self._env,
                file_actions=[(os.POSIX_SPAWN_DUP2, reading, 0), (os.POSIX_SPAWN_DUP2, 2, 1)],
                setpgroup=0,
                setsigmask=(),
                setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),  # Python ignores both
            )
        except OSError as error:
            self._tell(f"--on-end could not be started: {error.strerror}")
            os.close(writing)
            return
        finally:
            os.close(reading)
        handing = started(_hand, writing, (json.dumps(facts) + "\n").encode(), name="on-end-stdin")
        handing.join(HANDED_S)

    def wait(self) -> None:
        """Wait until it ended, as long as it may take, and tell if it failed."""
        if not self._pid:
            return
        reaping = started(self._reap, name="on-end")
        if not self._has_news.wait(self._within_s):
            for number in (signal.SIGTERM, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._pid, number)
                reaping.join(GRACE_S)
                if self._status is not None:
                    break
            self._tell(f"--on-end did not end within {self._within_s:g} s, so it was stopped")
        elif self._status is None:
            self._tell("--on-end is not waited for; it goes on by itself")
        elif code := os.waitstatus_to_exitcode(self._status):
            how = f"failed with exit {code}" if code > 0 else f"was ended by {signal.Signals(-code).name}"
            self._tell(f"--on-end {how}; the run's own exit code stays")

    def leave(self) -> None:
        """Wait no longer, if it was started; called by another thread."""
        if self._pid:
            self._has_news.set()

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            self._status = os.waitpid(self._pid, 0)[1]
        self._has_news.set()


def _hand(fd: int, data: bytes) -> None:
    """Write it all; a command that ends without reading is right too."""
    with contextlib.suppress(OSError), os.fdopen(fd, "wb", buffering=0) as pipe:
        while data:
            data = data[pipe.write(data) or 0 :]
