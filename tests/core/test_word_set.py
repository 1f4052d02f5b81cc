"""WordSet against Python's own set, with stretches so short that both of its forms are met in every order."""

from __future__ import annotations

import random
from array import array

from hypothesis import given, settings
from hypothesis import strategies as st
from pyroaring import BitMap64

from bulkwriter.core.word_set import HASHES, Scattered, WordSet, containers_begun

brief = settings(max_examples=60, deadline=None)

WORD = (1 << 64) - 1
close = st.integers(0, 90)
far = st.integers(0, 40).map(lambda number: number * 0xABCDEF0123456789 & WORD)
colliding = st.builds(lambda key, times: key + HASHES * times, st.integers(0, 2), st.integers(0, 9))
"""Words of three hashes only, so that the filter says "perhaps" for nearly all of them."""
chunks = st.lists(st.lists(st.one_of(close, far, colliding, st.just(WORD)), max_size=30), max_size=12)


def duplicates_of(words: list[int], seen: set[int]) -> list[int]:
    found = []
    for i, word in enumerate(words):
        if word in seen:
            found.append(i)
        seen.add(word)
    return found


@brief
@given(chunks=chunks)
def test_behaves_as_a_set_in_chunks_and_one_by_one(chunks: list[list[int]]) -> None:
    ours, singly = WordSet(begin=5, probed=4, trusted=12), WordSet(begin=5, probed=4, trusted=12)
    reference: set[int] = set()
    for chunk in chunks:
        assert [word in ours for word in chunk] == [word in reference for word in chunk] == [*ours.has_each(chunk)]
        expected = duplicates_of(chunk, reference)
        assert ours.add_all(chunk) == expected
        assert [i for i, word in enumerate(chunk) if not singly.add(word)] == expected
        assert len(ours) == len(singly) == len(reference)
        ours.check()
        singly.check()
    assert sorted(ours) == sorted(singly) == sorted(reference)


@brief
@given(words=st.lists(st.one_of(far, colliding), max_size=120), again=st.lists(st.integers(0, 400), max_size=20))
def test_scattered_words_are_told_apart_where_their_hashes_are_not(words: list[int], again: list[int]) -> None:
    ours, reference, others = Scattered(), set[int](), BitMap64(words[:5])
    for word in [*words, *words[:30]]:
        is_new = word not in reference and word not in others
        assert ours.add_all([word], besides=others) == ([] if is_new else [0])
        if is_new:
            reference.add(word)
    assert [word in ours for word in again] == [word in reference for word in again]
    assert sorted(ours) == sorted(reference)
    ours.check()


def test_a_bucket_is_sorted_only_now_and_then_and_loses_nothing() -> None:
    """All in one bucket, and each looked up again at once."""
    ours, none = Scattered(), BitMap64()
    words = [7 + HASHES * number for number in range(2_000)]
    random.Random(3).shuffle(words)
    for start in range(0, len(words), 100):
        assert ours.add_all(words[start : start + 100], besides=none) == []
        assert ours.add_all(words[start : start + 100], besides=none) == list(range(100))
    assert sorted(ours) == sorted(words)
    ours.check()


def test_random_words_leave_the_bitmap_and_close_ones_return_to_it() -> None:
    rng = random.Random(5)
    ours = WordSet(begin=64, probed=32, trusted=480)
    scattered = [[rng.getrandbits(64) for _ in range(32)] for _ in range(40)]
    for chunk in scattered:
        assert ours.add_all(chunk) == []
    in_bitmap = containers(ours)
    assert in_bitmap < 32 * 40 / 4, "most are elsewhere"
    for start in range(0, 64_000, 32):
        ours.add_all(range(start, start + 32))
    assert containers(ours) <= in_bitmap + 2, "close words share theirs"
    assert sum(word in ours for word in range(64_000)) == 64_000
    ours.check()


def test_a_shuffled_table_is_a_bitmap_in_the_end() -> None:
    """500 lessons of 200 members each: first every word begins a container, later none does."""
    words = [lesson << 32 | member for lesson in range(500) for member in range(200)]
    random.Random(7).shuffle(words)
    ours = WordSet(begin=64, probed=64, trusted=960)
    for start in range(0, len(words), 250):
        ours.add_all(words[start : start + 250])
    assert sparse_words(ours) < len(words) / 4


def test_containers_are_counted_once() -> None:
    assert containers_begun(WordSet()._dense, array("Q", [0, 1, 65_535, 65_536, 1 << 48])) == 3


def containers(ours: WordSet) -> int:
    return len({word >> 16 for word in ours._dense})


def sparse_words(ours: WordSet) -> int:
    return len(ours) - len(ours._dense)
