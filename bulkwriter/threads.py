"""Starts the threads that wait for disks and pipes: daemons, since what hangs there must not keep a process alive.

Where the system leaves no room for one more, Python says `RuntimeError: can't start new thread`; whoever asked for the
thread gets a `UsageError` that names the limits instead.

Not here: what the threads do, and how they end.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

from .errors import UsageError

LIMITS: Final = "see the limits on processes and memory (ulimit -u, ulimit -v; pids.max of a container or service)"


def started(target: Callable[..., Any], *args: Any, name: str) -> threading.Thread:
    """A thread that runs `target(*args)`."""
    thread = threading.Thread(target=target, args=args, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError as error:
        raise UsageError(f"{error} ({name})", hint=LIMITS) from None
    return thread
