"""The lifecycle around a command that only counts: each end is told on stderr, as JSON, and by the exit code."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import io
import json
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Coroutine
from typing import Any

import click
import pytest

from bulkwriter.cli.lifecycle import CountingCommand, Invocation
from bulkwriter.errors import ConfigurationStop, TryLater, UsageError
from bulkwriter.settings import Settings
from tests.cli.test_signals import send

OPTIONS = {"log_format": "text", "verbose": False, "as_json": True, "yes": True}
AT = datetime.datetime(2026, 12, 1, 6, tzinfo=datetime.UTC)


class Counting(CountingCommand):
    """Does as told, and has counted 7 when it did."""

    def __init__(self, invocation: Invocation, work: Callable[[Invocation], Coroutine[Any, Any, None]]) -> None:
        self._invocation, self._work = invocation, work
        self._count = 0

    def prepare(self) -> Settings:
        return Settings(base_url="http://127.0.0.1:1", token="t")

    async def work(self, settings: Settings) -> None:
        self._count = 7
        await self._work(self._invocation)

    @property
    def exit_code(self) -> int:
        return 3

    def facts(self) -> dict[str, Any]:
        return {"counted": self._count}

    def lines(self, exit_code: int) -> list[str]:
        return [f"counted {self._count}, ends with {exit_code}"]


class Unprepared(Counting):
    def prepare(self) -> Settings:
        raise UsageError("no token", hint="give one")


class InterruptedAtAPrompt(Counting):
    def prepare(self) -> Settings:
        raise KeyboardInterrupt


def conduct(
    work: Callable[[Invocation], Coroutine[Any, Any, None]], kind: type[Counting] = Counting
) -> tuple[int, dict[str, Any], list[str]]:
    """The exit code, the object on stdout, and the lines on stderr without their date."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        invocation = Invocation(click.Context(click.Command("count"), obj=("count",)), OPTIONS)
        code = invocation.conduct(kind(invocation, work))
    return code, json.loads(out.getvalue()), [line.partition("  ")[2] for line in err.getvalue().splitlines()]


async def nothing(invocation: Invocation) -> None:
    return


def failing(error: Exception) -> Callable[[Invocation], Coroutine[Any, Any, None]]:
    async def work(invocation: Invocation) -> None:
        raise error

    return work


def test_a_good_end_has_the_code_of_the_counts() -> None:
    assert conduct(nothing) == (3, {"counted": 7, "exit_code": 3}, ["counted 7, ends with 3"])


def test_an_error_says_when_to_come_back_and_keeps_the_counts() -> None:
    code, facts, lines = conduct(failing(TryLater("the server is gone", retry_at=AT.timestamp())))
    assert (code, facts) == (75, {"counted": 7, "resume_at": "2026-12-01T06:00:00+00:00", "exit_code": 75})
    assert lines == ["error: the server is gone", "counted 7, ends with 75"]


def test_of_a_group_the_error_with_the_first_code_is_told() -> None:
    code, _, lines = conduct(failing(ExceptionGroup("", [TryLater("gone"), ConfigurationStop("bad token")])))
    assert (code, lines[0]) == (4, "error: bad token")


def test_a_bug_is_told_as_one() -> None:
    code, facts, lines = conduct(failing(ZeroDivisionError()))
    assert (code, facts["counted"]) == (70, 7)
    assert lines[0].startswith("bug: ZeroDivisionError at test_lifecycle.py:")


def test_what_is_refused_before_it_begins_ends_the_same_way() -> None:
    code, facts, lines = conduct(nothing, Unprepared)
    assert (code, facts) == (2, {"counted": 0, "exit_code": 2})
    assert lines[0] == "error: no token"
    assert conduct(nothing, InterruptedAtAPrompt)[0] == 130


def test_a_signal_cancels_what_asked_for_nothing_else() -> None:
    async def work(invocation: Invocation) -> None:
        send(signal.SIGTERM)
        await asyncio.sleep(30)

    code, facts, lines = conduct(work)
    assert (code, facts) == (143, {"counted": 7, "exit_code": 143})
    assert lines == ["stopping: SIGTERM", "counted 7, ends with 143"]


def test_a_signal_drains_what_can_be_drained() -> None:
    async def work(invocation: Invocation) -> None:
        stopped = asyncio.Event()
        with invocation.draining(stopped.set):
            send(signal.SIGINT)
            await stopped.wait()

    code, _, lines = conduct(work)
    assert code == 130
    assert lines[0].startswith("stopping: SIGINT; what is on the wire may end")


TWICE = """
import asyncio, os, signal, sys, click
from tests.cli.test_lifecycle import OPTIONS, Counting
from bulkwriter.cli import signals
from bulkwriter.cli.lifecycle import Invocation

async def work(invocation):
    def hang():
        os.kill(os.getpid(), signal.SIGTERM)
        os.read(os.pipe()[0], 1)  # the loop hangs for good
    with invocation.draining(hang):
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(60)

invocation = Invocation(click.Context(click.Command("count"), obj=("count", "my pairs.csv")), OPTIONS)
sys.exit(invocation.conduct(Counting(invocation, work)))
"""


@pytest.mark.slow
def test_a_second_signal_leaves_with_the_counts_and_the_command_that_goes_on() -> None:
    done = subprocess.run([sys.executable, "-c", TWICE], capture_output=True, text=True, timeout=180, check=False)
    assert (done.returncode, json.loads(done.stdout)) == (130, {"counted": 7, "exit_code": 130})
    left = textwrap.dedent("""\
        left at once; the same command goes on:
          bulkwriter count 'my pairs.csv'
        """)
    assert done.stderr.endswith(left)
