"""`bulkwriter run` on a file that changes under it: exit 6, nothing sent that is in no version, and the resume."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bulkwriter.stub.thread import StubThread
from tests.conftest import CANARY
from tests.support.cli_process import Done, finish, run, start, stub, wait_for, write_pairs

pytestmark = pytest.mark.slow

ROWS = 3_000
OPTIONS = ("--doubt-wait=0.4", "--progress=none", "--json", "--rate=400/s")


def pairs_in(text: str) -> set[tuple[int, int]]:
    return {(int(a), int(b)) for a, _, b in (line.partition(",") for line in text.splitlines()[1:])}


def sent(server: StubThread) -> set[tuple[int, int]]:
    return {(lesson, member) for _, lesson, member in server.records()}


def started(source: Path, server: StubThread) -> subprocess.Popen[str]:
    return start("run", str(source), "--base-url", server.base_url, *OPTIONS)


def run_while(source: Path, server: StubThread, change: Callable[[], object]) -> Done:
    """Run, and change the source when some of its rows were sent."""
    process = started(source, server)
    wait_for(lambda: server.truth()["records"] > 100)
    change()
    return finish(process)


def other(source: Path) -> str:
    """The text of a later export: other pairs, as many."""
    path = write_pairs(source.with_name("new.csv"), ROWS, first=70_000)
    return path.read_text(encoding="ascii")


@pytest.mark.parametrize("change", ["truncate", "rewrite", "replace"])
def test_a_file_that_changed_ends_the_run_with_6(tmp_path: Path, change: str) -> None:
    source = write_pairs(tmp_path / "pairs.csv", ROWS)
    text, new = source.read_text(encoding="ascii"), other(source)
    changes: dict[str, Callable[[], object]] = {
        "truncate": lambda: os.truncate(source, len(text) - 5_003),
        "rewrite": lambda: source.write_text(new, encoding="ascii"),
        "replace": lambda: source.with_name("new.csv").replace(source),
    }
    with stub() as server:
        done = run_while(source, server, changes[change])
        assert done.code == 6
        assert sent(server) <= pairs_in(text)
        assert 100 < done.json["created"] == server.truth()["records"] < ROWS
        assert "while it was read" in done.err
        assert "what was sent is kept" in done.err
        server.set_scenario(tokens=[CANARY])
        source.write_text(text, encoding="ascii")
        again = run(source, server)
        assert (again.code, again.counts("pairs", "created")) == (0, (ROWS, ROWS))
        assert (server.truth()["doubles"], sent(server)) == (0, pairs_in(text))


def test_a_file_that_grew_is_taken_to_its_end_by_the_same_command(tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "pairs.csv", ROWS)
    text = source.read_text(encoding="ascii")

    def grow() -> None:
        with source.open("a", encoding="ascii") as file:
            file.write("11,9999999\n12,9999999\n")

    with stub() as server:
        done = run_while(source, server, grow)
        assert done.code == 6
        assert "grew from" in done.err
        server.set_scenario(tokens=[CANARY])
        again = run(source, server)
        assert (again.code, again.counts("pairs", "created")) == (0, (ROWS + 2, ROWS + 2))
        assert sent(server) == pairs_in(text) | {(11, 9_999_999), (12, 9_999_999)}


def test_a_row_that_is_still_being_copied_is_not_sent(tmp_path: Path) -> None:
    """The copy is as slow as can be: a digit of the last row at a time."""
    source = write_pairs(tmp_path / "pairs.csv", 20)
    text = source.read_text(encoding="ascii") + f"7,{10**18}\n"

    def copy() -> None:
        with source.open("w", encoding="ascii") as file:
            for end in range(len(text) - 18, len(text) + 1):
                file.write(text[:end] if not file.tell() else text[end - 1])
                file.flush()
                time.sleep(0.3)

    copying = threading.Thread(target=copy)
    with stub() as server:
        copying.start()
        wait_for(lambda: source.stat().st_size)
        done = finish(started(source, server))
        copying.join()
        assert sent(server) <= pairs_in(text)
        assert done.code == 6 or sent(server) == pairs_in(text)
        assert done.code == 0 or "grew from" in done.err
        assert run(source, server).code == 0
        assert sent(server) == pairs_in(text)


def test_a_last_row_without_its_line_end_is_sent_when_the_file_is_quiet(tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 20)
    source.write_text(source.read_text(encoding="ascii").rstrip("\n"), encoding="ascii")
    with stub() as server:
        began = time.monotonic()
        done = run(source, server)
        assert (done.code, done.counts("created")) == (0, (20,))
        assert time.monotonic() - began < 20
        os.utime(source, (1_700_000_000, 1_700_000_000))
        assert run(source, server).code == 0


def test_a_named_pipe_says_what_it_waits_for(tmp_path: Path) -> None:
    source = tmp_path / "pairs.csv"
    os.mkfifo(source)
    with stub() as server:
        process = start("run", str(source), "--base-url", server.base_url, *OPTIONS)
        assert process.stderr is not None
        kill_later = threading.Timer(20, process.kill)
        kill_later.start()
        said = ""
        while "named pipe" not in said:
            said = process.stderr.readline()
            assert said, "it ended"
        kill_later.cancel()
        assert "waits until something writes to it" in said
        threading.Timer(0.1, lambda: source.write_text("CourseLessonId,CourseMemberId\n1,2\n")).start()
        assert finish(process).counts("created") == (1,)
