"""SIGINT, SIGTERM and SIGHUP: the first drains, the second aborts at once, even when the disk or the loop hangs.

A Python signal handler runs only when the main thread gets to run Python again, which it does not while it hangs in a
disk or in a long call.  So while `Signals` is entered the three signals are blocked in every thread, and one thread
of its own waits for them with `sigwait`.  The first calls `on_first` there and then (it must be thread-safe and
quick); any later one calls `on_second` with the exit code in yet another thread, waits for it half a second at most,
since a terminal can hang too, and leaves with `os._exit`: nothing is flushed, and nothing needs to be, because whatever
counts is durable before it is told.

The first signal may come twice: `timeout` sends it to the process and to its group, and wrappers pass on what the
terminal sent to all.  So the same signal again within `ECHO_S` is its echo; no person is so fast.

A signal that the starter ignores stays ignored, each of the three: nohup ignores SIGHUP, `trap '' INT` in a script what
a terminal sends to all of its jobs, and shells ignore SIGINT for each job that a script starts with `&`.  SIGTERM ends
such a job in good order.

Exit codes: 128 + the number of the first signal: 130, 143, 129.  Children inherit the blocked mask: start none
inside.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType

WATCHED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LAST_WORDS_S = 0.5
ECHO_S = 0.1


def heeded(signals: Sequence[signal.Signals]) -> list[signal.Signals]:
    """Those of `signals` that whoever started this process does not ignore."""
    return [number for number in signals if signal.getsignal(number) is not signal.SIG_IGN]


class Signals:
    """Context manager that watches for signals.  `first` is the signal that came first, or None."""

    def __init__(
        self,
        *,
        on_first: Callable[[signal.Signals], None],
        on_second: Callable[[int], None],
        leave: Callable[[int], object] = os._exit,
        echo_s: float = ECHO_S,
    ) -> None:
        self.first: signal.Signals | None = None
        self._on_first = on_first
        self._on_second = on_second
        self._leave = leave
        self._echo_s = echo_s
        self._is_over = False
        self._watched = heeded(WATCHED)
        self._old_mask: set[int | signal.Signals] = set()
        self._thread = threading.Thread(target=self._watch, name="signals", daemon=True)

    @property
    def exit_code(self) -> int | None:
        """128 + the first signal, or None when none came."""
        return None if self.first is None else 128 + int(self.first)

    def __enter__(self) -> Signals:
        self._old_mask = set(signal.pthread_sigmask(signal.SIG_BLOCK, self._watched))
        if self._watched:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over = True
        if self._thread.ident is not None and self._thread.is_alive():
            signal.pthread_kill(self._thread.ident, self._watched[0])  # wakes it; it sees that all is over
            self._thread.join(1.0)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._old_mask)

    def _watch(self) -> None:
        echo_until = 0.0
        while True:
            number = signal.sigwait(self._watched)
            if self._is_over:
                return
            if self.first is None:
                self.first = signal.Signals(number)
                echo_until = time.monotonic() + self._echo_s
                self._on_first(self.first)
                continue
            if number == self.first and time.monotonic() < echo_until:
                continue
            code = 128 + int(self.first)
            last_words = threading.Thread(target=self._on_second, args=(code,), daemon=True)
            last_words.start()
            last_words.join(LAST_WORDS_S)
            self._leave(code)
