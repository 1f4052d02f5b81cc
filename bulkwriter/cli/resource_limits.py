"""Whether the system's limits leave a run enough: files it may open, and threads it may start.

Without it things fail one by one, each in a way of its own (uvloop aborts, SQLite "cannot open", an import does not
find its module), and none of them names the limit.  So a command that runs an event loop asks first, by doing it: it
opens `FILES` files and starts `THREADS` threads at once, and ends them, which takes less than a millisecond.

Not here: how many connections fit in what is left (`net.pool.most_lanes`).
"""

from __future__ import annotations

import errno
import os
import threading
from typing import Final

from ..errors import UsageError
from ..threads import LIMITS

FILES: Final = 32
"""The loop has 5 to 8, journal, ledger and their side files 12, the source, a lane; an import opens one or two more."""
THREADS: Final = 8
"""stderr, signals and their last words, journal, source, ledger, what was learnt, and one that looks names up."""


def require_resources() -> None:
    """Raise `UsageError`, which names the limit, where one is too low."""
    require_files()
    require_threads()


def require_files() -> None:
    opened: list[int] = []
    try:
        for _ in range(FILES):
            opened.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))  # noqa: PERF401 closed after a failure too
    except OSError as error:
        if error.errno not in (errno.EMFILE, errno.ENFILE):
            return  # no such device here: then nothing is known
        is_ours = error.errno == errno.EMFILE
        raise UsageError(
            f"{error.strerror}: this process may open {len(opened)} more, and a run needs {FILES}",
            hint="give it more, ulimit -n 1024, and then the same command"
            if is_ours
            else "the whole system has too many open (fs.file-max); the same command when there are fewer",
        ) from None
    finally:
        for file in opened:
            os.close(file)


def require_threads() -> None:
    is_over = threading.Event()
    threads = [threading.Thread(target=is_over.wait, daemon=True) for _ in range(THREADS)]
    started = 0
    try:
        for thread in threads:
            thread.start()
            started += 1
    except RuntimeError as error:
        raise UsageError(
            f"{error}: this process may start {started} more, and a run needs {THREADS}",
            hint=LIMITS,
        ) from None
    finally:
        is_over.set()
        for thread in threads[:started]:
            thread.join()
