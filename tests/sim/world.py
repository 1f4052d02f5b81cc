"""Draws a whole world from one integer: source, server, network, disk, settings, and when the process is killed.

Everything is drawn once, here; what happens afterwards follows from it.  Times are seconds of virtual time, small, so
that a seed takes milliseconds; the shapes are those of real runs: chunks much smaller than sources, waits much longer
than replies, pages much smaller than tables.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from bulkwriter.entities import Entity
from bulkwriter.entities.completed_lessons import COMPLETED_LESSONS
from bulkwriter.entities.enrolments import APPROVED
from bulkwriter.settings import Limits, Settings

from .disk import Disk
from .fates import CALM, Odds, draw_odds, draw_shifty_odds
from .server import Limit, Pair
from .weather import Weather

Use = Literal["write_all", "stream", "singles", "batches", "sources", "service"]
Ending = Literal["itself", "kill", "drain", "cancel"]

BASE_URL = "https://sim.test"
JOURNAL = Path("sim.journal")
"""Stands for a journal; nothing is opened there."""
WIDE = (1, 2, 3, 5, 7, 2**32, 2 * 2**32 + 5, 2**33 + 1, 3 * 2**32 + 5, 2**62 + 3)
"""Ids of which some pairs fall together if both are packed into one 64-bit word."""

STRANGERS = 10_000
"""Members from here up to `STRANGERS_END` are never in a source: others' records, added and deleted meanwhile."""
STRANGERS_END = 1_000_000


@dataclass(frozen=True, slots=True)
class Life:
    """How one process is used and how it ends."""

    use: Use
    ending: Ending = "itself"
    at_event: int = 0
    """The event at which it is killed, drained or cancelled."""
    left_after: int | None = None
    """A stream's consumer leaves after so many outcomes."""
    most_s: float = 60.0
    """A process that is to be killed is killed after so long, if it has had fewer events."""
    limit: int | None = None
    gap_s: float = 0.0
    """Between the end of the life before and this one."""
    disk_fails_at: int | None = None
    """The commit that fails."""
    keeps_failed: bool = False
    """Whether the failed commit's rows are there all the same."""
    has_lost: Literal["nothing", "journal, untold", "journal"] = "nothing"
    """With the process before its journal was lost: this one begins a new one, and is told so with `--after-loss`."""

    def settings(self, settings: Settings) -> Settings:
        """Those of the world, as they are for this process."""
        most = 2 if self.use == "service" else settings.max_same_rejections
        return replace(settings, limit=self.limit, after_loss=self.has_lost == "journal", max_same_rejections=most)


@dataclass(slots=True)
class World:
    """What a seed stands for."""

    seed: int
    settings: Settings
    rows: list[Pair | None]
    singles: list[Pair]
    existing: list[Pair]
    strangers: list[Pair]
    refused: set[Pair]
    is_unique: bool
    """Whether the server refuses a second record of a pair."""
    is_shifty: bool
    """Whether replies of others come on our lanes.  The engine finds that out at the latest when a lane falls idle, and
    not at all if it is killed, or the lane lost, or a reply sends a pair back, before: none of these comes then."""
    limit: Limit | None
    page_cap: int
    odds: Odds
    latency_s: float
    jitter_s: float
    outages: tuple[tuple[float, float], ...]
    token_lost_at: tuple[float, ...]
    disk: Disk
    lives: list[Life]
    forbidden: tuple[tuple[float, float], ...] = ()
    """When the server answers every create with 403."""
    tokenless: tuple[tuple[float, float], ...] = ()
    """When no token can be had."""

    @property
    def entity(self) -> Entity:
        """What is written: enrolments in every third world.  Nothing else of a world depends on it."""
        return APPROVED if self.seed % 3 == 2 else COMPLETED_LESSONS

    def weather(self, rng: random.Random) -> Weather:
        return Weather(
            rng=rng,
            odds=self.odds,
            latency_s=self.latency_s,
            jitter_s=self.jitter_s,
            late_apply_s=self.settings.late_apply_s,
            outages=self.outages,
            forbidden=self.forbidden,
            tokenless=self.tokenless,
        )


def draw_world(seed: int) -> World:
    """The world of a seed."""
    rng = random.Random(f"world {seed}")
    batches = random.Random(f"batches {seed}")  # on its own, so that worlds stay what they were
    rows = draw_rows(rng)
    pairs = sorted({pair for pair in rows if pair})
    rng.shuffle(pairs)
    existing = pairs[: rng.choice((0, 0, len(pairs) // 10, len(pairs) // 2, len(pairs)))]
    rest = pairs[len(existing) :]
    is_shifty = rng.random() < 0.1
    is_unique = random.Random(f"unique {seed}").random() < 0.25  # on its own, so that worlds stay what they were
    latency_s, jitter_s = rng.choice((0.001, 0.02, 0.2)), rng.choice((0.0, 0.005, 0.2))
    settings = draw_settings(rng, len(rows), is_slow=latency_s + jitter_s > 0.1)
    settings = replace(settings, stop_rejected=1.0)  # half of the pairs may be refused in the same words here
    if is_unique and settings.existing == "skip":
        settings = replace(settings, max_same_rejections=1_000)
    settings = replace(settings, most_outstanding=batches.choice((1, 4, 10_000)))
    world = World(
        seed=seed,
        settings=settings,
        rows=rows,
        singles=draw_singles(rng, pairs),
        existing=existing,
        strangers=[(rng.choice(WIDE), STRANGERS + i) for i in range(rng.choice((0, 0, 5, 40, 150)))],
        refused=set(rest[: rng.choice((0, 0, 0, len(rest) // 4))]),
        is_unique=is_unique,
        is_shifty=is_shifty,
        limit=None if is_shifty else draw_limit(rng),
        page_cap=rng.choice((1_000, 1_000, 25, 7, 3)),
        odds=draw_shifty_odds(rng) if is_shifty else draw_odds(rng),
        latency_s=latency_s,
        jitter_s=jitter_s,
        outages=() if is_shifty else draw_outages(rng),
        token_lost_at=() if is_shifty else draw_token_losses(rng),
        disk=Disk(commit_s=rng.choice((0.0, 0.001, 0.02))),
        lives=[
            with_batches(batches, draw_life(rng, is_first=i == 0, is_left_alone=is_shifty))
            for i in range(rng.choice((1, 1, 2, 3, 5)))
        ],
    )
    own = random.Random(f"service {seed}")  # on its own, so that other worlds stay what they were
    return as_service(world, own) if own.random() < 0.15 and settings.journal and not is_shifty else world


def as_service(world: World, rng: random.Random) -> World:
    """The world of a service that gives pairs one by one, with trouble that lasts longer than anybody waits."""

    def times(most: int, longest_s: float) -> tuple[tuple[float, float], ...]:
        begins = [rng.uniform(0.0, 60.0) for _ in range(rng.randint(0, most))]
        return tuple((begin, begin + rng.uniform(1.0, longest_s)) for begin in begins)

    return replace(
        world,
        settings=replace(world.settings, patience_s=rng.choice((None, 0.0, 2.0, 30.0))),
        singles=[*world.singles, *((11, i) for i in range(1, rng.randint(1, 30)))],
        outages=times(1, 100.0),
        forbidden=times(2, 60.0),
        tokenless=times(2, 60.0),
        lives=[replace(life, use="service", limit=None) for life in world.lives],
    )


def plain_world(rows: list[Pair | None], *, lives: list[Life], **changes: Any) -> World:
    """A world made by hand: fair weather, short waits, a fast disk; `changes` are fields of `World`."""
    settings = Settings(
        base_url=BASE_URL,
        token="unused",
        journal=JOURNAL,
        in_flight=4,
        timeout_s=2.0,
        late_apply_s=1.0,
        list_lag_s=0.2,
        limits=Limits(chunk_rows=2, breaker_failures=3, probe_pause_s=0.5, throttle_pause_s=0.5, drain_s=1.0),
    )
    world = World(
        seed=0,
        settings=settings,
        rows=rows,
        singles=[],
        existing=[],
        strangers=[],
        refused=set(),
        is_unique=False,
        is_shifty=False,
        limit=None,
        page_cap=1_000,
        odds=CALM,
        latency_s=0.01,
        jitter_s=0.0,
        outages=(),
        token_lost_at=(),
        disk=Disk(),
        lives=lives,
    )
    return replace(world, **changes)


def draw_rows(rng: random.Random) -> list[Pair | None]:
    """Pairs, some of them twice, and rows that are none."""
    count = rng.choice((1, 3, rng.randint(1, 30), rng.randint(20, 60), rng.randint(60, 150)))
    lessons: tuple[int, ...] = tuple(range(1, rng.choice((2, 4, 40))))
    members: tuple[int, ...] = tuple(range(1, rng.choice((4, 40, 4_000))))
    if rng.random() < 0.25:
        lessons = members = WIDE
    rows: list[Pair | None] = [(rng.choice(lessons), rng.choice(members)) for _ in range(count)]
    for i in range(count):
        if rng.random() < 0.02:
            rows[i] = None
    return rows


def draw_singles(rng: random.Random, pairs: list[Pair]) -> list[Pair]:
    """Pairs to be given one by one, of which some are the source's."""
    return [rng.choice(pairs) if pairs and rng.random() < 0.3 else (9, 50 + i) for i in range(rng.randint(1, 12))]


def draw_settings(rng: random.Random, rows: int, *, is_slow: bool) -> Settings:
    late_apply_s, list_lag_s = rng.choice(((0.0, 0.0), (1.0, 0.3), (5.0, 1.0), (20.0, 2.0)))
    return Settings(
        base_url=BASE_URL,
        token="unused",
        journal=JOURNAL if rng.random() < 0.95 else None,
        existing="check" if rng.random() < 0.8 else "skip",
        in_flight=rng.choice((1, 2, 4, 16, 64)),
        rate=rng.choice((None, None, None, 2.5, 20.0, 100.0, 0.5 if rows < 20 else 5.0)),
        timeout_s=rng.choice((4.0, 10.0) if is_slow else (0.5, 2.0, 10.0)),
        late_apply_s=late_apply_s,
        list_lag_s=list_lag_s,
        max_attempts=rng.choice((1, 2, 5)),
        give_up_after_s=rng.choice((10.0, 60.0)),
        limits=Limits(
            chunk_rows=rng.choice((1, 4, 20, 2_000)),
            chunk_s=rng.choice((0.05, 1.0)),
            outcome_rows=rng.choice((2, 10, 10_000)),
            idle_s=rng.choice((0.3, 4.0)),
            lane_requests=rng.choice((1, 5, 5_000)),
            breaker_failures=rng.choice((2, 8)),
            probe_pause_s=rng.choice((0.5, 5.0)),
            throttle_pause_s=rng.choice((0.5, 5.0)),
            drain_s=rng.choice((0.1, 20.0)),
        ),
    )


def draw_limit(rng: random.Random) -> Limit | None:
    """A limit of the server's own, which stays in calm weather too."""
    if rng.random() < 0.6:
        return None
    count, window_s = rng.choice(((1, 0.05), (5, 0.2), (10, 1.0), (50, 5.0)))
    return Limit(count, window_s, rng.choice((409, 429)), rng.random() < 0.5)


def draw_token_losses(rng: random.Random) -> tuple[float, ...]:
    """When the server takes back all tokens: far enough apart for a new one to be used."""
    first = rng.expovariate(0.5)
    return tuple(first + 10.0 * i for i in range(rng.choice((0, 0, 0, 1, 3))))


def draw_outages(rng: random.Random) -> tuple[tuple[float, float], ...]:
    if rng.random() < 0.8:
        return ()
    begin = rng.uniform(0, 10)
    return ((begin, begin + rng.choice((0.5, 5.0, 30.0))),)


def with_batches(rng: random.Random, life: Life) -> Life:
    """Half of the processes that write single pairs use the other ways to give them too."""
    has_batches = rng.random() < 0.5
    return replace(life, use="batches") if life.use == "singles" and has_batches else life


def draw_life(rng: random.Random, *, is_first: bool, is_left_alone: bool) -> Life:
    """A process and how it ends: by itself, killed, drained or cancelled at an event, or with a failing disk."""
    uses: tuple[Use, ...] = ("write_all", "write_all", "stream", "singles")
    use = rng.choice(uses)
    endings: tuple[Ending, ...] = ("itself", "itself", "kill", "kill", "kill", "drain", "cancel")
    ending = "itself" if is_left_alone else rng.choice(endings)
    return Life(
        use=use,
        ending=ending,
        at_event=int(2 ** rng.uniform(1, 10)),
        left_after=rng.randint(0, 20) if use == "stream" and rng.random() < 0.3 else None,
        most_s=rng.choice((5.0, 60.0)),
        limit=rng.randint(1, 20) if rng.random() < 0.1 else None,
        gap_s=0.0 if is_first else rng.choice((0.0, 0.5, 30.0)),
        disk_fails_at=rng.randint(1, 20) if not is_left_alone and rng.random() < 0.1 else None,
        keeps_failed=rng.random() < 0.5,
    )
