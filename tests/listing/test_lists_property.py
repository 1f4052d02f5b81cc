"""The property of scans: what returns normally has missed nothing that was there all the time."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkwriter.listing.lists import ListFailed

from .test_lists import Table, scanned

CHANGES = st.lists(
    st.one_of(
        st.just([]),
        st.lists(st.one_of(st.integers(1, 4), st.integers(0, 60).map(lambda at: (at,))), max_size=6),
    ),
    max_size=40,
)
"""Before each call: numbers insert so many records at the top, a tuple deletes the record at that place."""


def change(table: Table, changes: list[int | tuple[int]]) -> None:
    for step in changes:
        if isinstance(step, int):
            table.insert(step)
        else:
            table.delete(step[0])


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(
    count=st.integers(0, 60),
    size=st.integers(2, 12),  # of a page with one record nobody can tell how the list is sorted
    changes=CHANGES,
    down_to=st.none() | st.integers(0, 70),
    is_ascending=st.booleans(),
)
def test_what_returns_has_missed_nothing_that_was_there_all_the_time(
    count: int, size: int, changes: list[list[int | tuple[int]]], down_to: int | None, is_ascending: bool
) -> None:
    steps = [lambda table, these=these: change(table, these) for these in changes]
    table = Table(list(range(1, count + 1)), size, steps, is_ascending=is_ascending)
    try:
        _, seen = scanned(table, down_to=down_to)
    except ListFailed:
        return
    wanted = {i for i in table.always if down_to is None or i > down_to}
    assert wanted <= set(seen)
    assert len(seen) == len(set(seen)) or is_ascending
