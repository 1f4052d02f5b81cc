"""Signing in and refreshing, against the stub's own grants, and what is said when it is refused."""

from __future__ import annotations

import asyncio
from urllib.parse import urlencode

import orjson
import pytest

from bulkwriter.clocks import MACHINE
from bulkwriter.core.classify import judge_call
from bulkwriter.errors import ConfigurationStop, TryLater
from bulkwriter.model import Fault, Reply
from bulkwriter.net.auth import Token, TokenSource, token_source
from bulkwriter.net.signin import TRIES, Login
from bulkwriter.settings import Settings
from bulkwriter.stub.tokens import User

from ..conftest import CANARY
from ..support.token_fakes import Clock, Endpoint, all_words, encode, granted


async def test_it_signs_in_and_then_lives_on_refresh_tokens() -> None:
    endpoint, clock = Endpoint(), Clock()
    source = TokenSource(endpoint.sign_in(), clock=clock)
    values = []
    for _ in range(4):
        values.append((await source.current()).value)
        clock.now += 81
    assert len(set(values)) == 4
    assert endpoint.grant_types == ["password", "refresh_token", "refresh_token", "refresh_token"]
    assert set(endpoint.client_ids) == {form["client_id"] for form in endpoint.forms} == {"mine"}
    assert endpoint.forms[0] == {
        "grant_type": "password", "username": "ann", "password": CANARY, "client_id": "mine",
    }  # fmt: skip


async def test_a_refused_token_is_refreshed_once_for_all() -> None:
    endpoint = Endpoint()
    source = TokenSource(endpoint.sign_in())
    await source.current()
    tokens = await asyncio.gather(*(source.refresh(0) for _ in range(64)))
    assert {t.generation for t in tokens} == {1}
    assert endpoint.grant_types == ["password", "refresh_token"]


async def test_a_spent_refresh_token_leads_to_one_sign_in_with_a_new_code() -> None:
    endpoint = Endpoint(totp="111111")
    endpoint.codes = ["111111", "222222"]
    source = TokenSource(endpoint.sign_in(with_totp=True))
    await source.current()
    endpoint.users[0] = User(username="ann", password=CANARY, totp="222222")
    endpoint.grants._refreshes.clear()
    endpoint.grants.retune({}, endpoint.users, token_life_s=100, refresh_life_s=1e6)
    assert (await source.refresh(0)).generation == 1
    assert [f.get("totp") for f in endpoint.forms] == ["111111", None, "222222"]
    assert endpoint.grant_types == ["password", "refresh_token", "password"]


async def test_a_lost_refresh_is_asked_again_and_then_signed_in() -> None:
    endpoint = Endpoint()
    source = TokenSource(endpoint.sign_in())
    await source.current()
    endpoint.grants._refreshes.clear()  # the lost request had spent it
    endpoint.script = [Reply(0, fault=Fault.LOST)]
    assert (await source.refresh(0)).generation == 1
    assert endpoint.grant_types == ["password", "refresh_token", "refresh_token", "password"]


async def test_a_refresh_token_outlives_a_server_that_is_gone() -> None:
    endpoint = Endpoint()
    source = TokenSource(endpoint.sign_in())
    await source.current()
    endpoint.script = [Reply(503)] * TRIES
    with pytest.raises(TryLater):
        await source.refresh(0)
    assert (await source.refresh(0)).generation == 1
    assert "password" not in endpoint.grant_types[1:]


async def test_a_sign_in_has_a_client_id_of_its_own() -> None:
    seen = set()
    for _ in range(2):
        endpoint = Endpoint()
        source = token_source(
            Settings(username="ann", password=CANARY),
            request=endpoint.request,
            token_request=encode,
            judge=judge_call,
            role="R",
            clocks=MACHINE,
        )
        await source.current()
        seen |= set(endpoint.client_ids)
    assert len(seen) == 2
    assert all(client_id.startswith("bulkwriter-") for client_id in seen)


# ---- a refusal


async def test_a_wrong_password_is_one_request_and_a_plain_stop() -> None:
    endpoint = Endpoint()
    source = TokenSource(endpoint.sign_in("wrong-" + CANARY))
    errors = await asyncio.gather(*(source.current() for _ in range(64)), return_exceptions=True)
    assert len(endpoint.forms) == 1
    error = errors[0]
    assert isinstance(error, ConfigurationStop)
    assert error.message == "the sign-in was refused (HTTP 400): The user name or password is incorrect"
    assert "password" in error.hint
    assert CANARY not in all_words(error)


async def test_a_servers_words_are_cut_and_hold_no_secret() -> None:
    password = f"{CANARY} &ü"
    said = f"bad\r\n{password} and {urlencode({'p': password})} \x1b[2J" + "x" * 500
    endpoint = Endpoint(Reply(400, orjson.dumps({"error": "invalid_grant", "error_description": said})))
    with pytest.raises(ConfigurationStop) as error:
        await endpoint.sign_in(password)(is_first=True)
    assert CANARY not in all_words(error.value)
    assert error.value.message.isprintable()
    assert len(error.value.message) < 260


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply(200, b"<html>hello</html>"), "without a usable token"),
        (Reply(200, b'{"access_token":7}'), "without a usable token"),
        (granted(f"{CANARY} x"), "without a usable token"),
        (granted(""), "without a usable token"),
        (Reply(204), "HTTP 204"),
        (Reply(302), "HTTP 302"),
        (Reply(403, b"<html>"), "HTTP 403"),
        (Reply(404), "HTTP 404"),
        (Reply(400), "refused \\(HTTP 400\\)"),
        (Reply(401, b'{"error":"invalid_client"}'), "invalid_client"),
    ],
)
async def test_an_answer_without_a_token_is_a_stop(reply: Reply, words: str) -> None:
    endpoint = Endpoint(reply)
    with pytest.raises(ConfigurationStop, match=words) as error:
        await endpoint.sign_in()(is_first=True)
    assert len(endpoint.forms) == 1
    assert CANARY not in all_words(error.value)


def test_nothing_shows_a_secret() -> None:
    endpoint = Endpoint()
    supply = endpoint.sign_in()
    for thing in (
        Login("ann", CANARY, lambda: CANARY),
        supply,
        supply._endpoint,
        Token(CANARY, 1),
        TokenSource(supply),
    ):
        assert CANARY not in repr(thing)
