"""PairSet and IdSet against Python's own set, above all where ids share their low halves."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkwriter.core.dedupe import IdSet, PairSet
from bulkwriter.model import ID_MAX, Pair

BIG = 2**32
brief = settings(max_examples=30, deadline=None)

# Few low halves and few high halves, so that collisions of any wrong packing are drawn often.
ids = st.builds(lambda high, low: high * BIG + low, st.sampled_from([0, 0, 1, 2, 2**31 - 1]), st.integers(1, 6))
pairs = st.tuples(ids, ids)


def duplicates_of(entries: list[tuple[int, int] | None], seen: set[tuple[int, int]]) -> list[int]:
    found = []
    for i, entry in enumerate(entries):
        if entry is not None and entry in seen:
            found.append(i)
        elif entry is not None:
            seen.add(entry)
    return found


def test_ids_above_2_to_the_32_in_both_columns_are_told_apart() -> None:
    """One 64-bit word of lesson << 32 | member would call several of these the same."""
    different = [
        (1, 2 * BIG + 5),
        (3, 5),
        (3 * BIG + 1, 2 * BIG + 5),
        (BIG + 1, BIG + 5),
        (1, 5),
        (BIG + 1, 5),
        (1, BIG + 5),
        (5, BIG + 1),
        (BIG + 5, 1),
        (ID_MAX, ID_MAX),
        (ID_MAX, ID_MAX - BIG),
        (ID_MAX - BIG, ID_MAX),
        (BIG - 1, BIG - 1),
        (BIG, BIG - 1),
        (BIG, BIG),
    ]
    one_by_one, at_once = PairSet(), PairSet()
    assert [one_by_one.add(pair) for pair in different] == [True] * len(different)
    assert at_once.add_all(list(different)) == []
    assert at_once.add_all(list(different)) == list(range(len(different)))
    assert len(one_by_one) == len(at_once) == len(different)
    assert not any(one_by_one.add(pair) for pair in different)


def test_lesson_and_member_are_not_exchangeable() -> None:
    assert PairSet([(1, 2)]).add_all([(2, 1), (1, 2)]) == [1]


@pytest.mark.parametrize("most_sets", [1, 3, 100])
@brief
@given(chunks=st.lists(st.lists(st.one_of(pairs, st.none()), max_size=12), max_size=6))
def test_behaves_as_a_set(most_sets: int, chunks: list[list[tuple[int, int] | None]]) -> None:
    ours, reference = PairSet(most_sets=most_sets), set[tuple[int, int]]()
    singly = PairSet(most_sets=most_sets)
    for chunk in chunks:
        whole = [pair for pair in chunk if pair is not None]
        assert ours.among(whole) == [pair for pair in whole if pair in reference]
        expected = duplicates_of(chunk, reference)
        assert ours.add_all(chunk) == expected
        assert [i for i, pair in enumerate(chunk) if pair is not None and not singly.add(pair)] == expected
        assert len(ours) == len(singly) == len(reference)
        ours.check()
        singly.check()
    assert sorted(ours) == sorted(singly) == sorted(reference)
    for pair in reference:
        assert pair in ours
        assert (pair[0] + BIG, pair[1]) in ours or (pair[0] + BIG, pair[1]) not in reference


@brief
@given(chunks=st.lists(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), max_size=60), max_size=5))
def test_the_fast_way_reports_each_duplicate_in_order(chunks: list[list[tuple[int, int]]]) -> None:
    ours, reference = PairSet(), set[tuple[int, int]]()
    for chunk in chunks:
        entries: list[tuple[int, int] | None] = list(chunk)
        assert ours.add_all(entries) == duplicates_of(entries, reference)
    assert len(ours) == len(reference)


def test_random_high_halves_do_not_make_endless_sets() -> None:
    many = [(i * BIG + 1, i * BIG + 2) for i in range(1, 3_000)]
    ours = PairSet()
    assert ours.add_all(list(many)) == []
    assert ours.add_all(list(many)) == list(range(len(many)))
    assert (BIG * 2_999 + 1, BIG * 2_999 + 2) in ours
    assert (BIG * 2_999 + 2, BIG * 2_999 + 1) not in ours
    assert len(ours) == len(many)
    ours.check()


def test_named_pairs_and_plain_tuples_are_the_same() -> None:
    ours = PairSet([Pair(7, 8)])
    assert (7, 8) in ours
    assert Pair(7, 9) not in ours
    assert ours.add_all([(7, 8), Pair(7, 9), None, (7, 9)]) == [0, 3]
    assert ours.add_all([]) == []


@brief
@given(
    st.lists(
        st.one_of(st.integers(), st.sampled_from([0, 1, -1, ID_MAX, 2**63, 2**64 - 1, 2**64, 2**200])), max_size=40
    )
)
def test_record_ids_of_any_size_are_kept(numbers: list[int]) -> None:
    ours, reference = IdSet(), set[int]()
    for number in numbers:
        assert (number in ours) == (number in reference)
        assert ours.add(number) == (number not in reference)
        reference.add(number)
    assert len(ours) == len(reference)
    assert sorted(ours) == sorted(reference)
    assert ours.highest == max([0, *reference])


@brief
@given(st.lists(st.lists(st.one_of(st.integers(0, 99), st.sampled_from([-1, ID_MAX, 2**64 - 1, 2**64])), max_size=9)))
def test_many_record_ids_are_added_as_each_would_be(lists: list[list[int]]) -> None:
    ours, reference = IdSet(), set[int]()
    for numbers in lists:
        ours.add_all(numbers)
        reference.update(numbers)
    assert sorted(ours) == sorted(reference)
    assert ours.highest == max([0, *reference])


def test_new_ids_are_told_from_known_ones_many_at_a_time() -> None:
    ids = IdSet()
    assert ids.add_new([5, 7, 5]) == [2]
    assert ids.add_new([7, 8, 2**64 + 1, -3]) == [0]
    assert ids.add_new([2**64 + 1, 9, -3]) == [0, 2]
    assert sorted(ids) == [-3, 5, 7, 8, 9, 2**64 + 1]
