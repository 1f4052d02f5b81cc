"""The lifecycle of a command that asks the server: settings, secrets, signals, and an end that always reports.

`run`, `plan`, `verify` and `undo` each give a `ServerCommand` to `Invocation.conduct`, which goes through it in order:

    prepare   refuse what can be refused before anything is opened; a Ctrl-C has its usual meaning, also at a prompt
    work      do it, on the fastest event loop there is; from here on signals are watched
    final     say what came of it: the exit code, the facts for `--json`, the lines for people

Whatever happens once the arguments are parsed (an error, a signal, a bug) ends the same way: the error with its hint
and the summary on stderr, with `--json` one object as the last line of stdout, and the first exit code that applies.  A
stderr that is closed, or whose reader is gone, changes neither what is done nor the exit code; a stdout that fails
does not change what is done (`stdout` has its code).

The first signal does what the command asked for at that time (`on_signal`), by default it cancels the work.  The
second leaves the process at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import anyio
import click

from ..errors import BulkwriterError
from ..guarded import guarded
from ..settings import Settings
from ..wording import typed
from . import choose, config_files, progress
from .ending import exit_code_of, first_of, resume_command, time_to_come_back
from .event_lines import EventLines
from .main import bug
from .on_end import OnEnd
from .secret import secrets_of
from .signals import Signals
from .stderr import Stderr, own_stderr
from .stdout import put_json

T = TypeVar("T")


class FinalReport(NamedTuple):
    """What a command has to say at its end; `lines` None where it has no summary."""

    exit_code: int
    facts: dict[str, Any]
    lines: list[str] | None


class ServerCommand(Protocol):
    """What a command does in the steps of its lifecycle.  `abandoned` is called by another thread."""

    def prepare(self) -> Settings: ...
    async def work(self, settings: Settings) -> None: ...
    def final(self, error: BaseException | None, signal_code: int | None) -> FinalReport: ...
    def abandoned(self, exit_code: int) -> FinalReport: ...


class CountingCommand:
    """The end of a command whose counts so far decide its exit code, unless an error or a signal does."""

    @property
    def exit_code(self) -> int:
        raise NotImplementedError

    def facts(self) -> dict[str, Any]:
        raise NotImplementedError

    def lines(self, exit_code: int) -> list[str] | None:
        raise NotImplementedError

    def final(self, error: BaseException | None, signal_code: int | None) -> FinalReport:
        code = exit_code_of(self.exit_code, error, signal_code)
        return FinalReport(
            code, {**self.facts(), **time_to_come_back(error), "exit_code": code}, self.lines(code) or None
        )

    def abandoned(self, exit_code: int) -> FinalReport:
        facts = {**self.facts(), "exit_code": exit_code}
        return FinalReport(exit_code, facts, ["left at once; the same command goes on:"])


class Invocation:
    """One command line at work: its options, its stderr, and its signals.

    `command_line` is the line itself, safe to paste: the same command goes on where this one ended.
    """

    def __init__(self, ctx: click.Context, options: Mapping[str, Any]) -> None:
        self.options = config_files.given(ctx, options)
        self._notes = config_files.notes_for(ctx)
        self.command_line = resume_command(ctx.find_root().obj or ())
        self.stderr = Stderr(
            own_stderr(),
            form=self.options["log_format"],
            secrets=secrets_of(os.environ),
            log=self.options.get("log_file"),
            own_name=str(self.options.get("username") or ""),
        )
        on_end = None if self.options.get("dry_run") else self.options.get("on_end")
        self._on_end = OnEnd(on_end, self.stderr.note, env=os.environ) if on_end else None
        self._is_told = False  # how it ended, to everybody but `--on-end`
        self.event_lines = EventLines(self.stderr, is_verbose=options["verbose"], now=time.monotonic)
        self._signals = Signals(on_first=self._first, on_second=self._second)
        self._on_signal: Callable[[signal.Signals], object] = self._cancel
        self._command: ServerCommand | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._is_stopping = False
        self._bug: Exception | None = None  # in stopping; then the work was cancelled instead

    @property
    def signal_code(self) -> int | None:
        """The exit code of the signal that came, if one did."""
        return self._signals.exit_code

    def settings(self, journal: Path | None) -> Settings:
        """Settings with a way to sign in, asked for where need be.  Raises `UsageError`."""
        self._tell_notes()
        return choose.settings_for(self.options, os.environ, journal=journal, keep_secret=self.stderr.keep_secret)

    def go_offline(self) -> None:
        """Ask no server: `settings` need no way to sign in from here on."""
        self.options = {**self.options, "dry_run": True}

    def login_settings(self) -> Settings:
        """Settings of a new sign-in, which may lack a user name and a password.  Raises `UsageError`."""
        self._tell_notes()
        return choose.settings_from(self.options, os.environ, journal=None, token=None)

    def conduct(self, command: ServerCommand) -> int:
        """Take `command` through its lifecycle.  Everything has been said when this returns the exit code."""
        self._command = command
        with contextlib.ExitStack() as stack:
            error = self._carry_out(command, stack)
            first = None if error is None else first_of(error)
            final = command.final(first, self._signals.exit_code)
            self._conclude(final, first)
        return final.exit_code

    @contextlib.contextmanager
    def on_signal(self, act: Callable[[signal.Signals], object]) -> Iterator[None]:
        """While the block runs, the first signal calls `act`, on the loop, and cancels nothing."""
        before, self._on_signal = self._on_signal, act
        try:
            yield
        finally:
            self._on_signal = before

    def draining(self, stop: Callable[[], object]) -> AbstractContextManager[None]:
        """While the block runs, the first signal calls `stop`: requests in flight may end, and no new one is sent."""

        def drain(number: signal.Signals) -> None:
            self.stderr.print(
                f"stopping: {number.name}; what is on the wire may end, nothing new is sent; once more leaves at once",
                event="stopping",
            )
            stop()

        return self.on_signal(drain)

    @contextlib.asynccontextmanager
    async def showing(self, line: Callable[[], str]) -> AsyncIterator[None]:
        """Print `line()` at growing intervals while the block runs."""
        began_at = time.monotonic()

        async def show() -> None:
            while True:
                await asyncio.sleep(progress.pause_s(time.monotonic() - began_at))
                self.stderr.print(line(), event="progress")

        async with beside(show()):
            yield

    async def ask(self, question: str) -> bool:
        """Ask a person; only "y" or "yes" is yes.  May be cancelled: the thread that reads is then left behind."""
        self.stderr.print(f"{question}  Type yes to go on:")
        # Unbuffered: a thread that hangs in a buffered read of stdin makes the interpreter abort at exit.
        answer = await anyio.to_thread.run_sync(os.read, sys.stdin.fileno(), 1_000, abandon_on_cancel=True)
        return answer.decode(errors="replace").strip().lower() in ("y", "yes")

    def _carry_out(self, command: ServerCommand, stack: contextlib.ExitStack) -> BaseException | None:
        """Prepare and work; the error that ended it.  Signals are watched from then on until `stack` ends."""
        try:
            settings = choose.with_totp(command.prepare(), self.options)
            stack.enter_context(self._signals)
            run_loop(lambda: self._in_loop(command.work(settings)))
        except asyncio.CancelledError as e:
            return self._bug or (None if self._signals.first else e)
        except (Exception, KeyboardInterrupt) as e:
            return e
        return None

    async def _in_loop(self, work: Coroutine[Any, Any, None]) -> None:
        self._task, self._loop = asyncio.current_task(), asyncio.get_running_loop()
        if self._signals.first is not None:  # it came before there was a loop to tell
            self._loop.call_soon(guarded(self._stop, self._crashed), self._signals.first)
        await work

    def _conclude(self, final: FinalReport, error: BaseException | None) -> None:
        """Tell how it ended: people first, on stderr, then the object on stdout."""
        stderr = self.stderr
        self.event_lines.finish()
        if isinstance(error, BulkwriterError):
            message, hint = typed(error.message), error.hint.typed
            stderr.print_once(f"error: {error.typed()}", event="error", message=message, hint=hint)
        elif error is not None and not isinstance(error, KeyboardInterrupt):
            # `stderr` strikes out secrets itself.
            stderr.print(bug(error, is_verbose=self.options["verbose"], secrets=[]), event="bug")
        if final.lines or (final.lines is not None and stderr.form == "json"):
            stderr.print("\n".join(final.lines), event="summary", **final.facts)
        stderr.settle()
        if self.options["as_json"]:
            put_json(final.facts)
        self._is_told = True
        if self._on_end:
            self._on_end.start(final.facts)
            self._on_end.wait()
        stderr.close()

    def _tell_notes(self) -> None:
        """What is to be told of the files of settings, once."""
        notes, self._notes = self._notes, []
        for note in notes:
            self.stderr.note(note)

    def _stop(self, number: signal.Signals) -> None:
        if self._task is not None and not self._task.done() and not self._is_stopping:
            self._is_stopping = True
            self._on_signal(number)

    def _cancel(self, number: signal.Signals) -> None:
        if self._task is not None:
            self.stderr.print(f"stopping: {number.name}", event="stopping")
            self._task.cancel()

    def _crashed(self, error: Exception) -> None:
        self._bug = error
        if self._task is not None:
            self._task.cancel()

    # from the signals' thread

    def _first(self, number: signal.Signals) -> None:
        if self._on_end:
            self._on_end.leave()
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop closed just now: there is nothing left to stop
                self._loop.call_soon_threadsafe(guarded(self._stop, self._crashed), number)

    def _second(self, exit_code: int) -> None:
        if self._command is not None and not self._is_told:
            final = self._command.abandoned(exit_code)
            if self._on_end:
                self._on_end.start(final.facts)
            self.stderr.print("\n".join([*(final.lines or ()), f"  {self.command_line}"]), event="aborted")
            if self.options["as_json"]:
                put_json(final.facts)
        self.stderr.close(0.4)


def run_loop(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine function on uvloop where it is installed, else on asyncio's loop; no loop policy is touched."""
    with asyncio.Runner(loop_factory=fastest_loop()) as runner:
        return runner.run(main())


def fastest_loop() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


@contextlib.asynccontextmanager
async def beside(step: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run `step` while the block runs."""
    task = asyncio.create_task(step, name="progress")
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
