"""Runs one seed: a world, a few processes with trouble, then calm weather until nothing is left to do.

    simulate(seed) -> Result     `wrong` is empty, or says what broke and when; `digest` is the trace's

The safety phase lasts as long as `world.lives`: after each process, however it ended, the journal is given to the next
one as a disk would, and `Judge` compares it with the server.  In the calm phase the server and the network do what they
should, and within `CALM_LIVES` processes and `CALM_S` seconds each everything must be settled.
"""

from __future__ import annotations

import random
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from bulkwriter.errors import BulkwriterError, ConfigurationStop, JournalError, TryLater
from bulkwriter.model import State
from bulkwriter.store.journal import Journal

from .assembly import SimAssembly
from .judge import Judge
from .life import Ended, live
from .loop import Deadlock, Killed, Overrun
from .process import Process, Trace
from .server import Server
from .watch import Watch
from .world import BASE_URL, STRANGERS, STRANGERS_END, Life, World, draw_world

CALM_LIVES: Final = 4
CALM_S: Final = 3_000.0
"""Of virtual time; the slowest world drawn needs about a tenth of it."""
CALM_AFTER_S: Final = 15.0
"""A process that is not killed has trouble for so long."""
SERVICE_CALM_AFTER_S: Final = 150.0
"""A service has it for longer: it goes on whatever comes."""
END_S: Final = 15.0
"""A process that is asked to end takes no longer than this and what requests in flight are given (`drain_s`)."""


@dataclass(slots=True)
class Result:
    """What came of a seed."""

    seed: int
    wrong: list[str]
    digest: int
    virtual_s: float = 0.0
    events: int = 0
    processes: int = 0
    attempts: int = 0
    list_calls: int = 0
    lines: list[str] = field(default_factory=list)
    states: Mapping[State, int] = field(default_factory=dict)
    """How many rows of each state the journal holds at the end."""


def simulate(seed: int, *, keeps_all: bool = False) -> Result:
    """Run the world of a seed."""
    return Simulation(draw_world(seed), keeps_all=keeps_all).run()


class Simulation:
    """One world.  Use it once."""

    def __init__(self, world: World, *, keeps_all: bool = False) -> None:
        self.world = world
        self.rng = random.Random(f"run {world.seed}")
        self.trace = Trace(keeps_all=keeps_all)
        self.server = Server(
            rng=self.rng,
            list_lag_s=world.settings.list_lag_s,
            page_cap=world.page_cap,
            refused=world.refused,
            is_unique=world.is_unique,
        )
        for pair in [*world.strangers, *world.existing]:
            self.server.add(pair, 0.0, is_old=True)
        self.server.limit = world.limit
        self.weather = world.weather(self.rng)
        self.judge = Judge(world, self.server)
        self.result = Result(world.seed, [], 0)
        self.now = 0.0
        self.journal = self.new_journal()
        self.is_kept = world.settings.journal is not None

    def run(self) -> Result:
        """Live all lives, judge after each, and tell."""
        result = self.result
        lives = self.world.lives if self.is_kept else [Life("sources")]  # without a journal nothing outlives a process
        for life in lives:
            self._live(life)
            if result.wrong:
                break
        if not result.wrong and self.is_kept:
            self._calm_down()
        result.states = self.journal.counts()
        self.journal.close()
        result.digest, result.virtual_s, result.events = self.trace.digest, self.now, self.trace.count
        result.lines = list(self.trace.lines)
        return result

    def _calm_down(self) -> None:
        self.weather.calm()
        for _ in range(CALM_LIVES):
            ended = self._live(Life("singles", most_s=CALM_S, gap_s=1.0), is_calm=True)
            if self.result.wrong or ended is None:
                return
            if ended.error:
                self.result.wrong.append(f"in calm weather: {ended.error!r}")
                return
            if ended.is_whole and ended.summary and not (ended.summary.counts.in_doubt or ended.summary.counts.failed):
                break
        self.result.wrong += self.judge.at_end(self.journal)

    def _live(self, life: Life, *, is_calm: bool = False) -> Ended | None:
        world = self.world
        start_s = self.now + life.gap_s
        self.trace.add(start_s, f"a process starts: {life}")
        process = Process(self.trace, start_s=start_s, most_s=CALM_S)
        if life.has_lost != "nothing":
            self._lose_journal()
        settings = life.settings(world.settings)
        watch = Watch(process, settings, self.journal)
        assembly = SimAssembly(
            settings,
            process=process,
            server=self.server,
            weather=self.weather,
            watch=watch,
            journal=self.journal,
            disk=replace(world.disk, fails_at=life.disk_fails_at, keeps_failed=life.keeps_failed),
            rng=self.rng,
            entity=world.entity,
        )
        self._set_the_stage(process, is_calm=is_calm)
        if life.ending == "kill":
            process.when(life.at_event, process.kill)
            process.loop.call_later(life.most_s, process.kill)
        else:
            calm_s = SERVICE_CALM_AFTER_S if life.use == "service" else CALM_AFTER_S
            process.loop.call_later(calm_s, self.weather.calm)
        ended = self._run(process, life, assembly, watch)
        if ended and ended.asked_at is not None and process.now > ended.asked_at + settings.limits.drain_s + END_S:
            self.result.wrong.append(f"asked to end at {ended.asked_at:.3f}, ended at {process.now:.3f}")
        self._after(process, watch, ended, is_calm=is_calm)
        return ended

    def _lose_journal(self) -> None:
        """A new journal, for which what the old one made was there before."""
        self.journal = self.new_journal()
        self.world.existing += sorted(self.server.disown() - set(self.world.existing))

    def _run(self, process: Process, life: Life, assembly: SimAssembly, watch: Watch) -> Ended | None:
        wrong = self.result.wrong
        try:
            return process.loop.run(live(life, self.world, process=process, assembly=assembly, watch=watch))
        except Killed:
            return None
        except (Deadlock, Overrun) as error:
            wrong.append(f"{type(error).__name__}: {error}; {standing(watch)}")
        except Exception as error:
            wrong.append(f"raised {error!r}")
        return None

    def _after(self, process: Process, watch: Watch, ended: Ended | None, *, is_calm: bool) -> None:
        """Give the journal to whoever comes next, and judge."""
        result, self.now = self.result, process.now
        process.is_dead = True
        result.processes += 1
        result.attempts += watch.attempts
        result.list_calls += watch.list_calls
        result.wrong += [str(failure) for failure in watch.failures]
        result.wrong += process.loop.failures
        self.server.lose_all(self.now, self.world.settings.late_apply_s)
        self.server.advance(self.now)
        may_stop = len(self.world.token_lost_at) > 1  # a token lost before it was used looks like a missing role
        if ended and ended.error and not is_expected(ended.error, is_calm=is_calm, may_stop=may_stop):
            result.wrong.append(f"ended with {ended.error!r} {cause_of(ended.error)}")
        errors = [ended and ended.error, watch.engine and watch.engine.run.error]
        has_disk = not any(isinstance(error, JournalError) for error in errors)
        summary = ended.summary if ended and has_disk else None  # after a failed commit nobody knows what it left
        self.journal = self.handed_on()
        judge = self.judge.after_process if self.is_kept else self.judge.after_sources
        result.wrong += judge(self.journal, summary)

    def new_journal(self) -> Journal:
        """One that nobody has written."""
        return new_journal()

    def handed_on(self) -> Journal:
        """The journal as the next process finds it."""
        return self.journal.reopened()

    def _set_the_stage(self, process: Process, *, is_calm: bool) -> None:
        """Events of the world that happen whatever the process does."""
        loop, server = process.loop, self.server
        if is_calm:
            return
        for at in self.world.token_lost_at:
            if at > self.now:
                loop.call_at(at, server.revoke)

        def stranger() -> None:
            rate = self.weather.odds.strangers_per_s
            if not rate:
                return
            others = [
                r.record_id for r in server.records.values() if not r.is_ours and STRANGERS <= r.pair[1] < STRANGERS_END
            ]
            if others and self.rng.random() < 0.5:
                server.delete(self.rng.choice(others), loop.time())
            else:
                server.add((1, 2 * STRANGERS + server.next_id), loop.time())
            loop.call_later(self.rng.expovariate(rate), stranger)

        loop.call_soon(stranger)


def new_journal() -> Journal:
    return Journal.open(None, base_url=BASE_URL, account=None, columns=("CourseLessonId", "CourseMemberId"))


def is_expected(error: BulkwriterError, *, is_calm: bool, may_stop: bool) -> bool:
    """Whether trouble may end a process in this way."""
    if isinstance(error, ConfigurationStop):
        is_of_lists = "cannot be listed" in error.message  # three garbled ones in a row look like a wrong address
        return may_stop or (is_of_lists and not is_calm)
    return not is_calm and isinstance(error, TryLater | JournalError)


def cause_of(error: BaseException) -> str:
    """Where a bug of ours was raised."""
    return "".join(traceback.format_exception(error.__cause__)) if error.__cause__ else ""


def standing(watch: Watch) -> str:
    """Where a run hangs."""
    if watch.engine is None:
        return "outside the engine"
    pairs = watch.engine.pairs
    return (
        f"ready {len(pairs.ready)}, in flight {len(pairs.in_flight)}, doubts {len(pairs.doubts)}, "
        f"released {len(pairs.released)}, asked {len(pairs.asked)}"
    )
