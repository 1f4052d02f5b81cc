"""The engine under simulation: many seeds, an end at every event of a small run, and the broken twins.

A failing seed is replayed with its trace by `scripts/sim --seed N`; campaigns are `scripts/sim --count N`.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from .drive import Result, Simulation, simulate
from .fates import KINDS, Odds
from .hunt import caught_by
from .server import Pair
from .twins import TWINS
from .world import Ending, Life, Use, World, draw_world, plain_world

SEEDS = 200
FIRST = {"an old token s 401 stops": 1_900, "a cancel breaks a commit": 170}
"""The seed to begin with; they show in one world of some 250 and of some 50 (`scripts/sim --twins` begins with 0)."""
BATCH = 50
ROWS: list[Pair | None] = [(1, 1), (1, 2), None, (2, 1), (1, 2), (2, 2), (3, 3)]
TROUBLE = Odds(dict.fromkeys(("reset before", "reset, late", "500 after", "429 with a wait"), 0.05), {}, {}, 0.1, 0.0)


def require_right(*results: Result) -> None:
    """Fail with the seed, what broke and the end of its trace."""
    for result in results:
        if result.wrong:
            trace = "\n".join(result.lines[-60:])
            pytest.fail(f"{trace}\n\nscripts/sim --seed {result.seed}\n" + "\n".join(result.wrong), pytrace=False)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, SEEDS, BATCH))
def test_whatever_happens_each_pair_is_there_once_and_the_journal_is_true(first: int) -> None:
    require_right(*(simulate(seed) for seed in range(first, first + BATCH)))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_the_same_seed_is_the_same_run(seed: int) -> None:
    one, two = simulate(seed, keeps_all=True), simulate(seed, keeps_all=True)
    assert one.lines == two.lines
    assert one.digest == two.digest
    assert (one.virtual_s, one.attempts, one.list_calls) == (two.virtual_s, two.attempts, two.list_calls)


def test_other_seeds_are_other_runs() -> None:
    assert len({simulate(seed).digest for seed in range(8)}) == 8


def test_the_worlds_hold_what_they_should() -> None:
    """Each ingredient is there in enough of the seeds that are run."""
    worlds = [draw_world(seed) for seed in range(SEEDS)]
    shares = {
        "kills": lambda w: any(life.ending == "kill" for life in w.lives),
        "drains": lambda w: any(life.ending == "drain" for life in w.lives),
        "cancels": lambda w: any(life.ending == "cancel" for life in w.lives),
        "failing disks": lambda w: any(life.disk_fails_at for life in w.lives),
        "streams": lambda w: any(life.use == "stream" for life in w.lives),
        "singles": lambda w: any(life.use == "singles" for life in w.lives),
        "batches": lambda w: any(life.use == "batches" for life in w.lives),
        "list trouble": lambda w: bool(w.odds.lists),
        "late applications": lambda w: w.settings.late_apply_s > 0,
        "outages": lambda w: bool(w.outages),
        "throttles": lambda w: w.limit is not None,
        "lost tokens": lambda w: bool(w.token_lost_at),
        "shifted lanes": lambda w: w.is_shifty,
        "nothing kept": lambda w: w.settings.journal is None,
    }
    for name, has in shares.items():
        assert sum(map(has, worlds)) >= 0.03 * SEEDS, name
    for kind in KINDS:
        assert sum(kind in w.odds.creates for w in worlds) >= 0.1 * SEEDS, kind


def ends_at(ending: Ending, use: Use, event: int) -> World:
    """A small run that is ended at one of its events, and begun again."""
    lives = [Life(use, ending=ending, at_event=event), Life("write_all")]
    world = plain_world(ROWS, lives=lives, singles=[(1, 1), (9, 9), (3, 3)], existing=[(2, 2)], odds=TROUBLE)
    return replace(world, seed=event)


@pytest.mark.slow
@pytest.mark.parametrize(("use", "step"), [("write_all", 1), ("stream", 3), ("singles", 3), ("batches", 5)])
@pytest.mark.parametrize("ending", ["kill", "drain", "cancel"])
def test_a_small_run_may_end_at_every_one_of_its_events(ending: Ending, use: Use, step: int) -> None:
    """At every one where it is simplest, at every third one where more goes on at once."""
    for event in range(1, 60, step):
        result = Simulation(ends_at(ending, use, event)).run()
        result.seed = event
        require_right(result)


@pytest.mark.slow
@pytest.mark.parametrize("keeps_failed", [False, True])
def test_every_commit_of_a_small_run_may_fail(keeps_failed: bool) -> None:
    for commit in range(1, 16):
        lives = [Life("write_all", disk_fails_at=commit, keeps_failed=keeps_failed), Life("write_all")]
        require_right(Simulation(plain_world(ROWS, lives=lives, existing=[(2, 2)], odds=TROUBLE)).run())


@pytest.mark.slow
@pytest.mark.parametrize("name", TWINS)
def test_a_broken_twin_is_caught(name: str) -> None:
    assert caught_by(name, 100, first=FIRST.get(name, 0)), TWINS[name].words


def test_in_fair_weather_nothing_is_in_doubt_and_nothing_is_wasted() -> None:
    rows: list[Pair | None] = [(lesson, member) for lesson in range(1, 6) for member in range(1, 21)]
    existing = [(1, 1), (2, 2), (5, 20)]
    result = Simulation(plain_world(rows, lives=[Life("write_all")], existing=existing)).run()
    require_right(result)
    assert result.attempts == 97
    assert result.list_calls <= 6  # of both processes


def test_the_same_command_again_sends_nothing() -> None:
    world = plain_world([(1, member) for member in range(1, 30)], lives=[Life("write_all"), Life("write_all")])
    result = Simulation(world).run()
    require_right(result)
    assert result.attempts == 29
