"""Signals to a running `bulkwriter run`: the first drains, the second aborts, the same command resumes."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bulkwriter.cli.signals import ECHO_S
from bulkwriter.stub.thread import StubThread
from tests.conftest import CANARY
from tests.support.cli_process import Done, finish, interrupt, run, start, stub, wait_for, write_pairs

pytestmark = pytest.mark.slow

WAITS = ("--late-apply=0.3", "--list-lag=0.1", "--progress=none", "--json")


def resume_command(done: Done) -> list[str]:
    """The command that the summary shows, as a shell would split it."""
    lines = [line.strip() for line in done.err.splitlines() if line.strip().startswith("bulkwriter run")]
    return shlex.split(lines[-1])[1:]


@pytest.mark.usefixtures("heeds_hangups")
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=lambda n: str(n)
)
def test_the_first_signal_drains_and_the_shown_command_resumes(tmp_path: Path, number: int, code: int) -> None:
    source = write_pairs(tmp_path / "my pairs.csv", 400)
    with stub(latency_s=0.1) as server:
        process = start("run", str(source), "--base-url", server.base_url, "--in-flight=8", *WAITS)
        wait_for(lambda: server.truth()["records"] > 10)
        interrupt(process, number)
        done = finish(process)
        assert done.code == code
        assert done.counts("in_doubt", "failed") == (0, 0)
        assert 10 < done.json["created"] == server.truth()["records"] < 400
        assert "nothing new is sent" in done.err
        server.set_scenario(tokens=[CANARY])
        again = finish(start(*resume_command(done)))
        assert (again.code, again.counts("pairs", "created")) == (0, (400, 400))
        assert (server.truth()["records"], server.truth()["doubles"]) == (400, 0)


def is_still(server: StubThread) -> bool:
    """Whether all that is in flight came after the server became slow: nothing is answered for a while."""
    before = server.truth()["records"]
    time.sleep(0.2)
    now = server.truth()
    return bool(now["in_flight"]) and bool(now["records"] == before)


def test_the_second_signal_aborts_at_once_and_nothing_is_doubled(tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 400)
    with stub(latency_s=0.02) as server:
        process = start("run", str(source), "--base-url", server.base_url, *WAITS, "--in-flight", "4")
        wait_for(lambda: server.truth()["records"] > 5)
        server.set_scenario(tokens=[CANARY], latency_s=12.0)
        wait_for(lambda: is_still(server))
        began = time.monotonic()
        interrupt(process)
        time.sleep(3 * ECHO_S)
        interrupt(process)
        done = finish(process)
        assert time.monotonic() - began < 10, "it waited for the requests in flight"
        assert done.code == done.json["exit_code"] == 130
        assert 5 < done.json["created"] <= server.truth()["records"]
        assert done.json["in_doubt"] > 0
        assert "aborted: what was in flight is in doubt" in done.err
        wait_for(lambda: server.truth()["in_flight"] == 0)
        server.set_scenario(tokens=[CANARY])
        again = finish(start(*resume_command(done)))
        assert again.code == 0
        assert (server.truth()["records"], server.truth()["doubles"]) == (400, 0)


def test_a_drain_does_not_wait_for_a_source_that_hangs(tmp_path: Path) -> None:
    """Standard input that gives a few rows and then nothing more, as a slow producer does."""
    with stub() as server:
        journal = str(tmp_path / "j")
        process = start(
            "run", "-", "--journal", journal, "--base-url", server.base_url, *WAITS, stdin=subprocess.PIPE
        )  # fmt: skip
        assert process.stdin is not None
        os.write(process.stdin.fileno(), b"CourseLessonId,CourseMemberId\n1,1\n1,2\n")
        wait_for(lambda: server.truth()["records"] == 2)
        interrupt(process)
        code = process.wait(180)
        done = finish(process)
    assert (code, done.counts("pairs", "created")) == (130, (2, 2))


def test_a_killed_run_resumes(tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 300)
    with stub(latency_s=0.02) as server:
        process = start("run", str(source), "--base-url", server.base_url, *WAITS)
        wait_for(lambda: server.truth()["records"] > 30)
        process.kill()
        finish(process)
        done = run(source, server)
        assert (done.code, done.counts("pairs", "created")) == (0, (300, 300))
        assert (server.truth()["records"], server.truth()["doubles"]) == (300, 0)


def test_an_interrupted_demo_leaves_no_server(tmp_path: Path) -> None:
    process = start("demo", "--pairs=100000", "--progress=none", env={"TMPDIR": str(tmp_path)}, start_new_session=True)
    wait_for(lambda: list(tmp_path.glob("*/pairs.csv.journal")))
    os.killpg(process.pid, signal.SIGINT)
    done = finish(process)
    assert done.code == 130
    assert list(tmp_path.iterdir()) == []


INTERRUPTED_IMPORT = """
import os, signal, sys
class Hook:
    def find_spec(self, name, path=None, target=None):
        if name == "bulkwriter.cli.main":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Hook())
from bulkwriter.__main__ import main
main()
"""


def test_an_interrupt_while_the_program_is_loaded_ends_it_without_a_traceback() -> None:
    done = subprocess.run([sys.executable, "-c", INTERRUPTED_IMPORT], capture_output=True, timeout=180, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"", b""), "130 in a shell"
