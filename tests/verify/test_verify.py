"""`verify` and `--repair` over a model of the API in virtual time: what they claim, cost and delete."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkwriter.clocks import Clocks
from bulkwriter.core.dedupe import PairSet
from bulkwriter.errors import ConfigurationStop, TryLater
from bulkwriter.model import Reply, State
from bulkwriter.server_client import ServerClient
from bulkwriter.settings import Settings
from bulkwriter.store.journal import Journal
from bulkwriter.store.journal_writer import JournalWriter
from bulkwriter.verify.expected import ExpectedPairs
from bulkwriter.verify.repair import Repair
from bulkwriter.verify.session import ServerSession
from bulkwriter.verify.verify import Findings, SecondLook, Verification
from tests.sim.loop import VirtualLoop
from tests.support.model_api import BASE_URL, ModelApi, Pair, Weather

SETTINGS = Settings(base_url=BASE_URL, token="canary", list_lag_s=3.0, give_up_after_s=60.0)


def expected_of(*there: Pair, others: tuple[Pair, ...] = ()) -> ExpectedPairs:
    expected = ExpectedPairs()
    rows = [(0, *pair, State.CREATED) for pair in there] + [(0, *pair, State.REJECTED) for pair in others]
    expected.add_rows(rows, is_live=False)
    return expected


def session_with(server: ModelApi, loop: VirtualLoop) -> ServerSession:
    return ServerSession(cast(ServerClient, server), SETTINGS, tell=lambda event: None, clocks=Clocks(clock=loop.time))


def verify(
    server: ModelApi,
    expected: ExpectedPairs,
    *,
    page_size: int = 1_000,
    find_by_ids: Callable[[PairSet], Awaitable[tuple[PairSet, PairSet]]] | None = None,
) -> tuple[Findings, float]:
    """The findings, and how much time they took."""
    server.page_size_max = page_size
    loop = VirtualLoop()

    async def process() -> Findings:
        return await verification_of(server, expected, loop, find_by_ids).run()

    return loop.run(process()), loop.time()


def verification_of(
    server: ModelApi,
    expected: ExpectedPairs,
    loop: VirtualLoop,
    find_by_ids: Callable[[PairSet], Awaitable[tuple[PairSet, PairSet]]] | None = None,
) -> Verification:
    session = session_with(server, loop)
    return Verification(
        expected,
        get_page=session.get_page,
        filters_of=session.entity.filters,
        retry=session.retry,
        list_lag_s=SETTINGS.list_lag_s,
        sleep=session.stop.sleep,
        find_by_ids=find_by_ids,
    )


def facts(findings: Findings) -> tuple[set[Pair], dict[Pair, list[int]], int]:
    return set(findings.missing_pairs()), findings.doubled_ids, findings.strangers


def test_missing_doubled_and_strangers_are_told_apart() -> None:
    server = ModelApi([(1, 1), (1, 2), (1, 2), (2, 9), (3, 3), (2, 5), (2, 5), (1, 2)])
    expected = expected_of((1, 1), (1, 2), (1, 3), (2, 1), others=((2, 5), (2, 6)))
    findings, _ = verify(server, expected)
    assert facts(findings) == ({(1, 3), (2, 1)}, {(1, 2): [2, 3, 8], (2, 5): [6, 7]}, 1)
    assert (findings.checked, findings.missing, findings.doubled) == (4, 2, 2)


def test_a_record_that_several_lists_show_is_counted_once() -> None:
    server = ModelApi([(1, 1), (1, 2), (1, 2), (1, 3)])
    server.page_size_max = 3
    loop = VirtualLoop()

    async def process() -> Verification:
        verification = verification_of(server, expected_of((1, 1), (1, 2), (1, 4)), loop)
        await verification.run()
        return verification

    verification = loop.run(process())
    assert (verification.records, verification.calls > 3) == (4, True)


def test_nothing_wrong_costs_one_pass_and_no_wait() -> None:
    pairs = [(1 + i % 3, i) for i in range(1, 61)]
    server = ModelApi([*pairs, *[(50 + i % 40, 1 + i) for i in range(1_000)]])
    findings, took_s = verify(server, expected_of(*pairs), page_size=100)
    assert facts(findings) == (set(), {}, 0)
    assert server.requests["GET"] == 1 + 3  # the size of the table, then a list a lesson
    assert took_s < 1


def test_many_lessons_are_read_as_one_table() -> None:
    pairs = [(1 + i % 90, 1 + i // 90) for i in range(900)]
    server = ModelApi(pairs)
    findings, _ = verify(server, expected_of(*pairs), page_size=100)
    assert facts(findings) == (set(), {}, 0)
    assert server.requests["GET"] == 1 + 9


def test_where_nothing_is_expected_nothing_is_listed() -> None:
    server = ModelApi([(1, 1)])
    findings, _ = verify(server, expected_of())
    assert (findings.checked, server.requests["GET"]) == (0, 0)


def test_a_record_that_lists_show_late_is_not_missing() -> None:
    server = ModelApi([(1, 1)])
    server.list_lag_s = 2.5
    server.add((1, 2), at=0.0)
    findings, took_s = verify(server, expected_of((1, 1), (1, 2), (1, 3)))
    assert facts(findings) == ({(1, 3)}, {}, 0)
    assert took_s > SETTINGS.list_lag_s


@settings(max_examples=60, deadline=None)
@given(
    there=st.lists(st.tuples(st.integers(1, 6), st.integers(1, 9)), max_size=40),
    claimed=st.sets(st.tuples(st.integers(1, 6), st.integers(1, 9)), max_size=40),
    others=st.sets(st.tuples(st.integers(1, 6), st.integers(1, 9)), max_size=9),
    page_size=st.sampled_from([2, 3, 7, 1_000]),
    short=st.sampled_from([0.0, 0.1, 0.3]),
    seed=st.integers(0, 10**6),
    ignores_filters=st.booleans(),
)
def test_findings_equal_a_plain_count_whatever_lists_do(
    there: list[Pair], claimed: set[Pair], others: set[Pair], page_size: int, short: float, seed: int,
    ignores_filters: bool,
) -> None:  # fmt: skip
    weather = Weather(short_lists=short, lost_before=0.1, broken_after=0.05, throttled=0.05, unsent=0.05)
    server = ModelApi(there, seed=seed, weather=weather)
    server.ignores_filters = ignores_filters
    known, counts = claimed | others, Counter(there)
    findings, _ = verify(server, expected_of(*claimed, others=tuple(others - claimed)), page_size=page_size)
    lessons = {lesson for lesson, _ in known}
    assert facts(findings) == (
        {pair for pair in claimed if not counts[pair]},
        {p: [i for i, q in server.records.items() if q == p] for p in sorted(known) if counts[p] > 1},
        sum(1 for pair in there if pair not in known and pair[0] in lessons),
    )


@pytest.mark.parametrize("lessons", [1, 9])
def test_what_a_list_showed_before_it_failed_does_not_count_twice(lessons: int) -> None:
    pairs = [(1 + i % lessons, i) for i in range(1, 28)]
    server = ModelApi([*pairs, (1, 99), *[(77, i) for i in range(30)]][: 28 if lessons > 1 else 58])

    def lack_records_for_a_while(method: str) -> None:
        server.weather = Weather(short_lists=1.0 if 5 <= server.requests["GET"] <= 30 else 0.0)

    server.on_request = lack_records_for_a_while
    findings, _ = verify(server, expected_of(*pairs), page_size=5)
    assert facts(findings) == (set(), {}, 1)
    assert server.requests["GET"] > 30


def test_of_a_long_list_only_the_page_that_failed_is_asked_for_again() -> None:
    pairs = [(1, i) for i in range(1, 301)]
    server = ModelApi(pairs)

    def fail_now_and_then(method: str) -> None:
        server.answers = {} if server.requests["GET"] % 10 else {"GET": Reply(503, retry_after="1")}

    server.on_request = fail_now_and_then
    findings, _ = verify(server, expected_of(*pairs), page_size=5)
    assert facts(findings) == (set(), {}, 0)
    assert server.requests["GET"] < 60 + 10


@pytest.mark.parametrize(
    ("reply", "error"),
    [(Reply(403), ConfigurationStop), (Reply(500), TryLater), (Reply(200, b"[]"), ConfigurationStop)],
)
def test_lists_that_cannot_be_had_claim_nothing(reply: Reply, error: type[Exception]) -> None:
    server = ModelApi()
    server.answers["GET"] = reply
    with pytest.raises(error):
        verify(server, expected_of((1, 1), (2, 1)))


def test_rows_of_a_journal_are_expected_by_their_state() -> None:
    states = [*State, State.INTENT]
    rows = [(i, *((None, None) if s is State.INVALID else (1 + i, 5)), s, 1, None) for i, s in enumerate(states)]
    for is_live, counts in ((False, (3, 1)), (True, (1, 3))):
        expected = ExpectedPairs()
        expected.add_rows(rows, is_live=is_live)
        assert set(expected.required) == {(1 + State.CREATED, 5), (1 + State.EXISTING, 5)}
        assert len(expected.others) == 6
        assert (expected.doubts, expected.pending) == counts


def test_ids_are_kept_of_so_many_doubled_pairs_and_the_rest_counted() -> None:
    from bulkwriter.core.dedupe import PairSet

    twice = PairSet([(1, 1), (1, 2), (1, 3)])
    look = SecondLook(PairSet(), twice, most=2)
    records = [(6, (1, 3)), (5, (1, 2)), (4, (1, 1)), (3, (1, 3)), (2, (1, 2)), (1, (1, 1)), (0, (9, 9))]
    look.take(records)
    look.take(records)
    assert (look.ids, set(look.more)) == ({(1, 3): {6, 3}, (1, 2): {5, 2}}, {(1, 1)})


class Doubled:
    """A journal that created some pairs, and a server that has more records of them."""

    def __init__(self, created: dict[int, Pair], *more: Pair) -> None:
        self.server = ModelApi()
        self.server.records.update(created)
        self.server.born_at.update(dict.fromkeys(created, -1.0))
        self.server._next_id = 100
        self.server.add(*more)
        self.journal = Journal.open(None, base_url=BASE_URL, account=None, columns=("A", "B"))
        self.journal.append([(seq, *p, None, State.CREATED, None) for seq, p in enumerate(created.values())])
        self.journal.settle([(seq, State.CREATED, 1, i, 200, None) for seq, i in enumerate(created)])
        self.halt_at = ""

    def repair(self) -> Repair:
        by_pair: dict[Pair, list[int]] = {}
        for record_id, pair in self.server.records.items():
            by_pair.setdefault(pair, []).append(record_id)
        loop = VirtualLoop()

        async def process() -> Repair:
            store = JournalWriter(inline=True)
            store.adopt(self.journal)
            doubled = {pair: sorted(ids) for pair, ids in by_pair.items() if len(ids) > 1}
            session = session_with(self.server, loop)
            repair = await Repair.load(store, session, doubled, list_lag_s=SETTINGS.list_lag_s)
            self.claimed = repair.claimed
            if self.halt_at:
                self.server.on_request = lambda m: session.stop.set() if m == self.halt_at else None
            await repair.run()
            return repair

        return loop.run(process())

    def states(self) -> list[tuple[State, int | None]]:
        return [(row.state, row.record_id) for row in self.journal.export(set(State))]


def test_repair_deletes_what_the_run_created_and_leaves_the_other() -> None:
    world = Doubled({10: (1, 1), 11: (1, 2)}, (1, 1))
    repair = world.repair()
    assert (world.claimed, repair.deleted, repair.left) == (1, 1, {})
    assert world.server.records == {11: (1, 2), 100: (1, 1)}
    assert world.states() == [(State.EXISTING, 100), (State.CREATED, 11)]


def test_repair_lists_what_it_cannot_claim() -> None:
    world = Doubled({10: (1, 1)}, (1, 1), (1, 1), (2, 2), (2, 2))
    repair = world.repair()
    assert repair.deleted == 1
    assert repair.left == {(1, 1): [100, 101], (2, 2): [102, 103]}


def test_repair_never_takes_the_last_record() -> None:
    world = Doubled({10: (1, 1), 11: (1, 1)})
    repair = world.repair()
    assert (world.claimed, repair.deleted, world.server.records) == (1, 1, {10: (1, 1)})
    world = Doubled({10: (1, 1)}, (1, 1))

    def delete(method: str) -> None:  # somebody else repairs, too
        world.server.records.pop(100, None)

    world.server.on_request = delete
    assert (world.repair().deleted, world.server.records) == (0, {10: (1, 1)})


def test_repair_leaves_a_record_that_does_not_show_the_pair() -> None:
    world = Doubled({10: (1, 1)}, (1, 1))
    world.server.hides_ids = True
    assert (world.repair().deleted, len(world.server.records)) == (0, 2)
    world = Doubled({10: (1, 1)}, (1, 1))

    def swap(method: str) -> None:
        world.server.records[10] = (7, 7)

    world.server.on_request = swap
    assert (world.repair().deleted, len(world.server.records)) == (0, 2)


@pytest.mark.parametrize(("halt_at", "deleted"), [("GET", 0), ("DELETE", 1)])
def test_repair_ends_with_a_drain(halt_at: str, deleted: int) -> None:
    world = Doubled({10: (1, 1), 11: (2, 2)}, (1, 1), (2, 2))
    world.server.weather = Weather(broken_after=1.0 if halt_at == "GET" else 0.0)
    world.halt_at = halt_at
    repair = world.repair()
    assert (repair.deleted, len(repair.left), len(world.server.records)) == (deleted, 2 - deleted, 4 - deleted)


@pytest.mark.parametrize("is_applied", [True, False])
def test_after_a_delete_without_an_answer_the_pair_is_listed_again(*, is_applied: bool) -> None:
    """It was told that the rest is not this run's and to be deleted by hand, which could take the last record."""
    world = Doubled({10: (1, 1), 11: (2, 2)}, (1, 1), (2, 2))

    def lose(method: str) -> None:
        share = float(method == "DELETE")
        world.server.weather = Weather(lost_after=share) if is_applied else Weather(lost_before=share)

    world.server.on_request = lose
    repair = world.repair()
    if is_applied:
        assert (repair.deleted, repair.left, repair.open) == (2, {}, set())
        assert world.states() == [(State.EXISTING, 100), (State.EXISTING, 101)]
    else:
        assert (repair.deleted, repair.open) == (0, {(1, 1), (2, 2)}) == (0, {*repair.left})
        assert world.states() == [(State.CREATED, 10), (State.CREATED, 11)]


def test_a_lesson_of_which_lists_show_nothing_is_not_called_missing() -> None:
    server = ModelApi([(1, 1), (1, 2), (2, 3)])
    never_written = {(1, 9), (2, 1), (5, 6), (5, 7), (3, 7)}
    required = [(1, 1), (1, 2), (2, 2), (3, 4), (2, 3), (4, 4), (4, 5), (6, 1), *never_written]

    async def find_by_ids(pairs: PairSet) -> tuple[PairSet, PairSet]:
        return PairSet(pair for pair in pairs if pair not in never_written), PairSet([(6, 1)])

    findings, _ = verify(server, expected_of(*required, (6, 2)), find_by_ids=find_by_ids)
    assert set(findings.missing_pairs()) == {*never_written, (2, 2)}
    assert set(findings.not_shown) == {(3, 4), (4, 4), (4, 5), (6, 2)}, "member 4 has two, lesson 6 one that is there"
    assert (findings.missing, findings.unlisted, findings.checked) == (6, 1, 14)
