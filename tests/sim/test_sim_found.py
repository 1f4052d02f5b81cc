"""What simulation has found, each as a small world of its own: named, so that nobody breaks it again unnoticed.

Each world is run under some seeds, which draw latencies and moments; the broken twins in `tests/sim/twins.py` stand for
the same mistakes in the large.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from typing import Any, Literal

import anyio
import pytest

from bulkwriter.model import Batch, State
from bulkwriter.settings import Limits
from tests.support.run_loop import a_run_loop

from . import drive
from .disk import Disk
from .drive import Simulation
from .fates import Odds
from .loop import run_virtual
from .server import Pair
from .source import SimSource
from .world import Life, Use, World, plain_world

pytestmark = pytest.mark.slow
PAIRS: list[Pair] = [(lesson, member) for lesson in range(1, 4) for member in range(1, 5)]
FAIR = Odds({}, {}, {}, 0.0, 0.0)


def require_right(world: World, *, seeds: int = 12) -> int:
    """Run a world under some seeds; returns the attempts of all."""
    attempts = 0
    for seed in range(seeds):
        result = Simulation(replace(world, seed=seed)).run()
        assert not result.wrong, (seed, result.wrong, "\n".join(result.lines[-40:]))
        attempts += result.attempts
    return attempts


def unkept_world(rows: list[Pair | None], **changes: Any) -> World:
    """A world whose one process keeps no journal, and takes sources of the same pairs one after the other."""
    world = plain_world(rows, lives=[], **changes)
    return replace(world, settings=replace(world.settings, journal=None))


def killed_at(event: int) -> Life:
    return Life("write_all", ending="kill", at_event=event)


def test_doubts_of_an_earlier_start_get_a_token_though_the_source_holds_nothing_new() -> None:
    """Nothing asked for a token before a pair of the source came up: what looks gave back waited for ever."""
    for event in range(6, 20):
        require_right(plain_world([(1, 1), (1, 2)], lives=[killed_at(event), Life("write_all")]), seeds=1)


@pytest.mark.parametrize("is_known", [False, True])
def test_a_pair_given_one_by_one_and_by_a_source_at_once_has_one_row(is_known: bool) -> None:
    """Each made a row of its own and sent it."""
    lives = [Life("singles"), Life("singles")]
    existing = PAIRS[:6] if is_known else []
    world = plain_world([*PAIRS], lives=lives, singles=PAIRS, existing=existing, jitter_s=0.05)
    assert require_right(world) == 12 * (len(PAIRS) - len(existing))


def test_a_row_found_on_the_server_by_two_at_once_is_counted_once() -> None:
    """Rows that were given back as pending, and appeared on the server: a source and a single write found them."""
    lives = [Life("write_all", ending="drain", at_event=9), Life("singles"), Life("singles")]
    require_right(plain_world([*PAIRS], lives=lives, singles=PAIRS[:8], existing=PAIRS[2:9], jitter_s=0.05))


@pytest.mark.parametrize("ending", ["drain", "cancel"])
def test_single_writes_end_with_the_run(ending: str) -> None:
    """They waited for outcomes that nobody would bring any more; during an outage this is all that can end them."""
    lives = [Life("singles", ending=ending, at_event=event) for event in (4, 8, 16)]  # type: ignore[arg-type]
    world = plain_world([*PAIRS], lives=lives, singles=[(7, 7), (8, 8)], outages=((0.1, 12.0),))
    require_right(world, seeds=4)


def test_a_disk_that_fails_under_single_writes_while_the_run_ends_is_told_to_all() -> None:
    """Those who waited for what could not be returned waited for ever; and a write that nobody waited for any more kept
    to itself that its commit had failed."""
    settings = replace(plain_world([], lives=[]).settings, rate=2.5)
    for commit, events, latency_s in ((5, (12, 41, 42), 0.4), (6, (43, 44, 45), 0.4), (5, (10, 12, 14), 0.01)):
        for event in events:
            life = Life("singles", ending="drain", at_event=event, disk_fails_at=commit, keeps_failed=latency_s < 0.1)
            world = plain_world([], lives=[life], singles=PAIRS, settings=settings, latency_s=latency_s)
            require_right(world, seeds=1)


def test_a_cancel_in_the_middle_of_a_commit_leaves_nothing_that_nobody_knows_of() -> None:
    """asyncio's own cancellation reaches into anyio's shields: rows were durable and neither sent nor given back."""
    for event in range(1, 30):
        lives = [Life("write_all", ending="cancel", at_event=event)]
        require_right(plain_world([*PAIRS], lives=lives), seeds=1)


def test_a_recalled_pair_is_known_as_ours_after_a_kill() -> None:
    """Its row lost the floor when the pair was put in doubt, so that the next start called it somebody else's."""
    odds = replace(FAIR, lanes={"repeated reply": 0.7})
    for event in range(20, 80, 3):
        world = plain_world([*PAIRS], lives=[killed_at(event), Life("write_all")], strangers=[(9, 10_001)], odds=odds)
        require_right(world, seeds=2)


def test_the_floor_of_a_start_is_from_before_its_first_write() -> None:
    """While the first rows wait for room, doubts of the start before may be sent; a floor taken after that was above
    their records, and those that were recalled from a lane out of step were not found."""
    settings = plain_world([], lives=[]).settings
    settings = replace(settings, limits=replace(settings.limits, outcome_rows=2))
    odds = replace(FAIR, lanes={"repeated reply": 0.8})
    for event in range(25, 60, 3):
        lives = [killed_at(event), Life("write_all"), Life("write_all")]
        require_right(plain_world([*PAIRS], lives=lives, settings=settings, odds=odds), seeds=4)


def test_doubts_sent_before_anything_was_looked_up_are_known_as_ours_when_they_are_recalled() -> None:
    """With `--existing skip` a start that finds nothing new in its source has no floor but that of its doubts: records
    of ours, recalled from a lane out of step, were called somebody else's."""
    settings = plain_world([], lives=[]).settings
    settings = replace(settings, existing="skip", limits=replace(settings.limits, chunk_rows=100))
    odds = replace(FAIR, lanes={"repeated reply": 0.7})
    for event in range(6, 14):
        lives = [killed_at(event), Life("write_all"), Life("write_all")]
        world = plain_world([*PAIRS], lives=lives, strangers=[(9, 10_001)], settings=settings, odds=odds)
        require_right(world, seeds=3)


def test_single_writes_that_begin_together_all_have_a_floor() -> None:
    """With `--existing skip` only the first one waited for the look that tells the newest id."""
    settings = replace(plain_world([], lives=[]).settings, existing="skip")
    odds = replace(FAIR, creates={"oversized": 0.5, "408": 0.2})
    lives = [Life("singles"), Life("write_all")]
    require_right(plain_world([], lives=lives, settings=settings, singles=PAIRS, odds=odds, jitter_s=0.02))


def test_a_reply_too_many_that_comes_last_is_heard_before_the_run_ends() -> None:
    """What its lane had said was believed, since it was heard only when the last commit was done."""
    odds = replace(FAIR, lanes={"somebody else's reply": 0.3})
    for use in ("write_all", "stream"):
        lives = [Life(use), Life(use, left_after=2)]
        require_right(plain_world([*PAIRS], lives=lives, is_shifty=True, odds=odds, latency_s=0.001))


def test_an_empty_first_page_under_a_total_gives_no_floor() -> None:
    """A floor of 0 made other people's records ours."""
    settings = replace(plain_world([], lives=[]).settings, existing="skip")
    odds = Odds({"reset after": 0.3}, {}, {"empty page": 0.5, "short page": 0.2}, 0.0, 0.0)
    lives = [Life("write_all"), Life("write_all")]
    require_right(plain_world([*PAIRS], lives=lives, settings=settings, existing=PAIRS[:6], odds=odds))


@pytest.mark.parametrize("ending", ["drain", "itself", "cancel"])
def test_a_stream_ends_though_the_disk_fails_while_it_is_left(ending: str) -> None:
    """What was unsent could not be returned, and the consumer waited for ever for the end of its stream."""
    for commit in range(2, 16):
        for event in (14, 24, 34, 44) if ending != "itself" else (0,):
            life = Life("stream", ending=ending, at_event=event, disk_fails_at=commit)  # type: ignore[arg-type]
            require_right(plain_world([*PAIRS], lives=[life, Life("write_all")]), seeds=1)


@pytest.mark.parametrize("use", ["write_all", "stream"])
def test_a_run_whose_server_and_then_whose_disk_is_gone_ends_with_the_disk(use: Use) -> None:
    """The first error counted, so that the last commit was waited for though it had failed."""
    settings = replace(plain_world([], lives=[]).settings, give_up_after_s=2.0, in_flight=2)
    seen = set()
    for commit in range(2, 16):
        life = Life(use, disk_fails_at=commit)
        world = plain_world([*PAIRS], lives=[life, Life("write_all")], settings=settings, outages=((0.15, 14.0),))
        result = Simulation(world).run()
        assert not result.wrong, (commit, result.wrong)
        seen |= {line.split("ended with ")[1].split(":")[0] for line in result.lines if "ended with " in line}
    assert seen == {"TryLater", "JournalError"}


def test_a_pair_that_another_has_written_meanwhile_is_existing_where_the_server_refuses_it() -> None:
    """It was called rejected, though it is there: with `--existing skip`, or written by others after the check."""
    settings = replace(plain_world([], lives=[]).settings, existing="skip", max_same_rejections=1_000)
    changes = {"settings": settings, "is_unique": True, "refused": {PAIRS[-1], PAIRS[-2]}}
    for existing, use in ((PAIRS[:7], "write_all"), (PAIRS[3:9], "stream"), (PAIRS[:5], "singles")):
        world = plain_world([*PAIRS], lives=[Life(use)], existing=existing, singles=PAIRS, **changes)  # type: ignore[arg-type]
        for seed in range(6):
            result = Simulation(replace(world, seed=seed)).run()
            assert not result.wrong
            told = [result.states.get(state) for state in (State.EXISTING, State.REJECTED, State.CREATED)]
            assert told == [len(existing), 2, 10 - len(existing)]


def test_all_who_wait_for_news_are_told() -> None:
    """Each new waiter took the place of the one before, who then waited for ever."""

    async def main() -> None:
        run = a_run_loop(clock=asyncio.get_running_loop().time)
        there: set[str] = set()

        async def wait(name: str) -> None:
            await run.until(lambda: name in there)

        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                for name in "abc":
                    tasks.start_soon(wait, name)
                for name in "abc":
                    await anyio.sleep(1)
                    there.add(name)
                    run.soon()

    run_virtual(main)


def test_refused_pairs_do_not_wait_for_lists_that_never_work() -> None:
    """A run with one refused pair waited as long for its look as for a doubt's: an hour."""
    settings = replace(plain_world([], lives=[]).settings, existing="skip", give_up_after_s=3_600.0)
    odds = Odds({}, {}, {"500": 1.0}, 0.0, 0.0)
    world = plain_world([*PAIRS], lives=[Life("write_all")], settings=settings, refused=set(PAIRS[4:6]), odds=odds)
    for seed in range(4):
        simulation = Simulation(replace(world, seed=seed))
        simulation._live(world.lives[0])
        assert not simulation.result.wrong
        assert simulation.journal
        assert simulation.journal.counts() == {State.CREATED: 10, State.REJECTED: 2}
        assert simulation.now < 15


@pytest.mark.parametrize(("kind", "most_s"), [("500 after", 60), ("200 of another kind", 500), ("reset after", 130)])
def test_a_server_whose_replies_never_tell_what_it_did(
    kind: str, most_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 500 pairs 55 to 82 were sent in 50 minutes, soon one a minute, and then the server was held to be gone."""
    monkeypatch.setattr(drive, "CALM_AFTER_S", math.inf)
    pairs: list[Pair] = [(1 + i % 5, 1 + i) for i in range(500)]
    settings = replace(plain_world([], lives=[]).settings, in_flight=64, limits=Limits(), late_apply_s=60, list_lag_s=5)
    odds = replace(FAIR, creates={kind: 1.0})
    world = plain_world([*pairs], lives=[Life("write_all")], settings=settings, odds=odds, latency_s=0.02)
    simulation = Simulation(world)
    simulation._live(world.lives[0])
    states = simulation.journal.counts()
    assert not simulation.result.wrong
    assert (sum(states.values()), states[State.CREATED]) == (500, len(simulation.server.ours()))
    assert states[State.CREATED] >= 495  # some never got through in five attempts
    assert max(simulation.server.ours().values()) == 1
    assert simulation.now < most_s


def test_a_look_comes_at_once_when_nothing_else_is_left_though_replies_came_after_the_last_row() -> None:
    """The looker was told once that the source had ended, while requests were in flight, and waited on for company."""
    settings = replace(plain_world([], lives=[]).settings, late_apply_s=50.0, timeout_s=40.0)
    odds = replace(FAIR, creates={"reset after": 0.5})
    world = plain_world([*PAIRS], lives=[Life("write_all")], settings=settings, odds=odds, latency_s=1.0, jitter_s=1.0)
    for seed in range(6):
        result = Simulation(replace(world, seed=seed)).run()
        assert not result.wrong
        assert result.virtual_s < 60


def test_a_source_whose_batches_end_in_small_rests_keeps_all_lanes_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """More was asked for only when as little was left as had come last: 10 rows, and then a commit was waited for."""
    read = SimSource.read

    async def in_blocks(source: SimSource, max_rows: int) -> Batch | None:
        return await read(source, min(max_rows, 410 - source._at % 410))

    monkeypatch.setattr(SimSource, "read", in_blocks)
    monkeypatch.setattr(drive, "CALM_AFTER_S", math.inf)
    pairs: list[Pair] = [(1, 1 + i) for i in range(5_000)]
    settings = replace(plain_world([], lives=[]).settings, in_flight=64, existing="skip", limits=Limits(chunk_rows=400))
    disk = Disk(commit_s=0.01)
    world = plain_world([*pairs], lives=[Life("write_all")], settings=settings, disk=disk, odds=FAIR, latency_s=0.005)
    simulation = Simulation(world)
    simulation._live(world.lives[0])
    assert not simulation.result.wrong
    assert simulation.now < 1.15  # 1.09; it was 1.25


def test_what_a_lost_journal_had_on_its_way_is_found_before_anything_is_sent() -> None:
    """A run was killed with its machine and begun elsewhere at once: what was applied after the first list was sent
    again.  Told of the loss it waits; untold it doubles, which shows that these worlds can."""

    def wrong(seed: int, has_lost: Literal["journal", "journal, untold"]) -> list[str]:
        lives = [killed_at(14 + seed), Life("write_all", has_lost=has_lost)]
        world = plain_world([*PAIRS], lives=lives, existing=[PAIRS[0]], seed=seed, latency_s=0.01, jitter_s=0.9)
        return Simulation(world).run().wrong

    seeds = range(32, 60)
    assert not any(wrong(seed, "journal") for seed in seeds)
    assert any("was there before, and we sent it" in text for seed in seeds for text in wrong(seed, "journal, untold"))


def test_a_single_write_in_doubt_outlasts_lists_of_another_shape() -> None:
    """Three of them in a row, over five seconds, ended the looks for good, and its caller waited for ever."""
    settings = replace(plain_world([], lives=[]).settings, existing="skip", give_up_after_s=3_600.0)
    odds = Odds({"reset after": 0.5}, {}, {"garbage": 0.85}, 0.0, 0.0)
    world = plain_world([], lives=[Life("singles")], singles=PAIRS[:4], settings=settings, odds=odds)
    require_right(world, seeds=6)


@pytest.mark.parametrize("existing", ["check", "skip"])
def test_without_a_journal_a_pair_of_an_earlier_source_goes_on_from_its_row(existing: Literal["check", "skip"]) -> None:
    """Whatever became of it: created, in doubt, on its way, refused, failed or not sent.  Its seq is another one."""
    odds = replace(FAIR, creates={"reset after": 0.2, "500 after": 0.2, "500 before": 0.2})
    rows: list[Pair | None] = [*PAIRS, None, *PAIRS[:3]]
    world = unkept_world(rows, singles=[*PAIRS[3:6], (9, 9)], refused={PAIRS[1]}, odds=odds, jitter_s=0.05)
    world = replace(world, settings=replace(world.settings, existing=existing, max_attempts=1))
    assert require_right(world) >= 12 * len(PAIRS)


def test_another_source_waits_for_one_that_is_left_in_the_middle_of_a_slow_commit() -> None:
    """It was told that the other was still running: that it was left was noted only when the commit had ended."""
    require_right(unkept_world([*PAIRS], disk=Disk(commit_s=0.3)))
