"""A whole list that comes empty: asked for once more, for rows would be called unresolved by it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bulkwriter.net.api import PagePlace
from bulkwriter.resolve.fetch import Lists, ShownPage, WholeReading
from bulkwriter.resolve.records import COURSES, ListedCourse

COURSE = ListedCourse(7, "Safety")
EMPTY = ShownPage([], [], PagePlace(1, 1_000, 0, False))
FULL = ShownPage([COURSE], [7], PagePlace(1, 1_000, 1, False))


@pytest.mark.parametrize(
    ("answers", "is_kept", "found", "calls"),
    [
        ([EMPTY, FULL], False, [COURSE], 2),
        ([EMPTY, EMPTY], False, [], 2),
        ([FULL], False, [COURSE], 1),
        ([EMPTY], True, [], 1),  # it was asked for twice when it was kept
    ],
)
def test_one_empty_list_is_not_believed(
    answers: list[ShownPage], found: list[ListedCourse], calls: int, *, is_kept: bool
) -> None:
    asked: list[bool] = []

    async def page(*_: Any, is_cache_used: bool) -> ShownPage:
        asked.append(is_cache_used)
        return answers[len(asked) - 1]

    lists = cast(Lists, SimpleNamespace(page=page, size=lambda kind: 1_000))
    cache = cast(Any, SimpleNamespace(page=lambda key: {} if is_kept else None, drop=lambda name: None))
    reading = WholeReading(lists, cache, COURSES, {})
    asyncio.run(reading.attempt())
    assert (reading.found, asked) == (found, [True, False][:calls])
