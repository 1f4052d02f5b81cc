"""Secrets typed at a terminal: asked for where they are missing, and never shown."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from tests.conftest import CANARY
from tests.support.cli_process import finish, start, stub, write_pairs

pytestmark = pytest.mark.slow

PASSWORD = "open sesame"


def take_terminal() -> None:
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Terminal:
    """A command on a terminal of its own, and what a person there sees."""

    def __init__(self, *args: str, env: dict[str, str]) -> None:
        self._ours, theirs = os.openpty()
        line = [sys.executable, "-m", "bulkwriter", *args]
        self._process = subprocess.Popen(
            line, stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, **env}, preexec_fn=take_terminal
        )
        os.close(theirs)
        self.seen = ""

    def wait_for(self, text: str, timeout_s: float = 90.0) -> None:
        deadline = time.monotonic() + timeout_s
        while text not in self.seen:
            assert time.monotonic() < deadline, self.seen
            self._look(0.2)

    def type(self, text: str) -> None:
        time.sleep(0.2)  # the terminal's echo is switched off after the prompt
        os.write(self._ours, text.encode())

    def end(self) -> int:
        with contextlib.suppress(OSError):  # a terminal whose last process ended
            while self._process.poll() is None:
                self._look(0.2)
            self._look(0.2)
        code = self._process.wait(180)
        os.close(self._ours)
        return code

    def _look(self, timeout_s: float) -> None:
        if select.select([self._ours], [], [], timeout_s)[0]:
            self.seen += os.read(self._ours, 65_536).decode(errors="replace")


def test_a_token_typed_at_a_terminal_is_not_shown(tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 3)
    how = ("--token-file=-", "--progress=none", "--doubt-wait=0.4")
    with stub() as server:
        screen = Terminal("run", str(source), "--base-url", server.base_url, *how, env={"BULKWRITER_TOKEN": ""})
        screen.wait_for("Token (not shown): ")
        screen.type(CANARY + "\n")
        assert screen.end() == 0, screen.seen
        assert server.truth()["records"] == 3
    assert CANARY not in screen.seen


def test_a_password_is_asked_for_where_a_person_is_there(tmp_path: Path) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 3)
    users = [{"username": "ann", "password": PASSWORD}]
    how = ("--username=ann", "--progress=none", "--doubt-wait=0.4")
    with stub(users=users) as server:
        screen = Terminal("run", str(source), "--base-url", server.base_url, *how, env={"BULKWRITER_TOKEN": ""})
        screen.wait_for("Password of ann (not shown): ")
        screen.type(PASSWORD + "\n")
        screen.wait_for("Two-factor code")
        screen.type("\n")
        assert screen.end() == 0, screen.seen
    assert PASSWORD not in screen.seen


@pytest.mark.parametrize("args", [(), ("--yes",)])
def test_without_a_person_the_ways_to_give_it_are_named(tmp_path: Path, args: tuple[str, ...]) -> None:
    source = write_pairs(tmp_path / "pairs.csv", 3)
    line = ("run", str(source), "--base-url=http://127.0.0.1:9", "--username=ann", *args)
    done = finish(start(*line, env={"BULKWRITER_TOKEN": ""}))
    assert done.code == 2
    assert "no password for ann" in done.err
    assert "--password-file" in done.err
    assert "on a terminal it is asked for" in done.err
