"""What the API answers, envelope by envelope, without a connection."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkwriter.stub.endpoints import Endpoints
from bulkwriter.stub.request import Head, Heads, Request, operation_of
from bulkwriter.stub.responses import Response
from bulkwriter.stub.scenario import Scenario

PATH = "/api/content/coursecompletedlessons"
WALL_S = 1_800_000_000.0  # 2027-01-15T08:00:00Z


def made(**scenario: Any) -> Endpoints:
    return Endpoints(Scenario.from_mapping(scenario), now=0.0, wall_s=WALL_S)


def ask(
    api: Endpoints, method: str, target: str, body: bytes = b"", *, token: str = "stub-token", now: float = 0.0
) -> Response:
    head = Head(method.encode(), target.encode(), {b"authorization": b"Bearer " + token.encode()})
    return api.answer(Request(head, body), now)


def create(api: Endpoints, lesson_id: Any, member_id: Any, **options: Any) -> Response:
    return ask(
        api, "POST", PATH, json.dumps({"CourseLessonId": lesson_id, "CourseMemberId": member_id}).encode(), **options
    )


def test_a_create_is_told_as_documented() -> None:
    api = made(first_id=87654321)
    response = create(api, 11, 42)
    assert response.status == 200
    assert orjson.loads(response.body) == {
        "Status": 200, "Message": "CourseCompletedLesson was successfully created.", "Value": {"Id": 87654321},
        "OpenInDialog": False, "OpenInWindow": False, "RedirectURL": None, "JavaScript": None,
        "UpdatedOn": "2027-01-15T08:00:00Z", "UpdatedBy": "admin@example.com", "Errors": None, "WasSuccessful": True,
    }  # fmt: skip
    assert orjson.loads(create(api, 11, 42, now=2.5).body)["UpdatedOn"] == "2027-01-15T08:00:02Z"
    assert list(api.records.rows()) == [(87654321, 11, 42), (87654322, 11, 42)]  # doubles are accepted


def test_a_refusal_is_told_as_documented() -> None:
    api = made()
    response = create(api, None, 1)
    assert response.status == 400
    assert orjson.loads(response.body) == {
        "Message": "CourseLessonId: is a required field", "Value": None, "WasSuccessful": False,
        "Errors": [
            {"AttemptedValue": None, "Message": "is a required field", "PropertyName": "CourseLessonId"},
        ],
    }  # fmt: skip
    old = made(status_in_rejections=True)
    assert orjson.loads(create(old, None, None).body)["Status"] == 500
    assert len(orjson.loads(create(old, None, None).body)["Errors"]) == 2


@pytest.mark.parametrize("wrong", ["7", 1.0, True, 0, -1, 2**63, 2**64, [], {}])
def test_an_id_is_a_positive_64_bit_integer(wrong: Any) -> None:
    api = made()
    assert create(api, wrong, 1).status == create(api, 1, wrong).status == 400
    assert create(api, 2**63 - 1, 2**63 - 1).status == 200
    assert len(api.records) == 1


@settings(max_examples=25)
@given(st.one_of(st.binary(max_size=40), st.recursive(st.none() | st.integers() | st.text(max_size=3), st.lists).map(
    lambda value: json.dumps(value).encode()
)))  # fmt: skip
def test_any_other_body_is_a_400_envelope(body: bytes) -> None:
    response = ask(made(), "POST", PATH, body)
    assert response.status == 400
    assert orjson.loads(response.body)["WasSuccessful"] is False


def test_unknown_ids_and_doubles_are_refused_where_the_scenario_says_so() -> None:
    api = made(known_lessons=["1-3", 7], known_members=[5], unique="409", existing=[[1, 5]])
    assert [create(api, lesson, 5).status for lesson in (1, 2, 3, 4, 7, 8)] == [409, 200, 200, 400, 200, 400]
    assert orjson.loads(create(api, 9, 9).body)["Message"] == (
        "CourseLessonId: does not exist; CourseMemberId: does not exist"
    )
    assert create(made(unique="400", existing=[[1, 5]]), 1, 5).status == 400


def test_a_deleted_pair_may_be_created_again() -> None:
    api = made(unique="400")
    create(api, 1, 2)
    assert ask(api, "DELETE", f"{PATH}/1").status == 200
    assert create(api, 1, 2).status == 200


def test_reading_and_deleting_one() -> None:
    api = made()
    create(api, 1, 2)
    assert orjson.loads(ask(api, "GET", f"{PATH}/1").body)["CourseMemberId"] == 2
    deleted = ask(api, "DELETE", f"{PATH}/1")
    assert deleted.status == 200
    assert (orjson.loads(deleted.body)["Value"], orjson.loads(deleted.body)["WasSuccessful"]) == (None, True)
    for method in ("GET", "DELETE"):
        again = ask(api, method, f"{PATH}/1")
        assert (again.status, again.body) == (404, b'"Not found"')
    assert ask(api, "GET", f"{PATH}/nothing").status == 404


def test_lists_know_paging_ids_and_lag() -> None:
    api = made(list_lag_s=5, page_size_max=2, existing=[[1, 1], [1, 2], [2, 1]])
    create(api, 9, 9, now=10.0)
    page = orjson.loads(ask(api, "GET", f"{PATH}?size=1000", now=14.9).body)
    assert (page["TotalItems"], page["CurrentPageSize"], len(page["Records"])) == (3, 2, 2)
    assert orjson.loads(ask(api, "GET", f"{PATH}?size=1000", now=15.0).body)["TotalItems"] == 4
    array = orjson.loads(ask(api, "GET", f"{PATH}/?id=[3,1,4]", now=12.0).body)
    assert [record["Id"] for record in array] == [3, 1]
    assert orjson.loads(ask(api, "GET", f"{PATH}/4", now=12.0).body)["Id"] == 4  # a read does not lag
    assert ask(api, "GET", f"{PATH}?page=x").status == 400


def test_a_missing_role_and_a_bad_token_look_the_same() -> None:
    api = made(tokens={"only-create": ["Create"], "only-list": ["List"]})
    assert create(api, 1, 1, token="only-create").status == 200
    calls = [("POST", PATH), ("GET", f"{PATH}/1"), ("DELETE", f"{PATH}/1")]
    assert [ask(api, *call, token="only-list").status for call in calls] == [401, 401, 401]
    assert ask(api, "GET", PATH, token="only-list").status == 200
    assert ask(api, "GET", PATH, token="only-create").status == 401
    assert create(api, 1, 1, token="stub-token").status == 401


def test_what_is_not_there_is_404_or_405() -> None:
    api = made()
    assert ask(api, "PUT", PATH).status == 405
    assert ask(api, "GET", "/api/token").status == 405
    assert ask(api, "GET", "/").status == 404


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("POST", PATH, "create completions"), ("POST", PATH + "/", "create completions"),
        ("GET", PATH, "list completions"), ("GET", PATH + "/", "list completions"),
        ("GET", PATH + "/5", "read completions"), ("DELETE", PATH + "/5", "delete completions"),
        ("POST", PATH + "/5", "other completions"), ("PUT", PATH, "other completions"),
        ("GET", "/api/spaces/coworkers/7", "read coworkers"), ("GET", "/api/content/courses/", "list courses"),
        ("POST", "/api/content/coursemembers", "create enrolments"),
        ("GET", "/api/content/courselessons", "list lessons"),
        ("POST", "/api/token", "token "), ("GET", "/stub/truth", "admin "), ("GET", PATH + "x", "other "),
        ("GET", PATH + "/5/6", "other "), ("GET", "/", "other "), ("GET", "", "other "),
    ],
)  # fmt: skip
def test_operations(method: str, path: str, operation: str) -> None:
    assert " ".join(operation_of(method.encode(), path.encode())) == operation


def test_a_known_head_is_recalled_only_for_the_same_bytes_and_body_length() -> None:
    heads = Heads()
    start = b"POST /x HTTP/1.1\r\nContent-Length: 2\r\n\r\n"
    assert heads.recall(start + b"{}") is None
    head = Head(b"POST", b"/x", {b"content-length": b"2"})
    heads.learn(start + b"{}", Request(head, b"{}"))
    recalled = heads.recall(start + b"[]")
    assert recalled is not None
    assert (recalled.head, recalled.body) == (head, b"[]")
    for other in (start + b"[", start + b"[] ", start.lower() + b"[]", start[:-1], b"", b"\r\n\r\n"):
        assert heads.recall(other) is None


@pytest.mark.parametrize(
    "headers",
    [
        {b"transfer-encoding": b"chunked"}, {b"expect": b"100-continue", b"content-length": b"2"},
        {b"content-length": b"3"}, {b"content-length": b"x"}, {},
    ],
)  # fmt: skip
def test_a_head_of_unusual_framing_is_not_learnt(headers: dict[bytes, bytes]) -> None:
    heads, data = Heads(), b"POST /x HTTP/1.1\r\n...\r\n\r\n{}"
    heads.learn(data, Request(Head(b"POST", b"/x", headers), b"{}"))
    assert heads.recall(data) is None
