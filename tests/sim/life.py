"""What one process does with a `BulkWriter`: the ways in which a program uses the library, and leaves it.

An expected end is a value (`Ended`), an unexpected one an exception.  Outcomes that were delivered are kept, since a
caller acts on them.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field

import anyio

from bulkwriter.errors import Backlogged, BulkwriterError, NotWell
from bulkwriter.model import SETTLED, Outcome, State, Summary
from bulkwriter.writer import BulkWriter

from .assembly import SimAssembly
from .process import Process
from .server import Pair
from .source import SimSource
from .watch import Watch
from .world import Life, World


@dataclass(slots=True)
class Ended:
    """How a process ended, by itself."""

    summary: Summary | None = None
    error: BulkwriterError | None = None
    asked_at: float | None = None
    """When it was drained or cancelled."""
    is_cancelled: bool = False
    is_whole: bool = False
    """Whether its source was read and all was settled that could be."""
    outcomes: list[Outcome] = field(default_factory=list)
    on_outcome: Callable[[Outcome], None] = lambda outcome: None

    def take(self, outcome: Outcome) -> None:
        """A caller is told of an outcome."""
        self.outcomes.append(outcome)
        self.on_outcome(outcome)


async def live(life: Life, world: World, *, process: Process, assembly: SimAssembly, watch: Watch) -> Ended:
    """One process from its start to its end."""
    ended = Ended(on_outcome=watch.delivered)
    settings = life.settings(world.settings)
    writer = BulkWriter(settings, observers=[watch.tell], assembly=assembly)
    task = asyncio.get_running_loop().create_task(use(writer, life, world, process, watch, ended))
    if life.ending == "cancel":
        process.when(life.at_event, lambda: process.loop.call_soon(cancel, task, ended))
    try:
        await task
    except asyncio.CancelledError:
        ended.is_cancelled = True
    except BulkwriterError as error:
        process.note(f"ended with {type(error).__name__}: {error.message}")
        ended.error = error
    return ended


async def use(writer: BulkWriter, life: Life, world: World, process: Process, watch: Watch, ended: Ended) -> None:
    rng = random.Random(f"life {world.seed} {process.loop.time()}")
    try:
        async with writer:
            watch.engine = writer._engine
            if life.ending == "drain":
                process.when(life.at_event, lambda: process.loop.call_soon(drain, writer, ended))
            await WAYS[life.use](writer, life, world, rng, ended)
    finally:
        if hasattr(writer, "_engine"):
            ended.summary = writer.summary()


def drain(writer: BulkWriter, ended: Ended) -> None:
    if not writer._engine.run.is_stopping:
        ended.asked_at = writer._engine.ports.clock()
        writer.drain("asked to end")


def cancel(task: asyncio.Task[None], ended: Ended) -> None:
    if task.cancel():
        ended.asked_at = task.get_loop().time()


async def write_all(writer: BulkWriter, life: Life, world: World, rng: random.Random, ended: Ended) -> None:
    await writer.write_all(SimSource(world.rows, rng))
    ended.is_whole = ended.asked_at is None and life.limit is None


async def stream(writer: BulkWriter, life: Life, world: World, rng: random.Random, ended: Ended) -> None:
    is_slow = rng.random() < 0.3
    async for outcome in writer.stream(SimSource(world.rows, rng)):
        ended.take(outcome)
        if is_slow:
            await anyio.sleep(rng.expovariate(20))
        if life.left_after is not None and len(ended.outcomes) > life.left_after:
            return
    ended.is_whole = ended.asked_at is None and life.limit is None


async def singles(writer: BulkWriter, life: Life, world: World, rng: random.Random, ended: Ended) -> None:
    """Pairs one by one, some at the same time, beside the source."""

    failed: BulkwriterError | None = None
    try:
        async with anyio.create_task_group() as tasks:
            for pair in world.singles:
                tasks.start_soon(one_by_one, writer, [pair], rng, ended)
            await anyio.sleep(rng.expovariate(2))
            await writer.write_all(SimSource(world.rows, rng))
    except* BulkwriterError as group:
        failed = first_of(group)
    if failed:
        raise failed
    ended.is_whole = ended.asked_at is None and life.limit is None


async def service(writer: BulkWriter, life: Life, world: World, rng: random.Random, ended: Ended) -> None:
    """Pairs one by one, from callers who come again when the writer is well.  Whatever happens, it lives on: a caller
    hears of nothing but outcomes, `NotWell`, and the end."""

    run = writer._engine.run

    async def rest() -> None:
        """Until the caller comes again, or the writer is asked to end."""
        with anyio.move_on_after(rng.expovariate(0.1)):
            await run.until(lambda: run.is_stopping)

    async def one(pair: Pair) -> None:
        await rest()
        while True:
            try:
                outcome = await writer.write(pair)
            except NotWell:
                await writer.well()
            else:
                assert outcome.pair == pair
                ended.take(outcome)
                if outcome.state in SETTLED or outcome.state is State.FAILED:
                    return
                await rest()  # lists were forbidden, or failed

    failed: BulkwriterError | None = None
    try:
        async with anyio.create_task_group() as tasks:
            for pair in world.singles:
                tasks.start_soon(one, pair)
    except* BulkwriterError as group:
        failed = first_of(group)
    if failed:
        raise failed


async def one_by_one(writer: BulkWriter, pairs: list[Pair], rng: random.Random, ended: Ended) -> None:
    """One call with a pair."""
    await anyio.sleep(rng.expovariate(2))
    for pair in pairs:
        outcome = await writer.write(pair)
        assert outcome.pair == pair
        ended.take(outcome)


async def batches(writer: BulkWriter, life: Life, world: World, rng: random.Random, ended: Ended) -> None:
    """A service: batches, pairs that nobody waits for, calls with a timeout, all beside the source.  What an earlier
    process left is resumed, and at the end nothing is outstanding."""

    async def batch(pairs: list[Pair]) -> None:
        await anyio.sleep(rng.expovariate(2))
        timeout = rng.choice((None, rng.expovariate(1)))
        try:
            outcomes = await writer.write_many(pairs, timeout=timeout)
        except Backlogged as error:
            if timeout is None or error.taken >= len(pairs):
                raise AssertionError("refused though it could wait, or was taken whole") from error
            return
        assert [outcome.pair for outcome in outcomes] == pairs
        for outcome in outcomes:
            ended.take(outcome)
            assert timeout is not None or outcome.state in (*SETTLED, State.FAILED, State.IN_DOUBT), outcome

    def handed(future: asyncio.Future[Outcome]) -> None:
        if not future.cancelled() and not future.exception():
            ended.take(future.result())

    failed: BulkwriterError | None = None
    given = [*world.singles, *rng.sample(world.rows, min(20, len(world.rows)))]
    pairs = [pair for pair in given if pair]
    try:
        async with anyio.create_task_group() as tasks:
            for at in range(0, len(pairs), 7):
                tasks.start_soon(batch, pairs[at : at + 7])
            tasks.start_soon(one_by_one, writer, rng.sample(pairs, min(3, len(pairs))), rng, ended)
            for pair in rng.sample(pairs, min(3, len(pairs))):
                with suppress(Backlogged):
                    writer.submit(pair).add_done_callback(handed)
            await writer.resume()
            await anyio.sleep(rng.expovariate(2))
            await writer.write_all(SimSource(world.rows, rng))
        await writer.flush()
        writer._singles.check()
        assert writer.outstanding == 0
    except* BulkwriterError as group:
        failed = first_of(group)
    if failed:
        raise failed
    ended.is_whole = ended.asked_at is None and life.limit is None


async def sources(writer: BulkWriter, life: Life, world: World, rng: random.Random, ended: Ended) -> None:
    """Sources of the same pairs one after the other, as only a writer without a journal takes them, and single pairs:
    one that is left early, a part of them in another order, and all of them.  Each pair of these gets its outcome,
    once."""

    async def left_early(most: int) -> None:
        async with aclosing(writer.stream(SimSource(world.rows, rng))) as outcomes:
            async for outcome in outcomes:
                ended.take(outcome)
                if len(ended.outcomes) > most:
                    return

    async def to_its_end(rows: list[Pair | None]) -> None:
        told = Counter[Outcome]()
        async for outcome in writer.stream(SimSource(rows, rng)):
            ended.take(outcome)
            told[outcome] += 1
        untold = {pair for pair in rows if pair} - {outcome.pair for outcome in told}
        assert not untold, f"no outcome of {untold}"
        strange = {outcome.pair for outcome in told} - set(rows)
        assert not strange, f"outcomes of pairs of another source: {strange}"
        assert world.is_shifty or max(told.values(), default=1) == 1, f"told twice: {told.most_common(1)}"

    failed: BulkwriterError | None = None
    try:
        async with anyio.create_task_group() as tasks:
            for pair in world.singles:
                tasks.start_soon(one_by_one, writer, [pair], rng, ended)
            await left_early(rng.randint(0, 20))
            await to_its_end(rng.sample(world.rows, len(world.rows) // 2))
            await to_its_end([*world.singles, *rng.sample(world.rows, len(world.rows))])
    except* BulkwriterError as group:
        failed = first_of(group)
    if failed:
        raise failed
    ended.is_whole = True


def first_of(group: BaseExceptionGroup[BulkwriterError]) -> BulkwriterError:
    error = group.exceptions[0]
    return first_of(error) if isinstance(error, BaseExceptionGroup) else error


WAYS = {
    "write_all": write_all, "stream": stream, "singles": singles, "batches": batches, "sources": sources,
    "service": service,
}  # fmt: skip
