"""The signal to stop: pauses that it ends, and the first error that it keeps."""

from __future__ import annotations

import asyncio

import pytest

from bulkwriter.errors import ConfigurationStop, TryLater
from bulkwriter.verify.stop_signal import StopSet, StopSignal

from ..sim.loop import run_virtual


def test_a_pause_ends_at_its_time_or_at_once_when_it_is_time_to_stop() -> None:
    async def main() -> list[float]:
        stop, loop = StopSignal(), asyncio.get_running_loop()
        assert await stop.pause(5.0)
        stop.check()
        loop.call_later(1.0, stop.set)
        ends = [loop.time()]
        assert not await stop.pause(100.0)
        ends.append(loop.time())
        assert not await stop.pause(100.0)
        with pytest.raises(StopSet):
            await stop.sleep(100.0)
        with pytest.raises(StopSet):
            stop.check()
        return [*ends, loop.time()]

    assert run_virtual(main) == pytest.approx([5.0, 6.0, 6.0], abs=0.01)


def test_the_first_error_is_kept_and_other_waits_are_ended_too() -> None:
    ended: list[str] = []
    stop = StopSignal(lambda: ended.append("quotas"))
    first = ConfigurationStop("no role")
    stop.set()
    stop.set(first)
    stop.set(TryLater("later"))
    assert stop.is_set
    assert stop.error is first
    assert ended == ["quotas"] * 3
