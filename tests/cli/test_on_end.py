"""The command of `--on-end` gets the object of `--json`, and neither its failure nor its slowness is the run's."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from bulkwriter.cli import on_end
from bulkwriter.cli.on_end import OnEnd
from tests.conftest import CANARY
from tests.support.cli_process import Here, finish, interrupt, start, stub, wait_for, write_pairs

FACTS: dict[str, Any] = {"exit_code": 3, "journal": "$(touch pwned) `touch pwned` '; touch pwned"}


def told(command: str, *, within_s: float = 20.0, env: dict[str, str] | None = None) -> list[str]:
    """What is said of a command that is started and waited for."""
    said: list[str] = []
    step = OnEnd(command, said.append, env=env or dict(os.environ), within_s=within_s)
    step.start(FACTS)
    step.start(FACTS)  # without effect
    step.wait()
    return said


def test_it_gets_the_object_whole_and_no_shell_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert told("cat >> told") == []
    assert json.loads((tmp_path / "told").read_text()) == FACTS
    assert [path.name for path in tmp_path.iterdir()] == ["told"]


def test_it_has_our_environment_without_secrets(tmp_path: Path) -> None:
    env = {**os.environ, "BULKWRITER_TOKEN": CANARY, "BULKWRITER_PASSWORD": CANARY, "BULKWRITER_RATE": "5/s"}
    assert told(f"env > {tmp_path}/env", env=env) == []
    text = (tmp_path / "env").read_text()
    assert "BULKWRITER_RATE" in text
    assert CANARY not in text


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("exit 7", "failed with exit 7"),
        ("kill -TERM $$", "was ended by SIGTERM"),
        ("/no/such/program 2>/dev/null", "failed with exit 127"),
    ],
)
def test_its_failure_is_told(command: str, said: str) -> None:
    assert told(command) == [f"--on-end {said}; the run's own exit code stays"]


def test_it_ends_when_its_time_is_over_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_end, "GRACE_S", 0.05)
    (said,) = told(f"trap '' TERM; sleep 100 & echo $! > {tmp_path}/pid; wait; sleep 100", within_s=0.2)
    assert said == "--on-end did not end within 0.2 s, so it was stopped"
    pid = int((tmp_path / "pid").read_text())
    wait_for(lambda: not is_running(pid))


def is_running(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def test_a_signal_ends_the_waiting_and_not_the_command() -> None:
    said: list[str] = []
    step = OnEnd("sleep 0.3", said.append, env=dict(os.environ))
    step.leave()  # a signal that ended the run: not begun yet
    step.start(FACTS)
    step.leave()
    step.wait()
    assert said == ["--on-end is not waited for; it goes on by itself"]


def test_a_run_tells_it_each_end_but_a_dry_run_does_not(tmp_path: Path, here: Here) -> None:
    here.env("BULKWRITER_ON_END", f"touch {tmp_path}/pwned")
    source = write_pairs(tmp_path / "pairs.csv", 3)
    command = f"--on-end=cat >> {tmp_path}/told"
    with stub() as server:
        codes = [
            here("run", str(source), f"--base-url={url}", "--progress=none", command, *more)
            for url, more in (
                (server.base_url, ()),
                (server.base_url, ("--dry-run",)),
                (server.base_url, ("--quota=bogus",)),
            )
        ]
    ends = [json.loads(line) for line in (tmp_path / "told").read_text().splitlines()]
    assert [end["exit_code"] for end in ends] == [0, 2]
    assert ends[0]["created"] == 3
    assert len(codes) == 3
    assert not (tmp_path / "pwned").exists()


@pytest.mark.slow
def test_whoever_leaves_at_once_is_told_too(tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 50)
    with stub(latency_s=60) as server:
        args = ("run", str(source), f"--base-url={server.base_url}", "--json", "--progress=none")
        process = start(*args, f"--on-end=cat > {tmp_path}/told")
        wait_for(lambda: server.truth()["requests"] or process.poll() is not None)
        interrupt(process, signal.SIGTERM)
        interrupt(process, signal.SIGINT)
        done = finish(process)
    assert done.code in (130, 143)  # of two that wait, either may come first
    wait_for((tmp_path / "told").exists)
    wait_for(lambda: (tmp_path / "told").read_text().endswith("\n"))
    assert json.loads((tmp_path / "told").read_text()) == json.loads(done.out)
