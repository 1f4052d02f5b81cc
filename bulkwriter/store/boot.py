"""The clock since boot, and which boot it is.  They make the ledger independent of the wall clock while a machine runs.

`boot_clock` counts seconds since this machine started, sleep included.  Nobody can change it.  `boot_id` tells boots
apart.  A system without `CLOCK_BOOTTIME` gives its monotonic clock; on macOS that one counts sleep too.  A system
without an id of its boot gives "", and the ledger then uses the wall clock alone.

Invariant: two processes of one machine and boot see the same clock and the same id.
Source: clock_gettime(2); random(4), /proc/sys/kernel/random/boot_id; sysctl(3), kern.bootsessionuuid.
"""

from __future__ import annotations

import platform
import subprocess
import time
from pathlib import Path
from typing import Final

CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


def boot_clock() -> float:
    """Seconds since boot."""
    return time.clock_gettime(CLOCK)


def boot_id() -> str:
    """A name for this boot, or ""."""
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        pass
    if platform.system() != "Darwin":
        return ""
    try:
        asked = ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"]
        return subprocess.run(asked, capture_output=True, text=True, timeout=5, check=True).stdout.strip()  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return ""
