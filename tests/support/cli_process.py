"""The command line against a stub, for end-to-end tests: as a process, started as a user starts it, or called here.

`run` and `start` make a process (about 0.7 s each), `Here.run` calls `main` (about 0.02 s).  The token is the canary,
which the stub is told to accept.  What a process says on stdout and stderr is searched for the canary here, since
pytest captures only what this process says.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bulkwriter.cli.main import main
from bulkwriter.stub.thread import StubThread
from tests.conftest import CANARY

TIMEOUT_S = 180.0
"""Beside four busy processes a start of 0.7 s takes 5 s and more; what hangs is found all the same."""
FAST = ("--doubt-wait=0.4", "--progress=none")
CALM: dict[str, Any] = {"tokens": [CANARY]}


def stub(**scenario: Any) -> StubThread:
    return StubThread({**CALM, **scenario})


class Done:
    """An ended command: its exit code, what it said, and the object on its last line of stdout."""

    def __init__(self, code: int, out: str, err: str) -> None:
        assert CANARY not in out + err
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> dict[str, Any]:
        lines = self.out.splitlines()
        assert len(lines) == 1, self.out
        said: dict[str, Any] = json.loads(lines[0])
        parts = ("created", "existing", "rejected", "failed", "in_doubt", "pending", "invalid", "duplicates")
        assert said["pairs"] == sum(said[part] for part in parts)
        assert said["exit_code"] == self.code
        return said

    def counts(self, *names: str) -> tuple[int, ...]:
        return tuple(self.json[name] for name in names)


class Here:
    """The command line called in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys = capsys
        self.env = monkeypatch.setenv

    def __call__(self, *args: str) -> Done:
        self._capsys.readouterr()
        code = main(args)
        out, err = self._capsys.readouterr()
        return Done(code, out, err)

    def run(self, source: Path | str, server: StubThread | str, *args: str) -> Done:
        """`bulkwriter run SOURCE --json` against a stub or URL, to its end."""
        return self("run", str(source), "--base-url", url_of(server), "--json", *FAST, *args)


def url_of(server: StubThread | str) -> str:
    return server if isinstance(server, str) else server.base_url


def start(
    *args: str, env: dict[str, str] | None = None, before: Sequence[str] = (), **how: Any
) -> subprocess.Popen[str]:
    """Start `bulkwriter` with these arguments; everything piped.  `before`: a command that starts it."""
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    full_env = {**os.environ, "BULKWRITER_TOKEN": CANARY, **(env or {})}
    command = [*before, sys.executable, "-m", "bulkwriter", *args]
    return subprocess.Popen(command, text=True, env=full_env, **{**streams, **how})


def finish(process: subprocess.Popen[str], given: str | None = None, *, timeout_s: float = TIMEOUT_S) -> Done:
    if process.stdin is not None and process.stdin.closed:
        process.stdin = None  # communicate() would flush it
    try:
        out, err = process.communicate(given, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"still running after {timeout_s:g} s: {out}{err}") from None
    return Done(process.returncode, out or "", err or "")


def run(source: Path | str, server: StubThread | str, *args: str, given: str | None = None, **how: Any) -> Done:
    """`bulkwriter run SOURCE --json` against a stub or URL, to its end."""
    url = url_of(server)
    if given is not None:
        how["stdin"] = subprocess.PIPE
    return finish(start("run", str(source), "--base-url", url, "--json", *FAST, *args, **how), given)


def write_pairs(path: Path, count: int, *, first: int = 1) -> Path:
    """A CSV of `count` different pairs, 10 lessons."""
    rows = "".join(f"{1 + i % 10},{first + i // 10}\n" for i in range(count))
    path.write_text("CourseLessonId,CourseMemberId\n" + rows, encoding="ascii")
    return path


def wait_for(what: Any, timeout_s: float = 90.0) -> None:
    """Wait until `what()` is true."""
    deadline = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.005)


def interrupt(process: subprocess.Popen[str], number: int = signal.SIGINT) -> None:
    process.send_signal(number)
