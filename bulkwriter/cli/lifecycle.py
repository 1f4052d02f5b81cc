"""One command line of `verify` or `undo`: settings, voice, the first signal, and an end that always reports.

Such a command asks the server about a journal and answers with counts.  Whatever happens once its arguments are parsed
(an error, a signal, a bug) ends the same way: the error and a summary on stderr, with `--json` one object as the last
line of stdout, and the first exit code that applies, all as `run` does it.

The first signal does what the command asked for meanwhile (`Errand.meanwhile`), by default cancels it; the second
leaves at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

import anyio
import click

from ..guarded import guarded
from ..model import Counts, Summary
from ..settings import Settings
from . import choose, progress
from .conclude import put_json, tell_error, time_to_come_back
from .drive import beside, run_loop
from .ending import Ending, first_of, resume_command
from .event_lines import Teller
from .secret import secrets_of
from .signals import Signals
from .stderr import Voice, own_stderr

T = TypeVar("T")


class Report(Protocol):
    """What a command found or did so far."""

    @property
    def exit_code(self) -> int: ...
    def facts(self) -> dict[str, Any]: ...
    def lines(self, exit_code: int) -> list[str]: ...


class Errand:
    """What is said and asked on one command line; `again` is that line, safe to paste."""

    def __init__(self, ctx: click.Context, given: Mapping[str, Any]) -> None:
        self.given = given
        self.again = resume_command(ctx.find_root().obj or ())
        self.voice = Voice(own_stderr(), form=given["log_format"], secrets=secrets_of(os.environ))
        self.tell = Teller(self.voice, is_verbose=given["verbose"], now=time.monotonic)
        self.signals = Signals(on_first=self._first, on_second=self._second)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._act: Callable[[], object] | None = None
        self._report: Report | None = None
        self._bug: Exception | None = None  # in stopping; then the command was cancelled instead

    def settings(self, journal: Path | None) -> Settings:
        """Settings with a way to sign in, asked for where need be.  Raises `UsageError`."""
        keep_secret = self.voice.keep_secret
        settings = choose.settings_for(self.given, os.environ, journal=journal, keep_secret=keep_secret)
        return choose.with_totp(settings, self.given)

    def conduct(self, report: Report, prepare: Callable[[], T], main: Callable[[T], Coroutine[Any, Any, None]]) -> int:
        """Run `main` with what `prepare` returns, then tell what `report` has to say.  Returns the exit code.

        Signals are watched while `main` runs; before that a Ctrl-C has its usual meaning, also at a prompt.
        """
        error: BaseException | None = None
        self._report = report
        try:
            prepared = prepare()
            with self.signals:
                run_loop(lambda: self._in_loop(main(prepared)))
        except asyncio.CancelledError as e:
            error = self._bug or (None if self.signals.first else e)
        except (Exception, KeyboardInterrupt) as e:
            error = e
        summary = Summary(counts=Counts(), exit_code=report.exit_code)
        code = Ending(summary=summary, error=error, signal_code=self.signals.exit_code).exit_code
        self._conclude(report, error, code)
        return code

    @contextlib.contextmanager
    def meanwhile(self, act: Callable[[], object]) -> Iterator[None]:
        """While the block runs, the first signal calls `act`, on the loop, and cancels nothing."""
        self._act = act
        try:
            yield
        finally:
            self._act = None

    @contextlib.asynccontextmanager
    async def saying(self, line: Callable[[], str]) -> AsyncIterator[None]:
        """Say `line()` at growing intervals while the block runs."""
        began_at = time.monotonic()

        async def say() -> None:
            while True:
                await asyncio.sleep(progress.pause_s(time.monotonic() - began_at))
                self.voice.say(line(), event="progress")

        async with beside(say()):
            yield

    async def _in_loop(self, main: Coroutine[Any, Any, None]) -> None:
        self._task, self._loop = asyncio.current_task(), asyncio.get_running_loop()
        if self.signals.first is not None:  # it came before there was a loop to tell
            self._stop(self.signals.first.name)
        await main

    def _conclude(self, report: Report, error: BaseException | None, code: int) -> None:
        voice = self.voice
        self.tell.finish()
        first = None if error is None else first_of(error)
        tell_error(voice, first, is_verbose=self.given["verbose"])
        facts = {**report.facts(), **time_to_come_back(first), "exit_code": code}
        if lines := report.lines(code):
            voice.say("\n".join(lines), event="summary", **facts)
        voice.close()
        if self.given["as_json"]:
            put_json(facts)

    # from the signals' thread

    def _first(self, number: signal.Signals) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop closed just now: there is nothing left to stop
                self._loop.call_soon_threadsafe(guarded(self._stop, self._crashed), number.name)

    def _crashed(self, error: Exception) -> None:
        self._bug = error
        if self._task is not None:
            self._task.cancel()

    def _stop(self, name: str) -> None:
        if self._act is not None:
            self.voice.say(
                f"stopping: {name}; what is on the wire may end, nothing new is sent; once more leaves at once",
                event="stopping",
            )
            self._act()
        elif self._task is not None:
            self.voice.say(f"stopping: {name}", event="stopping")
            self._task.cancel()

    def _second(self, exit_code: int) -> None:
        self.voice.say(f"left at once; the same command goes on:\n  {self.again}", event="aborted")
        if self.given["as_json"] and self._report is not None:
            put_json({**self._report.facts(), "exit_code": exit_code})
        self.voice.close(0.4)


async def ask(question: str, voice: Voice) -> bool:
    """Ask a person; only "y" or "yes" is yes.  May be cancelled: the thread that reads is then left behind."""
    voice.say(f"{question}  Type yes to go on:")
    # Unbuffered: a thread that hangs in a buffered read of stdin makes the interpreter abort at exit.
    said = await anyio.to_thread.run_sync(os.read, sys.stdin.fileno(), 1_000, abandon_on_cancel=True)
    return said.decode(errors="replace").strip().lower() in ("y", "yes")
