"""The lock of a journal: one holder, who can be named, and gone with its process however it ended."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from bulkwriter.errors import JournalError
from bulkwriter.store.lock import FileLock, Holder, holder

from ..support.journal_child import open_journal


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "j"


def test_the_second_is_told_who_holds_it(file: Path) -> None:
    lock = FileLock.acquire(file)
    with pytest.raises(JournalError, match=rf"{file} is held by pid {os.getpid()} on .+ since 20.+\+00:00") as e:
        FileLock.acquire(file)
    assert e.value.exit_code == 5
    assert e.value.hint
    lock.release()
    lock.release()
    FileLock.acquire(file).release()


def test_a_look_names_the_holder_and_does_not_disturb(file: Path) -> None:
    assert holder(file) is None
    lock = FileLock.acquire(file)
    found = holder(file)
    assert found is not None
    assert (found.pid, str(found).startswith(f"pid {os.getpid()} on ")) == (os.getpid(), True)
    with pytest.raises(JournalError):
        FileLock.acquire(file)
    lock.release()
    assert holder(file) is None


def test_a_passing_look_does_not_keep_a_writer_out(file: Path) -> None:
    FileLock.acquire(file).release()
    fd = os.open(f"{file}.lock", os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_SH)
    threading.Timer(0.05, os.close, [fd]).start()
    FileLock.acquire(file).release()


def test_a_holder_whose_line_is_garbage_is_still_a_holder(file: Path) -> None:
    lock = FileLock.acquire(file)
    for text in ("", "x", "[]", '{"pid": "?"}', '{"pid": 7, "host": "h", "since": "?"}'):
        Path(f"{file}.lock").write_text(text)
        assert holder(file) == Holder(None, None, None)
        with pytest.raises(JournalError, match="is held by another process, which has not said who it is"):
            FileLock.acquire(file)
    lock.release()


def test_a_link_in_place_of_the_lock_is_not_followed(file: Path, tmp_path: Path) -> None:
    Path(f"{file}.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(JournalError):
        FileLock.acquire(file)
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_is_gone_is_an_error_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="No such file or directory"):
        FileLock.acquire(tmp_path / "gone" / "j")


def test_two_names_of_one_journal_have_one_lock(file: Path, tmp_path: Path) -> None:
    journal = open_journal(file)
    (tmp_path / "link").symlink_to(file)
    with pytest.raises(JournalError, match="is held by pid"):
        open_journal(tmp_path / "link")
    journal.close()
    open_journal(tmp_path / "link").close()


@pytest.mark.slow
def test_another_process_holds_it_until_it_is_killed(file: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.support.journal_child", "hold", str(file)], stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    pid = int(child.stdout.readline())
    with pytest.raises(JournalError, match=f"held by pid {pid} on"):
        open_journal(file)
    found = holder(file)
    assert found is not None
    assert found.pid == pid
    child.kill()
    child.wait()
    child.stdout.close()
    began = time.monotonic()
    open_journal(file).close()
    assert time.monotonic() - began < 20
    assert holder(file) is None


FORKS = """
import os, sys
from pathlib import Path
from bulkwriter.store.lock import FileLock, Holder, holder
file = Path(sys.argv[1])
lock = FileLock.acquire(file)
its, ours = os.pipe()
if not (pid := os.fork()):
    os.close(ours)
    os.read(its, 1)   # until its parent says so, with all of that one's descriptors
    lock.release()
    os._exit(0)
"""
STAYS = (
    FORKS
    + """
assert holder(file)
lock.release()
assert holder(file) is None
FileLock.acquire(file).release()
"""
)
LETS_GO = (
    FORKS
    + """
os.close(ours)
os.waitpid(pid, 0)
assert holder(file).pid == os.getpid()
"""
)


@pytest.mark.parametrize("code", [STAYS, LETS_GO], ids=["stays", "lets go"])
def test_a_forked_child_keeps_nobody_out_and_takes_nothing_from_its_parent(file: Path, code: str) -> None:
    """The kernel holds a lock until the last descriptor of it is closed, a child's too, or somebody lets go of it."""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code, str(file)], timeout=60, check=True)


LIVES_ON = """
import os, sys
from pathlib import Path
from bulkwriter.store.lock import FileLock

lock = FileLock.acquire(Path(sys.argv[1]))
if os.fork():
    print(os.getpid(), flush=True)
    os._exit(0)
sys.stdin.read()
"""


def test_a_child_that_outlives_the_holder_is_told_as_such(file: Path) -> None:
    """Told was to stop a process that was there no more."""
    code = [sys.executable, "-W", "ignore", "-c", LIVES_ON, str(file)]
    with subprocess.Popen(code, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        gone = int(process.stdout.readline())
        process.wait(60)
        with pytest.raises(JournalError, match=f"pid {gone} is gone here: end what was forked from it"):
            FileLock.acquire(file)
        assert process.stdin
        process.stdin.close()
        process.stdout.read()  # its end: the child has ended
    FileLock.acquire(file).release()
