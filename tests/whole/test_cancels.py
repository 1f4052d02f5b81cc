"""Everything cancelled at once, on both loops, at some moments (scripts/cancels tries more); and by a real Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from bulkwriter import BulkWriter, Limits, State
from bulkwriter.stub.thread import StubThread
from tests.conftest import CANARY
from tests.support import cancels
from tests.support.cli_process import stub
from tests.support.library import LOOPS, on_loop, settings_for, some_pairs, states, truth, wholly

MOMENTS = 7
PAIRS = some_pairs(300)


@pytest.mark.slow
@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("way", cancels.WAYS)
def test_a_writer_ends_whose_tasks_are_all_cancelled(tmp_path: Path, way: str, loop: str) -> None:
    found = cancels.campaign(tmp_path, [cancels.Case(way, loop, seed) for seed in range(MOMENTS)])
    assert not found.wrong, found.wrong
    assert found.cases == MOMENTS


def test_each_way_to_end_is_drawn() -> None:
    """Else the cases above show less than they say."""
    drawn = {cancels.end_of(cancels.Case(way, "asyncio", seed)) for way in cancels.WAYS for seed in range(MOMENTS)}
    assert drawn == set(cancels.ENDS)


CHILD = """
import asyncio, sys
from bulkwriter import BulkWriter, Limits, Settings

async def main():
    settings = Settings(base_url={url!r}, token={token!r}, journal={journal!r}, limits=Limits(drain_s=0.3))
    async with BulkWriter(settings) as writer:
        print("open", flush=True)
        await writer.write_all({pairs!r})

async def hopeless():  # its main does not even wait
    tasks = [asyncio.create_task(main())]
    await asyncio.sleep(60)

with asyncio.Runner(loop_factory={factory}) as runner:
    runner.run({main}())
"""
FACTORIES = {"asyncio": "asyncio.new_event_loop", "uvloop": "__import__('uvloop').new_event_loop"}


EXIT_S = 3.0
"""For the interpreter of the child to print its traceback and go; its own thread's computing is not counted."""


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("main", ["main", "hopeless"])
@pytest.mark.parametrize("loop", LOOPS)
def test_ctrl_c_ends_a_program(tmp_path: Path, loop: str, main: str, times: int) -> None:
    journal = tmp_path / "j"
    with stub(latency_s=0.01) as server:
        code = CHILD.format(
            url=server.base_url, token=CANARY, journal=str(journal), pairs=PAIRS, factory=FACTORIES[loop], main=main
        )
        with subprocess.Popen([sys.executable, "-c", code], stdout=-1, stderr=-1, text=True) as child:
            assert child.stdout
            assert child.stderr
            assert child.stdout.readline() == "open\n"
            time.sleep(0.1)
            its = Path(f"/proc/{child.pid}/schedstat")
            began_at = cancels.idle_s(its)
            for _ in range(times):
                child.send_signal(signal.SIGINT)
                time.sleep(0.05)
            said = child.stderr.read()
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # its times can still be read
            took_s = cancels.idle_s(its) - began_at
        assert took_s < 0.3 + cancels.MORE_S + EXIT_S
        assert "KeyboardInterrupt" in said
        assert not cancels.claims_untrue(journal, server)
        on_loop(lambda: wholly(PAIRS, settings_for(server, journal)), server=server)
        assert truth(server) == (len(PAIRS), 0)


@pytest.mark.slow
@pytest.mark.parametrize("loop", LOOPS)
def test_a_block_that_the_loop_closes_ends_too(tmp_path: Path, loop: str) -> None:
    """A generator holds the writer, as a test's fixture or a service's lifespan does, and nobody closes it."""

    async def held(server: StubThread) -> None:
        async def fixture() -> AsyncGenerator[BulkWriter]:
            async with BulkWriter(settings_for(server, tmp_path / "j", limits=Limits(drain_s=0.3))) as writer:
                yield writer

        kept = fixture()
        writer = await anext(kept)
        task = asyncio.create_task(writer.write_all(PAIRS))
        await asyncio.sleep(0.05)
        raise cancels.Boom(task.get_name())

    with stub(latency_s=0.01) as server:
        began_at = cancels.idle_s()
        with pytest.raises(cancels.Boom), asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
            runner.run(held(server))
        assert cancels.idle_s() - began_at < 0.05 + 0.3 + cancels.MORE_S + EXIT_S
        assert State.INTENT not in states(tmp_path / "j")
        on_loop(lambda: wholly(PAIRS, settings_for(server, tmp_path / "j")), server=server)
        assert truth(server) == (len(PAIRS), 0)
