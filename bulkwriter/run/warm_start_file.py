"""What a run learnt of a server's own limit, kept beside the ledger for the next one: a small JSON file an account.

    LEDGER-<account>.learnt    {"account": "https://…", "at": 1764000000.0, "rate_per_s": 98.2}

`at` is epoch seconds; a rate of 0 means that no limit showed.  `<account>` is the beginning of a hash, as in the names
of pages and tills.  Apart from the ledger itself, because nothing depends on it: a file that cannot be read is as good
as none, one that cannot be written is forgone, and no run ends for either.  It is written under another name and then
put in its place, so that it is never half there; 0600; not synced, since what a power cut takes is only a head start.

Invariant: never raises; what was in the way is told in words.  Not here: what is made of it (`adaptive.memory`).
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any, Final, NamedTuple

from ..quota.till import stem
from ..store.private import make_folder

BYTES_MAX: Final = 4_096


class Found(NamedTuple):
    """What an earlier run learnt, how long ago, and what kept it from being read."""

    learnt: dict[str, Any]
    age_s: float
    trouble: str = ""


class LearntFile:
    """One account's file; both methods block."""

    def __init__(self, ledger: Path, account: str) -> None:
        self.path = ledger.with_name(stem(ledger, account).rstrip("-") + ".learnt")
        self._account = account

    def read(self, wall: float) -> Found:
        """What is kept; nothing where there is no file."""
        try:
            with self.path.open("rb") as file:
                kept = json.loads(file.read(BYTES_MAX))
            if kept.get("account") != self._account:
                raise ValueError("it is another account's")
            return Found(kept, wall - float(kept["at"]))
        except FileNotFoundError:
            return Found({}, 0.0)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
            return Found({}, 0.0, f"{self.path}: {words_of(e)}")

    def write(self, learnt: dict[str, float], wall: float) -> str:
        """Keep it.  Returns "", or what is in the way."""
        text = json.dumps({"account": self._account, "at": round(wall, 3), **learnt})
        other = self.path.with_name(f"{self.path.name}-{os.getpid()}")
        try:
            make_folder(self.path.parent)
            other.unlink(missing_ok=True)  # of a process that died with this number
            fd = os.open(other, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "w", encoding="utf-8") as file:
                file.write(text)
            other.replace(self.path)
        except OSError as e:
            with contextlib.suppress(OSError):
                other.unlink(missing_ok=True)
            return f"{self.path}: {words_of(e)}"
        return ""


def words_of(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return f"not as it was written ({type(error).__name__})"
