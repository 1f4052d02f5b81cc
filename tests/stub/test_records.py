"""The table against a naive one, and its lists, filters, orders and lag."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkwriter.stub.listing import COMPLETIONS, Listing
from bulkwriter.stub.query import BadParameter, parse_ids, parse_query
from bulkwriter.stub.records import Records
from bulkwriter.stub.responses import Renderer
from bulkwriter.stub.truth import Truth

ids = st.integers(1, 4)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), ids, ids),
        st.tuples(st.just("remove"), st.integers(1, 40), st.just(0)),
        st.tuples(st.just("find"), st.none() | ids, st.none() | ids),
        st.tuples(st.just("has"), ids, ids),
    ),
    max_size=60,
)


@settings(max_examples=60)
@given(steps)
def test_the_table_is_what_a_naive_one_would_be(script: list[tuple[str, Any, Any]]) -> None:
    table, naive = Records(1), dict[int, tuple[int, int]]()
    added = 0
    for step, a, b in script:
        match step:
            case "add":
                added += 1
                assert table.add(a, b, float(added)) == added
                naive[added] = (a, b)
            case "remove":
                assert table.remove(a) is (naive.pop(a, None) is not None)
            case "has":
                assert table.has_pair(a, b) is ((a, b) in naive.values())
            case _:
                wanted = [i - 1 for i, (x, y) in naive.items() if a in (None, x) and b in (None, y)]
                assert list(table.find(a, b)) == wanted
        assert len(table) == len(naive)
    assert list(table.rows()) == [(i, *pair) for i, pair in naive.items()]
    assert (table.created, table.deleted) == (added, added - len(naive))
    doubled = {d.pair: d.ids for d in table.doubles()}
    values = list(naive.values())
    assert doubled == {
        pair: tuple(i for i, p in naive.items() if p == pair) for pair in values if values.count(pair) > 1
    }
    describe = Truth((), now=0.0).describe(table, connections=0, now=1.0)
    assert describe["records"] == describe["distinct_pairs"] + describe["doubles"] == len(naive)
    assert describe["distinct_pairs"] == len(set(values))


def test_seeded_records_are_not_created_ones_and_huge_ids_fit() -> None:
    table = Records(2**62)
    table.seed([(2**63 - 1, 1), (1, 2**63 - 1)], -10.0)
    assert table.add(5, 6, 0.0) == 2**62 + 2
    assert (len(table), table.seeded, table.created) == (3, 2, 1)
    assert table.position(2**62) == 0
    assert table.position(2**62 + 3) is None
    assert table.committed_by(-1.0) == 2


OFFSET_S = 1_800_000_000.0  # 2027-01-15T08:00:00Z at now = 0


def made(n: int = 100) -> tuple[Records, Callable[..., dict[str, Any]]]:
    """A table with one record a second, and a function that lists by parameters."""
    table = Records(1)
    for i in range(n):
        table.add(i % 5 + 1, i + 1, float(i))
    listing = Listing(table, Renderer(OFFSET_S, 0.0), offset_s=OFFSET_S)

    def page(before: float = math.inf, is_exact: bool = False, zone_offset_s: float = 0.0, **query: Any) -> Any:
        raw = urlencode(query).encode()
        return listing.page(
            parse_query(raw, COMPLETIONS.reads(), size_max=40, zone_offset_s=zone_offset_s),
            before=before,
            is_exact=is_exact,
        )

    return table, page


def found(page: dict[str, Any]) -> list[int]:
    return [record["Id"] for record in page["Records"]]


def test_a_page_has_the_whole_envelope() -> None:
    _, page = made(60)
    first = page()
    assert first.pop("Records")[0] == {
        "Id": 1, "CourseLessonId": 1, "CourseLessonTitle": "Lesson 1", "CourseMemberId": 1,
        "CourseMemberCoworkerFullName": "Member 1", "CourseMemberCoworkerCompanyName": "Company 1",
        "CourseMemberCoworkerTeamNames": "Team 1", "UniqueId": "00000000-0000-4000-8000-000000000001",
        "CreatedOn": "2027-01-15T08:00:00Z", "UpdatedOn": "2027-01-15T08:00:00Z", "UpdatedBy": "admin@example.com",
        "IsNew": False, "SystemId": None,
    }  # fmt: skip
    assert first == {
        "CurrentPageSize": 25, "CurrentPage": 1, "CurrentOrderField": "Id", "CurrentSortDirection": 1, "FirstItem": 1,
        "LastItem": 25, "HasNextPage": True, "HasPreviousPage": False, "TotalItems": 60, "TotalPages": 3,
    }  # fmt: skip
    last = page(page=3)
    assert (len(last["Records"]), last["FirstItem"], last["LastItem"]) == (10, 51, 60)
    assert (last["HasNextPage"], last["HasPreviousPage"]) == (False, True)
    beyond = page(page=9)
    assert (beyond["Records"], beyond["FirstItem"], beyond["LastItem"], beyond["TotalItems"]) == ([], 0, 0, 60)


def test_a_size_is_capped_without_a_word() -> None:
    _, page = made()
    assert page(size=1_000)["CurrentPageSize"] == 40
    assert page(size=7)["CurrentPageSize"] == 7
    assert page(size=0)["CurrentPageSize"] == 25


def test_lists_are_by_lesson_by_member_and_newest_first() -> None:
    _, page = made()
    assert found(page(CourseCompletedLesson_CourseLesson=2)) == list(range(2, 101, 5))
    assert found(page(CourseCompletedLesson_CourseMember=42)) == [42]
    assert found(page(CourseCompletedLesson_CourseLesson=2, CourseCompletedLesson_CourseMember=42)) == [42]
    assert found(page(CourseCompletedLesson_CourseLesson=3, CourseCompletedLesson_CourseMember=42)) == []
    assert found(page(CourseCompletedLesson_CourseLesson=-1)) == []
    assert found(page(dir=-1, size=3, page=2)) == [97, 96, 95]
    assert found(page(dir=-1, size=2, orderBy="CreatedOn", coursecompletedlesson_courselesson=5)) == [100, 95]
    assert found(page(orderBy="CourseLessonId", dir=-1, size=2)) == [5, 10]
    assert found(page(orderBy="CourseMemberCoworkerFullName", size=3)) == [1, 10, 100]


def test_young_records_are_not_listed_and_deleted_ones_never() -> None:
    table, page = made()
    assert page(before=9.0)["TotalItems"] == 10
    assert page(before=9.0, CourseCompletedLesson_CourseLesson=1)["TotalItems"] == 2
    assert found(page(before=9.0, dir=-1, size=1)) == [10]
    table.remove(10)
    assert found(page(before=9.0, dir=-1, size=1)) == [9]
    assert found(page(size=3, page=4)) == [11, 12, 13]


def test_text_filters_are_exact_or_contain() -> None:
    _, page = made()
    title = "CourseCompletedLesson_CourseLesson_Title"
    person = "CourseCompletedLesson_CourseMember_Coworker_"
    assert page(**{title: "lesson 4"})["TotalItems"] == 20
    assert found(page(**{person + "FullName": "Member 9"})) == [9, *range(90, 100)]
    assert found(page(is_exact=True, **{person + "FullName": "member 9"})) == [9]
    assert page(**{person + "TeamNames": "Team 3"})["TotalItems"] == 10
    assert found(page(**{person + "CompanyName": "Company 17", title: "Lesson 2"})) == [17]
    assert set(COMPLETIONS.texts) <= set(page()["Records"][0])


def test_time_ranges_are_inclusive_and_read_in_the_servers_zone() -> None:
    _, page = made()
    low, high = "from_CourseCompletedLesson_CreatedOn", "to_CourseCompletedLesson_CreatedOn"
    assert found(page(**{low: "2027-01-15T08:01"}))[0] == 61
    assert page(**{high: "2027-01-15T08:01"})["TotalItems"] == 61  # the second 08:01:00 belongs to it
    assert page(**{low: "2027-01-15T08:01:10", high: "2027-01-15T08:01:12"})["TotalItems"] == 3
    assert page(from_coursecompletedlesson_updatedon="2027-01-15T08:01:30Z")["TotalItems"] == 10
    assert page(zone_offset_s=3_600.0, **{low: "2027-01-15T09:01"})["TotalItems"] == 40


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"page": "0"}, "page: 0 is less than 1"), ({"page": "x"}, "page: x is not a number"),
        ({"size": "1e3"}, "size: 1e3 is not a number"), ({"dir": "2"}, "neither 1 nor -1"),
        ({"orderBy": "Nothing"}, "Nothing is not a field"),
        ({"CourseCompletedLesson_CourseLesson": "9" * 30}, "is not a number"),
        ({"from_CourseCompletedLesson_CreatedOn": "yesterday"}, "is not like YYYY-MM-DDTHH:mm"),
    ],
)  # fmt: skip
def test_a_parameter_without_sense_is_refused(query: dict[str, str], words: str) -> None:
    _, page = made(1)
    with pytest.raises(BadParameter, match=words):
        page(**query)


@given(st.binary(max_size=60))
def test_any_query_string_is_read_or_refused(raw: bytes) -> None:
    for parse in (lambda: parse_query(raw, COMPLETIONS.reads(), size_max=9, zone_offset_s=0.0), lambda: parse_ids(raw)):
        try:
            parse()
        except BadParameter:
            continue


def test_records_are_found_by_their_ids() -> None:
    table, _ = made()
    table.remove(3)
    listing = Listing(table, Renderer(OFFSET_S, 0.0), offset_s=OFFSET_S)
    assert parse_ids(b"id=[9,3,%202,777]") == [9, 3, 2, 777]
    assert parse_ids(b"id=%5B5%5D&page=2") == [5]
    assert parse_ids(b"id=[]") == []
    assert parse_ids(b"page=2") is None
    assert [r["Id"] for r in listing.by_ids([9, 3, 2, 777], before=math.inf)] == [9, 2]
    assert [r["Id"] for r in listing.by_ids([9, 2], before=5.0)] == [2]


def test_newest_first_pages_of_a_large_table_never_sort_it() -> None:
    table, page = made(5_000)
    assert all(a > b for a, b in pairwise(found(page(dir=-1, size=40))))
    assert isinstance(table.find(), range)  # whole-table lists are slices, not copies
