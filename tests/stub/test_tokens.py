"""Sign-in, refresh, expiry and rotation, with the clock as an argument."""

from __future__ import annotations

import random
from typing import Any
from urllib.parse import urlencode

import pytest

from bulkwriter.stub.tokens import FORM, TokenStore, User, read_tokens

ADMIN = {"username": "admin@example.com", "password": "stub-password"}
CANARY = "canary-token-8c1f"


def grants(*users: User, **changes: Any) -> TokenStore:
    values: dict[str, Any] = {"token_life_s": 100.0, "refresh_life_s": 1_000.0, "rng": random.Random(1), **changes}
    return TokenStore(read_tokens({CANARY: ["Create"]}), users or (User(),), **values)


def sign_in(of: TokenStore, now: float = 0.0, *, header: str = "", **form: str) -> tuple[int, dict[str, Any]]:
    body = urlencode({"grant_type": "password", **ADMIN, **form}).encode()
    return of.exchange(FORM, body, client_id=header, now=now)


def refresh(
    of: TokenStore, token: str, now: float = 0.0, *, header: str = ADMIN["username"]
) -> tuple[int, dict[str, Any]]:
    body = urlencode({"grant_type": "refresh_token", "refresh_token": token}).encode()
    return of.exchange(FORM, body, client_id=header, now=now)


def is_good(of: TokenStore, answer: dict[str, Any], now: float) -> bool:
    return of.allows(b"Bearer " + answer["access_token"].encode(), "CourseCompletedLesson-Create", now)


def test_a_static_token_has_its_roles_and_no_end() -> None:
    of = grants()
    assert of.allows(b"Bearer " + CANARY.encode(), "CourseCompletedLesson-Create", 1e12)
    assert not of.allows(b"Bearer " + CANARY.encode(), "CourseCompletedLesson-List", 0.0)
    assert not of.allows(b"Bearer other", "CourseCompletedLesson-Create", 0.0)
    assert not of.allows(b"", "CourseCompletedLesson-Create", 0.0)


def test_signing_in_gives_a_token_for_its_life() -> None:
    of = grants()
    status, answer = sign_in(of)
    assert status == 200
    assert (answer["token_type"], answer["expires_in"]) == ("bearer", 100)
    assert is_good(of, answer, 99.9)
    assert not is_good(of, answer, 100.0)


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"password": "wrong"}, "invalid_grant"),
        ({"username": "nobody"}, "invalid_grant"),
        ({"grant_type": "client_credentials"}, "unsupported_grant_type"),
        ({"grant_type": ""}, "unsupported_grant_type"),
    ],
)
def test_a_bad_sign_in_is_a_400(form: dict[str, str], error: str) -> None:
    status, answer = sign_in(grants(), 0.0, header="", **form)
    assert (status, answer["error"]) == (400, error)


def test_only_a_form_will_do() -> None:
    of = grants()
    assert of.exchange(b"application/json", b'{"grant_type": "password"}', client_id="", now=0.0)[0] == 400
    assert of.exchange(b"", urlencode(ADMIN).encode(), client_id="", now=0.0)[1]["error"] == "unsupported_grant_type"
    body = urlencode({"grant_type": "password", **ADMIN}).encode()
    assert of.exchange(FORM + b"; charset=UTF-8", body, client_id="", now=0.0)[0] == 200


def test_two_factor_users_need_their_code() -> None:
    of = grants(User(totp="123456"))
    assert sign_in(of)[0] == sign_in(of, totp="000000")[0] == 400
    assert sign_in(of, totp="123456")[0] == 200


def test_a_refresh_token_works_once_and_leaves_access_tokens_alone() -> None:
    of = grants()
    first = sign_in(of)[1]
    status, second = refresh(of, first["refresh_token"], 10.0)
    assert status == 200
    assert is_good(of, first, 50.0)
    assert is_good(of, second, 109.0)
    assert refresh(of, first["refresh_token"], 11.0)[1]["error"] == "invalid_grant"
    assert refresh(of, second["refresh_token"], 12.0)[0] == 200


def test_a_refresh_token_dies_of_age_and_of_a_new_sign_in_under_its_name() -> None:
    of = grants()
    old = sign_in(of)[1]["refresh_token"]
    assert refresh(of, old, 1_000.0)[0] == 400
    mine = sign_in(of, client_id="mine")[1]["refresh_token"]
    other = sign_in(of, header="other")[1]["refresh_token"]
    sign_in(of, client_id="mine")
    assert refresh(of, mine, 1.0, header="mine")[0] == 400
    assert refresh(of, other, 1.0, header="mine")[0] == 400
    assert refresh(of, other, 1.0, header="other")[0] == 200


def test_retuning_keeps_what_was_issued() -> None:
    of = grants()
    answer = sign_in(of)[1]
    of.retune(read_tokens(["new"]), (), token_life_s=1.0, refresh_life_s=1.0)
    assert is_good(of, answer, 50.0)
    assert of.allows(b"Bearer new", "CourseCompletedLesson-Delete", 0.0)
    assert not of.allows(b"Bearer " + CANARY.encode(), "CourseCompletedLesson-Create", 0.0)
    assert refresh(of, answer["refresh_token"])[0] == 400  # its user is gone


def test_an_expiry_strikes_only_worn_tokens_and_an_issued_one_for_good() -> None:
    of = grants()
    static = b"Bearer " + CANARY.encode()
    assert not of.expire(static, 0.0)
    assert of.allows(static, "CourseCompletedLesson-Create", 0.0)
    assert of.expire(static, 0.0)
    assert not of.expire(static, 0.0)
    assert of.allows(static, "CourseCompletedLesson-Create", 0.0)
    answer = sign_in(of)[1]
    header = b"Bearer " + answer["access_token"].encode()
    assert is_good(of, answer, 1.0)
    assert of.expire(header, 2.0)
    assert not is_good(of, answer, 2.0)
    assert not of.expire(b"Bearer none", 0.0)
