"""The clock since boot, which boot it is, and which machine.  They make the ledger independent of the wall clock.

`boot_clock` counts seconds since this machine started, sleep included.  Nobody can change it.  A system without
`CLOCK_BOOTTIME` gives its monotonic clock; on macOS that one counts sleep too.

`boot_id` tells boots apart, and `machine_id` machines.  What each of them can show:

    same boot id               the same clock.  So do containers of one host, which share the kernel's boot id, whatever
                               their machine id says.  What a time namespace adds to a container's clock is taken off
    other boot id              another clock, and nothing is known of how far it is from ours
    same machine id beside it  probably an earlier boot of this machine; but images and templates carry machine ids to
                               many machines, so that this alone proves nothing
    "" for either              unknown: equal to nothing, not even to another ""

Invariant: two processes with the same boot id, not "", see the same clock.  A virtual machine that is restored from a
snapshot of its memory, or copied while it runs, breaks it: nothing inside can tell.
Source: clock_gettime(2); time_namespaces(7); random(4), /proc/sys/kernel/random/boot_id; machine-id(5);
sysctl(3), kern.bootsessionuuid; IOPlatformUUID of ioreg(8).
"""

from __future__ import annotations

import platform
import re
import subprocess
import time
from pathlib import Path
from typing import Final

CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
TIME_OFFSETS: Final = Path("/proc/self/timens_offsets")
TIME_NAMESPACES: Final = (Path("/proc/self/ns/time"), Path("/proc/self/ns/time_for_children"))
MACHINE_IDS: Final = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))
MACHINE_ID: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
"""Anything else is not an id: an image that was never started holds "uninitialized"."""
PLATFORM_ID: Final = re.compile(r'"IOPlatformUUID" = "([0-9A-Fa-f-]{36})"')
ASK_S: Final = 5.0
"""The longest wait for a system's own command; they take milliseconds."""


def boot_clock() -> float:
    """Seconds since boot."""
    return time.clock_gettime(CLOCK) - OFFSET_S


def boot_id() -> str:
    """A name for this boot and its clock, or ""."""
    name = first_line(BOOT_ID)
    if name:
        return name + of_another_clock()
    return said_by("/usr/sbin/sysctl", "-n", "kern.bootsessionuuid") if platform.system() == "Darwin" else ""


def machine_id() -> str:
    """A name for this machine, or ""."""
    for path in MACHINE_IDS:
        name = first_line(path)
        if MACHINE_ID.fullmatch(name):
            return name
    if platform.system() == "Darwin":
        found = PLATFORM_ID.search(said_by("/usr/sbin/ioreg", "-rd1", "-c", "IOPlatformExpertDevice"))
        return found[1].lower() if found else ""
    return ""


def added_s() -> float:
    """What the time namespace of this process adds to the clock since boot, for as long as it lives.

    Lines of the file are like `boottime 86400 0`: seconds and nanoseconds.
    """
    for line in [] if of_another_clock() else text_of(TIME_OFFSETS).splitlines():
        if line.startswith("boottime"):
            seconds, nanoseconds = map(int, line.split()[1:])
            return seconds + nanoseconds / 1e9
    return 0.0


def of_another_clock() -> str:
    """A suffix for the boot of a process whose children get a clock of their own: only their offset can be read."""
    try:
        own, of_children = (str(path.readlink()) for path in TIME_NAMESPACES)
    except OSError:
        return ""
    return "" if own == of_children else f"+{own}"


def first_line(path: Path) -> str:
    return text_of(path).partition("\n")[0].strip()


def text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return ""


def said_by(*command: str) -> str:
    """What a system's own command prints, or ""."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ASK_S, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


OFFSET_S: Final = added_s()
