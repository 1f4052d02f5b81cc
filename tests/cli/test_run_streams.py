"""`bulkwriter run` as a process: its standard streams, a second process beside it, and the demo around it."""

from __future__ import annotations

import fcntl
import os
import resource
from pathlib import Path

import pytest

from bulkwriter.net.calls import LANES
from tests.conftest import CANARY
from tests.support.cli_process import finish, interrupt, run, start, stub, wait_for, write_pairs

pytestmark = pytest.mark.slow


def test_a_token_from_stdin(tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 20)
    with stub() as server:
        done = run(source, server, "--token-file=-", given=f"{CANARY}\n", env={"BULKWRITER_TOKEN": ""})
    assert done.code == 0


def test_the_second_process_says_who_holds_the_journal(tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 50)
    with stub(latency_s=0.5) as server:
        first = start("run", str(source), "--base-url", server.base_url, "--progress=none", "--in-flight=4")
        wait_for(lambda: server.truth()["connections"] > 0)
        second = run(source, server)
        assert second.code == 5
        assert f"pid {first.pid} " in second.err
        assert finish(first).code == 0
        assert server.truth()["doubles"] == 0


def test_stdin_is_a_source_and_resumes(tmp_path: Path) -> None:
    text = "CourseLessonId,CourseMemberId\n" + "".join(f"1,{i}\n" for i in range(1, 41))
    journal = f"--journal={tmp_path / 'j'}"
    with stub() as server:
        assert run("-", server, journal, given=text).counts("created", "attempts") == (40, 40)
        again = run("-", server, journal, given=text)
        assert again.counts("created", "attempts") == (40, 0)
        lines = '{"CourseLessonId": 2, "CourseMemberId": 1}\n'
        assert run("-", server, f"--journal={tmp_path / 'k'}", given=lines).code == 0
        assert run("-", server, given=text).code == 2


@pytest.mark.parametrize("gone", ["stdout", "stderr", "both"])
def test_a_reader_that_left_stops_nothing(tmp_path: Path, gone: str) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 300)
    with stub(latency_s=0.05) as server:
        process = start("run", str(source), "--base-url", server.base_url, "--json", "--progress=plain", "-v")
        assert process.stdout is not None
        assert process.stderr is not None
        if gone in ("stdout", "both"):
            process.stdout.close()
        if gone in ("stderr", "both"):
            process.stderr.close()
        assert process.wait(180) == 0
        for stream in (process.stdout, process.stderr):
            stream.close()
        assert (server.truth()["records"], server.truth()["doubles"]) == (300, 0)


def test_a_stderr_that_nobody_reads_holds_nothing_up(tmp_path: Path) -> None:
    """A pipe of 4 kB, full before the run begins: a note for each variable that nothing reads."""
    source = write_pairs(tmp_path / "pairs.csv", 200)
    strange = {f"BULKWRITER_NOTHING_READS_{i}": "x" for i in range(200)}
    read_end, write_end = os.pipe()
    fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, 4_096)
    with stub() as server:
        process = start("run", str(source), "--base-url", server.base_url, env=strange, stderr=write_end)
        os.close(write_end)
        assert process.wait(180) == 0
        assert server.truth()["records"] == 200
    assert len(os.read(read_end, 8_192)) > 3_500, "it was not full: the test shows nothing"
    os.close(read_end)
    finish(process)


@pytest.mark.parametrize("is_hard", [False, True])
def test_more_in_flight_than_files_may_be_open(tmp_path: Path, is_hard: bool) -> None:
    """A soft limit is raised.  A hard one bounds the lanes: else the ledger could open no file, and ended the run."""

    def bound_files() -> None:
        hard = 128 if is_hard else resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))

    source = write_pairs(tmp_path / "pairs.csv", 2_000)
    how = ("--in-flight=400", "--existing=skip", "--quota=write:100000/day", f"--ledger={tmp_path / 'ledger'}")
    with stub(latency_s=0.1) as server:
        done = run(source, server, *how, preexec_fn=bound_files)
        assert (done.code, *done.counts("created")) == (0, 2_000), done.err
        assert server.truth()["peak_connections"] <= LANES + (64 if is_hard else 400)
    assert ("open files" in done.err) == is_hard


def test_the_demo_is_true_by_the_stubs_own_count(tmp_path: Path) -> None:
    done = finish(start("demo", "--pairs=300", "--progress=none", env={"TMPDIR": str(tmp_path)}))
    assert done.code == 0, done.err
    assert "The stub itself counts 300 records, 0 missing, 0 doubled: which is what the run says." in done.err
    assert "deleted now; --keep leaves them" in done.err.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_a_signal_that_comes_first_of_all(tmp_path: Path) -> None:
    """Before the writer is ready: the start is cancelled, and the journal is as good as before."""
    source = write_pairs(tmp_path / "pairs.csv", 20)
    with stub(latency_s=0.2) as server:
        process = start("run", str(source), "--base-url", server.base_url, "--json", *("--progress=none",))
        wait_for(lambda: (tmp_path / "pairs.csv.journal").exists())
        interrupt(process)
        done = finish(process)
        assert done.code == 130
        assert run(source, server, "--doubt-wait=1").code == 0
        assert (server.truth()["records"], server.truth()["doubles"]) == (20, 0)


def test_the_strictest_python_has_nothing_to_warn_of(tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 20)
    with stub() as server:
        done = run(source, server, env={"PYTHONDEVMODE": "1", "PYTHONWARNINGS": "error"})
    assert done.code == 0
    assert "Warning" not in done.err
