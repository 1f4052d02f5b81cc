"""Made-up people: drawn from the seed, listed, read, enrolled, and shown as the scenario's knobs say."""

from __future__ import annotations

import csv
import io
import json
import random
import subprocess
import sys
import zipfile
from collections import Counter
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest

from bulkwriter.stub.community import FIRST_COURSE, FIRST_COWORKER, FIRST_ENROLMENT, FIRST_LESSON, Community
from bulkwriter.stub.endpoints import Endpoints
from bulkwriter.stub.scenario import Scenario
from bulkwriter.stub.sheet import HEADER, SheetPlan, SheetRow, as_csv, as_xlsx, draw_sheet

from .test_endpoints import ask

COWORKERS, COURSES = "/api/spaces/coworkers", "/api/content/courses"
LESSONS, ENROLMENTS = "/api/content/courselessons", "/api/content/coursemembers"
COMPLETIONS = "/api/content/coursecompletedlessons"
SMALL = {"coworkers": 60, "courses": 4, "lessons": 6, "enrolments": 90, "drifters": 3, "profiles": 0.1}


def made(people: dict[str, Any] | None = None, **scenario: Any) -> Endpoints:
    raw = {"people": {**SMALL, **(people or {})}, **scenario}
    return Endpoints(Scenario.from_mapping(raw), now=0.0, wall_s=1_800_000_000.0)


def get(api: Endpoints, target: str, **how: Any) -> Any:
    query = {name: value for name, value in how.items() if name not in ("token", "now")}
    about = {name: how[name] for name in ("token", "now") if name in how}
    response = ask(api, "GET", target + ("?" + urlencode(query) if query else ""), **about)
    assert response.status == 200, response
    return orjson.loads(response.body)


def all_of(api: Endpoints, target: str, **how: Any) -> list[dict[str, Any]]:
    """Every record of a list, by its pages."""
    found: list[dict[str, Any]] = []
    while True:
        page = get(api, target, page=1 + len(found) // 10, size=10, **how)
        found += page["Records"]
        if not page["HasNextPage"]:
            assert page["TotalItems"] == len(found)
            return found


def community_of(api: Endpoints) -> Community:
    assert api.people is not None
    return api.people.community


def enrol(api: Endpoints, body: Any, **how: Any) -> Any:
    return ask(api, "POST", ENROLMENTS, json.dumps(body).encode(), **how)


def test_the_same_seed_makes_the_same_people_and_another_one_others() -> None:
    def shown(seed: int) -> bytes:
        api = made(seed=seed)
        return b"".join(ask(api, "GET", path).body for path in (COWORKERS, COURSES, LESSONS, ENROLMENTS))

    assert shown(1) == shown(1) != shown(2)


def test_every_kind_is_listed_with_the_envelope_of_the_api() -> None:
    api = made()
    counts = {COWORKERS: 60 + 6 + 3, COURSES: 4, LESSONS: 24}
    for path, count in counts.items():
        assert len(all_of(api, path)) == count
    page = get(api, COWORKERS, size=2, page=2)
    first = page.pop("Records")[0]
    assert page == {
        "CurrentPageSize": 2, "CurrentPage": 2, "CurrentOrderField": "Id", "CurrentSortDirection": 1, "FirstItem": 3,
        "LastItem": 4, "HasNextPage": True, "HasPreviousPage": True, "TotalItems": 69, "TotalPages": 35,
    }  # fmt: skip
    assert {"Id", "Email", "FullName", "Active", "IsDefaultProfile", "CalendarToken", "UniqueId"} <= first.keys()
    assert {"Id", "Title", "CourseId", "SectionTitle", "Active", "DisplayOrder"} <= all_of(api, LESSONS)[0].keys()
    enrolment = all_of(api, ENROLMENTS)[-1]
    assert {"Id", "CourseId", "CoworkerId", "CoworkerFullName", "Approved", "Blocked"} <= enrolment.keys()
    assert [r["Id"] for r in get(api, COURSES, dir=-1, size=2)["Records"]] == [FIRST_COURSE + 3, FIRST_COURSE + 2]
    names = [r["FullName"] for r in get(api, COWORKERS, orderBy="FullName", size=99)["Records"]]
    assert names == sorted(names)
    assert ask(api, "GET", f"{COWORKERS}?orderBy=Nothing").status == 400


def test_filters_select_and_their_values_are_checked() -> None:
    api = made()
    everybody = all_of(api, COWORKERS)
    email = everybody[20]["Email"]
    assert {r["Email"].lower() for r in all_of(api, COWORKERS, Coworker_Email=email.upper())} == {email.lower()}
    lessons = all_of(api, LESSONS, CourseLesson_Course=FIRST_COURSE + 1)
    assert {r["CourseId"] for r in lessons} == {FIRST_COURSE + 1}
    assert len(lessons) == 6
    inactive = all_of(made({"inactive_lessons": 0.25}), LESSONS, CourseLesson_Active="false")
    assert [r["Active"] for r in inactive] == [False] * 6
    one = all_of(api, ENROLMENTS)[40]
    both = all_of(api, ENROLMENTS, CourseMember_Course=one["CourseId"], CourseMember_Coworker=one["CoworkerId"])
    assert one in both
    assert all(r["CoworkerFullName"] == one["CoworkerFullName"] for r in both)
    blocked = all_of(made({"blocked": 1.0}), ENROLMENTS, CourseMember_Blocked="true")
    assert len(blocked) >= 90
    for wrong in ("CourseMember_Course=x", "CourseMember_Approved=1"):
        assert ask(api, "GET", f"{ENROLMENTS}?{wrong}").status == 400


def test_text_is_compared_exactly_or_as_a_part_as_the_scenario_says() -> None:
    contains, exact = made(), made(text_filter="exact")
    assert len(all_of(contains, COURSES, Course_Title="s")) > 1
    assert all_of(exact, COURSES, Course_Title="s") == []
    title = all_of(exact, COURSES)[0]["Title"]
    assert [r["Title"] for r in all_of(exact, COURSES, Course_Title=title.upper())] == [title]


def test_records_are_read_one_by_one_and_by_ids() -> None:
    api = made()
    ids = {COWORKERS: FIRST_COWORKER, COURSES: FIRST_COURSE, LESSONS: FIRST_LESSON, ENROLMENTS: FIRST_ENROLMENT}
    for path, first in ids.items():
        assert get(api, f"{path}/{first}")["Id"] == first
        assert ask(api, "GET", f"{path}/7").status == 404
        batch = get(api, f"{path}/?id=[{first + 1},7,{first}]")
        assert [record["Id"] for record in batch] == [first + 1, first]


def test_a_batch_may_be_cut_or_refused() -> None:
    ids = f"id=[{FIRST_COWORKER},{FIRST_COWORKER + 1},{FIRST_COWORKER + 2}]"
    assert len(get(made({"batch_max": 2}), f"{COWORKERS}/?{ids}")) == 2
    refused = ask(made({"batch_max": 2, "batch_over": "refuse"}), "GET", f"{COWORKERS}/?{ids}")
    assert (refused.status, b"at most 2 ids" in refused.body) == (400, True)


def test_e_mails_may_be_absent_from_lists_alone() -> None:
    api = made({"email_in_lists": False})
    assert all("Email" not in record for record in all_of(api, COWORKERS))
    assert "@" in get(api, f"{COWORKERS}/{FIRST_COWORKER}")["Email"]
    assert "@" in get(api, f"{COWORKERS}/?id=[{FIRST_COWORKER}]")[0]["Email"]


def test_records_may_be_large() -> None:
    api = made({"record_bytes": 5_000, "lesson_bytes": 20_000})
    assert len(ask(api, "GET", f"{COWORKERS}/{FIRST_COWORKER}").body) > 5_000
    assert len(get(api, f"{LESSONS}/{FIRST_LESSON}")["LessonContents"]) == 20_000


def test_titles_and_sections_may_repeat() -> None:
    api = made({"same_titles": 1.0, "repeated_lessons": 1.0, "lessons": 6, "sections": 3})
    assert len({record["Title"] for record in all_of(api, COURSES)}) == 1
    lessons = Counter(r["Title"] for r in all_of(api, LESSONS, CourseLesson_Course=FIRST_COURSE))
    assert set(lessons.values()) == {3}
    assert len({r["SectionTitle"] for r in all_of(api, LESSONS, CourseLesson_Course=FIRST_COURSE)}) == 3


def test_some_e_mails_have_several_profiles_of_which_one_is_the_default() -> None:
    api = made({"profiles": 0.5, "both_enrolled": 0.5, "enrolments": 200})
    by_email: dict[str, list[dict[str, Any]]] = {}
    for record in all_of(api, COWORKERS):
        by_email.setdefault(record["Email"].lower(), []).append(record)
    twins = [records for records in by_email.values() if len(records) > 1]
    assert len(twins) == 30
    assert all(sorted(r["IsDefaultProfile"] for r in records) == [False, True] for records in twins)
    assert community_of(api).ids_of(twins[0][0]["Email"].upper()) == [r["Id"] for r in twins[0]]
    find = community_of(api).enrolments.find
    enrolled = Counter(
        sum(bool(find(course, r["Id"])) for r in records)
        for records in twins for course in range(FIRST_COURSE, FIRST_COURSE + 4)
    )  # fmt: skip
    assert enrolled[0] > 0 < enrolled[1]
    assert enrolled[2] > 0


def test_a_view_may_be_narrowed_to_some_locations() -> None:
    tokens = {"all": ["List", "Read", "Delete"], "here": ["List", "Read", "Delete"]}
    api = made({"locations": 2, "views": {"here": [2]}}, tokens=tokens)
    for path, field in ((COWORKERS, "InvoicingBusinessId"), (COURSES, "BusinessId")):
        mine, everything = all_of(api, path, token="here"), all_of(api, path, token="all")
        assert {record[field] for record in mine} == {2}
        assert 0 < len(mine) < len(everything)
        other = next(record["Id"] for record in everything if record[field] == 1)
        assert ask(api, "GET", f"{path}/{other}", token="here").status == 404
        assert get(api, f"{path}/?id=[{other}]", token="here") == []
    theirs = [r for r in all_of(api, ENROLMENTS, token="all") if r["CourseId"] == FIRST_COURSE]
    assert {r["CourseId"] for r in all_of(api, ENROLMENTS, token="here")} == {FIRST_COURSE + 1, FIRST_COURSE + 3}
    assert {r["CourseId"] for r in all_of(api, LESSONS, token="here")} == {FIRST_COURSE + 1, FIRST_COURSE + 3}
    assert ask(api, "DELETE", f"{ENROLMENTS}/{theirs[0]['Id']}", token="here").status == 404


def test_lists_may_move_while_they_are_read() -> None:
    api = made({"moves": 1.0})
    totals = [get(api, COWORKERS, page=1 + i % 2, size=30)["TotalItems"] for i in range(40)]
    assert min(totals) < max(totals) == 69
    assert all(a == b for a, b in zip(totals[1::2], totals[2::2], strict=False))  # first pages move nothing
    assert get(api, ENROLMENTS, size=30)["TotalItems"] < len(community_of(api).enrolments)
    still = made({"moves": 0.0})
    assert {get(still, COWORKERS, page=2, size=30)["TotalItems"] for _ in range(40)} == {69}


def test_an_enrolment_is_made_and_deleted_as_a_completion_is() -> None:
    api, last = made(list_lag_s=5.0), FIRST_COWORKER + 68
    response = enrol(api, {"CourseId": FIRST_COURSE, "CoworkerId": last, "Approved": True}, now=10.0)
    made_id = orjson.loads(response.body)["Value"]["Id"]
    assert orjson.loads(response.body)["Message"] == "CourseMember was successfully created."
    shown = get(api, f"{ENROLMENTS}/{made_id}", now=10.0)
    assert (shown["CourseId"], shown["CoworkerId"], shown["Approved"]) == (FIRST_COURSE, last, True)
    young = {"CourseMember_Course": FIRST_COURSE, "CourseMember_Coworker": last}
    assert get(api, ENROLMENTS, now=14.9, **young)["TotalItems"] == 0
    assert get(api, ENROLMENTS, now=15.0, **young)["TotalItems"] == 1
    deleted = ask(api, "DELETE", f"{ENROLMENTS}/{made_id}", now=16.0)
    assert orjson.loads(deleted.body)["Message"] == "CourseMember was successfully deleted."
    assert ask(api, "DELETE", f"{ENROLMENTS}/{made_id}", now=16.0).status == 404
    plain = orjson.loads(enrol(api, {"CourseId": FIRST_COURSE, "CoworkerId": last}, now=17.0).body)["Value"]["Id"]
    assert get(api, f"{ENROLMENTS}/{plain}", now=17.0)["Approved"] is False


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "not valid JSON"), (b"[]", "not a JSON object"), (b"{}", "CourseId: is a required field"),
        (b'{"CourseId":101,"CoworkerId":"x"}', "CoworkerId: is not a number"),
        (b'{"CourseId":101,"CoworkerId":true}', "CoworkerId: is not a number"),
        (b'{"CourseId":7,"CoworkerId":300001}', "CourseId: does not exist"),
        (b'{"CourseId":101,"CoworkerId":101}', "CoworkerId: does not exist"),
        (b'{"CourseId":101,"CoworkerId":300001,"Approved":1}', "Approved: is neither true nor false"),
    ],
)  # fmt: skip
def test_an_enrolment_that_cannot_be_is_refused_in_the_words_of_the_api(body: bytes, words: str) -> None:
    api = made()
    refused = ask(api, "POST", ENROLMENTS, body)
    assert refused.status == 400
    envelope = orjson.loads(refused.body)
    assert words in envelope["Message"]
    assert envelope["WasSuccessful"] is False
    assert community_of(api).enrolments.created == 0


@pytest.mark.parametrize(("unique", "status"), [("no", 200), ("400", 400), ("409", 409), ("200", 200)])
def test_a_second_enrolment_is_met_as_the_scenario_says(unique: str, status: int) -> None:
    api = made({"unique": unique})
    _, course_id, coworker_id = next(community_of(api).enrolments.rows())
    again = enrol(api, {"CourseId": course_id, "CoworkerId": coworker_id})
    assert again.status == status
    assert community_of(api).enrolments.created == (unique == "no")
    if unique == "200":
        assert orjson.loads(again.body)["Value"]["Id"] == FIRST_ENROLMENT


def test_what_the_api_has_and_nobody_needs_is_405_and_without_people_all_is_404() -> None:
    api = made()
    for method, path in (("POST", COWORKERS), ("DELETE", f"{COURSES}/{FIRST_COURSE}"), ("PUT", ENROLMENTS)):
        assert ask(api, method, path).status == 405
    bare = Endpoints(Scenario(), now=0.0, wall_s=0.0)
    for method in ("GET", "POST", "PUT"):
        assert ask(bare, method, COWORKERS).status == 404


def test_each_kind_has_roles_of_its_own() -> None:
    api = made(tokens={"one": ["Coworker-List"], "two": ["CourseMember-Create", "Course-Read"], "all": ["Read"]})
    calls = {
        "Coworker-List": ("GET", COWORKERS), "CourseMember-List": ("GET", ENROLMENTS),
        "Coworker-Read": ("GET", f"{COWORKERS}/?id=[{FIRST_COWORKER}]"),
        "Course-Read": ("GET", f"{COURSES}/{FIRST_COURSE}"),
        "CourseMember-Create": ("POST", ENROLMENTS),
        "CourseMember-Delete": ("DELETE", f"{ENROLMENTS}/{FIRST_ENROLMENT}"),
    }  # fmt: skip
    body = json.dumps({"CourseId": FIRST_COURSE, "CoworkerId": FIRST_COWORKER}).encode()

    def opens(token: str) -> set[str]:
        return {role for role, call in calls.items() if ask(api, *call, body, token=token).status == 200}

    assert opens("one") == {"Coworker-List"}
    assert opens("two") == {"CourseMember-Create", "Course-Read"}
    assert opens("all") == {"Coworker-Read", "Course-Read"}


@pytest.mark.parametrize(
    ("rule", "statuses"),
    [("any", [200, 200, 200, 200]), ("known", [200, 200, 400, 400]), ("open", [200, 400, 400, 400])],
)
def test_completions_are_held_against_lessons_and_enrolments(rule: str, statuses: list[int]) -> None:
    api = made({"completions": rule, "blocked": 0.5, "inactive_lessons": 0.0})
    community = community_of(api)
    ids = [row[0] for row in community.enrolments.rows()]
    fine, blocked = next(i for i in ids if community.has_open_enrolment(i)), min(community.blocked)
    pairs = [(FIRST_LESSON, fine), (FIRST_LESSON, blocked), (FIRST_LESSON, 7), (7, fine)]
    bodies = [json.dumps({"CourseLessonId": a, "CourseMemberId": b}).encode() for a, b in pairs]
    assert [ask(api, "POST", COMPLETIONS, body).status for body in bodies] == statuses


def test_another_scenario_changes_how_people_show_and_not_who_they_are() -> None:
    api = made()
    before = all_of(api, COURSES)
    api.retune(Scenario.from_mapping({"people": {"coworkers": 5, "email_in_lists": False}}))
    assert all_of(api, COURSES) == before
    assert "Email" not in all_of(api, COWORKERS)[0]
    late = Endpoints(Scenario(), now=0.0, wall_s=0.0)
    late.retune(Scenario.from_mapping({"people": SMALL}))
    assert len(all_of(late, COURSES)) == 4


def sheet(plan: SheetPlan) -> tuple[Community, list[SheetRow]]:
    scenario = Scenario.from_mapping({"people": {}})
    assert scenario.people is not None
    community = Community(scenario.people, scenario.rng("people"), seeded_at=0.0)
    return community, draw_sheet(plan, community, random.Random(1))


def test_a_sheet_has_what_was_ordered_and_tells_what_is_right() -> None:
    plan = SheetPlan()
    community, rows = sheet(plan)
    assert Counter(row.why for row in rows) == {
        "": 460, "unknown": 20, "ambiguous": 5, "not enrolled": 10, "other course": 3, "inactive": 2,
    }  # fmt: skip
    for row in rows:
        email, _, course, _, title, _ = row.cells
        profiles = community.ids_of(email)
        courses = {i + FIRST_COURSE for i, one in enumerate(community.courses) if one.title == course}
        enrolled = [
            community.enrolments.first_id + place
            for profile in profiles for one in courses for place in community.enrolments.find(one, profile)
        ]  # fmt: skip
        lesson = community.lesson(row.lesson_id)
        assert lesson is not None
        assert bool(profiles) is (row.why != "unknown")
        assert len(enrolled) == {"unknown": 0, "not enrolled": 0, "ambiguous": 2}.get(row.why, 1)
        assert enrolled == [row.enrolment_id] or row.why in ("unknown", "not enrolled", "ambiguous")
        assert (lesson.course_id in courses) is (row.why != "other course")
        assert (lesson.title, lesson.is_active) == (title, row.why != "inactive")


def test_a_sheet_is_written_as_csv_and_as_a_workbook() -> None:
    _, rows = sheet(SheetPlan(total=30, unknown=2, ambiguous=2, not_enrolled=2, other_course=1, inactive=1))
    read = list(csv.reader(io.StringIO(as_csv(rows))))
    assert read == [list(HEADER), *(list(row.cells) for row in rows)]
    with zipfile.ZipFile(io.BytesIO(as_xlsx(rows))) as book:
        text = book.read("xl/worksheets/sheet1.xml").decode()
    assert text.count("<row>") == 31
    assert all(row.cells[0] in text for row in rows)


def test_too_few_people_for_a_sheet_are_told() -> None:
    scenario = Scenario.from_mapping({"people": {"coworkers": 2, "enrolments": 1, "profiles": 0.0}})
    assert scenario.people is not None
    community = Community(scenario.people, scenario.rng("people"), seeded_at=0.0)
    with pytest.raises(ValueError, match="too few people"):
        draw_sheet(SheetPlan(), community, random.Random(1))


@pytest.mark.slow
def test_a_server_without_people_imports_nothing_of_them() -> None:
    code = (
        "import sys; from bulkwriter.stub.endpoints import Endpoints; from bulkwriter.stub.scenario import Scenario;"
        "Endpoints(Scenario(), now=0.0, wall_s=0.0);"
        "theirs = ('community', 'people_endpoints', 'people_tables', 'sheet');"
        "print([name for name in sys.modules if name.endswith(theirs)])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"
