"""A drive with a fake writer, in a real lifecycle: whatever happens is told; a signal drains; progress shows."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import io
import signal
from typing import Any, Self

import click
import pytest

from bulkwriter.cli.drive import Drive
from bulkwriter.cli.ending import Ending, empty_summary
from bulkwriter.cli.lifecycle import FinalReport, Invocation
from bulkwriter.errors import ConfigurationStop, JournalError, SourceError
from bulkwriter.model import Counts, Ended, Snapshot, Summary
from bulkwriter.settings import Settings
from tests.cli.test_describe import QUIET
from tests.cli.test_signals import send

OPTIONS = {"log_format": "text", "verbose": False, "as_json": False, "yes": True}


class FakeSource:
    def __init__(self) -> None:
        self.is_closed = False

    async def aclose(self) -> None:
        self.is_closed = True


class FakeWriter:
    """Does as told: raises, or waits for a drain, then has 3 created of 5."""

    def __init__(
        self,
        *,
        error: BaseException | None = None,
        waits: bool = False,
        drain_error: Exception | None = None,
        enter_error: BaseException | None = None,
        enter_hangs: bool = False,
    ) -> None:
        self._error, self._drain_error = error, drain_error
        self._enter_error, self._enter_hangs = enter_error, enter_hangs
        self._waits = waits
        self._drained = asyncio.Event()
        self.reasons: list[str] = []
        self.ended: list[Ended | None] = []
        self.snapshots = 0

    async def __aenter__(self) -> Self:
        if self._enter_error is not None:
            raise self._enter_error
        if self._enter_hangs:
            send(signal.SIGINT)
            await self._drained.wait()
            raise asyncio.CancelledError  # as a writer whose opening is given up
        return self

    async def __aexit__(self, *error: object) -> None:
        """Nothing is kept open."""

    async def write_all(self, source: Any) -> Summary:
        if self._waits:
            send(signal.SIGTERM)
            await self._drained.wait()
        await asyncio.sleep(0)
        if self._error is not None:
            raise self._error
        return self.summary()

    def snapshot(self) -> Snapshot:
        self.snapshots += 1
        return dataclasses.replace(QUIET, in_flight=7)

    def drain(self, reason: str, *, ended: Ended | None = None) -> None:
        self.reasons.append(reason)
        self.ended.append(ended)
        if self._drain_error:
            raise self._drain_error
        self._drained.set()

    def summary(self) -> Summary:
        return Summary(counts=Counts(created=3, pending=2), journal="j", settled=3)


@dataclasses.dataclass
class Stage:
    """What a test lets happen, and what came of it."""

    source_error: BaseException | None = None
    enter_error: BaseException | None = None
    enter_hangs: bool = False
    write_error: BaseException | None = None
    drain_error: Exception | None = None
    waits: bool = False
    progress: str = "none"
    source: FakeSource = dataclasses.field(default_factory=FakeSource)
    writer: FakeWriter | None = None
    invocation: Invocation = dataclasses.field(init=False)
    drive: Drive | None = None
    ending: Ending | None = None
    said: str = ""

    def open_source(self) -> FakeSource:
        if self.source_error is not None:
            raise self.source_error
        return self.source

    def open_writer(self, source: Any) -> FakeWriter:
        self.writer = FakeWriter(
            error=self.write_error,
            waits=self.waits,
            drain_error=self.drain_error,
            enter_error=self.enter_error,
            enter_hangs=self.enter_hangs,
        )
        return self.writer

    def run(self) -> Ending:
        with contextlib.redirect_stderr(io.StringIO()) as said:
            self.invocation = Invocation(click.Context(click.Command("run"), obj=()), OPTIONS)
            code = self.invocation.conduct(self)
        self.said = said.getvalue()
        assert self.ending is not None
        assert code == self.ending.exit_code
        return self.ending

    # the steps of a `ServerCommand`

    def prepare(self) -> Settings:
        return Settings(base_url="http://127.0.0.1:1", token="t")

    async def work(self, settings: Settings) -> None:
        self.drive = Drive(
            self.invocation.stderr,
            open_source=self.open_source,
            open_writer=self.open_writer,
            progress=self.progress,
        )
        with self.invocation.on_signal(self.drive.stop):
            await self.drive.run()

    def final(self, error: BaseException | None, signal_code: int | None) -> FinalReport:
        assert self.drive is not None
        self.ending = Ending(self.drive.summary() or empty_summary("j"), error, signal_code)
        return FinalReport(self.ending.exit_code, {}, None)

    def abandoned(self, exit_code: int) -> FinalReport:
        raise AssertionError("nobody sent a second signal")


def test_a_run_that_ends_by_itself() -> None:
    stage = Stage()
    ending = stage.run()
    assert (ending.error, ending.signal_code, ending.summary.counts.created) == (None, None, 3)
    assert stage.source.is_closed


def test_an_error_keeps_the_counts() -> None:
    stop = ConfigurationStop("bad token")
    ending = Stage(write_error=stop).run()
    assert (ending.error, ending.exit_code, ending.summary.counts.pending) == (stop, 4, 2)


def test_errors_come_out_of_groups() -> None:
    ending = Stage(write_error=ExceptionGroup("", [KeyError("x"), JournalError("disk")])).run()
    assert ending.exit_code == 5


@pytest.mark.parametrize(
    ("stage", "code"),
    [
        (Stage(source_error=SourceError("no such file")), 6),
        (Stage(enter_error=JournalError("locked")), 5),
        (Stage(enter_error=ZeroDivisionError()), 70),
        (Stage(write_error=asyncio.CancelledError()), 70),
    ],
)
def test_what_fails_before_or_outside_is_an_ending_too(stage: Stage, code: int) -> None:
    ending = stage.run()
    assert ending.exit_code == code
    assert ending.summary.journal == "j"


def test_a_bug_in_draining_ends_the_run_and_is_told() -> None:
    """The loop would log it, and the signal would have done nothing."""
    stage = Stage(waits=True, drain_error=ZeroDivisionError())
    ending = stage.run()
    assert (ending.error, ending.exit_code) == (stage.drain_error, 143)
    assert stage.source.is_closed


def test_a_signal_drains_and_says_so() -> None:
    stage = Stage(waits=True)
    ending = stage.run()
    assert stage.writer is not None
    assert stage.writer.reasons == [
        "SIGTERM, so nothing new is sent; waiting for 7 requests in flight; once more aborts at once"
    ]
    assert (ending.exit_code, ending.error) == (143, None)


def test_a_signal_before_the_writer_is_ready_ends_the_start_and_is_handed_to_it() -> None:
    stage = Stage(enter_hangs=True)
    ending = stage.run()
    assert (ending.exit_code, ending.error, ending.summary.counts.pairs) == (130, None, 0)
    assert stage.writer is not None
    assert stage.writer.reasons == ["SIGINT, before anything was sent"]
    assert stage.writer.ended == [Ended("signal", "SIGINT", 130)]
    assert stage.source.is_closed


def test_a_live_display_is_fed() -> None:
    stage = Stage(progress="rich", waits=True)
    stage.run()
    assert stage.writer is not None
    assert stage.writer.snapshots >= 2
