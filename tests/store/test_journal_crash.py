"""The journal's promise on a real disk: what was acknowledged is there, whatever ended the writer.

Killed at random moments; a -wal torn or flipped at any byte; a disk that is full, over its limit, or fails a sync
(`strace` injects that: skipped where it is missing or may not trace).
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from bulkwriter.errors import JournalError
from bulkwriter.model import State

from ..support.journal_child import open_journal, pair_of, record_id_of, write_chunk

CHILD = [sys.executable, "-m", "tests.support.journal_child"]
KILLS = 8
ROWS = 7  # a transaction


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "j"


def check_rows(path: Path, *, rows: int, settled: int) -> None:
    """At least so many rows, and outcomes of the first so many, are there; and every row says what it must."""
    journal = open_journal(path)
    assert journal.rows >= rows
    journal.check()
    for seq, id_a, id_b, state, attempts, line in journal.read(0, journal.rows):
        assert (id_a, id_b, line) == (*pair_of(seq), seq + 2)
        assert (state, attempts) == (State.CREATED, 1) or (seq >= settled and (state, attempts) == (State.INTENT, 0))
    assert all(row.record_id == record_id_of(row.seq) for row in journal.export([State.CREATED]))
    journal.close()


def last_numbers(said: str) -> tuple[int, int]:
    """The last acknowledged rows and outcomes that a child printed whole."""
    lines = [line.split() for line in said.splitlines(keepends=True) if line.endswith("\n")]
    numbers = [words for words in lines if words and words[0].isdigit()]
    return (int(numbers[-1][0]), int(numbers[-1][1])) if numbers else (0, 0)


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_to_a_kill(path: Path) -> None:
    chance = random.Random(8)
    for _ in range(KILLS):
        child = subprocess.Popen([*CHILD, "write", str(path)], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        first = child.stdout.readline()
        time.sleep(chance.random() * 0.08)
        child.kill()
        said = first + child.stdout.read()
        child.stdout.close()
        assert child.wait() == -9
        rows, settled = last_numbers(said)
        assert rows > 0
        check_rows(path, rows=rows, settled=settled)


def copy_live(path: Path, folder: Path) -> Path:
    """The files as a power cut might leave them: the database and its -wal, while the writer lives."""
    folder.mkdir()
    for end in ("", "-wal"):
        shutil.copy(f"{path}{end}", folder / f"{path.name}{end}")
    return folder / path.name


def damage_points(size: int) -> Sequence[int]:
    """Byte positions near the end of the -wal, at frame borders and within."""
    frame = 4_096 + 24
    return [*range(size - 1, size - 3 * frame, -1_031), size - frame, size - 2 * frame, 32, 31, 1, 0]


@pytest.mark.parametrize("damage", ["cut", "flip"])
def test_a_torn_wal_keeps_whole_transactions(path: Path, tmp_path: Path, damage: str) -> None:
    journal = open_journal(path)
    for first in range(0, 10 * ROWS, ROWS):
        journal.append([(seq, *pair_of(seq), seq + 2, State.INTENT, None) for seq in range(first, first + ROWS)])
    size = Path(f"{path}-wal").stat().st_size
    found = []
    for i, at in enumerate(damage_points(size)):
        torn = copy_live(path, tmp_path / str(i))
        with Path(f"{torn}-wal").open("r+b") as wal:
            if damage == "cut":
                wal.truncate(at)
            else:
                wal.seek(at)
                byte = wal.read(1)
                wal.seek(at)
                wal.write(bytes([byte[0] ^ 1]))
        again = open_journal(torn)
        assert again.rows % ROWS == 0
        assert again.read_pairs(0, again.rows) == [pair_of(seq) for seq in range(again.rows)]
        found.append(again.rows)
        again.close()
    journal.close()
    assert max(found) == 9 * ROWS, "only the transaction at the damage is gone"
    assert min(found) == 0, "damage at its head leaves a journal as it was before its first row"


def run_child(*command: str, **options: object) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180, **options)  # type: ignore[call-overload]
    if "not permitted" in done.stderr or "ermission denied" in done.stderr:
        pytest.skip(f"not allowed here: {done.stderr.strip()}")
    assert not done.stderr.strip(), done.stderr
    return str(done.stdout)


def errors_of(said: str) -> list[str]:
    return [line for line in said.splitlines() if line.startswith("error:")]


@pytest.mark.slow
def test_a_size_limit_ends_the_journal_and_loses_nothing(path: Path) -> None:
    limited = 'ulimit -f 600; exec "$@"'  # blocks of 512 bytes or 1 kB, as the shell has it
    said = run_child("sh", "-c", limited, "sh", *CHILD, "fill", str(path))
    assert len(errors_of(said)) == 2
    assert "size limit" in errors_of(said)[0]
    assert errors_of(said)[0] == errors_of(said)[1], "everything after it is refused for the same reason"
    rows, settled = last_numbers(said)
    assert rows > 500
    check_rows(path, rows=rows, settled=settled)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="only root may mount a small disk")
def test_a_full_disk_ends_the_journal_until_there_is_room(tmp_path: Path) -> None:
    script = f"""
        mount -t tmpfs -o size=1m none {tmp_path} && head -c 300000 /dev/zero > {tmp_path}/ballast &&
        exec "$@" fill {tmp_path}/j {tmp_path}/ballast
    """
    said = run_child("unshare", "-m", "sh", "-c", script, "sh", *CHILD)
    before, _, after = said.partition("reopened ")
    assert len(errors_of(said)) == 2
    assert "the disk is full" in errors_of(said)[0]
    rows, _ = last_numbers(before)
    assert rows > 500
    assert int(after.split()[0]) >= rows
    assert last_numbers(after)[0] == int(after.split()[0]) + 100


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
@pytest.mark.parametrize(("call", "from_call"), [("fdatasync", 9), ("pwrite64", 150)])
def test_a_failed_sync_or_write_ends_the_journal(
    path: Path, tmp_path: Path, call: str, from_call: int, error: str
) -> None:
    open_journal(path).close()
    trace = ["strace", "-f", "-qq", "-o", str(tmp_path / "trace"), "-e", f"trace={call}", "-P", f"{path}-wal"]
    said = run_child(*trace, "-e", f"inject={call}:error={error}:when={from_call}+", *CHILD, "fill", str(path))
    assert len(errors_of(said)) == 2, said
    assert errors_of(said)[0] == errors_of(said)[1]
    assert "the disk" in errors_of(said)[0]
    rows, settled = last_numbers(said)
    assert rows > 0
    check_rows(path, rows=rows, settled=settled)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_a_file_system_without_locks_is_refused(path: Path, tmp_path: Path) -> None:
    trace = ["strace", "-f", "-qq", "-o", str(tmp_path / "trace"), "-e", "trace=flock"]
    said = run_child(*trace, "-e", "inject=flock:error=ENOLCK", *CHILD, "hold", str(path))
    assert "cannot lock files" in said
    assert "local disk" in said
    assert not path.exists()


@pytest.mark.slow
def test_a_journal_goes_on_after_a_crash_of_its_creation(path: Path) -> None:
    path.touch(0o600)  # made, and not a byte written
    journal = open_journal(path)
    write_chunk(journal, 3)
    journal.close()
    check_rows(path, rows=3, settled=3)


@pytest.mark.parametrize("is_replaced", [False, True])
def test_a_file_that_has_lost_its_name_ends_the_journal(path: Path, is_replaced: bool) -> None:
    """SQLite would write on, and nobody would find what it wrote."""
    journal = open_journal(path)
    write_chunk(journal, ROWS)
    path.rename(path.with_name("elsewhere"))
    if is_replaced:
        path.touch()
    for _ in range(2):
        with pytest.raises(JournalError, match="removed or replaced") as error:
            write_chunk(journal, ROWS)
        assert "skip" not in error.value.hint
    journal.close()
    assert not path.exists() or not path.stat().st_size
