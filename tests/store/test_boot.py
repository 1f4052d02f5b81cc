"""The clock since boot, the boot's own name and the machine's: alike for every process, none where it is not known."""

from __future__ import annotations

import shutil
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


def files(monkeypatch: pytest.MonkeyPatch, folder: Path, **texts: str) -> None:
    """Put these texts in the places of the system's files; those without one are missing."""
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    monkeypatch.setattr(boot, "BOOT_ID", folder / "boot_id")
    monkeypatch.setattr(boot, "TIME_OFFSETS", folder / "offsets")
    monkeypatch.setattr(boot, "MACHINE_IDS", (folder / "etc", folder / "dbus"))
    monkeypatch.setattr("platform.system", lambda: "Linux")


@pytest.mark.parametrize(
    ("texts", "name"),
    [
        ({"etc": "0123456789abcdef0123456789abcdef\n"}, "0123456789abcdef0123456789abcdef"),
        ({"dbus": "0123456789abcdef0123456789abcdef\n"}, "0123456789abcdef0123456789abcdef"),
        ({"etc": "", "dbus": "a" * 32}, "a" * 32),  # an image leaves it empty, to be filled at the first boot
        ({"etc": "uninitialized\n"}, ""),
        ({"etc": "٣" * 32}, ""),
        ({}, ""),
    ],
)
def test_a_machine_has_the_name_of_its_files_or_none(
    texts: dict[str, str], name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    files(monkeypatch, tmp_path, **texts)
    assert boot.machine_id() == name


@pytest.mark.parametrize(
    ("offsets", "added_s"),
    [
        ("monotonic           0         0\nboottime            0         0\n", 0.0),
        ("monotonic         100         0\nboottime            0         0\n", 0.0),
        ("monotonic           0         0\nboottime        86400         0\n", 86_400.0),
        ("monotonic           0         0\nboottime           -2 500000000\n", -1.5),
        ("", 0.0),
    ],
)
def test_what_a_container_s_namespace_adds_is_taken_off_its_clock(
    offsets: str, added_s: float, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    files(monkeypatch, tmp_path, boot_id="3b2c\n", offsets=offsets)
    assert (boot.added_s(), boot.boot_id()) == (added_s, "3b2c")


def test_where_only_the_clock_of_children_can_be_known_it_is_another_boot(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    files(monkeypatch, tmp_path, boot_id="3b2c\n", offsets="boottime 5 0\n")
    links = tmp_path / "own", tmp_path / "children"
    for link, namespace in zip(links, ("time:[1]", "time:[2]"), strict=True):
        link.symlink_to(namespace)
    monkeypatch.setattr(boot, "TIME_NAMESPACES", links)
    assert (boot.added_s(), boot.boot_id()) == (0.0, "3b2c+time:[1]")


@pytest.mark.slow
def test_processes_in_two_time_namespaces_see_the_same_clock_and_name() -> None:
    """Else each of them took the other's slots for those of a clock that it cannot know, and both stood still."""
    command = ["unshare", "-T", "--boottime", "86400", "--"]
    if not shutil.which("unshare") or subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        pytest.skip("time namespaces are not allowed here")
    before = boot.boot_clock()
    said = subprocess.run([*command, sys.executable, "-c", ASK], capture_output=True, text=True, check=True).stdout
    at, _, name = said.strip().partition(" ")
    assert before <= float(at) <= boot.boot_clock()
    assert name == boot.boot_id()


@pytest.mark.skipif(sys.platform != "linux", reason="what other systems print is not known here")
def test_a_command_that_is_not_there_says_nothing() -> None:
    assert boot.said_by("/nowhere/at/all") == ""
    assert boot.said_by("/bin/false") == ""
