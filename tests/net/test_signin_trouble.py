"""Signing in on a bad day: a busy or lost endpoint, Retry-After, and whatever else may come; no real time passes."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkwriter.errors import BulkwriterError, ConfigurationStop, TryLater, UsageError
from bulkwriter.model import Fault, Reply
from bulkwriter.net.auth import Token, TokenSource
from bulkwriter.net.signin import TRIES, life_of, obtain

from ..conftest import CANARY
from ..support.token_fakes import WALL_S, Endpoint, all_words


@pytest.mark.parametrize(
    "reply",
    [*map(Reply, (408, 409, 429, 500, 502)), *(Reply(0, fault=f) for f in (Fault.LOST, Fault.REFUSED, Fault.SILENT))],
)
async def test_trouble_is_asked_again(reply: Reply) -> None:
    endpoint = Endpoint(reply, reply)
    await endpoint.sign_in()(is_first=True)
    assert len(endpoint.forms) == 3
    assert 0 <= endpoint.pauses[0] <= 1.0
    assert 0 <= endpoint.pauses[1] <= 2.0


async def test_trouble_without_end_is_try_later() -> None:
    endpoint = Endpoint(*[Reply(502)] * 99)
    with pytest.raises(TryLater, match="HTTP 502"):
        await endpoint.sign_in()(is_first=True)
    assert len(endpoint.forms) == TRIES
    assert len(endpoint.pauses) == TRIES - 1


async def test_retry_after_is_obeyed() -> None:
    endpoint = Endpoint(Reply(429, retry_after="7"), Reply(503, retry_after="garbage"))
    await endpoint.sign_in()(is_first=True)
    assert 7.0 <= endpoint.pauses[0] <= 8.0
    assert endpoint.pauses[1] <= 2.0


async def test_a_long_retry_after_says_when_to_come_back() -> None:
    endpoint = Endpoint(Reply(429, retry_after="3600"))
    with pytest.raises(TryLater, match="3,600 s") as error:
        await endpoint.sign_in()(is_first=True)
    assert error.value.retry_at == WALL_S + 3_600
    assert endpoint.pauses == []


@pytest.mark.parametrize("fault", [Fault.TLS, Fault.NAME, Fault.PROXY])
async def test_a_fault_that_shows_a_wrong_setting_stops_at_once(fault: Fault) -> None:
    endpoint = Endpoint(Reply(0, fault=fault, detail="no such thing"))
    with pytest.raises(ConfigurationStop, match="no such thing") as error:
        await endpoint.sign_in()(is_first=True)
    assert "check --" in error.value.hint.typed


async def test_a_name_that_was_found_before_is_looked_up_again() -> None:
    endpoint = Endpoint()
    supply = endpoint.sign_in()
    await supply(is_first=True)
    endpoint.script = [Reply(0, fault=Fault.NAME)]
    await supply(is_first=False)
    assert len(endpoint.forms) == 3


async def no_vault() -> str:
    raise ConnectionError("the vault at 10.0.0.12 says 503")


async def quotes_a_secret() -> str:
    raise ValueError(f"cannot use {CANARY} nor hvs.CAESIJlWj and pass: 493021")


def not_async() -> Any:
    return "a-token"


async def test_what_a_function_of_the_caller_raised_is_told_and_kept_but_for_secrets() -> None:
    with pytest.raises(TryLater, match=r"no token: ConnectionError: the vault at 10\.0\.0\.12 says 503") as later:
        await obtain(no_vault, "token")
    assert isinstance(later.value.__cause__, ConnectionError)
    with pytest.raises(ConfigurationStop) as stopped:
        await obtain(quotes_a_secret, "token")
    assert stopped.value.message.endswith("cannot use (hidden) nor hvs.CAESIJlWj and pass: (hidden)")
    assert stopped.value.__cause__ is None
    assert CANARY not in all_words(stopped.value)
    with pytest.raises(UsageError, match="the function that gives the token is not async"):
        await obtain(not_async, "token")


async def test_a_code_that_cannot_be_had_is_told_without_secrets() -> None:
    endpoint = Endpoint()
    with pytest.raises(ConfigurationStop, match="no two-factor code: IndexError") as error:
        await endpoint.sign_in(with_totp=True)(is_first=True)
    assert endpoint.forms == []
    assert CANARY not in all_words(error.value)


# ---- whatever comes


@pytest.mark.parametrize(("expires_in", "life_s"), [(604_799, 604_799.0), ("60", 60.0), (1.5, 1.5)])
def test_a_life_is_a_number_of_seconds(expires_in: Any, life_s: float) -> None:
    assert life_of(expires_in) == life_s


@pytest.mark.parametrize("junk", [None, "soon", -1, 0, True, [], {}, "nan", "1e999"])
def test_a_life_that_is_no_number_is_left_to_the_servers_401(junk: Any) -> None:
    assert life_of(junk) == math.inf


answers = st.binary() | st.fixed_dictionaries(
    {},
    optional={
        "access_token": st.text() | st.just("abc") | st.integers(-9, 9),
        "refresh_token": st.text() | st.none(),
        "expires_in": st.integers(-5, 10) | st.text() | st.none() | st.booleans(),
        "error": st.text() | st.none(),
        "error_description": st.text() | st.integers(-9, 9),
    },
).map(orjson.dumps)


@given(st.sampled_from([200, 400, 401, 403, 500, 302]) | st.integers(0, 999), answers, st.none() | st.text())
@settings(max_examples=150, deadline=None)
def test_any_answer_is_a_token_or_an_error_of_ours(status: int, body: bytes, retry_after: str | None) -> None:
    endpoint = Endpoint(*[Reply(status, body, retry_after)] * TRIES)
    ended = asyncio.run(outcome(TokenSource(endpoint.sign_in())))
    if isinstance(ended, Token):
        assert status == 200
        assert ended.value.isascii()
    else:
        assert str(ended).replace("\n  ", "").isprintable()


async def outcome(source: TokenSource) -> Token | BulkwriterError:
    try:
        return await source.current()
    except BulkwriterError as error:
        return error
