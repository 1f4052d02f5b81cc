"""Starts the threads that wait for disks and pipes.

They are daemons, since a hanging thread must not keep a process alive.

If the system has no room for one more thread, Python says `RuntimeError: can't start new thread`.  The caller then gets
a `UsageError` that names the limits instead.

Not here: what the threads do, and how they end.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

from .errors import UsageError

LIMITS: Final = "see the limits on processes and memory (ulimit -u, ulimit -v; pids.max of a container or service)"


def started(target: Callable[..., Any], *args: Any, name: str) -> threading.Thread:
    """Start a thread that runs `target(*args)`."""
    thread = threading.Thread(target=target, args=args, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError as error:
        raise UsageError(f"{error} ({name})", hint=LIMITS) from None
    return thread
