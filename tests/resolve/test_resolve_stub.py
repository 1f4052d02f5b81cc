"""Whole starts against the stub: what comes out is what an oracle says, whatever the server does.

Each case is one way in which a fact of the API may turn out.  The rows are the same; so must be their outcomes.
"""

from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import Any

import orjson
import pytest

from bulkwriter.errors import ConfigurationStop, TryLater
from bulkwriter.resolve.matching import Unresolved
from bulkwriter.stub.community import FIRST_COWORKER, FIRST_LESSON

from ..support.people_stage import Came, Row, Stopped, community_of, resolve, serving, table_of

CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "as documented": ({}, {}),
    "pages capped at 20": ({}, {"page_size_max": 20}),
    "text filters are exact": ({}, {"text_filter": "exact"}),
    "lists show no e-mails": ({"email_in_lists": False}, {}),
    "no e-mails, and exact filters": ({"email_in_lists": False}, {"text_filter": "exact"}),
    "batches cut at 7": ({"email_in_lists": False, "batch_max": 7}, {}),
    "batches above 7 refused": ({"email_in_lists": False, "batch_max": 7, "batch_over": "refuse"}, {}),
    "people come and go": ({"moves": 0.3, "drifters": 5}, {"page_size_max": 50}),
    "several profiles for half": ({"profiles": 0.5, "both_enrolled": 0.5}, {}),
    "lessons repeat in sections": ({"repeated_lessons": 0.5}, {}),
    "lists fail": (
        {}, {"faults": [{"kind": kind, "share": 0.15, "on": "list"} for kind in ("500_before", "rst_before")]}),
    "lists are short, empty or miscounted": (
        {}, {"faults": [{"kind": kind, "share": 0.1, "on": "list"} for kind in
                        ("list_short", "list_empty", "list_miscount", "list_overlap")], "page_size_max": 50}),
    "throttled": ({}, {"limits": [{"kind": "bucket", "count": 200, "window_s": 1, "burst": 20, "of": "read",
                                   "status": 429}]}),
}  # fmt: skip


async def outcome(people: dict[str, Any], scenario: dict[str, Any], folder: Path, count: int = 200) -> Came:
    async with serving(people, **scenario) as stub:
        rows = table_of(community_of(stub), count)
        came = await resolve(stub, rows, folder)
        assert [row.cells for row in came.rows] == [row.cells for row in rows]
        assert came.outcomes == [row.expected for row in rows]
        assert came.calls == stub.truth()["list_calls"] or "faults" in scenario
        return came


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
async def test_every_row_comes_out_as_the_oracle_says(case: str, tmp_path: Path) -> None:
    came = await outcome(*CASES[case], tmp_path)
    assert len({str(found) for found in came.outcomes if isinstance(found, str)}) >= 4


@pytest.mark.slow
async def test_each_way_to_people_gives_the_same(tmp_path: Path) -> None:
    said = {}
    for name, people, count in (
        ("the whole list of people", {"coworkers": 900}, 200),
        ("one e-mail at a time", {"coworkers": 9_000}, 5),
        ("the enrolled ones by their ids", {"coworkers": 9_000}, 100),
    ):
        (tmp_path / name).mkdir()
        said[name] = (await outcome(people, {"page_size_max": 100}, tmp_path / name, count)).said
    assert all(any(name in line for line in lines) for name, lines in said.items()), said


def first_in(error: BaseException) -> BaseException:
    return first_in(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


async def stop_at(calls: int, people: dict[str, Any], folder: Path, **scenario: Any) -> tuple[int, int]:
    """List calls of a start that is stopped after so many and then started again; and of one that is not."""
    async with serving(people, **scenario) as stub:
        rows = table_of(community_of(stub), 60)
        with pytest.raises(BaseException) as caught:
            await resolve(stub, rows, folder, stop_after=calls)
        assert (
            caught.group_contains(Stopped) if isinstance(caught.value, BaseExceptionGroup) else caught.type is Stopped
        )
        came = await resolve(stub, rows, folder)
        assert came.outcomes == [row.expected for row in rows]
        again = await resolve(stub, rows, folder)
        assert (again.calls, again.outcomes) == (0, came.outcomes)
        fresh = await resolve(stub, rows, folder, is_fresh=True)
        return calls + came.calls, fresh.calls


@pytest.mark.slow
@pytest.mark.parametrize("email_in_lists", [True, False])
@pytest.mark.parametrize("calls", [1, 5, 20, 40])
async def test_a_killed_start_goes_on_and_the_same_again_asks_for_nothing(
    calls: int, email_in_lists: bool, tmp_path: Path
) -> None:
    people = {"email_in_lists": email_in_lists, "coworkers": 600}
    spent, needed = await stop_at(calls, people, tmp_path, page_size_max=20)
    assert needed > 40
    assert spent <= needed + 4, "what was in flight when it ended is asked for again, and nothing else"


@pytest.mark.slow
async def test_contents_that_are_too_large_are_asked_for_in_smaller_pages(tmp_path: Path) -> None:
    async with serving({"lesson_bytes": 30_000, "record_bytes": 2_000, "lessons": 30}) as stub:
        rows = table_of(community_of(stub), 100)
        came = await resolve(stub, rows, tmp_path, body_bytes=200_000)
        assert came.outcomes == [row.expected for row in rows]
        again = await resolve(stub, rows, tmp_path, body_bytes=200_000)
        assert again.calls == 0, "the size that fits is kept as well"


@pytest.mark.slow
async def test_a_record_that_is_larger_than_any_reply_may_be_is_an_error(tmp_path: Path) -> None:
    async with serving({"lesson_bytes": 300_000}) as stub:
        with pytest.raises(ConfigurationStop, match="larger than any reply"):
            await resolve(stub, table_of(community_of(stub), 9), tmp_path, body_bytes=200_000)


ROLES = ("Course-List", "CourseLesson-List", "CourseMember-List", "Coworker-List")
FILTERS = {"course": rb"CourseLesson_Course=\d+&|CourseMember_Course=\d+&", "e-mail": rb"Coworker_Email=[^&]*&"}


@pytest.mark.slow
@pytest.mark.parametrize("what", FILTERS)
@pytest.mark.parametrize("email_in_lists", [True, False])
async def test_a_filter_that_the_server_ignores_makes_nothing_wrong(
    what: str, email_in_lists: bool, tmp_path: Path
) -> None:
    pattern = re.compile(FILTERS[what])
    roles = ROLES if email_in_lists else ["List", "Read"]  # without Read each e-mail is asked for
    people, tokens = {"email_in_lists": email_in_lists, "coworkers": 2_000}, {"stub-token": roles}
    async with serving(people, page_size_max=20, tokens=tokens) as stub:
        rows = table_of(community_of(stub), 40)
        came = await resolve(stub, rows, tmp_path, mangle=lambda data: pattern.sub(b"", data))
        assert came.outcomes == [row.expected for row in rows]
        assert any("does not select" in line for line in came.said)


@pytest.mark.slow
async def test_a_filter_that_minds_case_is_not_used(tmp_path: Path) -> None:
    def nobody_by_other_case(data: bytes) -> bytes:
        return re.sub(rb"Coworker_Email=[^&]*[A-Z][^&]*&", b"Coworker_Email=nobody&", data)

    async with serving({"coworkers": 2_000}, page_size_max=20, tokens={"stub-token": ROLES}) as stub:
        rows = table_of(community_of(stub), 40)
        came = await resolve(stub, rows, tmp_path, mangle=nobody_by_other_case)
        assert came.outcomes == [row.expected for row in rows]
        assert any("does not select" in line for line in came.said)


@pytest.mark.slow
@pytest.mark.parametrize("missing", ROLES)
async def test_a_missing_role_is_named(missing: str, tmp_path: Path) -> None:
    tokens = {"stub-token": [role for role in ROLES if role != missing]}
    async with serving(tokens=tokens) as stub:
        with pytest.raises(BaseException) as caught:
            await resolve(stub, table_of(community_of(stub), 9), tmp_path)
    error = first_in(caught.value)
    assert isinstance(error, ConfigurationStop)
    assert missing in error.hint


@pytest.mark.slow
async def test_without_the_role_to_read_people_another_way_is_taken_while_there_is_one(tmp_path: Path) -> None:
    for email_in_lists in (True, False):
        folder = tmp_path / str(email_in_lists)
        folder.mkdir()
        people = {"email_in_lists": email_in_lists, "coworkers": 9_000}
        async with serving(people, tokens={"stub-token": ROLES}, page_size_max=100) as stub:
            rows = table_of(community_of(stub), 100)
            if email_in_lists:
                assert (await resolve(stub, rows, folder)).outcomes == [row.expected for row in rows]
            else:
                with pytest.raises(ConfigurationStop, match="e-mails") as caught:
                    await resolve(stub, rows, folder)
                assert "Coworker-Read" in caught.value.hint


@pytest.mark.slow
async def test_a_list_that_is_never_whole_is_no_empty_list(tmp_path: Path) -> None:
    faults = [{"kind": "list_empty", "share": 1.0, "on": "list"}]
    async with serving(faults=faults) as stub:
        with pytest.raises((TryLater, ConfigurationStop)):
            await resolve(stub, table_of(community_of(stub), 9), tmp_path, give_up_after_s=0.5)


@pytest.mark.slow
async def test_what_a_narrowed_view_does_not_show_is_not_said_to_be_nowhere(tmp_path: Path) -> None:
    async with serving({"views": {"stub-token": [1]}, "locations": 2}) as stub:
        rows = table_of(community_of(stub), 100)
        came = await resolve(stub, rows, tmp_path)
        assert {"course not found", "person not found"} <= {*map(str, came.outcomes)}
        unresolved = [row.outcome for row in came.rows if isinstance(row.outcome, Unresolved)]
        assert all("may not see it" in o.details for o in unresolved if o.reason.value.endswith("not found"))
        assert all(got == row.expected for row, got in zip(rows, came.outcomes, strict=True) if isinstance(got, tuple))


@pytest.mark.slow
async def test_another_sign_in_sees_nothing_of_what_was_kept(tmp_path: Path) -> None:
    tokens = {"stub-token": ["List", "Read"], "other-token": ["List", "Read"]}
    async with serving({"views": {"other-token": [1]}}, tokens=tokens) as stub:
        rows = table_of(community_of(stub), 20)
        await resolve(stub, rows, tmp_path)
        assert (await resolve(stub, rows, tmp_path, token="other-token")).calls > 0


@pytest.mark.slow
async def test_the_cache_is_its_owners_alone_and_holds_four_fields_of_people(tmp_path: Path) -> None:
    async with serving({"email_in_lists": False, "record_bytes": 50}) as stub:
        await resolve(stub, table_of(community_of(stub), 50), tmp_path)
    (path,) = (tmp_path / "bulkwriter").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text(encoding="utf-8")
    assert "made-up-calendar-token" not in text
    assert "XX00" not in text
    assert "stub-token" not in text
    lines = [orjson.loads(line) for line in text.splitlines()]
    people = [
        row
        for line in lines
        for row in line.get("rows", ())
        if row and str(line.get("list", line.get("read"))).startswith("Coworker")
    ]
    assert people
    assert {tuple(map(type, row)) for row in people} == {(int, str, str, bool)}


@pytest.mark.slow
async def test_rows_that_lack_an_enrolment_are_told_with_course_person_and_lines(tmp_path: Path) -> None:
    async with serving() as stub:
        rows = table_of(community_of(stub), 200)
        rows += [row for row in rows if row.expected == "not enrolled"]
        came = await resolve(stub, rows, tmp_path)
        community = community_of(stub)
        there = {(course, person) for _, course, person in community.enrolments.rows()}
        assert came.missing_enrolments
        assert not came.missing_enrolments.keys() & there
        lines = [line for its_lines in came.missing_enrolments.values() for line in its_lines]
        assert all(rows[line - 2].expected == "not enrolled" for line in lines)
        assert all(len(its_lines) % 2 == 0 for its_lines in came.missing_enrolments.values())


@pytest.mark.slow
async def test_ids_win_over_titles_and_emails(tmp_path: Path) -> None:
    async with serving() as stub:
        rows = [row for row in table_of(community_of(stub), 50) if isinstance(row.expected, tuple)]
        named = [Row([str(row.expected[0]), str(row.expected[1])], row.expected) for row in rows]
        came = await resolve(stub, named, tmp_path, names=["Course lesson id", "Course member id"])
        assert came.outcomes == [row.expected for row in rows]


@pytest.mark.slow
async def test_full_names_are_looked_up_among_the_enrolled_where_that_was_asked_for(tmp_path: Path) -> None:
    async with serving({"coworkers": 60, "enrolments": 200}) as stub:
        community = community_of(stub)
        rows = []
        for enrolment_id, course, person in community.enrolments.rows():
            name = community.coworkers[person - FIRST_COWORKER].full_name
            same = [
                other
                for other, its_course, its_person in community.enrolments.rows()
                if its_course == course and community.coworkers[its_person - FIRST_COWORKER].full_name == name
            ]
            is_fit = same == [enrolment_id] and not {enrolment_id} & (community.blocked | community.unapproved)
            lesson = next(i for i, one in enumerate(community.lessons) if one.course_id == course and one.is_active)
            is_reversible = name.upper().casefold() == name.casefold()  # a dotless i is another letter than an I
            cells = [name.upper() if is_reversible else name, str(course), str(FIRST_LESSON + lesson)]
            if is_fit:
                rows.append(Row(cells, (FIRST_LESSON + lesson, enrolment_id)))
            elif len(same) > 1:
                rows.append(Row(cells, "person ambiguous"))
        names = ["Full Name", "CourseId", "CourseLessonId"]
        came = await resolve(stub, rows, tmp_path, names=names, by_name=True)
        assert came.outcomes == [row.expected for row in rows]
        assert {*map(type, came.outcomes)} == {tuple, str}
        assert not any("people" in line for line in came.said), "nobody is looked up by e-mail"
