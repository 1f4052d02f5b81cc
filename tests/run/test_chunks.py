"""How long chunks of intents are: about what a second sends, found in a few steps."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bulkwriter.run.chunks import FIRST_ROWS, ChunkSize


def test_the_first_chunk_puts_few_pairs_at_stake() -> None:
    assert ChunkSize(most=2_000, chunk_s=1.0).next(100.0, 0) == FIRST_ROWS
    assert ChunkSize(most=3, chunk_s=1.0).next(100.0, 0) == 3


def test_chunks_that_are_used_up_quickly_grow_eightfold_up_to_the_most() -> None:
    chunk = ChunkSize(most=2_000, chunk_s=1.0)
    assert [chunk.next(i * 0.01, 0) for i in range(5)] == [8, 64, 512, 2_000, 2_000]


def test_a_chunk_that_lasted_a_third_of_a_second_is_followed_by_three_times_as_many_rows() -> None:
    chunk = ChunkSize(most=2_000, chunk_s=1.0)
    chunk.next(100.0, 0)
    assert chunk.next(100.0 + 1 / 3, 0) == 24
    assert chunk.next(100.0 + 2 / 3, 0) == 72


def test_one_that_lasts_too_long_halves_the_next_and_one_in_between_changes_nothing() -> None:
    chunk = ChunkSize(most=2_000, chunk_s=1.0)
    chunk.next(0.0, 0)
    chunk.next(0.1, 0)
    chunk.next(0.35, 0)
    assert chunk.rows == 256
    assert chunk.next(2.0, 0) == 256  # 1.65 s: between half and twice
    assert chunk.next(5.0, 0) == 128  # 3 s
    assert [chunk.next(t, 0) for t in (100.0, 200.0, 300.0, 400.0, 500.0, 600.0, 700.0, 800.0)] == [
        64,
        32,
        16,
        8,
        4,
        2,
        1,
        1,
    ]


def test_a_chunk_asked_for_while_the_last_one_is_untouched_tells_nothing_of_the_rate() -> None:
    chunk = ChunkSize(most=2_000, chunk_s=1.0)
    assert [chunk.next(0.0, 0), chunk.next(0.001, 8)] == [8, 8]
    assert chunk.next(8.0, 8) == 4  # one a second
    fast = ChunkSize(most=2_000, chunk_s=1.0)
    assert [fast.next(0.0, 0), fast.next(0.001, 8), fast.next(0.01, 8), fast.next(0.02, 64)] == [8, 8, 64, 512]
    assert fast.next(0.03, 500) == 2_000


def test_pairs_that_were_used_in_part_tell_the_rate_all_the_same() -> None:
    chunk = ChunkSize(most=2_000, chunk_s=1.0)
    chunk.next(0.0, 0)
    assert chunk.next(1.0, 4) == 8  # 4 a second: 8 last two seconds, which is neither too long nor too short
    assert chunk.next(2.0, 10) == 4  # 2 a second


@given(rate=st.floats(0.1, 1e5), most=st.integers(1, 5_000))
def test_a_steady_rate_ends_within_a_factor_of_four_of_a_second(rate: float, most: int) -> None:
    """Each chunk lasts as long as its rows take at this rate."""
    chunk, now = ChunkSize(most=most, chunk_s=1.0), 0.0
    for _ in range(40):
        now += chunk.next(now, 0) / rate
    lasts_s = chunk.rows / rate
    assert chunk.rows in (1, most) or 0.25 <= lasts_s <= 4
    assert 1 <= chunk.rows <= most
