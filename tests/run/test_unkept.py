"""What a run without a journal knows of its own pairs: those on their way are waited for, by as many as ask."""

from __future__ import annotations

import asyncio

import pytest

from bulkwriter.errors import ConfigurationStop
from bulkwriter.model import Intent, State
from bulkwriter.run.unkept import ASK_S, Unkept

from ..sim.loop import run_virtual

INTENT = Intent(0, (1, 2), 0, None, None)


def test_all_who_wait_for_a_pair_hear_of_it_at_once() -> None:
    async def main() -> float:
        loop, unkept = asyncio.get_running_loop(), Unkept(lambda: "", "R")
        unkept.begin([INTENT])
        asking = [asyncio.create_task(unkept.find([INTENT.pair])) for _ in range(3)]
        await asyncio.sleep(0.1)
        unkept.settle([INTENT], [(0, int(State.CREATED), 1, 77, 200, None)])
        began_at = loop.time()
        assert await asyncio.gather(*asking) == [{INTENT.pair: 77}] * 3
        return loop.time() - began_at

    assert run_virtual(main) < ASK_S / 10


def test_nobody_waits_for_a_doubt_that_no_look_will_settle() -> None:
    async def main() -> None:
        unkept = Unkept(lambda: "HTTP 403", "R")
        unkept.begin([INTENT])
        with pytest.raises(ConfigurationStop, match="HTTP 403"):
            await unkept.find([INTENT.pair])

    run_virtual(main)
