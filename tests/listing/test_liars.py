"""Servers whose lists lie: run, verify and undo come to an end with each, double nothing and claim nothing untrue.

One row a lie: how each command ends.  `0`, `3`, `4` and `75` are exit codes; what a command cannot see is told beside
the table.  Whatever the lie: at most `MOST_CALLS` list calls, and the end within `--give-up-after` and a minute.

    start   a run that lists what exists before it writes, lied to from its beginning
    looks   the same run, lied to from its tenth record on: its doubts are looked up
    skip    a run with `--existing skip`, lied to from the beginning
    verify  of a journal whose pairs are all there
    undo    of a run that left doubts
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any, Final, cast
from urllib.parse import parse_qsl, urlsplit

import pytest

from bulkwriter.clocks import Clocks
from bulkwriter.entities.completed_lessons import COMPLETED_LESSONS
from bulkwriter.errors import BulkwriterError, Exit
from bulkwriter.events import Event, Note
from bulkwriter.listing.lister import Lister
from bulkwriter.model import Reply, State
from bulkwriter.run.ports import Ports
from bulkwriter.server_client import ServerClient
from bulkwriter.settings import Settings
from bulkwriter.store.journal import Journal
from bulkwriter.store.journal_writer import JournalWriter
from bulkwriter.threads import give
from bulkwriter.verify.expected import ExpectedPairs
from bulkwriter.verify.session import ServerSession
from bulkwriter.verify.undo import Undo
from bulkwriter.verify.verify import Findings, Verification
from tests.sim.assembly import SimAssembly
from tests.sim.fates import Odds
from tests.sim.life import live
from tests.sim.loop import VirtualLoop
from tests.sim.process import Process, Trace
from tests.sim.server import Server
from tests.sim.watch import Watch
from tests.sim.world import BASE_URL as SIM_URL
from tests.sim.world import Life, plain_world
from tests.support.list_liars import CAP, LIARS, Ask, Lie
from tests.support.model_api import BASE_URL, ModelApi

GIVE_UP_S: Final = 300.0
MOST_CALLS: Final = 600

STRANGERS = [(50 + i % 9, 900 + i) for i in range(45)]
PAIRS = [(1 + i % 3, 1 + i) for i in range(60)]
"""Of these every sixth exists; doubts come with a third of the creates."""
EXISTING = PAIRS[::6]
LOSSES = Odds({"reset after": 0.2, "reset before": 0.15}, {}, {}, 0.0, 0.0)


class Liar:
    """Answers list calls with a lie, from the moment on when it `is_lying`."""

    def __init__(self, lie: Lie) -> None:
        self.lie = lie
        self.is_lying = True
        self.calls = 0
        self.lies = 0
        self.memory: dict[str, Any] = {}

    def answer(self, query: dict[str, str], shown: list[dict[str, Any]], every: list[dict[str, Any]]) -> Reply:
        self.calls += 1
        ask = Ask(query, self.lies, shown, every, self.memory)
        if not self.is_lying:
            return ask.page()
        self.lies += 1
        return self.lie(ask)


# ---- a run


class LyingAssembly(SimAssembly):
    """A simulated assembly whose lists are a liar's."""

    def __init__(self, settings: Settings, liar: Liar, **parts: Any) -> None:
        super().__init__(settings, **parts)
        self._liar = liar

    def _make_ports(self) -> Ports:
        ports = super()._make_ports()
        server, weather, process, watch = self._server, self._weather, self._process, self.pool.watch

        async def request(data: bytes) -> Reply:
            query = query_of(data)
            watch.listed()
            await sleep_in(process.loop, weather.latency())
            chosen = [int(query[name]) if name in query else None for name in COMPLETED_LESSONS.filter_names]
            shown = rows_of(server, process.now, chosen[0], chosen[1])
            self._liar.is_lying = self._liar.is_lying or sum(server.ours().values()) >= 10
            return self._liar.answer(query, shown, rows_of(server, process.now, None, None))

        lag_s = self._settings.list_lag_s
        ports.get_page = Lister(request, ports.api, ports.tokens, wall=ports.wall, most_age_s=lag_s).page
        return ports


async def sleep_in(loop: VirtualLoop, delay_s: float) -> None:
    future = loop.create_future()
    loop.call_later(delay_s, give, future, None)  # who waited may have been cancelled
    await future


def query_of(request: bytes) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(request.decode("ascii").split(" ", 2)[1]).query))


def rows_of(server: Server, now: float, lesson: int | None, member: int | None) -> list[dict[str, Any]]:
    return [
        {"Id": r.record_id, "CourseLessonId": r.pair[0], "CourseMemberId": r.pair[1]}
        for r in server.listed(now, lesson, member, direction=-1)
    ]


def run(lie: Lie, *, existing: str = "check", is_late: bool = False) -> tuple[int, list[str]]:
    """The exit code of a run, and what is wrong with how it came to its end."""
    liar = Liar(lie)
    liar.is_lying = not is_late
    world = plain_world(list(PAIRS), lives=[], existing=EXISTING, strangers=STRANGERS, odds=LOSSES)
    settings = replace(world.settings, existing=existing, give_up_after_s=GIVE_UP_S)  # type: ignore[arg-type]
    world.settings = settings
    process = Process(Trace(), start_s=0.0, most_s=1e5)
    rng = random.Random(7)
    server = Server(rng=rng, list_lag_s=settings.list_lag_s, page_cap=CAP, refused=set())
    for pair in [*STRANGERS, *EXISTING]:
        server.add(pair, 0.0, is_old=True)
    journal = Journal.open(None, base_url=SIM_URL, account=None, columns=("CourseLessonId", "CourseMemberId"))
    watch = Watch(process, settings, journal)
    assembly = LyingAssembly(
        settings, liar, process=process, server=server, weather=world.weather(rng), watch=watch, journal=journal,
        disk=world.disk, rng=rng,
    )  # fmt: skip
    ended = process.loop.run(live(Life("write_all"), world, process=process, assembly=assembly, watch=watch))
    wrong = [str(failure) for failure in watch.failures] + process.loop.failures
    ours = server.ours()
    doubled = [pair for pair in PAIRS if ours[pair] + (pair in EXISTING and existing == "check") > 1]
    wrong += [f"doubled: {doubled}"] if doubled else []
    wrong += [f"{liar.calls} list calls"] if liar.calls > MOST_CALLS else []
    wrong += [f"took {process.now:.0f} s"] if process.now > GIVE_UP_S + 60 else []
    assert ended.summary
    return int(ended.error.exit_code if ended.error else ended.summary.exit_code), wrong


# ---- verify and undo


class LyingModel(ModelApi):
    """The model of the API with a liar's lists; reads by ids and deletes are true."""

    def __init__(self, lie: Lie) -> None:
        super().__init__()
        self.liar = Liar(lie)

    def _answer(self, method: str, target: str) -> Reply:
        query = dict(parse_qsl(urlsplit(target).query))
        if method == "DELETE" or "id" in query:
            return super()._answer(method, target)
        every = [self._record(i) for i in sorted(self.records, reverse=True)]
        shown = [self._record(i) for i in sorted(self.records, reverse=True) if self._matches(i, query)]
        return self.liar.answer(query, shown, every)


SETTINGS = Settings(
    base_url=BASE_URL, token="canary", late_apply_s=1.0, list_lag_s=0.2, give_up_after_s=GIVE_UP_S, max_attempts=3
)


def bounds(server: LyingModel, now: float) -> list[str]:
    wrong = [f"{server.liar.calls} list calls"] if server.liar.calls > MOST_CALLS else []
    return [*wrong, *([f"took {now:.0f} s"] if now > GIVE_UP_S + 60 else [])]


def verify(lie: Lie) -> tuple[int, list[str]]:
    """How a verify of pairs that are all there ends, and what is wrong with that."""
    server, loop = LyingModel(lie), VirtualLoop(most_s=1e5)
    server.add(*STRANGERS, *PAIRS)
    expected = ExpectedPairs()
    expected.add_rows([(seq, *pair, State.CREATED) for seq, pair in enumerate(PAIRS)], is_live=False)

    async def main() -> Findings:
        session = ServerSession(
            cast(ServerClient, server), SETTINGS, tell=lambda event: None, clocks=Clocks(clock=loop.time)
        )
        return await Verification(
            expected, get_page=session.get_page, filters_of=session.entity.filters, retry=session.retry,
            list_lag_s=SETTINGS.list_lag_s, sleep=session.stop.sleep,
        ).run()  # fmt: skip

    try:
        findings = loop.run(main())
    except BulkwriterError as error:
        return int(error.exit_code), bounds(server, loop.time())
    wrong = bounds(server, loop.time())
    wrong += [f"{findings.missing} missing"] if findings.missing else []
    wrong += [f"{findings.doubled} doubled"] if findings.doubled else []
    return 0, wrong


def undo(lie: Lie) -> tuple[int, list[str]]:
    """How an undo ends of 40 created pairs and 20 in doubt, of which half were applied, and what is wrong with that."""
    server, loop = LyingModel(lie), VirtualLoop(most_s=1e5)
    server.add(*STRANGERS)
    journal = Journal.open(None, base_url=BASE_URL, account=None, columns=("A", "B"))
    ids = dict(zip(PAIRS[:50], server.add(*PAIRS[:50]), strict=True))
    journal.append([(seq, *pair, seq + 2, State.INTENT, '{"floor":45}') for seq, pair in enumerate(PAIRS)])
    journal.settle([(seq, State.CREATED, 1, ids[pair], 200, None) for seq, pair in enumerate(PAIRS[:40])])

    async def main() -> int:
        session = ServerSession(
            cast(ServerClient, server), SETTINGS, tell=lambda event: None, clocks=Clocks(clock=loop.time)
        )
        store = JournalWriter(inline=True)
        store.adopt(journal)
        undoing = await Undo.load(store, session, SETTINGS)
        await undoing.settle_doubts()
        await undoing.run()
        return int(undoing.exit_code)

    try:
        code = loop.run(main())
    except BulkwriterError as error:
        code = int(error.exit_code)
    wrong = bounds(server, loop.time())
    wrong += ["deleted what is not ours"] if set(server.deleted) - set(ids.values()) else []
    left = len(set(server.records) & set(ids.values()))
    wrong += [f"done, and {left} are there"] if code == Exit.OK and left else []
    return code, wrong


# fmt: off
EITHER: Final = (0, 75)
"""Whether the run ends before it meets the lie depends on when its looks fall."""
ENDINGS: Final[dict[str, tuple[int | tuple[int, int], ...]]] = {
    # a lie                      start looks skip verify undo
    "the truth":                     ( 0,  0,  0,  0,  0),
    "page ignored":                  ( 4, 75, 75, 75,  4),
    "page ignored and echoed":       ( 4, 75, 75, 75,  4),
    "page 2 again and again":        ( 4, (0, 75), 75, 75,  4),
    "one total too high":            (75, (0, 75), 75, 75,  0),
    "one total too low":             (EITHER, EITHER, EITHER, 75, 0),
    "total always 0":                (75, 75, 75, 75, 75),
    "total higher each time":        (75, 75, 75, 75, 75),
    "a total of 10^12":              (75, (0, 75), 75, 75,  0),
    "size smaller than said":        (75, 75, 75, 75, 75),
    "size larger than asked":        ( 0,  0,  0,  0,  0),
    "size of a page 0":              ( 0,  0,  0,  0,  0),
    "shuffled each time":            (75, 75, 75, 75, 75),
    "dir ignored":                   ( 0,  0,  0,  0,  0),
    "endless, lower and lower":      (75, 75, 75, 75, 75),
    "endless, newer and newer":      (75, 75, 75, 75, 75),
    "endless, rising":               ( 4, 75, 75,  4,  4),
    "empty":                         (75, 75, 75,  0, 75),
    "empty with a total":            (75, 75, 75, 75, 75),
    "empty and more to come":        (75, 75, 75, 75, 75),
    "orphans":                       ( 0,  0,  0,  0,  0),
    "members left out":              (75, 75, 75,  4, 75),
    "a record on two pages":         (75,  0,  0,  0,  0),
    "a record twice on a page":      (75, 75, 75, 75, 75),
    "a record left out":             (75, 75, 75, 75, 75),
    "a record left out, total too":  (75, 75, 75, 75, 75),
    "ids as text":                   ( 4, 75, 75,  4,  4),
    "members as text":               ( 4, 75, 75,  4,  4),
    "no fields but Id":              ( 4, 75, 75,  4,  4),
    "total null":                    ( 4, 75, 75,  4,  4),
    "HasNextPage null":              ( 4, 75, 75,  4,  4),
    "HasNextPage always":            (75, (0, 75), 75, 75,  0),
    "HasNextPage never":             (75, 75, 75,  0, 75),
    "CurrentPage always 1":          ( 4, 75, 75,  0,  4),
    "CurrentPage one too high":      ( 4, 75, 75,  4,  4),
    "filters ignored":               ( 0,  0,  0,  0,  0),
    "cached, with Age":              (75, 75, 75,  0, 75),
    "cached, without a word":        (75, 75, 75,  0,  0),
    "an old picture":                (75, 75, 75,  0,  0),
    "two backends, one old":         (EITHER, EITHER, EITHER, 0, 0),
    "two backends, one empty":       (75, 75, 75, 75, 75),
    "two backends, one down":        ( 0,  0,  0,  0,  0),
    "shrinks while read":            ( 0,  0,  0,  0,  0),
    "cut bodies":                    ( 4, 75, 75,  4,  4),
    "lost":                          (75, 75, 75, 75, 75),
    "HTML":                          ( 4, 75, 75,  4,  4),
    "400 HTML":                      ( 4,  3,  3,  4,  4),
    "400 by the API":                ( 4, 75, 75,  4,  4),
    "JSON of somebody else":         ( 4, 75, 75,  4,  4),
    "an array":                      ( 4, 75, 75,  4,  4),
    "204":                           ( 4, 75, 75,  4,  4),
    "206":                           ( 4, 75, 75,  4,  4),
    "redirect":                      ( 4,  3,  3,  4,  4),
    "401":                           ( 4,  3,  3,  4,  4),
    "403":                           ( 4,  3,  3,  4,  4),
    "404":                           ( 4,  3,  3,  4,  4),
    "429 for ever":                  (75, 75, 75, 75, 75),
    "500":                           (75, 75, 75, 75, 75),
    "503 for ever":                  (75, 75, 75, 75, 75),
}
# fmt: on
"""0: the lie does no harm; 3: this token gets no list, doubts stay, and a note says why; 4: lists are so for good, and
somebody waits to hear it; 75: they may get well.  A run that has doubts asks on for `give_up_after_s`, whatever the
shape of what comes: three bad replies of a gateway at midnight are no reason to leave its doubts for ever."""
BLIND: Final = {"empty", "members left out"}
"""Nothing shows that a pair was there before this run: what others wrote is written again, and called missing."""


def is_told(name: str, command: int, code: int) -> bool:
    ending = ENDINGS[name][command]
    return code in (ending if isinstance(ending, tuple) else (ending,))


@pytest.mark.slow
@pytest.mark.parametrize("name", LIARS)
def test_a_run_that_lists_first(name: str) -> None:
    code, wrong = run(LIARS[name])
    assert is_told(name, 0, code), code
    assert name in BLIND or not wrong


@pytest.mark.slow
@pytest.mark.parametrize("name", LIARS)
def test_a_run_whose_looks_are_lied_to(name: str) -> None:
    code, wrong = run(LIARS[name], is_late=True)
    assert (is_told(name, 1, code), wrong) == (True, []), code


@pytest.mark.slow
@pytest.mark.parametrize("name", LIARS)
def test_a_run_that_does_not_list_first(name: str) -> None:
    code, wrong = run(LIARS[name], existing="skip")
    assert (is_told(name, 2, code), wrong) == (True, []), code


@pytest.mark.parametrize("name", LIARS)
def test_a_verify_claims_nothing_untrue(name: str) -> None:
    code, wrong = verify(LIARS[name])
    assert is_told(name, 3, code), code
    assert name in BLIND or not wrong


@pytest.mark.parametrize("name", LIARS)
def test_an_undo_deletes_what_is_ours_and_says_what_it_left(name: str) -> None:
    code, wrong = undo(LIARS[name])
    assert (is_told(name, 4, code), wrong) == (True, []), code


def test_orphans_are_told_once_and_hinder_nobody() -> None:
    told: list[Event] = []
    server, loop = LyingModel(LIARS["orphans"]), VirtualLoop()
    server.add(*STRANGERS)

    async def main() -> None:
        session = ServerSession(cast(ServerClient, server), SETTINGS, tell=told.append, clocks=Clocks(clock=loop.time))
        for _ in range(2):
            await session.get_page({}, 1)

    loop.run(main())
    assert told == [
        Note("13 listed records have no lesson or no member any more (Id 45): nobody's pair, so passed over")
    ]
