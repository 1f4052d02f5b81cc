"""Where figures were made: the machine, the commit, and the versions of everything that takes part.

Two results may be compared only if they have the same `machine_id`: processor, cores, memory, and the system's own
machine id where it has one, hashed, so that a result shows no serial number.  Kernel and versions are told but may
differ: what they change is what a comparison may want to see.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import sqlite3
import ssl
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = (
    "aiohttp", "uvloop", "httptools", "orjson", "anyio", "aiolimiter", "pyroaring", "click",
    "httpx", "niquests", "aiosonic", "pyreqwest", "rnet", "wreq",
)  # fmt: skip
MODEL_NAME = re.compile(r"^model name\s*:\s*(.+)$", re.MULTILINE)
MACHINE_ID = Path("/etc/machine-id")


def machine() -> dict[str, str | int]:
    """The machine, with `machine_id` as the word that two results must share."""
    facts: dict[str, str | int] = {
        "processor": processor(),
        "cores": os.cpu_count() or 1,
        "memory_gb": round(memory_bytes() / 1e9),
    }
    told = MACHINE_ID.read_text(encoding="ascii") if MACHINE_ID.exists() else ""
    digest = hashlib.sha256(repr((sorted(facts.items()), told)).encode()).hexdigest()
    return {**facts, "machine_id": digest[:12], "system": f"{platform.system()} {platform.release()}"}


def processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists() and (found := MODEL_NAME.search(info.read_text(encoding="utf-8"))):
        return found[1].strip()
    return platform.processor() or platform.machine()


def memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def load() -> float:
    """The load average of the last minute: above a few tenths before a start, figures are the neighbours' too."""
    return round(os.getloadavg()[0], 2)


def file_system(folder: Path) -> str:
    """The kind of the file system that holds `folder`, "" where it is not told: a journal on tmpfs costs no fsync."""
    mounts = Path("/proc/mounts")
    if not mounts.exists():
        return ""
    kinds = {}
    for line in mounts.read_text(encoding="utf-8").splitlines():
        _, place, kind, *_ = line.split()
        kinds[place] = kind
    folder = folder.resolve()
    return next((kinds[str(p)] for p in (folder, *folder.parents) if str(p) in kinds), "")


def commit() -> tuple[str, bool]:
    """The commit that is checked out, "" outside git, and whether files that git knows were changed since."""
    return said_by("git", "rev-parse", "--short=12", "HEAD"), bool(said_by("git", "status", "--porcelain", "-uno"))


def versions() -> dict[str, str]:
    """Versions of what takes part; what is not installed is left out."""
    found = {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "bulkwriter": package_version("bulkwriter"),
        "sqlite": sqlite3.sqlite_version,
        "openssl": ssl.OPENSSL_VERSION,
        **{name: package_version(name) for name in PACKAGES},
        "nginx": number_in(said_by("nginx", "-v")),
        "wrk": number_in(said_by("wrk", "-v")),
    }
    return {name: text for name, text in found.items() if text}


def package_version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def said_by(*argv: str) -> str:
    """What a command says, on either stream; "" where there is no such command."""
    if shutil.which(argv[0]) is None:
        return ""
    ended = subprocess.run(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return ended.stdout.strip()


def number_in(text: str) -> str:
    found = re.search(r"\d+(?:\.\d+)+", text)
    return found[0] if found else ""
