"""The clock since boot and the boot's own name: alike for every process, and independent of the wall clock."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bulkwriter.store import boot

ASK = "from bulkwriter.store.boot import boot_clock, boot_id; print(boot_clock(), boot_id())"


@pytest.mark.slow
def test_two_processes_see_the_same_clock_and_name() -> None:
    before = boot.boot_clock()
    said = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True).stdout
    at, _, name = said.strip().partition(" ")
    assert before <= float(at) <= boot.boot_clock()
    assert name == boot.boot_id()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_it_counts_the_time_since_the_machine_started() -> None:
    up_s = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
    assert boot.boot_clock() == pytest.approx(up_s, abs=5.0)
    assert len(boot.boot_id()) == 36


def test_where_there_is_no_name_none_is_made_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(boot, "BOOT_ID", tmp_path / "missing")
    monkeypatch.setattr("platform.system", lambda: "Plan9")
    assert boot.boot_id() == ""
