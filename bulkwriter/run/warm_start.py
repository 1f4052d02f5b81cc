"""The warm start: the next run of an account begins at the server's rate limit as the last run found it.

    LEDGER-<account>.learnt    {"account": "https://…", "at": 1764000000.0, "rate_per_s": 98.2}

`at` is in epoch seconds.  A rate of 0 means that no limit showed.  `<account>` is the beginning of a hash.
The file is apart from the ledger because nothing depends on it.  If it cannot
be read or written, the run goes on without it.  It is written under another name and then renamed, so it is never half
there.  Its mode is 0600.  It is not synced: a power cut costs only a head start.

A run reads the file once, before it sends.  It writes the file at its end, and every `EVERY_S` if the rate differs from
the last one written by more than `SAME`.  A separate thread waits for the disk, and the run waits for that thread no
longer than `WAIT_S`.  So a full disk, a hanging disk or a damaged file can only make the next run search again.
Observers hear of it.

Invariant: there is at most one such thread, and it is a daemon, so that a process can always end.  Not here: what the
controller makes of the rate (`adaptive.memory`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import anyio

from ..events import NotRemembered, Remembered
from ..quota.build import windows_for
from ..quota.ledger import account_key, ledger_path
from ..settings import Settings
from ..store.private import make_folder
from ..threads import begun

if TYPE_CHECKING:
    from .engine import Engine

T = TypeVar("T")

BYTES_MAX: Final = 4_096
EVERY_S: Final = 60.0
WAIT_S: Final = 2.0
SAME: Final = 0.01
SLOW: Final = "the disk takes too long"


class Found(NamedTuple):
    """What an earlier run kept, how long ago, and the trouble in reading it."""

    kept: dict[str, Any]
    age_s: float
    trouble: str = ""


class WarmStart:
    """Reads `file` when a process begins, and writes it later."""

    def __init__(self, file: WarmStartFile, wall: Callable[[], float], *, wait_s: float = WAIT_S) -> None:
        self._file, self._wall, self._wait_s = file, wall, wait_s
        self._thread: threading.Thread | None = None
        self._rate = -1.0
        self.found: Found | None = None

    async def read(self) -> None:
        """Read what an earlier run kept."""
        self.found = await self._beside(lambda: self._file.read(self._wall()))

    def restore(self, engine: Engine) -> None:
        """Give the controller the rate that was found."""
        found = self.found
        if found is None or found.trouble:
            engine.run.tell(NotRemembered(found.trouble if found else SLOW))
        elif rate := engine.admission.control.restore(found.kept, found.age_s):
            engine.run.tell(Remembered(rate, found.age_s))

    async def keep(self, engine: Engine) -> None:
        """Write again and again, whenever the controller has found another rate."""
        while True:
            await engine.ports.clocks.idle(EVERY_S)
            rate = engine.admission.control.learnt().get("rate_per_s", self._rate)
            if abs(rate - self._rate) > SAME * self._rate:
                await self.keep_now(engine)

    async def keep_now(self, engine: Engine) -> None:
        """Write the rate that the controller has found, if any."""
        kept = engine.admission.control.learnt()
        if not kept or (self._thread and self._thread.is_alive()):
            return
        trouble = await self._beside(lambda: self._file.write(kept, self._wall()))
        if trouble == "":
            self._rate = kept["rate_per_s"]
        else:
            engine.run.tell(NotRemembered(trouble or SLOW))

    async def _beside(self, step: Callable[[], T]) -> T | None:
        """Run `step` in a thread and return its result; None if that takes too long."""
        self._thread, done = begun(step, name="warm start")
        with anyio.move_on_after(self._wait_s):
            return await done
        return None


class WarmStartFile:
    """One account's file.  Both methods block.  Neither raises; trouble is returned as text."""

    def __init__(self, ledger: Path, account: str) -> None:
        self.path = ledger.with_name(f"{ledger.name}-{hashlib.sha256(account.encode()).hexdigest()[:12]}.learnt")
        self._account = account

    def read(self, wall: float) -> Found:
        """Read the file.  Nothing is kept if there is none."""
        try:
            with self.path.open("rb") as file:
                kept = json.loads(file.read(BYTES_MAX))
            if kept.get("account") != self._account:
                raise ValueError("it is another account's")
            return Found(kept, wall - float(kept["at"]))
        except FileNotFoundError:
            return Found({}, 0.0)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
            return Found({}, 0.0, f"{self.path}: {reason_of(e)}")

    def write(self, kept: dict[str, float], wall: float) -> str:
        """Write the file.  Returns "", or the reason why that failed."""
        text = json.dumps({"account": self._account, "at": round(wall, 3), **kept})
        other = self.path.with_name(f"{self.path.name}-{os.getpid()}")
        try:
            make_folder(self.path.parent)
            other.unlink(missing_ok=True)  # left by a dead process with this number
            fd = os.open(other, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "w", encoding="utf-8") as file:
                file.write(text)
            other.replace(self.path)
        except OSError as e:
            with contextlib.suppress(OSError):
                other.unlink(missing_ok=True)
            return f"{self.path}: {reason_of(e)}"
        return ""


def warm_start_for(settings: Settings, wall: Callable[[], float]) -> WarmStart | None:
    """The warm start of this account.  Its file stands beside the ledger.

    There is none for loopback, since another server may listen on that port tomorrow.  It is kept all the same if an
    account, a ledger or a quota is named.
    """
    if settings.is_loopback and not (settings.account or settings.ledger or windows_for(settings)):
        return None
    file = WarmStartFile(ledger_path(settings.ledger), account_key(settings.base_url, settings.account))
    return WarmStart(file, wall)


def reason_of(error: Exception) -> str:
    """Why a file could not be read or written, in words."""
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return f"not as it was written ({type(error).__name__})"
