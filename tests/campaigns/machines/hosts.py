"""Hosts of a campaign: processes that have a clock since boot, a boot id, a machine id and folders of their own.

Where the system allows it, a host is a mount and a time namespace (`unshare -m -T --boottime N`) with two files mounted
over those that tell the ids.  Where it does not, a host is folders alone.  `isolation` says which; campaigns print it.
There is no namespace for the network: a host's way to the database is a proxy of its own (`proxy`).

`replace` puts another machine in its place: nothing on its disk, another clock, other ids.
Source: unshare(1), time_namespaces(7).
"""

from __future__ import annotations

import os
import random
import shlex
import signal
import subprocess
import sys
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.conftest import CANARY

BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
MACHINE_ID: Final = Path("/etc/machine-id")
WAYS: Final = (("unshare", "-m", "-T"), ("unshare", "-U", "-r", "-m", "-T"))
"""As root; then as a user whom the system lets make namespaces."""
HIDDEN: Final = "mount --bind /dev/null /proc/$$/timens_offsets"
"""What a namespace adds to the clock is not to be seen, or it would be taken off: a host's clock is another one."""
MOST_BOOT_S: Final = 3_000_000
"""A clock since boot that is up to a month ahead of this machine's: it must be compared with nobody else's."""


def isolation() -> tuple[str, ...]:
    """The command that makes a host's namespaces here, or () where nobody may."""
    for way in WAYS:
        mounts = f"mount --bind {MACHINE_ID} {BOOT_ID} && {HIDDEN}"
        with suppress(OSError, subprocess.SubprocessError):
            subprocess.run(
                [*way, "--boottime", "1", "sh", "-c", mounts], check=True, capture_output=True, timeout=10
            )  # fmt: skip
            return way
    return ()


class Host:
    """One host.  Processes of it are started by `start`; they are this process's children, and signals reach them."""

    def __init__(self, name: str, root: Path, way: Sequence[str], rng: random.Random) -> None:
        self.name = name
        self._root, self._way, self._rng = root, way, rng
        self._machines = 0
        self.folder = root
        self._boottime_s = 0
        self.replace()

    def replace(self) -> None:
        """Another machine in this one's place."""
        self._machines += 1
        self.folder = self._root / f"{self.name}.{self._machines}"
        self.folder.mkdir()
        self._boottime_s = self._rng.randrange(1, MOST_BOOT_S)
        boot, machine = (uuid.UUID(int=self._rng.getrandbits(128), version=4) for _ in range(2))
        (self.folder / "boot_id").write_text(f"{boot}\n", encoding="ascii")
        (self.folder / "machine_id").write_text(f"{machine.hex}\n", encoding="ascii")

    def start(self, *argv: str, module: str = "bulkwriter", env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        """Start `python -m module argv` on this host; what it says is appended to `log` in the host's folder."""
        command = [sys.executable, "-m", module, *argv]
        if self._way:
            ids = f"mount --bind {shlex.quote(str(self.folder / 'boot_id'))} {BOOT_ID}"
            ids += f" && mount --bind {shlex.quote(str(self.folder / 'machine_id'))} {MACHINE_ID}"
            ids += f" && {HIDDEN}"
            script = f"{ids} && exec {shlex.join(command)}"
            command = [*self._way, "--boottime", str(self._boottime_s), "sh", "-c", script]
        home = str(self.folder)
        own = {"HOME": home, "XDG_STATE_HOME": home, "XDG_CACHE_HOME": home, "XDG_CONFIG_HOME": home}
        with (self.folder / "log").open("a", encoding="utf-8") as log, (self.folder / "out").open("w") as out:
            return subprocess.Popen(
                command, text=True, stdin=subprocess.DEVNULL, stdout=out, stderr=log, start_new_session=True,
                env={**os.environ, **own, "BULKWRITER_TOKEN": CANARY, **(env or {})},
            )  # fmt: skip

    def says(self) -> str:
        """All that the processes of this machine have said."""
        said = (self.folder / name for name in ("log", "out"))
        return "".join(path.read_text(encoding="utf-8", errors="replace") for path in said if path.exists())


def end(process: subprocess.Popen[str]) -> None:
    """Kill a process, stopped or not, and wait for its end."""
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGKILL)
    process.wait()
